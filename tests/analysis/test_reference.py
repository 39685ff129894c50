"""The published numbers, and when they may be shown."""

from __future__ import annotations

import pytest

from analysis.reference import PUBLISHED, comparable, published


def test_every_row_of_the_report_is_there_with_its_parameters() -> None:
    rows = {label: (round(100 * row.validation_accuracy, 3), row.num_params) for label, row in PUBLISHED.items()}
    assert rows == {
        "teacher_scratch": (80.09, 11_182_155),
        "teacher_pretrained": (88.41, 11_182_155),
        "student_scratch": (79.88, 152_075),
        "student_kd_scratch": (80.81, 152_075),
        "student_kd_pretrained": (82.36, 152_075),
        "conv_plain": (68.425, 264_075),
        "conv_depthwise": (71.428, 270_639),
        "conv_group": (64.839, 258_955),
    }


def test_both_readings_of_the_swapped_table_are_kept() -> None:
    readings = {label: row.other_reading for label, row in PUBLISHED.items() if row.other_reading}
    assert readings == {"student_scratch": 0.8232, "student_kd_pretrained": 0.7988}


@pytest.mark.parametrize(
    ("data", "is_comparable"),
    [
        (("food11", 9_866, 3_430), True),
        (("food-11", 9_866, 3_430), True),
        (("food11:photos 7", 9_866, 3_430), True),
        (("food11:photos outside the limit", 9_866, 3_000), False),
        (("parquet:food11", 9_866, 3_430), False),
        (("images:food11", 9_866, 3_430), False),
        (("food11", 9_866, 3_429), False),
        (("food11", 9_865, 3_430), False),
        (("cifar10", 9_866, 3_430), False),
        (("food111", 9_866, 3_430), False),
        ((None, None, None), False),
    ],
)
def test_only_food11_with_the_course_split_is_comparable(data: tuple[str, int, int], is_comparable: bool) -> None:
    assert comparable(*data) is is_comparable


def test_a_network_of_another_size_has_no_published_number_even_under_the_same_label() -> None:
    assert published("conv_plain", 264_075) is PUBLISHED["conv_plain"]
    assert published("conv_plain", 264_076) is None
    assert published("mine", 264_075) is None
    assert published(None, None) is None
