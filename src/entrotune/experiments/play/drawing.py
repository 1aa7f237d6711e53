"""Texts as coloured tokens, and what the page says around them, as HTML. All text of models and users is escaped."""

from collections.abc import Sequence

from markupsafe import Markup

from entrotune.experiments.play.explorer import About
from entrotune.reports.samples import visible
from entrotune.reports.token_view import readable
from entrotune.scoring.examine import Token

COLOURINGS = {"entropy": ("nats", 6.0), "varentropy": ("nats²", 6.0), "surprisal": ("nats", 10.0)}
"""By what tokens are coloured: its unit, and where the colour is deepest."""
DIFFERENCES = {"surprisal": ("nats", 3.0), "entropy": ("nats", 2.0), "varentropy": ("nats²", 3.0)}
"""The same for differences of two models."""
Spot = tuple[int, int]
"""The number of a text, and of a token in it."""


def notice(message: str) -> Markup:
    """What went wrong, read aloud at once."""
    return Markup('<div class="notice" role="alert"><b>Not done:</b> {}</div>').format(visible(message))


def empty(message: str) -> Markup:
    """What will be here."""
    return Markup('<p class="empty">{}</p>').format(message)


def heading(models: Sequence[About]) -> Markup:
    """The name of the page and of its models."""
    one = '<span><i class="swatch series-{}"></i><b>{}</b> · {} parameters · vocabulary of {} · {} on {}</span>'
    named = Markup("").join(
        Markup(one).format(
            number, model.name, _short(model.parameters), f"{model.vocabulary:,}", model.dtype, model.device
        )
        for number, model in enumerate(models)
    )
    return Markup('<h1>entrotune play</h1><div class="models">{}</div><p role="status" class="heard"></p>').format(
        named
    )


def coloured(
    tokens: Sequence[Token],
    *,
    by: str,
    row: int = 0,
    pressed: Spot | None = None,
    following: bool = True,
    pressable: bool = True,
) -> Markup:
    """A text as tokens, which can be pressed where wanted; after them, where wanted, one for what comes next."""
    entry = _entry(tokens, row, pressed)
    spans = [
        _span(
            token.text,
            spot=(row, token.index),
            amounts={name: (value, most) for name, value, most in _values(token)},
            told=_told(token),
            pressed=pressed,
            entry=entry,
            pressable=pressable,
        )
        for token in tokens
    ]
    if following:
        spans.append(_next((row, len(tokens)), pressed, entry))
    return _text(spans, by=by)


def differing(one: Sequence[Token], two: Sequence[Token], *, by: str, pressed: Spot | None = None) -> Markup:
    """A text coloured by how much more (warm) or less (cool) the second model has of something than the first."""
    spans, entry = [], _entry(one, 0, pressed)
    for a, b in zip(one, two, strict=True):
        values = {
            name: (after, before) for (name, after, _), (_, before, _) in zip(_values(b), _values(a), strict=True)
        }
        change = {
            name: None if after is None or before is None else after - before
            for name, (after, before) in values.items()
        }
        shown = change[by]
        told = "nothing is expected of the first token"
        if shown is not None:
            change_told = f"{shown:+.2f}".replace("-", "−")
            told = f"{by} {values[by][1]:.2f} → {values[by][0]:.2f} {DIFFERENCES[by][0]} ({change_told})"
        amounts = {by: (None if shown is None else abs(shown), DIFFERENCES[by][1])}
        spans.append(
            _span(
                a.text,
                spot=(0, a.index),
                amounts=amounts,
                told=told,
                pressed=pressed,
                entry=entry,
                less=(shown or 0) < 0,
            )
        )
    return _text([*spans, _next((0, len(one)), pressed, entry)], by=by)


def scale(by: str, *, both: bool = False) -> Markup:
    """What the colours mean."""
    unit, most = (DIFFERENCES if both else COLOURINGS)[by]
    if both:
        return Markup(
            '<div class="scale"><span>−{0:g}</span><span class="ramp both"></span><span>+{0:g} {1}</span>'
            "<span>{2} of the second model minus that of the first</span></div>"
        ).format(most, unit, by)
    return Markup(
        '<div class="scale of-{}"><span>0</span><span class="ramp"></span><span>{:g} {} and more</span>'
        "<span>{}</span></div>"
    ).format(by, most, unit, _MEANINGS[by])


