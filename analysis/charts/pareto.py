"""Validation accuracy against size: a point per group, intervals, and the front that no smaller network beats."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.charts.look import HEIGHT

if TYPE_CHECKING:
    import altair as alt

DATA = "groups"
"""Rows of `ranking`; those without an accuracy or a size are not drawn."""

SIZES = {
    "num_params": ("parameters", 1, "~s"),
    "size_bytes": ("size in MB", 1e-6, ".3~g"),
    "num_macs": ("multiply-accumulates per picture", 1, "~s"),
    "latency_seconds_mean": ("milliseconds for one picture", 1e3, ".3~g"),
}
"""Column -> how its axis is called, by what its values are multiplied for it, and how its numbers are written."""

_ACCURACY = "validation_accuracy_mean"
_MOST_MARKS = 28
_END_OF_NAME = f"length(datum.label) > {_MOST_MARKS} ? '…' + slice(datum.label, -{_MOST_MARKS}) : datum.label"
"""What tells points of a grid apart stands at the end of their names."""
_EACH = ["data_fingerprint"]
"""Networks are compared on one data set."""


def pareto(size: str = "num_params") -> alt.LayerChart | alt.FacetChart:
    """The chart over one of SIZES. A dashed interval is over pictures, of one run: it is no spread over seeds."""
    import altair as alt

    title, _, number = SIZES[size]
    shown = _with_interval(alt.Chart(alt.NamedData(name=DATA)), size)
    axis = alt.X(
        "size:Q", title=title, scale=alt.Scale(type="log", nice=False, padding=32), axis=alt.Axis(format=number)
    )
    accuracy = alt.Y(
        f"{_ACCURACY}:Q",
        title="validation accuracy",
        scale=alt.Scale(zero=False, nice=False, padding=12),
        axis=alt.Axis(format=".1~%"),
    )
    role = alt.Color("role:N")
    dash = alt.StrokeDash(
        "is_over_pictures:N", scale=alt.Scale(domain=[False, True], range=[[1, 0], [3, 3]]), legend=None
    )
    front, text = _front(shown, size), alt.Text("end:N")
    bars = shown.mark_rule(strokeWidth=1.5, opacity=0.7).encode(
        axis, alt.Y("low:Q", title="validation accuracy"), alt.Y2("high:Q"), role, dash
    )
    points = shown.mark_point(filled=True, size=90, opacity=1, cursor="pointer").encode(
        axis, accuracy, role, alt.Shape("role:N", legend=None), tooltip=_tooltips(size)
    )
    line = front.mark_line(interpolate="step-after", strokeWidth=1.5, opacity=0.6, color="#808080").encode(
        detail="data_fingerprint:N"
    )
    names = [
        _on_side(front, size, is_right=False).mark_text(align="left", dx=8, dy=-8).encode(axis, accuracy, text),
        _on_side(front, size, is_right=True).mark_text(align="right", dx=-8, dy=-8).encode(axis, accuracy, text),
    ]
    chart = alt.layer(line.encode(axis, accuracy), bars, points, *names)
    return chart.properties(width="container", height=HEIGHT, description=f"Validation accuracy against {title}")


def _with_interval(chart: alt.Chart, size: str) -> alt.Chart:
    """What is drawn of each group, and between which sizes all are; no accuracy is below 0 or above 1."""
    over = f"{_ACCURACY[:-5]}"
    drawn = chart.transform_filter(f"isValid(datum.{size}) && isValid(datum.{_ACCURACY})")
    return drawn.transform_joinaggregate(least=f"min({size})", most=f"max({size})").transform_calculate(
        size=f"datum.{size} * {SIZES[size][1]}",
        is_over_pictures=f"!isValid(datum.{over}_low)",
        low=f"isValid(datum.{over}_low) ? max(0, datum.{over}_low) : datum.{over}_bootstrap_low",
        high=f"isValid(datum.{over}_high) ? min(1, datum.{over}_high) : datum.{over}_bootstrap_high",
    )


def _front(chart: alt.Chart, size: str) -> alt.Chart:
    """What is more accurate than everything of its data set that is as small or smaller.

    In two steps: Vega takes a frame of [None, -1], all before, to have the row itself in it.
    """
    import altair as alt

    order: list[alt.SortField | dict[str, str]] = [
        alt.SortField(field=size),
        alt.SortField(field=_ACCURACY, order="descending"),
    ]
    so_far = chart.transform_window(best=f"max({_ACCURACY})", sort=order, groupby=_EACH, frame=[None, 0])
    before = so_far.transform_window(best_of_smaller="lag(best)", sort=order, groupby=_EACH)
    return before.transform_filter(f"!isValid(datum.best_of_smaller) || datum.{_ACCURACY} > datum.best_of_smaller")


def _on_side(front: alt.Chart, size: str, *, is_right: bool) -> alt.Chart:
    """The points in the left half of the axis, or in the right: their names run into the chart, not out of it."""
    is_in_right = f"datum.{size} > sqrt(datum.least * datum.most)"
    return front.transform_filter(is_in_right if is_right else f"!({is_in_right})").transform_calculate(
        end=_END_OF_NAME
    )


def _tooltips(size: str) -> list[alt.Tooltip]:
    import altair as alt

    fields = {
        "label": "network",
        "variant": "variant",
        "data_name": "data",
        "rank": "rank",
        "n": "seeds",
        "runs": "runs",
    }
    numbers = {_ACCURACY: ("validation", ".2%"), "low": ("from", ".2%"), "high": ("to", ".2%")}
    return [
        *(alt.Tooltip(field, type="nominal", title=title) for field, title in fields.items()),
        *(
            alt.Tooltip(field, type="quantitative", title=title, format=form)
            for field, (title, form) in numbers.items()
        ),
        alt.Tooltip("size", type="quantitative", title=SIZES[size][0], format=SIZES[size][2]),
    ]
