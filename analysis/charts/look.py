"""How every chart looks, on a light and on a dark page: a Vega-Lite configuration; colours tell apart in grey as well.

The colours are those of Okabe and Ito (2008), which people with any colour vision tell apart, some a little darker or
lighter so that each has a contrast of 3 to 1 to its page.
"""

from __future__ import annotations

from typing import Any

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif"
LIGHT_COLOURS = ["#0072b2", "#c2410c", "#00805c", "#a4508b", "#8a6d00", "#3f7fae", "#5a5a5a"]
DARK_COLOURS = ["#56b4e9", "#ff9f5a", "#33c79a", "#e39ac9", "#e8c547", "#9ecae8", "#b5b5b5"]
HEIGHT, WIDTH = 340, 720
LONGEST_LABEL = 220
"""Pixels; the tooltip has the whole text."""


def configuration(*, is_dark: bool = False) -> dict[str, Any]:
    """For Vega-Lite's `config`."""
    ink, faint, grid = ("#d6dbe0", "#a7b0ba", "#343b43") if is_dark else ("#20262c", "#56606b", "#e3e7eb")
    colours = DARK_COLOURS if is_dark else LIGHT_COLOURS
    text = {"labelColor": ink, "titleColor": ink, "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal"}
    return {
        "background": None,
        "font": FONT,
        "view": {"stroke": None},
        "axis": {
            **text,
            "domainColor": faint,
            "tickColor": faint,
            "gridColor": grid,
            "labelLimit": LONGEST_LABEL,
            "labelSeparation": 8,
        },
        "legend": {
            **text,
            "orient": "top",
            "title": None,
            "labelLimit": LONGEST_LABEL,
            "symbolStrokeWidth": 2,
            "symbolOpacity": 1,
        },
        "header": {**text, "labelFontWeight": "bold", "labelLimit": LONGEST_LABEL, "title": None},
        "title": {"color": ink},
        "text": {"color": ink, "fontSize": 12},
        "rule": {"color": faint},
        "style": {"critical": {"stroke": ink}, "best": {"fill": ink, "color": ink}},
        "range": {
            "category": colours,
            "heatmap": ["#1d232a", "#2c5f85", "#9ed3f5"] if is_dark else ["#f3f6f9", "#6aaad4", "#08335c"],
            "ordinal": colours,
        },
    }
