"""Texts token by token, as one HTML file: coloured by entropy, with the distribution that each token came from."""

import math
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from entrotune.files import atomic_write_text
from entrotune.reports.numbers import format_count, format_number, read_number
from entrotune.reports.provenance import read_provenance
from entrotune.reports.rendering import render
from entrotune.reports.samples import visible

MOST_TOKENS = 20_000
"""Tokens of a page: some six megabytes, which a phone still opens."""

MEASURES = (
    ("entropy", "Entropy", "nats", "how unsure the model was before the token"),
    ("nll", "Surprisal", "nats", "how unexpected the token itself was"),
    ("varentropy", "Varentropy", "nats²", "how uneven the surprise would have been over the choices"),
)
_MILD = 0.95  # of all values; what is above has the strongest colour
_MARKS = {"Mn", "Me", "Mc"}  # which stand on the character before them
_INVISIBLE = {"Cf", "Co", "Cn", "Cs", "Zl", "Zp"}

Record = Mapping[str, Any]


def bounded(texts: Iterable[Record], *, total: int) -> tuple[list[dict[str, Any]], int]:
    """The first texts that one page holds, and how many of `total` are left out.

    `texts` is read no further than needed. The last text is cut where it does not fit, which its `tokens_hidden` says.
    """
    shown: list[dict[str, Any]] = []
    room = MOST_TOKENS
    for text in texts:
        shown.append(_cut(text, room))
        room -= len(shown[-1]["tokens"])
        if room <= 0:
            break
    return shown, total - len(shown)


def write_token_view(record: Record, path: str | Path) -> None:
    """Write texts token by token as one HTML file that opens offline; see `token_view_page`."""
    atomic_write_text(path, token_view_page(record))


def token_view_page(record: Record) -> str:
    """Texts token by token as one HTML page.

    Args:
        record: `title`, `model`, `vocabulary`, `texts` (see `entrotune.scoring.token_record.text_record`), and what
            is known of `left_out` (texts that are not shown), `notes`, `settings`, `conventions`, `created`,
            `command` and `versions`.
    """
    texts = record["texts"]
    return render(
        "token_view.html.j2",
        own_scripts=("token_settings.js", "token_view.js"),
        css="token_view.css",
        figures={},
        made=read_provenance({**record, "model": {"name": record["model"]}, "recipe": None}, record["title"]),
        settings=list((record.get("settings") or {}).items()),
        notes=[*_left_out(record), *(record.get("notes") or ())],
        measures=MEASURES,
        texts=texts,
        rows=[_row(text) for text in texts],
        kept_tokens=len(texts[0]["top"][0]) if texts else 0,
        data=_data(record),
        number=format_number,
    )


def readable(text: str) -> str:
    """A token as it can be shown alone: characters that have no shape, or change their neighbours, by their number."""
    shown = "".join(f"⟨U+{ord(one):04X}⟩" if unicodedata.category(one) in _INVISIBLE else one for one in visible(text))
    return f"\N{DOTTED CIRCLE}{shown}" if shown and unicodedata.category(shown[0]) in _MARKS else shown


def _cut(text: Record, room: int) -> dict[str, Any]:
    hidden = max(0, len(text["tokens"]) - room)
    if not hidden:
        return {**text, "tokens_hidden": 0}
    cut = {name: text[name][:room] for name in ("tokens", "token_ids", "given", "entropy", "varentropy", "top")}
    cut |= {name: text[name][: room - 1] for name in ("nll", "rank", "place")}
    return {**text, **cut, "tails": text["tails"] and text["tails"][:room], "tokens_hidden": hidden}


def _left_out(record: Record) -> list[str]:
    """What of the texts is not on the page, in sentences."""
    left, texts = record.get("left_out") or 0, record["texts"]
    found = []
    if left:
        found.append(
            f"{format_count(left)} more {'text is' if left == 1 else 'texts are'} not on this page, which shows "
            f"{format_count(len(texts))}."
        )
    hidden = sum(text.get("tokens_hidden", 0) for text in texts)
    if hidden:
        found.append(
            f"The last {format_count(hidden)} tokens of text “{texts[-1]['id']}” are not shown: a page holds "
            f"{format_count(MOST_TOKENS)} tokens. The figures in the table are of all of them."
        )
    cut = sum(text["tokens_cut"] for text in texts)
    if cut:
        found.append(f"{format_count(cut)} tokens beyond the longest length were cut off before the model read them.")
    return found


def _row(text: Record) -> dict[str, str]:
    summary = text["summary"]
    shown = {name: format_count(summary[name]) for name in ("tokens", "counted")}
    for name in ("entropy", "varentropy", "nll", "perplexity"):
        value = read_number(summary[name])
        shown[name] = "–" if value is None else format_number(value)
    return shown | {"top1": "–" if summary["top1"] is None else f"{summary['top1']:.0%}"}


def _data(record: Record) -> dict[str, Any]:
    """What the script needs, small: tokens by their place in one list, log-probabilities in 1/10,000 nats."""
    places: dict[str, int] = {}

    def place(text: str) -> int:
        return places.setdefault(readable(text), len(places))

    texts = [
        {
            "t": [place(one) for one in text["tokens"]],
            "i": text["token_ids"],
            "g": [int(one) for one in text["given"]],
            "entropy": [round(one, 4) for one in text["entropy"]],
            "varentropy": [round(one, 4) for one in text["varentropy"]],
            "nll": [round(one, 4) for one in text["nll"]],
            "r": text["rank"],
            "at": text["place"],
            "top": [[place(one) for one, _ in row] for row in text["top"]],
            "lp": [[round(-1e4 * value) for _, value in row] for row in text["top"]],
            "tails": text["tails"] and [_rounded(row) for row in text["tails"]],
            "cut": bool(text.get("tokens_hidden") or text["tokens_cut"]),
        }
        for text in record["texts"]
    ]
    scales = {name: _scale(record["texts"], name) for name, *_ in MEASURES}
    return {"pieces": list(places), "texts": texts, "scales": scales, "vocabulary": record["vocabulary"]}


def _rounded(row: Sequence[float | None]) -> list[float | None]:
    return [None if one is None else round(one, 4) for one in row]


def _scale(texts: Sequence[Record], name: str) -> float:
    """The value with the strongest colour: round, and above nearly all there are."""
    values = sorted(value for text in texts for value in text[name])
    high = values[min(len(values) - 1, int(_MILD * len(values)))] if values else 1.0
    high = max(high, 0.1)
    unit = 10.0 ** math.floor(math.log10(high))
    return round(unit * next(step for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if step * unit >= high * (1 - 1e-9)), 6)
