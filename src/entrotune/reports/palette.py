"""Colours, dashes and marker shapes that tell variants apart without relying on colour alone.

Colours follow the Okabe-Ito set for colour-blind readers, darkened for light paper and lightened for dark, so that each
keeps a contrast of at least 3:1 with its background (WCAG 2.2, 1.4.11). The untouched base model is always neutral.
"""

from dataclasses import dataclass

LIGHT_PAPER, DARK_PAPER = "#ffffff", "#15181c"
LIGHT_SERIES = ("#0069a8", "#c04a00", "#00795a", "#a4437f", "#8a6500", "#3f4fb5")
DARK_SERIES = ("#5bb8ee", "#ff9152", "#38c99d", "#ea9ccb", "#e5b94e", "#a3b1ff")
LIGHT_BASE, DARK_BASE = "#5a6068", "#a9b0b8"

# plotly's dash name, and the same pattern for the SVG swatch in the key.
_DASHES = (("solid", ""), ("dash", "6 4"), ("dot", "2 3"), ("dashdot", "7 3 2 3"))
# plotly's marker name, and a path about the origin, 10 units across, for the swatch.
_MARKERS = (
    ("circle", "M0,-4.5A4.5,4.5 0 1 1 0,4.5A4.5,4.5 0 1 1 0,-4.5Z"),
    ("square", "M-4,-4H4V4H-4Z"),
    ("diamond", "M0,-5.5L5.5,0L0,5.5L-5.5,0Z"),
    ("triangle-up", "M0,-5L5,4H-5Z"),
    ("cross", "M-1.7,-5H1.7V-1.7H5V1.7H1.7V5H-1.7V1.7H-5V-1.7H-1.7Z"),
    ("triangle-down", "M0,5L5,-4H-5Z"),
    ("pentagon", "M0,-5L4.8,-1.5L2.9,4H-2.9L-4.8,-1.5Z"),
)
_BASE_DASH, _BASE_MARKER = ("dot", "1.5 3.5"), ("hexagon", "M4.8,0L2.4,4.2H-2.4L-4.8,0L-2.4,-4.2H2.4Z")


@dataclass(frozen=True)
class SeriesStyle:
    """How one variant is drawn in every figure of a report. `colour` names a CSS variable, `--series-<colour>`."""

    colour: str
    dash: str
    dash_pattern: str
    marker: str
    marker_path: str


def series_style(position: int, *, tuned: bool = True) -> SeriesStyle:
    """The style of the tuned variant at `position` (0, 1, …); distinct for at least 84 of them."""
    if not tuned:
        return SeriesStyle("base", *_BASE_DASH, *_BASE_MARKER)
    colour = position % len(LIGHT_SERIES)
    dash = _DASHES[position // len(LIGHT_SERIES) % len(_DASHES)]
    return SeriesStyle(str(colour), *dash, *_MARKERS[position % len(_MARKERS)])


def css_variables(*, dark: bool) -> str:
    """CSS declarations of the paper and series colours."""
    paper, base, series = (DARK_PAPER, DARK_BASE, DARK_SERIES) if dark else (LIGHT_PAPER, LIGHT_BASE, LIGHT_SERIES)
    named = [f"--series-{index}:{colour}" for index, colour in enumerate(series)]
    return ";".join([f"--paper:{paper}", f"--series-base:{base}", *named])
