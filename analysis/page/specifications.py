"""The charts of the page as Vega-Lite specifications without data, by name."""

from __future__ import annotations

from functools import cache
from typing import Any

from analysis.charts.classes import classes
from analysis.charts.confusion import confusion
from analysis.charts.curves import curves
from analysis.charts.gains import gains
from analysis.charts.look import configuration
from analysis.charts.pareto import SIZES, pareto
from analysis.charts.timeline import timeline


@cache
def specifications() -> dict[str, Any]:
    """`specs` by name, and `config`: how they look on a light and on a dark page. Nobody may change them."""
    charts: dict[str, Any] = {f"pareto-{size}": pareto(size) for size in SIZES}
    charts |= {chart.__name__: chart() for chart in (gains, classes, curves, confusion, timeline)}
    specs = {name: chart.to_dict() for name, chart in charts.items()}
    for spec in specs.values():
        spec.pop("config", None)  # Altair's own look
    return {"specs": specs, "config": {"light": configuration(), "dark": configuration(is_dark=True)}}
