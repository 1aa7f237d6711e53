"""Fixtures that every test may use."""

import os
from pathlib import Path

import pytest
import torch
from hypothesis import settings

# Wherever CI is set the examples are the same at every run, so that a change is not judged by luck; elsewhere they
# differ, so that new ones are found. No deadline: a shared machine may stall.
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("local", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "local")

os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Read when Triton is imported: without a GPU its kernels run in the interpreter.
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")


def _shared_data() -> Path:
    given = os.environ.get("ENTROTUNE_SHARED_DATA")
    return Path(given) if given else Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of shared real data sets; the test is skipped where it is absent."""
    folder = _shared_data()
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder}; set ENTROTUNE_SHARED_DATA to the folder that holds it")
    return folder
