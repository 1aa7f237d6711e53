"""`entrotune evaluate`: quality and diversity of one model, with what is needed to believe it."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.progress import Progress

from entrotune.experiments.display import say
from entrotune.seeds import check_seed
from entrotune.temperatures import check_temperatures


def evaluate(
    model: str = "smollm2-135m",
    *,
    data: str,
    temperatures: Sequence[float] = (1.0,),
    samples: int = 8,
    prompts: int = 32,
    max_new_tokens: int = 48,
    seed: int = 0,
    out: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    judge: str | None = None,
    batch_size: int = 64,
    top_k: int = 0,
    top_p: float = 1.0,
    system: str | None = None,
    limit: int | None = None,
    format: str = "auto",
    columns: Mapping[str, str | list[str]] | None = None,
    on_bad_row: str = "skip",
    mauve: str | None = None,
    lm_eval: Sequence[str] = (),
    lm_eval_path: str | None = None,
    lm_eval_limit: int | None = None,
    dtype: str = "float32",
    device: str | None = None,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Measure quality and diversity of one model on held-out data, at each temperature.

    All rows with an answer or a text are scored; `prompts` of the different prompts are sampled from.

    Args:
        model: a folder, run, adapter, GGUF file, hub id or `smollm2-135m`.
        data: held-out rows; see `load_rows` for `format`, `columns`, `limit` and `on_bad_row`.
        temperatures: each gives one setting; 0 is greedy.
        samples: responses a prompt.
        prompts: different prompts to sample from; 0 to score only.
        max_new_tokens: of a response.
        seed: fixes choice of prompts, samples and intervals.
        out: a folder for `evaluation.json`, `samples.jsonl`, `per_prompt.jsonl` and `rejects.jsonl` (in a run's
            folder, `evaluation-rejects.jsonl`); nothing is written without one.
        resume: go on with the samples that `out` holds.
        overwrite: replace the evaluation that `out` holds.
        judge: a model of the same tokenizer that scores the samples (`base_nll`).
        system: a system message for conversations without one.
        mauve: a model whose hidden states give the features for MAUVE of samples against people's answers.
        lm_eval: standard tasks to run too, by their names in lm-eval, such as hellaswag.
        lm_eval_path: a folder with task files (YAML) of your own, such as tasks on local files.
        lm_eval_limit: of each task, the first so many documents.
        dtype: of the weights; see `load_model`.
        device: see `load_model`.
        dry_run: load no weights, write nothing; return what would be done.

    Returns:
        The content of `evaluation.json`.

    Raises:
        UserError: bad input, or `out` holds another evaluation and neither `resume` nor `overwrite` is given.
    """
    check_temperatures(temperatures, greedy=True)
    check_seed("seed", seed)
    # They bring torch, for which --help must not wait.
    from entrotune.evaluation.folder import check_out
    from entrotune.evaluation.run import Evaluation

    folder = Path(out) if out is not None else None
    check_out(folder, resume=resume, overwrite=overwrite)
    evaluation = Evaluation(
        model=model,
        data=data,
        reading={"format": format, "columns": columns, "limit": limit, "on_bad_row": on_bad_row},
        loading={"dtype": dtype, "device": device},
        holding={"prompts": prompts, "system": system},
        sampling={"samples": samples, "batch_size": batch_size, "top_k": top_k, "top_p": top_p},
        temperatures=temperatures,
        max_new_tokens=max_new_tokens,
        seed=seed,
        judge=judge,
        mauve=mauve,
        lm_eval=lm_eval,
        lm_eval_options={"path": lm_eval_path, "limit": lm_eval_limit},
    )
    if dry_run:
        return evaluation.plan()
    record = evaluation.run(folder, overwrite=overwrite, progress=progress)
    for line in _to_know(record["data"], folder, prompts):
        say(progress, line)
    return record


def _to_know(data: Mapping[str, Any], folder: Path | None, prompts: int) -> Iterator[str]:
    """What must not go unseen about the rows, and where the evaluation is."""
    from entrotune.evaluation.folder import rejects_file

    if data["rows_rejected"]:
        where = "give --out for a file that says which and why"
        if folder is not None:
            where = f"{rejects_file(folder)} says which and why"
        yield f"{data['rows_rejected']:,} of {data['rows_read']:,} rows rejected ({data['rejected_for']}); {where}"
    if prompts and not data["prompts"]:
        yield "no row has a prompt, so nothing was sampled"
    if folder is not None:
        yield f"wrote {folder}; entrotune report {folder} makes a page of it"
