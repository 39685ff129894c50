"""What distillation gained: each distilled student against its scratch twin, paired by seed. Pure.

The twin has the same spec but for objective and teachers, so that the gain is not the size of a
recipe difference. "Beat its teacher" is judged on validation accuracy.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa

from analysis.stats import Summary, paired_difference, summarize
from analysis.tables import RUNS_SCHEMA, Row, by_seed, from_frame, group_label, table_rows, to_table
from trainers.result import Status
from trainers.spec import canonical_json, without_seeds

if TYPE_CHECKING:
    import pandas as pd

GAINS_SCHEMA = pa.schema(
    [
        pa.field("group_id", pa.string(), nullable=False),
        pa.field("label", pa.string()),
        pa.field("twin_group_id", pa.string()),
        pa.field("twin_label", pa.string()),
        pa.field("teacher_group_id", pa.string()),
        pa.field("teacher_label", pa.string()),
        pa.field("teacher_validation_accuracy", pa.float64()),
        pa.field("teacher_test_accuracy", pa.float64()),
        pa.field("n", pa.int64(), nullable=False),
        pa.field("validation_gain_mean", pa.float64()),
        pa.field("validation_gain_low", pa.float64()),
        pa.field("validation_gain_high", pa.float64()),
        pa.field("num_test_pairs", pa.int64(), nullable=False),
        pa.field("test_gain_mean", pa.float64()),
        pa.field("test_gain_low", pa.float64()),
        pa.field("test_gain_high", pa.float64()),
        pa.field("note", pa.string()),
    ]
)
"""One row per distilled group. `n` counts seeds finished on both sides; low and high (95 %) are null if n = 1."""

_VALIDATION, _TEST = "best_validation_accuracy", "test_accuracy"
OF_GAINS = (
    *("run_id", "group_id", "label", "seed", "status", "spec_json", _VALIDATION, _TEST),
    *("teacher_run_id", "teacher_group_id", "teacher_label"),
)
"""The columns of RUNS_SCHEMA that gains look at."""


@dataclass(frozen=True, kw_only=True)
class _Group:
    """The runs of one group, and what its spec says, each found out once: a twin may have thousands of students."""

    runs: list[Row]
    spec: dict[str, Any]

    @property
    def is_distilled(self) -> bool:
        return self.spec["teacher"] is not None

    @property
    def smoothing(self) -> float:
        return float(self.spec["objective"]["args"].get("label_smoothing", 0.0))

    @cached_property
    def label(self) -> str | None:
        return group_label(self.runs)

    @cached_property
    def arm(self) -> str:
        """All that a student and its scratch twin have in common."""
        own = {key: value for key, value in self.spec.items() if key not in ("objective", "teacher", "co_teachers")}
        return canonical_json(without_seeds(own))

    @cached_property
    def finished(self) -> list[Row]:
        return [run for run in self.runs if run["status"] == Status.OK.value]

    @cached_property
    def validation(self) -> dict[int, float]:
        return by_seed(self.finished, _VALIDATION)

    @cached_property
    def test(self) -> dict[int, float]:
        return by_seed(self.finished, _TEST)


def kd_gains(runs: pd.DataFrame, all_runs: pd.DataFrame | None = None) -> pd.DataFrame:
    """One row per distilled group (GAINS_SCHEMA), the largest gain in validation accuracy first.

    A twin that is only among `all_runs` of the store is not compared with; the note says how it would be.
    """
    tables = [from_frame(runs if frame is None else frame, RUNS_SCHEMA) for frame in (runs, all_runs)]
    rows, all_rows = (table_rows(table, OF_GAINS) for table in tables)
    gains: pd.DataFrame = to_table(gain_rows(rows, lambda: all_rows), GAINS_SCHEMA).to_pandas()
    return gains


def gain_rows(rows: list[Row], all_rows: Callable[[], list[Row]]) -> list[Row]:
    """The rows of `kd_gains`, of runs with the columns OF_GAINS; `all_rows` is asked for if a twin is missing."""
    groups = _groups(rows)
    twins, by_run = _scratch_groups(groups), {row["run_id"]: row for row in rows}
    elsewhere = cache(lambda: _scratch_groups(_groups(all_rows())))
    gains = []
    for student in groups:
        if student.is_distilled:
            twin = _twin(student, twins)
            gains.append(_gain_row(student, twin, by_run, elsewhere))
    gains.sort(key=lambda row: (-(row["n"] > 0), -(row["validation_gain_mean"] or 0.0), row["label"] or ""))
    return gains


def _groups(rows: list[Row]) -> list[_Group]:
    """Groups whose spec is known, in the order of their ids."""
    members: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row["spec_json"] is not None:
            members[row["group_id"]].append(row)
    return [
        _Group(runs=members[key], spec=msgspec.json.decode(members[key][0]["spec_json"])) for key in sorted(members)
    ]


def _scratch_groups(groups: list[_Group]) -> dict[str, list[_Group]]:
    """What may be a scratch twin, by the arm that it shares with its students."""
    found: dict[str, list[_Group]] = defaultdict(list)
    for group in groups:
        if _is_scratch(group):
            found[group.arm].append(group)
    return found


def _twin(student: _Group, scratch: Mapping[str, list[_Group]]) -> _Group | None:
    """The scratch twin; with the student's own label smoothing if there is one, else with the nearest."""
    return min(scratch.get(student.arm, []), key=lambda twin: abs(twin.smoothing - student.smoothing), default=None)


