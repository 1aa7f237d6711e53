"""`entrotune merge`: a model between a start and its tuned copy, or an adapter merged into its base."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.progress import Progress

from entrotune.errors import UserError
from entrotune.experiments.display import showing
from entrotune.experiments.folders import check_model_folder


def merge(
    model: str,
    *,
    out: str = "models/merged",
    interpolate: float | list[float] = 1.0,
    start: str | None = None,
    shard_size: str = "5GB",
    overwrite: bool = False,
    dry_run: bool = False,
    progress: Progress | bool = True,
) -> dict[str, Any]:
    """Write whole models with the weights (1 − share)·start + share·tuned (WiSE-FT, arXiv 2109.01903, 2504.10478).

    Weights keep the precision of their files, or the wider of both. With a share of 1 an adapter is merged into its
    base and nothing is interpolated.

    Args:
        model: the tuned model: a run folder, an adapter with its base, or any other model.
        out: the folder to make; of several shares the folder that holds one each, named by its share.
        interpolate: the share of the tuned model, from 0 to 1, or a list of shares.
        start: the model it was tuned from; by default the base of the adapter, or the model that its run began with.
        shard_size: of the weight files at most.
        overwrite: replace models in `out`.
        dry_run: load no weights and write nothing; return what would be made.
        progress: show a display, or the display to use.

    Returns:
        `start`, `tuned`, and `models`: a folder each with its share.

    Raises:
        ValueError: models that do not fit each other, a share outside [0, 1], no start, or `out` is taken.
    """
    shares = _shares(interpolate)
    folders = {share: Path(out) if len(shares) == 1 else Path(out) / f"{share:g}" for share in shares}
    for folder in folders.values():
        check_model_folder(folder, overwrite=overwrite)
    # They bring torch, for which --help must not wait.
    from entrotune.experiments.merging import Merge, write_models

    chosen = Merge.of(model, start, interpolates=shares != [1.0])
    record = chosen.record(folders)
    if dry_run:
        return {**record, "kind": "plan", "parameters": chosen.parameters}
    with showing(progress) as display:
        write_models(chosen, record, shard_size=shard_size, progress=display)
    return record


def _shares(given: float | Sequence[float]) -> list[float]:
    shares = [float(share) for share in (given if isinstance(given, Sequence) else [given])]
    if not shares or len(set(shares)) != len(shares):
        raise UserError(f"interpolate must be one or more different numbers, not {given}")
    for share in shares:
        if not 0 <= share <= 1:
            raise UserError(f"interpolate must be from 0 (the start) to 1 (the tuned model), not {share:g}")
    return shares
