"""What is shown of a position, of a difference and of samples, as HTML."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from entrotune.experiments.play.charts import Line, chart, trace
from entrotune.experiments.play.difference import Difference
from entrotune.experiments.play.drawing import coloured, facts, shown_text
from entrotune.experiments.play.explorer import Candidate, Ended, Position
from entrotune.experiments.play.shaping import Left
from entrotune.experiments.play.watching import New
from entrotune.scoring.examine import Token


@dataclass
class Sample:
    """A response while it is written, and after.

    Attributes:
        tokens: so far.
        shaped: entropy of what the strategy made of each distribution, nats.
        ended: what is known at the end.
        broken: how it came to its end before it was complete, such as `broken off`.
    """

    tokens: list[Token] = field(default_factory=list)
    shaped: list[float | None] = field(default_factory=list)
    ended: Ended | None = None
    broken: str = ""

    def add(self, new: New) -> None:
        """Take a new token."""
        self.tokens.append(new.token)
        self.shaped.append(new.shaped)


def position_panel(position: Position) -> Markup:
    """The distribution at a place: facts, bars, what settings keep, and entropy over temperature."""
    chosen = position.chosen
    values = [
        ("entropy", f"{position.entropy:.3f} nats"),
        ("like a choice among", f"{math.exp(position.entropy):,.1f} tokens"),
        ("varentropy", f"{position.varentropy:.3f} nats²"),
    ]
    if chosen is not None and chosen.nll is not None and chosen.rank is not None:
        values += [("surprisal of the text's token", f"{chosen.nll:.3f} nats"), ("its rank", f"{chosen.rank + 1:,}")]
    return place_heading(position) + Markup(
        '{}<div class="side"><div><h3>The likeliest tokens</h3>{}</div>'
        "<div><h3>What the settings keep</h3>{}<h3>Entropy over temperature</h3>{}</div></div>"
    ).format(
        facts(values),
        _bars(position.candidates, chosen),
        _left(position.left, position.vocabulary),
        curve_panel([position], names=("",)),
    )


def place_heading(position: Position) -> Markup:
    """Which place it is."""
    chosen = position.chosen
    place = Markup("What comes next")
    if chosen is not None:
        place = Markup("Token {}: “<bdi>{}</bdi>”").format(position.at + 1, _inline(chosen.text))
    before = _inline(position.before)
    return Markup('<h2 class="place">{}</h2><p><small>after “…<bdi>{}</bdi>”</small></p>').format(place, before)


def curve_panel(positions: Sequence[Position], *, names: Sequence[str]) -> Markup:
    """Entropy over temperature at one place, of one model or two, marked at the temperature that is set."""
    lines = [
        Line(position.curve, series=number, name=name)
        for number, (position, name) in enumerate(zip(positions, names, strict=True))
    ]
    marks = [position.now for position in positions]
    low, high = positions[0].curve[0][0], positions[0].curve[-1][0]
    told = "; ".join(
        f"{name} {now[1]:.2f} nats at temperature {now[0]:g}" for name, now in zip(names, marks, strict=True)
    )
    drawn = chart(
        lines,
        label=f"entropy over temperatures {low:g} to {high:g}: {told}",
        x_ends=(f"temperature {low:g}", f"{(low + high) / 2:.3g}", f"{high:g}"),
        marks=marks,
    )
    return drawn + Markup("<p><small>{}</small></p>").format(told.strip())


def difference_facts(found: Difference) -> Markup:
    """How far two distributions are apart."""
    return facts(
        [
            ("Jensen-Shannon divergence", f"{found.jsd:.4f} nats"),
            ("mass that moved", f"{found.variation:.1%}"),
            ("KL, first from second", f"{found.kl:.4f} nats"),
            ("KL, second from first", f"{found.kl_reverse:.4f} nats"),
            ("entropy", f"{found.entropies[0]:.3f} → {found.entropies[1]:.3f} nats"),
        ]
    )


def difference_panel(found: Difference, texts: Sequence[str], names: Sequence[str], here: int | None) -> Markup:
    """Two distributions at one place, token by token."""
    most = max((*found.p, *found.q), default=1.0) or 1.0
    rows = Markup("").join(
        Markup(
            '<tr class="{}"><td class="word" title="{}">{}</td><td class="bar"><span class="track">'
            '<i class="one" style="width:{:.2f}%"></i><i class="two" style="width:{:.2f}%"></i></span></td>'
            "<td>{}</td><td>{}</td><td>{}</td></tr>"
        ).format(
            "here" if token == here else "",
            _inline(text),
            _inline(text),
            100 * p / most,
            100 * q / most,
            _percent(p),
            _percent(q),
            _points(q - p),
        )
        for token, text, p, q in zip(found.tokens, texts, found.p, found.q, strict=True)
    )
    key = Markup("").join(
        Markup('<span class="series-{}"><i></i>{}</span>').format(number, name) for number, name in enumerate(names)
    )
    return Markup(
        '<div class="key">{}</div><div class="over"><table class="bars"><thead><tr><th>token</th><td></td>'
        "<th>first, %</th><th>second, %</th><th>change, points</th></tr></thead><tbody>{}</tbody></table></div>"
    ).format(key, rows)


def samples_panel(samples: Sequence[Sample], *, by: str, run: int, series: int = 0, pressable: bool = True) -> Markup:
    """Responses as coloured tokens with the trace of their entropy; `run` tells one writing from the next."""
    cards = Markup("").join(
        _card(sample, number=number, by=by, series=series, pressable=pressable) for number, sample in enumerate(samples)
    )
    return Markup('<div class="samples" data-run="{}">{}</div>').format(run, cards)


def _card(sample: Sample, *, number: int, by: str, series: int, pressable: bool) -> Markup:
    entropies = [token.entropy for token in sample.tokens]
    shaped = [value for value in sample.shaped if value is not None]
    if sample.ended is None:
        state = _tokens(len(entropies)) + (f", {sample.broken}" if sample.broken else " …")
    else:
        end = "ended by the model" if sample.ended.finished else "ended by the limit"
        state = f"{_tokens(len(entropies))}, {end}, −log p {sample.ended.nll:.1f} nats"
    told = ""
    if entropies:
        told = f"mean entropy {_mean(entropies):.2f} nats"
        told += f", {_mean(shaped):.2f} as sampled" if shaped else ""
    return Markup(
        '<article class="sample"><header><b>{}</b><span>{}</span></header>{}{}<p><small>{}</small></p></article>'
    ).format(
        f"Sample {number + 1}",
        state,
        coloured(sample.tokens, by=by, row=number, following=False, pressable=pressable),
        trace(entropies, series=series),
        told,
    )


def _bars(candidates: Sequence[Candidate], chosen: Token | None) -> Markup:
    most = max(max(one.p, one.shaped) for one in candidates) or 1.0
    rows = Markup("").join(
        Markup(
            '<tr class="{}"><td class="word" title="{}">{}</td><td class="bar"><span class="track">'
            '<i class="own" style="width:{:.2f}%"></i><i class="shaped" style="width:{:.2f}%"></i></span></td>'
            '<td>{}</td><td>{}</td><td class="after">{}</td></tr>'
        ).format(
            " ".join((*(["cut"] if one.shaped == 0 else []), *(["here"] if chosen and one.id == chosen.id else []))),
            _inline(one.text),
            _inline(one.text),
            100 * one.p / most,
            100 * one.shaped / most,
            _percent(one.p),
            _percent(one.cumulative),
            _percent(one.shaped) if one.shaped else "cut",
        )
        for one in candidates
    )
    return Markup(
        '<div class="over"><table class="bars"><thead><tr><th>token</th><td></td><th>p, %</th>'
        "<th>cumulated, %</th><th>with settings</th></tr></thead><tbody>{}</tbody></table></div>"
    ).format(rows)


def _left(left: Sequence[Left], vocabulary: int) -> Markup:
    rows = Markup("").join(
        Markup("<tr><td>{}</td><td>{}</td><td>{}</td><td>{:.3f}</td></tr>").format(
            one.name, "all" if one.tokens == vocabulary else f"{one.tokens:,}", _percent(one.mass), one.entropy
        )
        for one in left
    )
    return Markup(
        '<div class="over"><table><thead><tr><th>setting</th><th>tokens kept</th><th>mass, %</th>'
        "<th>entropy, nats</th></tr></thead><tbody>{}</tbody></table></div>"
    ).format(rows)


def _inline(text: str) -> str:
    """A text on one line, in which a token of white space can be seen."""
    shown = shown_text(text).replace("\n", "").replace("\t", "")
    return shown if shown.strip() else shown.replace(" ", "·")


def _percent(p: float) -> str:
    """As a percentage without its sign."""
    if p >= 0.9995:
        return f"{100 * min(p, 1.0):.1f}"
    return f"{100 * p:.2f}" if p >= 0.00005 else ("<0.01" if p > 0 else "0")


def _points(change: float) -> str:
    """A change of a probability in percentage points."""
    shown = f"{100 * abs(change):.1f}"
    return shown if float(shown) == 0 else f"{'−' if change < 0 else '+'}{shown}"


def _tokens(count: int) -> str:
    return f"{count:,} token{'' if count == 1 else 's'}"


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else 0.0
