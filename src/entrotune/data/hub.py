"""Data sets of the Hugging Face hub, through the datasets library."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from entrotune.connection import hub_reachable
from entrotune.data.records import Record
from entrotune.errors import UserError


def hub_records(name: str, *, split: str, streaming: bool) -> Iterator[Record]:
    """Yield the rows of `owner/name` or, with a configuration, `owner/name:configuration`; code in it is never run.

    Args:
        split: which split to read.
        streaming: read from the net row by row; right where only the first rows are wanted.

    Raises:
        UserError: it does not exist, the hub cannot be reached, or it needs another split or configuration.
    """
    import datasets

    path, _, configuration = name.partition(":")
    if not path.strip("/ "):
        raise UserError(f"{name!r} names no data set; give a file, a folder, or owner/name of the hub")
    try:
        with contextlib.nullcontext() if Path(path).exists() else _cached_where_unreachable():
            rows = datasets.load_dataset(path, configuration or None, split=split, streaming=streaming)
        for number, content in enumerate(rows, start=1):
            yield Record(f"{name}[{split}]", number, content)
    except datasets.exceptions.DatasetNotFoundError:
        raise UserError(
            f"no data set {path!r} on the hub that you may read, and no such file; check the name, or log in"
        ) from None
    except (ConnectionError, TimeoutError) as error:
        raise UserError(
            f"{path!r} is no file here, and as a data set it is not cached and the hub cannot be reached ({error}); "
            "give the path of a file, or try again with a connection"
        ) from None
    except (ValueError, RuntimeError, OSError) as error:
        raise UserError(f"the data set {name!r}, split {split!r}, cannot be loaded: {error}") from None


@contextlib.contextmanager
def _cached_where_unreachable() -> Iterator[None]:
    """Where the hub does not answer, look in the cache alone: its libraries would try again for half a minute first."""
    import datasets
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE
    if not hub_reachable():
        constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE = before
