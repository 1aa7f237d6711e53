"""Where and with what something was computed: versions, git revision, device, time, command."""

import importlib.metadata
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

PACKAGES = ("entrotune", "torch", "transformers", "trl", "peft", "accelerate", "datasets", "tokenizers", "numpy")


def versions() -> dict[str, str]:
    """Python's version and those of the packages that results depend on."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def git_revision() -> str | None:
    """The commit of the working folder's repository, with `+changes` where files differ; None outside of one."""

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=10, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    revision = git("rev-parse", "HEAD")
    if not revision:
        return None
    return f"{revision}+changes" if git("status", "--porcelain") else revision


def device_name() -> str:
    """The accelerator in use, or the processor with its cores."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name(0)
    if torch.backends.mps.is_available():
        return "Apple MPS"
    return f"CPU ({platform.machine()}, {torch.get_num_threads()} threads)"


def now() -> str:
    """The current time, UTC, to the second, as ISO 8601."""
    return datetime.now(UTC).replace(microsecond=0).isoformat()


def command_line() -> str:
    """The command that is running, as one would type it."""
    name = Path(sys.argv[0]).name or "python"
    return shlex.join([name, *sys.argv[1:]])
