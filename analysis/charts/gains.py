"""What distillation gained: per student and split the accuracy over that of its scratch twin, with an interval."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import altair as alt

DATA = "gains"
"""Rows with `student`, `teacher`, `split`, `gain`, `low`, `high` (accuracies), and `n`."""


def gains() -> alt.LayerChart | alt.FacetChart:
    """Right of zero: better than the same network without a teacher."""
    import altair as alt

    every = alt.Chart(alt.NamedData(name=DATA))
    student = alt.Y("student:N", title=None, sort=None, axis=alt.Axis(labelLimit=200))
    offset = alt.YOffset("split:N", sort=["validation", "test"])
    axis = alt.Axis(labelExpr="format(100 * datum.value, '+.1~f')")
    gain = alt.X("gain:Q", title="gain in points of accuracy", axis=axis)
    split = alt.Color("split:N", sort=["validation", "test"])
    tips = [alt.Tooltip(f"{name}:N") for name in ("student", "teacher", "split", "n")]
    tips += [alt.Tooltip(f"{name}:Q", format="+.2%") for name in ("gain", "low", "high")]
    zero = alt.Chart(alt.NamedData(name=DATA)).mark_rule(strokeDash=[4, 4], aria=False).encode(x=alt.datum(0))
    bars = every.mark_rule(strokeWidth=2).encode(alt.X("low:Q"), alt.X2("high:Q"), student, offset, split)
    points = every.mark_point(filled=True, size=80, opacity=1).encode(gain, student, offset, split, tooltip=tips)
    fit = alt.AutoSizeParams(type="fit-x", contains="padding")
    chart = alt.layer(zero, bars, points).properties(description="Gain of each distilled student over its scratch twin")
    return chart.properties(width="container", height=alt.Step(26), autosize=fit)
