"""What charts draw, read from their SVG."""

from __future__ import annotations

import random
import re
from typing import Any

from analysis.charts.pareto import pareto
from analysis.page.figures import filled


def drawn(rows: list[dict[str, Any]]) -> str:
    import vl_convert

    return str(vl_convert.vegalite_to_svg(filled(pareto("size_bytes").to_dict(), rows)))


def test_the_front_joins_what_no_smaller_network_of_its_data_set_beats() -> None:
    draw = random.Random(1)
    rows = [
        {
            "label": f"net{number}_",
            "data_fingerprint": draw.choice("xy"),
            "size_bytes": draw.randint(1, 12),
            "validation_accuracy_mean": draw.randint(1, 15) / 20,
            "role": "student",
        }
        for number in range(40)
    ]

    def beats(one: dict[str, Any], other: dict[str, Any]) -> bool:
        keys = ("size_bytes", "validation_accuracy_mean")
        (size, accuracy), (other_size, other_accuracy) = ([row[key] for key in keys] for row in (one, other))
        is_as_good = size <= other_size and accuracy >= other_accuracy
        is_better = (size, accuracy) != (other_size, other_accuracy)
        return is_as_good and is_better and one["data_fingerprint"] == other["data_fingerprint"]

    front = [row for row in rows if not any(beats(other, row) for other in rows)]
    named = set(re.findall(r">(net\d+_)</text>", drawn(rows)))
    assert named <= {row["label"] for row in front}
    points = {(row["data_fingerprint"], row["size_bytes"]) for row in front}
    assert {(row["data_fingerprint"], row["size_bytes"]) for row in rows if row["label"] in named} == points


def test_an_interval_over_pictures_is_dashed_and_one_over_seeds_is_not() -> None:
    row = {"label": "a", "data_fingerprint": "x", "size_bytes": 1, "validation_accuracy_mean": 0.5, "role": "student"}
    seeds = {"validation_accuracy_low": 0.4, "validation_accuracy_high": 0.6}
    pictures = {f"validation_accuracy_bootstrap_{end}": value for end, value in (("low", 0.4), ("high", 0.6))}
    assert drawn([row | seeds]).count('stroke-dasharray="3,3"') == 0
    assert drawn([row | pictures]).count('stroke-dasharray="3,3"') == 1


def test_a_side_is_one_of_the_whole_axis_not_of_the_front_alone() -> None:
    row = {"data_fingerprint": "x", "role": "student"}
    points = [("first", 1, 0.5), ("second", 3, 0.6), ("beaten", 1_000_000, 0.4)]
    rows = [
        row | {"label": name, "size_bytes": size, "validation_accuracy_mean": accuracy}
        for name, size, accuracy in points
    ]
    anchors = re.findall(r'text-anchor="(\w+)"[^>]*>(first|second)</text>', drawn(rows))
    assert set(anchors) == {("start", "first"), ("start", "second")}


def test_names_on_the_front_keep_their_ends_and_run_into_the_chart() -> None:
    row = {"data_fingerprint": "x", "role": "student"}
    points = {"student_scratch/model.width=0.25,lr=0.1": (1, 0.5), "student_scratch/model.width=4,lr=0.1": (100, 0.6)}
    svg = drawn(
        [
            row | {"label": name, "size_bytes": size, "validation_accuracy_mean": accuracy}
            for name, (size, accuracy) in points.items()
        ]
    )
    anchors = dict(re.findall(r'text-anchor="(\w+)"[^>]*>…\w+/model\.(\S+)</text>', svg))
    assert anchors == {"start": "width=0.25,lr=0.1", "end": "width=4,lr=0.1"}
