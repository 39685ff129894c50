"""A Gantt chart: attempts on hosts and slots over the minutes of a sweep, the critical path outlined."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import altair as alt

DATA = "attempts"
"""Rows with `lane` (host and slot), `start` and `end` in minutes, `name`, `role`, `state`, `is_critical`, `speed`."""

LANE_HEIGHT = 22


def timeline() -> alt.LayerChart | alt.FacetChart:
    """A bar per attempt; those that gave no result are hollow, those of the critical path have an outline."""
    import altair as alt

    every = alt.Chart(alt.NamedData(name=DATA))
    lane = alt.Y("lane:N", title=None, sort=None, axis=alt.Axis(labelLimit=150))
    start, end = alt.X("start:Q", title="minutes since the first start"), alt.X2("end:Q")
    tips = [
        *(alt.Tooltip(name, type="nominal", title=title) for name, title in (("name", "run"), ("state", "ended"))),
        alt.Tooltip("lane:N", title="where"),
        alt.Tooltip("minutes:Q", format=".2f"),
        alt.Tooltip("speed:Q", title="images/s", format=",.0f"),
    ]
    hollow = alt.condition("datum.state == 'ok'", alt.value(0.75), alt.value(0.25))
    bars = every.mark_bar(height=LANE_HEIGHT - 7, minBandSize=1, cornerRadius=2, cursor="pointer").encode(
        start, end, lane, alt.Color("role:N"), opacity=hollow, tooltip=tips
    )
    path = every.transform_filter("datum.is_critical").mark_bar(
        height=LANE_HEIGHT - 7, fillOpacity=0, strokeWidth=2, style="critical", cornerRadius=2, cursor="pointer"
    )
    chart = alt.layer(bars, path.encode(start, end, lane, tooltip=tips))
    fit = alt.AutoSizeParams(type="fit-x", contains="padding")
    chart = chart.properties(description="Attempts on hosts and slots over time")
    return chart.properties(width="container", height=alt.Step(LANE_HEIGHT), autosize=fit)
