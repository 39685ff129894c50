"""Whether a student answers as its teacher does: `agreement.parquet`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy import special

from analysis.answers import earlier_table
from analysis.predictions import Predictions, Splits, read_all
from analysis.tables import Row, table_rows, to_table
from trainers.storage import Store

AGREEMENT_SCHEMA = pa.schema(
    [
        pa.field("student_run_id", pa.string(), nullable=False),
        pa.field("student_group_id", pa.string()),
        pa.field("student_label", pa.string()),
        pa.field("seed", pa.int64()),
        pa.field("teacher_run_id", pa.string(), nullable=False),
        pa.field("teacher_group_id", pa.string()),
        pa.field("teacher_label", pa.string()),
        pa.field("split", pa.string(), nullable=False),
        pa.field("n", pa.int64(), nullable=False),
        pa.field("agreement", pa.float64(), nullable=False),
        pa.field("num_teacher_wrong", pa.int64(), nullable=False),
        pa.field("agreement_when_teacher_wrong", pa.float64()),
        pa.field("kl_nats", pa.float64(), nullable=False),
        pa.field("student_weights_sha256", pa.string()),
        pa.field("teacher_weights_sha256", pa.string()),
    ]
)
"""One row per distilled run and split, over its `n` pictures, with its (first) teacher.

`agreement` is the share of pictures for which both name the same class, the teacher's error or not; null where it
makes none. `kl_nats` is the mean of KL(teacher || student) at temperature 1.
"""

_NAMES = {
    "student_run_id": "run_id",
    "student_group_id": "group_id",
    "student_label": "label",
    "seed": "seed",
    "teacher_run_id": "teacher_run_id",
    "teacher_group_id": "teacher_group_id",
    "teacher_label": "teacher_label",
    "student_weights_sha256": "weights_sha256",
}
_TEACHERS_AT_ONCE = 8


def agreements_of(store: Store, finished: pa.Table) -> pa.Table:
    """AGREEMENT_SCHEMA, of finished runs (RUNS_SCHEMA) whose teacher is among them, where both have predictions."""
    runs = {row["run_id"]: row for row in table_rows(finished, tuple(dict.fromkeys(_NAMES.values())))}
    pairs = [_pair(row, runs[row["teacher_run_id"]]) for row in runs.values() if row["teacher_run_id"] in runs]
    earlier: dict[tuple[Any, ...], list[Row]] = {}
    for row in table_rows(earlier_table(store, "agreement", AGREEMENT_SCHEMA)):
        earlier.setdefault(_key(row), []).append(row)
    kept = [pair | _numbers(row) for pair in pairs for row in earlier.get(_key(pair), [])]
    new = [pair for pair in pairs if _key(pair) not in earlier]
    return to_table([*kept, *_compared(store, new)], AGREEMENT_SCHEMA)


def _pair(student: Row, teacher: Row) -> Row:
    names = {name: student[column] for name, column in _NAMES.items()}
    return names | {"teacher_weights_sha256": teacher["weights_sha256"]}


def _key(pair: Row) -> tuple[Any, ...]:
    """What decides the numbers."""
    return tuple(pair[f"{side}_{name}"] for side in ("student", "teacher") for name in ("run_id", "weights_sha256"))


def _numbers(row: Row) -> Row:
    """What does not change when a plan gives other labels."""
    names = {*_NAMES, "teacher_weights_sha256"}
    return {name: value for name, value in row.items() if name not in names}


def _compared(store: Store, pairs: Sequence[Row]) -> Iterator[Row]:
    """Students of one teacher one after the other, so that it is read once."""

    @lru_cache(_TEACHERS_AT_ONCE)
    def teacher(run: str) -> Splits:
        return next(iter(read_all(store, [run])))

    ordered = sorted(pairs, key=lambda pair: (pair["teacher_run_id"], pair["student_run_id"]))
    students = read_all(store, [pair["student_run_id"] for pair in ordered])
    for pair, student in zip(ordered, students, strict=True):
        theirs = teacher(pair["teacher_run_id"]) if student else {}
        for split in (split for split in student if _is_alike(student[split], theirs.get(split))):
            yield pair | {"split": split} | compare_answers(student[split], theirs[split])


def _is_alike(student: Predictions, teacher: Predictions | None) -> bool:
    """Of the same pictures and classes."""
    return teacher is not None and student.logits_NK.shape == teacher.logits_NK.shape


def compare_answers(student: Predictions, teacher: Predictions) -> Row:
    """The numbers of AGREEMENT_SCHEMA of one split."""
    is_same = student.predicted_N == teacher.predicted_N
    is_wrong = (teacher.predicted_N != teacher.labels_N) & (teacher.labels_N >= 0)
    theirs_NK, ours_NK = (_log_softmax(one.logits_NK.astype(np.float64)) for one in (teacher, student))
    divergence_N = np.sum(np.exp(theirs_NK) * (theirs_NK - ours_NK), axis=1)
    return {
        "n": len(is_same),
        "agreement": float(np.mean(is_same)),
        "num_teacher_wrong": int(np.count_nonzero(is_wrong)),
        "agreement_when_teacher_wrong": float(np.mean(is_same[is_wrong])) if is_wrong.any() else None,
        "kl_nats": float(np.mean(divergence_N)),
    }


def _log_softmax(logits_NK: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    log_NK: npt.NDArray[np.float64] = special.log_softmax(logits_NK, axis=1)
    return log_NK
