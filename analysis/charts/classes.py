"""Accuracy per class: a teacher, the student alone, and the student that it taught, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import altair as alt

DATA = "classes"
"""Rows with `student` (of the small chart), `class_name`, `who` (one of WHO), and `accuracy`, a mean over seeds."""

WHO = ("student alone", "distilled", "teacher")


def classes() -> alt.FacetChart:
    """A line per class from the least to the most accurate of the three."""
    import altair as alt

    every = alt.Chart(alt.NamedData(name=DATA))
    name = alt.Y("class_name:N", title=None, sort=None, axis=alt.Axis(labelLimit=110))
    accuracy = alt.X(
        "accuracy:Q", title="accuracy", axis=alt.Axis(format=".0%", tickCount=4), scale=alt.Scale(zero=False)
    )
    line = every.mark_line(color="#808080", strokeWidth=1.5, opacity=0.7).encode(accuracy, name, detail="class_name:N")
    who = alt.Color("who:N", scale=alt.Scale(domain=list(WHO)))
    shape = alt.Shape("who:N", scale=alt.Scale(domain=list(WHO), range=["circle", "diamond", "square"]))
    tips = [alt.Tooltip("student:N"), alt.Tooltip("class_name:N", title="class"), alt.Tooltip("who:N")]
    tips += [alt.Tooltip("accuracy:Q", format=".1%")]
    points = every.mark_point(filled=True, size=70, opacity=1).encode(accuracy, name, who, shape, tooltip=tips)
    layers = alt.layer(line, points).properties(width=220, height=alt.Step(19))
    facet = alt.Facet("student:N", title=None, sort=None, header=alt.Header(labelAnchor="start", labelLimit=230))
    about = "Accuracy per class of student alone, distilled student and teacher"
    chart: alt.FacetChart = layers.facet(facet=facet, columns=3).properties(description=about)
    return chart