def _is_scratch(group: _Group) -> bool:
    return not group.is_distilled and group.spec["objective"]["name"] == "cross_entropy"


def _gain_row(
    student: _Group, twin: _Group | None, by_run: Mapping[str, Row], elsewhere: Callable[[], Mapping[str, list[_Group]]]
) -> Row:
    validation = paired_difference(student.validation, twin.validation) if twin else Summary(n=0)
    test = paired_difference(student.test, twin.test) if twin else Summary(n=0)
    teachers = _teachers(student, by_run)
    names = {name: student.runs[0][name] for name in ("group_id", "teacher_group_id", "teacher_label")}
    return {
        **names,
        "label": student.label,
        "twin_group_id": twin.runs[0]["group_id"] if twin else None,
        "twin_label": twin.label if twin else None,
        "teacher_validation_accuracy": _mean(teachers, _VALIDATION),
        "teacher_test_accuracy": _mean(teachers, _TEST),
        "n": validation.n,
        "num_test_pairs": test.n,
        **_gain_columns("validation_gain", validation),
        **_gain_columns("test_gain", test),
        "note": "; ".join(_notes(student, twin, validation.n, teachers, elsewhere)) or None,
    }


def _gain_columns(name: str, gain: Summary) -> Row:
    return {f"{name}_mean": gain.mean, f"{name}_low": gain.low, f"{name}_high": gain.high}


def _teachers(student: _Group, by_run: Mapping[str, Row]) -> list[Row]:
    """The finished teachers that the finished students really learned from."""
    used = dict.fromkeys(run["teacher_run_id"] for run in student.finished)
    found = (by_run[run] for run in used if run in by_run)
    return [row for row in found if row["status"] == Status.OK.value]


def _mean(rows: list[Row], column: str) -> float | None:
    return summarize([row[column] for row in rows if row[column] is not None]).mean


def _notes(
    student: _Group,
    twin: _Group | None,
    num_pairs: int,
    teachers: list[Row],
    elsewhere: Callable[[], Mapping[str, list[_Group]]],
) -> list[str]:
    notes = []
    if twin is None:
        notes.append(_missing_twin(_twin(student, elsewhere())))
    elif num_pairs == 0:
        notes.append("no seed is finished on both sides")
    if twin is not None and twin.smoothing != student.smoothing:
        notes.append(f"label smoothing differs: {student.smoothing:g}, twin {twin.smoothing:g}")
    own, teacher = _mean(student.finished, _VALIDATION), _mean(teachers, _VALIDATION)
    if own is not None and teacher is not None and own > teacher:
        notes.append(f"beat its teacher by {100 * (own - teacher):.2f} points of validation accuracy")
    return notes


def _missing_twin(elsewhere: _Group | None) -> str:
    """What a student could be compared with, and how."""
    if elsewhere is None:
        return "no scratch twin among these runs: the same recipe with cross_entropy and no teacher"
    name = elsewhere.label or f"run {elsewhere.runs[0]['run_id']}"
    return f"its scratch twin {name} is in this store but not in this sweep: use analysis.rank STORE --all"
