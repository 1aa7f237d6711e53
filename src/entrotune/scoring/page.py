"""The first rows of a score folder token by token, as a page."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.progress import Progress

from entrotune import provenance
from entrotune.data.rejects import Rejects
from entrotune.reports.token_view import bounded, write_token_view
from entrotune.scoring.examine import examine_tokens
from entrotune.scoring.examined import CONVENTIONS
from entrotune.scoring.folder import first_rows
from entrotune.scoring.job import Job
from entrotune.scoring.progress import Shown
from entrotune.scoring.scorer import Scorer
from entrotune.scoring.sequences import Scorable, Sequencer
from entrotune.scoring.token_record import text_record


def write_score_page(
    path: str | Path,
    folder: Path,
    job: Job,
    scorer: Scorer,
    manifest: Mapping[str, Any],
    *,
    rows: int,
    progress: Progress | None = None,
) -> None:
    """Send the first scored rows through the model again, one by one, and write what it predicted at each token.

    Args:
        path: the HTML file; replaced whole.
        folder: a finished score folder.
        job: by which it was scored.
        scorer: with the model.
        manifest: of the folder.
        rows: to show at most.
    """
    options, scored = job.options, manifest["counts"]["scored"]
    wanted = set(first_rows(folder, rows))
    shown = Shown(progress, len(wanted), "examining rows for the page")
    texts, left_out = bounded(_texts(job, scorer, wanted, shown), total=scored)
    told = manifest["conventions"]
    write_token_view(
        {
            "title": f"Token entropies of {Path(job.data).name}",
            "model": manifest["model"]["name"],
            "vocabulary": scorer.head.weight.shape[0],
            "texts": texts,
            "left_out": left_out,
            "notes": [] if scored else ["None of the rows could be scored; rejects.jsonl has the reasons."],
            "settings": {
                "Scores": str(folder),
                "Mode": options.mode,
                "Longest row": f"{options.max_length:,} tokens",
                "Precision": options.precision,
            },
            "conventions": {**CONVENTIONS, "counted": told["positions"], "bos": told["bos"]},
            "data": {"source": job.data},
            "created": provenance.now(),
            "command": provenance.command_line(),
            "versions": provenance.versions(),
        },
        path,
    )


def _texts(job: Job, scorer: Scorer, wanted: set[tuple[int, str]], shown: Shown) -> Iterator[dict[str, Any]]:
    """The wanted rows in their order, examined; read no further than the last of them."""
    left = set(wanted)
    for block in job.stream().blocks(job.options.part_rows):
        if not left:
            return
        for one in Sequencer(scorer.tokenizer, job.options, Rejects("skip")).sequences(block):
            if (one.position, one.id) in left:
                left.remove((one.position, one.id))
                yield _text(one, job, scorer)
                shown.advance(1, len(one.input_ids))


def _text(one: Scorable, job: Job, scorer: Scorer) -> dict[str, Any]:
    counted = [int(place) + 1 for place in one.places]
    ids = one.input_ids.tolist()
    # In the other modes all tokens are the text's, the first included, which nothing predicts.
    own = set(counted) if job.options.mode == "response" else set(range(len(ids)))
    examined = examine_tokens(
        ids,
        scorer.model,
        scorer.tokenizer,
        given=[index not in own for index in range(len(ids))],
        max_length=len(ids),
        tokens_cut=one.tokens_cut,
    )
    where = one.row.source if one.row.line is None else f"{one.row.source}:{one.row.line}"
    return text_record(examined, id=one.id, counted=counted, facts={} if where == one.id else {"from": where})
