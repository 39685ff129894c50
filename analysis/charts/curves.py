"""Learning curves: accuracy over epochs, a small chart per group, the best epochs marked."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import altair as alt

DATA = "curves"
"""Rows with `name` (of the small chart), `part` (one of PARTS), `epoch`, `accuracy`, and `low`, `high` over seeds."""

PARTS = TRAIN, VALIDATION, BEST = "training", "validation", "best epoch of a seed"


def curves() -> alt.FacetChart:
    """Means over seeds; the band reaches from the worst seed to the best."""
    import altair as alt

    whole = alt.Axis(
        tickCount=4, grid=False, labelExpr="datum.value % 1 ? '' : format(datum.value, 'd')"
    )  # no epoch 1.5
    every = alt.Chart(alt.NamedData(name=DATA))
    epoch = alt.X("epoch:Q", title="epoch", scale=alt.Scale(nice=False), axis=whole)
    part = alt.Color("part:N", scale=alt.Scale(domain=list(PARTS[:2])))
    accuracy = alt.Y("accuracy:Q", title=None, axis=alt.Axis(format=".0%", tickCount=4), scale=alt.Scale(zero=False))
    lines = every.transform_filter(f"datum.part != '{BEST}'")
    band = lines.mark_area(opacity=0.18).encode(epoch, alt.Y("low:Q", title=None), alt.Y2("high:Q"), part)
    tips = [
        alt.Tooltip("name:N"),
        alt.Tooltip("part:N"),
        alt.Tooltip("epoch:Q"),
        alt.Tooltip("accuracy:Q", format=".2%"),
    ]
    line = lines.mark_line(strokeWidth=1.8).encode(epoch, accuracy, part, alt.StrokeDash("part:N", legend=None))
    best = every.transform_filter(f"datum.part == '{BEST}'").mark_point(
        style="best", filled=True, shape="diamond", size=60, opacity=1
    )
    layers = alt.layer(band, line, best.encode(epoch, accuracy, tooltip=tips)).properties(width=220, height=140)
    facet = alt.Facet("name:N", title=None, sort=None, header=alt.Header(labelAnchor="start", labelLimit=230))
    chart: alt.FacetChart = layers.facet(facet=facet, columns=3).resolve_scale(x="independent")
    chart = chart.properties(description="Learning curves: accuracy over epochs")
    return chart
