"""A comparison as an SVG: its fronts of quality against diversity, and NLL over epochs where it was followed."""

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from entrotune.reports.curves import mean_by_epoch
from entrotune.reports.palette import LIGHT_BASE, LIGHT_PAPER, LIGHT_SERIES, SeriesStyle
from entrotune.reports.views import Metric, Setting, Variant, front_axes, read_metrics, read_variants

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# plotly's names of dashes and markers in matplotlib's words.
_DASHES = {"solid": "-", "dash": "--", "dot": ":", "dashdot": "-."}
_MARKERS = {
    "circle": "o",
    "square": "s",
    "diamond": "D",
    "triangle-up": "^",
    "cross": "P",
    "triangle-down": "v",
    "pentagon": "p",
    "hexagon": "h",
}
SETTINGS: Any = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "entrotune",  # one record, one file
    "font.size": 10,
    "text.parse_math": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": LIGHT_BASE,
    "axes.grid": True,
    "grid.color": "#e3e6e9",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
}


def evidence_picture(record: Mapping[str, Any]) -> str | None:
    """The SVG of a trimmed comparison, on white paper; None where there is nothing to draw.

    Left: the variants' settings, joined over temperature, with 95% intervals. Right: NLL after each epoch, means over
    seeds, of validation rows (lines) and training rows (faint).
    """
    variants = read_variants(record)
    quality, diversity = front_axes(record, read_metrics(record, variants))
    has_front = bool(quality and diversity)
    courses = [
        (_after_epochs(entry, "validation_nll"), _after_epochs(entry, "train_nll"))
        for entry in record.get("variants") or []
    ]
    panels = has_front + any(len(validation) > 1 for validation, _ in courses)
    if not panels:
        return None
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=(5.4 * panels, 4.6), facecolor=LIGHT_PAPER, layout="constrained")
        axes = figure.subplots(1, panels, squeeze=False)[0]
        if has_front:
            _front(axes[0], variants, quality[0], diversity[0])
        if panels > has_front:
            _courses(axes[-1], variants, courses)
        shown = {line.get_gid(): line for axis in axes for line in axis.lines if line.get_gid()}
        labels = {f"variant-{position}": variant.label for position, variant in enumerate(variants)}
        figure.legend(
            list(shown.values()), [labels[gid] for gid in shown], loc="outside lower center", ncols=3, frameon=False
        )
        written = io.StringIO()
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
    return "".join(f"{line.rstrip()}\n" for line in written.getvalue().splitlines())


def _after_epochs(entry: Mapping[str, Any], key: str) -> dict[float, float]:
    """Without the start, which all variants share and which is far above the rest."""
    return {epoch: value for epoch, value in mean_by_epoch(entry.get("course") or [], key).items() if epoch > 0}


def _front(axes: "Axes", variants: Sequence[Variant], quality: Metric, diversity: Metric) -> None:
    labelled = next((variant for variant in variants if variant.tuned), variants[0])
    for position, variant in enumerate(variants):
        found = [one for one in variant.settings if {quality.name, diversity.name} <= one.numbers.keys()]
        if not found:
            continue
        across, up = ([one.numbers[metric.name] for one in found] for metric in (diversity, quality))
        colour = _colour(variant.style)
        axes.plot([one.value for one in across], [one.value for one in up], **_line(position, variant.style))
        arms: dict[str, Any] = {"fmt": "none", "ecolor": colour, "alpha": 0.35, "elinewidth": 1}
        for at, shown in enumerate(zip(across, up, strict=True)):
            errors = [
                [[max(0.0, one.value - one.low)], [max(0.0, one.high - one.value)]]
                if one.low is not None and one.high is not None
                else None
                for one in shown
            ]
            axes.errorbar(across[at].value, up[at].value, xerr=errors[0], yerr=errors[1], **arms)
        if variant is labelled:
            _temperatures(axes, found, quality, diversity, colour)
    axes.set_xlabel(_axis(diversity))
    axes.set_ylabel(_axis(quality))
    axes.xaxis.set_inverted(diversity.better == "lower")  # up and to the right is always better, as in reports
    axes.yaxis.set_inverted(quality.better == "lower")
    axes.set_title(f"Fronts over sampling temperature T, written beside {labelled.label}", fontsize=10, loc="left")


def _temperatures(axes: "Axes", found: Sequence[Setting], quality: Metric, diversity: Metric, colour: str) -> None:
    for one in found:
        axes.annotate(
            f"T {one.temperature_text}",
            (one.numbers[diversity.name].value, one.numbers[quality.name].value),
            xytext=(5, 5),
            textcoords="offset points",
            fontsize=8,
            color=colour,
        )


def _courses(
    axes: "Axes", variants: Sequence[Variant], courses: Sequence[tuple[Mapping[float, float], Mapping[float, float]]]
) -> None:
    from matplotlib.ticker import MaxNLocator

    for position, (variant, (validation, train)) in enumerate(zip(variants, courses, strict=True)):
        if validation:
            axes.plot(list(validation), list(validation.values()), **_line(position, variant.style))
        if train:
            axes.plot(list(train), list(train.values()), color=_colour(variant.style), alpha=0.35, linewidth=1)
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    axes.set_xlabel("Epoch")
    axes.set_ylabel("NLL (nats/token)")
    axes.set_title("NLL of validation rows, and of training rows (faint)", fontsize=10, loc="left")


def _line(position: int, style: SeriesStyle) -> dict[str, Any]:
    return {
        "color": _colour(style),
        "linestyle": _DASHES[style.dash],
        "marker": _MARKERS[style.marker],
        "markersize": 5,
        "linewidth": 1.6,
        "gid": f"variant-{position}",
    }


def _colour(style: SeriesStyle) -> str:
    return LIGHT_BASE if style.colour == "base" else LIGHT_SERIES[int(style.colour)]


def _axis(metric: Metric) -> str:
    return f"{metric.title}, better →" if metric.better else metric.title
