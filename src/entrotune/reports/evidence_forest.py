"""All gains at equal diversity as one picture: a row each, with its intervals."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

from entrotune.reports.evidence_pictures import SETTINGS
from entrotune.reports.evidence_summary import Gain, gains
from entrotune.reports.numbers import Shown
from entrotune.reports.palette import LIGHT_BASE, LIGHT_PAPER, LIGHT_SERIES

# Measures from 0 to 1 are drawn in points of a hundred; these are in points already.
_POINTS = ("chrf", "bleu")
_BETTER, _UNKNOWN = LIGHT_SERIES[0], LIGHT_BASE


def forest_picture(records: Sequence[Mapping[str, Any]]) -> str | None:
    """The SVG of what each objective gained, less the bend of the front of `ce`; None where there is none.

    The thick bar is the interval over prompts, the thin one that over seeds; a filled mark is one that is shown.
    Measures in nats are left out, as they have another unit.
    """
    drawn = [gain for record in records for gain in gains(record) if gain.metric.better == "higher"]
    if not drawn:
        return None
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=(10.8, 1.3 + 0.42 * len(drawn)), facecolor=LIGHT_PAPER, layout="constrained")
        axes = figure.subplots()
        axes.axvline(0, color=LIGHT_BASE, linewidth=1)
        for place, gain in enumerate(drawn):
            _draw(axes, place, gain)
        axes.set_yticks(range(len(drawn)), [_label(gain) for gain in drawn], fontsize=8)
        axes.set_ylim(len(drawn) - 0.5, -0.5)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("points better than ce where that is as diverse; thick: 95% over prompts, thin: over seeds")
        written = io.StringIO()
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
    return "".join(f"{line.rstrip()}\n" for line in written.getvalue().splitlines())


def _draw(axes: Any, place: int, gain: Gain) -> None:
    scale = 1.0 if gain.metric.name in _POINTS else 100.0
    is_shown = gain.verdict != "not shown"
    colour = _BETTER if is_shown else _UNKNOWN
    for found, width in zip(gain.corrected, (3.2, 1.0), strict=False):
        if (ends := _ends(found, scale)) is not None:
            axes.plot(ends, [place, place], color=colour, linewidth=width, alpha=0.6, solid_capstyle="butt")
    axes.plot(
        [scale * gain.corrected[0].value],
        [place],
        marker="o",
        markersize=6,
        color=colour,
        markerfacecolor=colour if is_shown else LIGHT_PAPER,
        gid=f"gain-{place}",
    )


def _ends(found: Shown, scale: float) -> list[float] | None:
    return None if found.low is None or found.high is None else [scale * found.low, scale * found.high]


def _label(gain: Gain) -> str:
    return f"{gain.study}: {gain.variant.label}\n{gain.metric.label}, {gain.model}, {gain.rows}"
