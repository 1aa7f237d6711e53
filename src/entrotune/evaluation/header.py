"""How a record came to be: time, command, versions, device, revision, conventions."""

import importlib.metadata
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from entrotune.evaluation.measure import EAD_VOCABULARY

PACKAGES = ("entrotune", "torch", "transformers", "trl", "peft", "datasets", "numpy", "sacrebleu")

CONVENTIONS = {
    "nll": "nats per supervised token; a temperature divides the logits after the model's own scale and cap",
    "entropy": "nats per token, of the predictions of held-out tokens",
    "diversity": "on responses only, per prompt, then averaged over prompts",
    "ead": f"words, of a vocabulary of {EAD_VOCABULARY:,}",
    "self_bleu": "each sample against all others of its prompt",
    "vendi": "order 1 over counts of word pairs",
    "correctness": "the row's checker, else equality with one of its references, ignoring case",
    "intervals": "95% bootstrap over prompts; differences are paired over prompts",
}


def header(seed: int) -> dict[str, Any]:
    """The parts of a record that tell when, how and on what it was made."""
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": _command(),
        "seeds": [seed],
        "versions": {"python": platform.python_version()} | _versions(),
        "git_revision": _git_revision(),
        "conventions": CONVENTIONS,
    }


def device_name(device: torch.device) -> str:
    """A device in words: the GPU's name, or the processor and the number of threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} ({platform.machine()}, {torch.get_num_threads()} threads)"


def _command() -> str | None:
    """The command line, where this runs from ours and not from a notebook or a script."""
    program = Path(sys.argv[0]).name
    return shlex.join([program, *sys.argv[1:]]) if program == "entrotune" else None


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:  # run from a source tree, or an optional package
            continue
    return found


def _git_revision() -> str | None:
    try:
        result = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):  # no git here
        return None
    return result.stdout.strip() or None if result.returncode == 0 else None
