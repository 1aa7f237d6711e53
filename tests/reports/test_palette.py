"""Colours can be seen and styles told apart."""

import pytest

from entrotune.reports import palette


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(first: str, second: str) -> float:
    light, dark = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("colour", [*palette.LIGHT_SERIES, palette.LIGHT_BASE])
def test_light_series_contrast(colour: str) -> None:
    # Temperatures are written in these colours, so text's 4.5:1 (WCAG 1.4.3) is asked, not only 3:1.
    assert _contrast(colour, palette.LIGHT_PAPER) >= 4.5


@pytest.mark.parametrize("colour", [*palette.DARK_SERIES, palette.DARK_BASE])
def test_dark_series_contrast(colour: str) -> None:
    assert _contrast(colour, palette.DARK_PAPER) >= 4.5


def test_styles_differ_from_each_other_and_from_the_base() -> None:
    styles = {palette.series_style(position) for position in range(84)} | {palette.series_style(0, tuned=False)}
    assert len(styles) == 85
