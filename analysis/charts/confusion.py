"""A confusion matrix: rows are the true classes, columns what the network said."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import altair as alt

DATA = "confusion"
"""Rows with `true_class` and `predicted_class` (names), `count`, and `share` of the true class."""

MOST_NUMBERED = 20
"""Classes; with more, numbers in the cells would not be read."""


def confusion() -> alt.LayerChart | alt.FacetChart:
    """Shares of each true class; what is right lies on the diagonal."""
    import altair as alt

    every = alt.Chart(alt.NamedData(name=DATA))
    axis = alt.Axis(labelLimit=110, labelAngle=-40)
    said = alt.X("predicted_class:N", title="said", sort=None, axis=axis)
    true = alt.Y("true_class:N", title="is", sort=None, axis=alt.Axis(labelLimit=110))
    share = alt.Color("share:Q", scale=alt.Scale(domain=[0, 1]), legend=None)
    tips = [
        alt.Tooltip("true_class:N", title="is"),
        alt.Tooltip("predicted_class:N", title="said"),
        alt.Tooltip("count:Q"),
        alt.Tooltip("share:Q", format=".1%"),
    ]
    cells = every.mark_rect().encode(said, true, share, tooltip=tips)
    numbers = every.transform_filter("datum.is_numbered && datum.count > 0").mark_text(fontSize=11)
    ink = alt.Color("ink:N", scale=None)
    texts = numbers.encode(said, true, alt.Text("count:Q"), ink)
    chart: alt.LayerChart = alt.layer(cells, texts).resolve_scale(color="independent")
    return chart.properties(width="container", height=380, description="Confusion matrix of a run")