def scales() -> Markup:
    """What all colourings mean; the page's style shows the one that is chosen, as it colours tokens by it."""
    return Markup('<div class="scales">{}</div>').format(Markup("").join(scale(by) for by in COLOURINGS))


_MEANINGS = {
    "entropy": "entropy of the prediction that a token was chosen from: how open the choice was",
    "varentropy": "varentropy of that prediction: how unequal its surprises are",
    "surprisal": "−log p of the token itself: how unexpected it was",
}


def facts(values: Sequence[tuple[str, str]]) -> Markup:
    """Names with their values."""
    inner = Markup("").join(Markup("<div><dt>{}</dt><dd>{}</dd></div>").format(*one) for one in values)
    return Markup('<dl class="facts">{}</dl>').format(inner)


def shown_text(text: str) -> str:
    """A token as it is seen: line ends and tabs marked, and kept where they break the line."""
    return readable(text).replace("\n", "⏎\n").replace("\t", "⇥\t")


def _entry(tokens: Sequence[Token], row: int, pressed: Spot | None) -> Spot:
    """Where the Tab key enters a text: at the token that is pressed, or at the first that can be."""
    if pressed is not None and pressed[0] == row:
        return pressed
    return row, max(1, tokens[0].index if tokens else 1)


def _values(token: Token) -> list[tuple[str, float | None, float]]:
    own = {"entropy": token.entropy, "varentropy": token.varentropy, "surprisal": token.nll}
    return [(name, own[name], most) for name, (_, most) in COLOURINGS.items()]


def _told(token: Token) -> str:
    if token.entropy is None or token.varentropy is None or token.nll is None or token.rank is None:
        return "nothing is expected of the first token"
    return (
        f"entropy {token.entropy:.2f} nats, varentropy {token.varentropy:.2f}, surprisal {token.nll:.2f} nats, "
        f"rank {token.rank + 1:,}"
    )


def _span(
    text: str,
    *,
    spot: Spot,
    amounts: dict[str, tuple[float | None, float]],
    told: str,
    pressed: Spot | None,
    entry: Spot,
    less: bool = False,
    pressable: bool = True,
) -> Markup:
    heat = ";".join(
        f"--{name[0]}:{min(1.0, value / most):.3f}" for name, (value, most) in amounts.items() if value is not None
    )
    row, at = spot
    kind = "tok" + (" less" if less else "") + ("" if heat else " unseen")
    if at == 0 or not pressable:  # nothing was expected of the first, so there is nothing to press
        return Markup('<span class="{} plain" style="{}" title="{}">{}</span>').format(
            kind, heat, told, shown_text(text)
        )
    return Markup(
        '<span class="{}" style="{}" role="button" tabindex="{}" aria-pressed="{}" data-row="{}" data-at="{}" '
        'title="{}" aria-label="{}: {}">{}</span>'
    ).format(
        kind,
        heat,
        0 if spot == entry else -1,
        "true" if spot == pressed else "false",
        row,
        at,
        told,
        shown_text(text).strip() or "space",
        told,
        shown_text(text),
    )


def _next(spot: Spot, pressed: Spot | None, entry: Spot) -> Markup:
    row, at = spot
    return Markup(
        ' <span class="tok next" role="button" tabindex="{}" aria-pressed="{}" data-row="{}" data-at="{}" '
        'title="the distribution of what comes next">next?</span>'
    ).format(0 if spot == entry else -1, "true" if spot == pressed else "false", row, at)


def _text(spans: Sequence[Markup], *, by: str) -> Markup:
    return Markup('<div class="tokens" dir="auto" role="group" aria-label="tokens" data-by="{}">{}</div>').format(
        by, Markup("").join(spans)
    )


def _short(count: int) -> str:
    for size, letter in ((10**9, " B"), (10**6, " M"), (10**3, " k")):
        if count >= size:
            return f"{count / size:.3g}{letter}"
    return str(count)
