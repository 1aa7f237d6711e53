"""Fixtures that every test may use."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")


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
