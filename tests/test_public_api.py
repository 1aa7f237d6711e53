"""What `import entrotune` offers, and what it costs."""

import subprocess
import sys

import pytest

import entrotune


@pytest.mark.parametrize("name", entrotune.__all__)
def test_every_public_name_loads_and_is_documented(name: str) -> None:
    assert getattr(entrotune, name).__doc__


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        entrotune.trian  # noqa: B018
    assert set(entrotune.__all__) <= set(dir(entrotune))


def test_importing_it_loads_nothing_heavy_and_switches_telemetry_off() -> None:
    code = (
        "import sys, os, entrotune;"
        "print([m for m in ('torch', 'transformers', 'trl', 'numpy') if m in sys.modules],"
        "os.environ['HF_HUB_DISABLE_TELEMETRY'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[] 1\n"


def test_version_is_that_of_the_distribution() -> None:
    from importlib.metadata import version

    assert version("entrotune") == entrotune.__version__
