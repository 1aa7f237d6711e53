"""Weight files on disk: which ones a folder holds, whether they are safe to load, and their fingerprint."""

import hashlib
import json
import os
import re
from pathlib import Path

from entrotune.errors import UserError

CONVERTED_RECORD = "converted_from.json"
_PICKLE = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
_SHA256 = re.compile(r"^[0-9a-f]{64}$")


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a model folder, sorted by name."""
    return sorted(folder.glob("*.safetensors"))


def check_weight_files(folder: Path, name: str) -> None:
    """Refuse a folder without safetensors, or with a shard missing that its index names.

    Raises:
        UserError: only pickle weights (loading them runs code from the file), no weights at all, or missing shards.
    """
    if not weight_files(folder):
        pickles = sorted(file.name for pattern in _PICKLE for file in folder.glob(pattern))
        if pickles:
            raise UserError(
                f"model '{name}' holds only pickle weights ({pickles[0]}), which can run code when loaded; "
                "expected safetensors: load it where you trust it and save it again with save_pretrained"
            )
        raise UserError(f"model '{name}' holds no weights: expected *.safetensors files in '{folder}'")
    missing = missing_shards(folder)
    if missing:
        raise UserError(f"model '{name}' is incomplete: '{missing[0]}' is missing from '{folder}'; fetch it again")


def missing_shards(folder: Path) -> list[str]:
    """Names of the safetensors files that the folder's index lists and the folder lacks."""
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return []
    try:
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, KeyError, AttributeError) as error:
        raise UserError(f"'{index}' cannot be read as an index of safetensors files") from error
    return sorted(name for name in names if not (folder / name).is_file())


def hash_weight_files(path: Path) -> str:
    """SHA-256 of a GGUF file, or over the names and SHA-256s of a folder's safetensors files, as hex.

    A converted folder has the fingerprint of the GGUF file it came from, so both spell the same model. Files in the
    hub's cache are links to blobs named by their SHA-256, which saves reading them.
    """
    if path.is_file():
        return _hash_file(path)
    record = path / CONVERTED_RECORD
    if record.is_file():
        return str(json.loads(record.read_text(encoding="utf-8"))["sha256"])
    digest = hashlib.sha256()
    for file in weight_files(path):
        digest.update(f"{file.name} {_hash_file(file)}\n".encode())
    return digest.hexdigest()


def _hash_file(file: Path) -> str:
    if file.is_symlink() and _SHA256.match(file.resolve().name):
        return file.resolve().name
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def make_readable(folder: Path) -> None:
    """Give a folder and its files the permissions the user's umask asks for; both were made as private temporaries."""
    umask = os.umask(0)
    os.umask(umask)
    folder.chmod(0o777 & ~umask)
    for file in folder.iterdir():
        if file.is_file():
            file.chmod(0o666 & ~umask)
