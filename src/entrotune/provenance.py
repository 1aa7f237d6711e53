"""Where and with what something was computed: versions, git revision, device, time, command."""

import importlib.metadata
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

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


def device_name(device: "torch.device") -> str:
    """A device in words: the GPU's name, or the processor and the number of threads."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} ({platform.machine()}, {torch.get_num_threads()} threads)"


def now() -> str:
    """The current time, UTC, to the second, as ISO 8601."""
    return datetime.now(UTC).replace(microsecond=0).isoformat()


def command_line() -> str | None:
    """The command that is running, as one would type it; None in a notebook or a script of the user's."""
    program = Path(sys.argv[0]).name
    if program == "__main__.py":
        program = "entrotune"
    return shlex.join([program, *sys.argv[1:]]) if program == "entrotune" else None
