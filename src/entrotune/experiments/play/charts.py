"""Small charts as HTML: lines in an SVG that stretches, labels as text beside it, so that both suit a phone."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

Point = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """One line of a chart.

    Attributes:
        points: (x, y), by x.
        series: number of its colour; 0 is the base, 1 the one compared with it.
        filled: whether the area under it is coloured.
        name: for the key, where there are several.
    """

    points: Sequence[Point]
    series: int = 0
    filled: bool = False
    name: str = ""


def chart(
    lines: Sequence[Line],
    *,
    label: str,
    x_ends: Sequence[str],
    marks: Sequence[Point] = (),
    kind: str = "",
) -> Markup:
    """Lines over a common x, from 0 nats to the highest y.

    Args:
        label: what is shown, for those who hear the page.
        x_ends: texts spread evenly below.
        marks: points to mark, of the lines in their order.
        kind: a CSS class.
    """
    shown = [line for line in lines if line.points]
    if not shown:
        return Markup("")
    xs = [x for line in shown for x, _ in line.points]
    low, high = min(xs), max(xs)
    top = _above(max(y for line in shown for _, y in line.points))

    def place(point: Point) -> Point:
        x = (point[0] - low) / (high - low) if high > low else 0.5
        return 100 * x, 100 * (1 - point[1] / top)

    drawn = Markup("").join(_path(line, [place(point) for point in line.points]) for line in shown)
    dots = Markup("").join(
        Markup('<i class="dot series-{}" style="left:{:.2f}%;top:{:.2f}%"></i>').format(line.series, *place(mark))
        for line, mark in zip(shown, marks, strict=False)
    )
    ends = Markup("").join(Markup("<span>{}</span>").format(text) for text in x_ends)
    key = Markup("").join(
        Markup('<span class="series-{}"><i></i>{}</span>').format(line.series, line.name) for line in shown if line.name
    )
    return Markup(
        '<figure class="chart {kind}" role="img" aria-label="{label}"><div class="y" aria-hidden="true">'
        "<span>{top:g} nats</span><span>0</span></div>"
        '<div class="plot"><svg viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">{drawn}</svg>'
        '{dots}</div><div class="x" aria-hidden="true">{ends}</div><div class="key">{key}</div></figure>'
    ).format(kind=kind, label=label, top=top, drawn=drawn, dots=dots, ends=ends, key=key)


def trace(values: Sequence[float | None], *, series: int = 0) -> Markup:
    """Entropy (nats) along the tokens of a text, those without it left out."""
    points = [(float(at), value) for at, value in enumerate(values) if value is not None]
    if len(points) < 2:
        return Markup("")
    mean = math.fsum(y for _, y in points) / len(points)
    label = f"entropy along {len(values)} tokens: mean {mean:.2f}, at most {max(y for _, y in points):.2f} nats"
    return chart(
        [Line(points, series=series, filled=True)],
        label=label,
        x_ends=("first token", f"token {len(values)}"),
        kind="trace",
    )


def _path(line: Line, points: Sequence[Point]) -> Markup:
    steps = " ".join(f"{x:.2f},{y:.2f}" for x, y in points)
    area = Markup("")
    if line.filled:
        area = Markup('<polygon class="area series-{}" points="{:.2f},100 {} {:.2f},100"/>').format(
            line.series, points[0][0], steps, points[-1][0]
        )
    return area + Markup('<polyline class="line series-{}" points="{}"/>').format(line.series, steps)


def _above(value: float) -> float:
    """The next round number."""
    if value <= 0 or not math.isfinite(value):
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next((factor * power for factor in (1, 1.2, 1.5, 2, 3, 4, 5, 6, 8) if factor * power >= value), 10 * power)
