"""The Hugging Face hub: what is cached, and fetching a model's safetensors."""

from pathlib import Path

import huggingface_hub
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from entrotune.errors import UserError
from entrotune.models.weights import missing_shards, weight_files

_WANTED = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja", "*.py", "*.tiktoken"]
_UNWANTED = ["*/*", "consolidated*"]


def cached_snapshot(repo: str, revision: str | None) -> Path | None:
    """The folder of a complete copy of `repo` in the hub's cache, or None. Asks no network."""
    try:
        folder = Path(huggingface_hub.snapshot_download(repo, revision=revision, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        return None
    has_weights = bool(weight_files(folder)) and not missing_shards(folder)
    has_config = (folder / "config.json").is_file() or (folder / "adapter_config.json").is_file()
    return folder if has_weights and has_config else None


def download(repo: str, revision: str | None, name: str) -> Path:
    """Fetch the safetensors, configuration and tokenizer of `repo` into the hub's cache and return the folder.

    Raises:
        UserError: no such repository or revision, no access to it, or the hub cannot be reached.
    """
    try:
        folder = huggingface_hub.snapshot_download(
            repo, revision=revision, allow_patterns=_WANTED, ignore_patterns=_UNWANTED
        )
    except GatedRepoError as error:
        raise UserError(
            f"model '{name}' is gated on the hub; accept its terms there and log in with 'hf auth login'"
        ) from error
    except RepositoryNotFoundError as error:
        raise UserError(
            f"no such model: '{name}' is neither a local path nor a repository on the hub that you may read"
        ) from error
    except RevisionNotFoundError as error:
        raise UserError(f"model '{name}': the hub has no revision '{revision}' of '{repo}'") from error
    except HFValidationError as error:
        raise UserError(f"no such model: '{name}' is neither a local path nor a valid hub id") from error
    except (LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
        why = "HF_HUB_OFFLINE is set" if huggingface_hub.is_offline_mode() else "the hub cannot be reached"
        raise UserError(
            f"no such model: '{name}' is neither a local path nor in the hub's cache, and {why}; "
            "check the spelling, or fetch it on a machine with a connection"
        ) from error
    except HfHubHTTPError as error:
        raise UserError(f"model '{name}' could not be fetched from the hub: {str(error).splitlines()[0]}") from error
    return Path(folder)
