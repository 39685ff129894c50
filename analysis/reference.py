"""The published numbers of the course report (NTU Machine Learning, spring 2020, "Network Compression", food-11).

Each is one run, the best validation accuracy over epochs; the report gives no spread and no test accuracy.
Its first table repeats rows 2c and 2e as "design architecture 82.32 %" and "design architecture + KD
79.88 %". Against its own rows 2c (79.88) and 2e (82.36) the two are swapped, and 82.32 stands beside
82.36. `validation_accuracy` follows the rows, which fit the report's conclusion (distillation helps);
`other_reading` is what the first table prints.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

NUM_TRAIN_IMAGES, NUM_VALIDATION_IMAGES = 9_866, 3_430
"""food-11 as the course split it."""

_TEACHER_PARAMS, _STUDENT_PARAMS = 11_182_155, 152_075


@dataclass(frozen=True, kw_only=True)
class Published:
    """One row of the report; `label` is that of the job in the sweep `report`, accuracies are fractions."""

    label: str
    validation_accuracy: float
    num_params: int
    source: str
    other_reading: float | None = None


_ROWS = (
    Published(
        label="teacher_scratch",
        validation_accuracy=0.8009,
        num_params=_TEACHER_PARAMS,
        source="report 2a: ResNet18 from scratch",
    ),
    Published(
        label="teacher_pretrained",
        validation_accuracy=0.8841,
        num_params=_TEACHER_PARAMS,
        source="report 2b: ResNet18, ImageNet-pretrained, fine-tuned",
    ),
    Published(
        label="student_scratch",
        validation_accuracy=0.7988,
        num_params=_STUDENT_PARAMS,
        source="report 2c: design architecture from scratch",
        other_reading=0.8232,
    ),
    Published(
        label="student_kd_scratch",
        validation_accuracy=0.8081,
        num_params=_STUDENT_PARAMS,
        source="report 2d: student distilled from 2a",
    ),
    Published(
        label="student_kd_pretrained",
        validation_accuracy=0.8236,
        num_params=_STUDENT_PARAMS,
        source="report 2e: student distilled from 2b",
        other_reading=0.7988,
    ),
    Published(
        label="conv_plain",
        validation_accuracy=0.68425,
        num_params=264_075,
        source="report 4a: plain CNN, 50 epochs",
    ),
    Published(
        label="conv_depthwise",
        validation_accuracy=0.71428,
        num_params=270_639,
        source="report 4b: depthwise and pointwise, 50 epochs",
    ),
    Published(
        label="conv_group",
        validation_accuracy=0.64839,
        num_params=258_955,
        source="report 4c: group convolution, 50 epochs",
    ),
)

PUBLISHED = {row.label: row for row in _ROWS}
"""Label -> the report's row."""


def comparable(data_name: str | None, num_train: int | None, num_validation: int | None) -> bool:
    """Whether published numbers may stand beside ours: food-11 with the course's split, and nothing else.

    `data_name` is `food11:FOLDER`, as the data file `food11` gives it, which also fixes the order of the classes.
    """
    is_food = data_name is not None and data_name.partition(":")[0].replace("-", "").lower() == "food11"
    return is_food and (num_train, num_validation) == (NUM_TRAIN_IMAGES, NUM_VALIDATION_IMAGES)


def published(label: str | None, num_params: int | None) -> Published | None:
    """The report's row for a label, if the network has the size of the report's network."""
    row = PUBLISHED.get(label) if label is not None else None
    return row if row is not None and row.num_params == num_params else None


def reference_columns(row: Mapping[str, Any], num_train: int | None, num_validation: int | None) -> dict[str, float]:
    """What stands beside a group of a ranking: the published number and the difference, where they may be compared."""
    reference = published(row["label"], row["num_params"])
    if reference is None or not comparable(row["data_name"], num_train, num_validation):
        return {}
    accuracy = reference.validation_accuracy
    return {"reference_accuracy": accuracy, "reference_difference": row["validation_accuracy_mean"] - accuracy}
