"""Facts of runs -> rows of the tables: what plans, other runs and the data say of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from analysis.evidence import nearest_failed, status_of
from analysis.tables import CURVES_SCHEMA, RUNS_SCHEMA, Row, to_column
from trainers.errors import CorruptFileError
from trainers.result import PlannedJob, PlanRecord, Split, Status
from trainers.storage import Store

Planned = Mapping[str, tuple[PlannedJob, PlanRecord]]
"""By run id, its job in the latest plan that names it."""

_TOLD = ("run_id", "parents", "problems", "curve_problems", "failure", "num_attempts", "num_epochs_done", "epochs")
_OF_DATA = ("data_name", "image_size", "resize", "num_train_images")


@dataclass(frozen=True, kw_only=True)
class _Unfinished:
    """How a run without a result stands, and the facts of it."""

    name: str
    parents: tuple[str, ...]
    facts: Row
    is_finished: bool = False

    @property
    def has_failed(self) -> bool:
        return self.facts["failure"] is not None


def runs_table(store: Store, facts: pa.Table, planned: Planned) -> pa.Table:
    """RUNS_SCHEMA, a row per row of the facts (FACTS_SCHEMA)."""
    runs = facts["run_id"].to_pylist()
    places = [planned.get(run) for run in runs]
    columns: dict[str, Any] = {name: facts[name] for name in RUNS_SCHEMA.names if name in facts.schema.names}
    columns |= {
        "plan_id": [place and place[1].plan_id for place in places],
        "sweep": [place and place[1].sweep for place in places],
        "label": [place and place[0].label for place in places],
        "role": [place and place[0].role.value for place in places],
        "teacher_label": [_label(planned, teacher) for teacher in facts["teacher_run_id"].to_pylist()],
        **_status_columns(runs, facts, planned),
        **_data_columns(store, facts),
        **_known_to_plans(facts, places),
    }
    return pa.table([_as(field.type, columns[field.name]) for field in RUNS_SCHEMA], schema=RUNS_SCHEMA)


def curves_table(curves: pa.Table, planned: Planned) -> pa.Table:
    """The same curves, under the labels that plans give their runs."""
    places = [planned.get(run) for run in curves["run_id"].to_pylist()]
    labels = pa.array([place and place[0].label for place in places], pa.string())
    columns = {"label": labels, **_known_to_plans(curves, places)}
    return pa.table([columns.get(field.name, curves[field.name]) for field in CURVES_SCHEMA], schema=CURVES_SCHEMA)


def _as(kind: pa.DataType, values: Any) -> Any:
    return to_column(values, kind) if isinstance(values, list) else values


def _label(planned: Planned, run: str | None) -> str | None:
    return planned[run][0].label if run is not None and run in planned else None


def _known_to_plans(facts: pa.Table, places: Sequence[tuple[PlannedJob, PlanRecord] | None]) -> dict[str, Any]:
    """Group and seed by the spec or, where that cannot be read, by the plan."""
    columns = {}
    for name in ("group_id", "seed"):
        column = facts[name]
        if column.null_count:
            kind = facts.schema.field(name).type
            column = pc.coalesce(column, to_column((place and getattr(place[0], name) for place in places), kind))
        columns[name] = column
    return columns


def _status_columns(runs: Sequence[str], facts: pa.Table, planned: Planned) -> dict[str, list[Any]]:
    waiting = facts.filter(pc.invert(facts["is_finished"])).select(list(_TOLD)).to_pylist()
    standings = {row["run_id"]: _standing(row, planned) for row in waiting}
    told = {run: _told(run, standings) for run in standings}
    finished = ((Status.OK.value, None, problems) for problems in facts["curve_problems"].to_pylist())
    rows = [told.get(run, row) for run, row in zip(runs, finished, strict=True)]
    return {name: [row[index] for row in rows] for index, name in enumerate(("status", "blocked_by", "reason"))}


def _standing(row: Row, planned: Planned) -> _Unfinished:
    """The plan knows most of a run's parents, then its spec."""
    run = row["run_id"]
    if run in planned:
        job = planned[run][0]
        return _Unfinished(name=job.label, parents=job.parents, facts=row)
    return _Unfinished(name=run, parents=tuple(row["parents"] or ()), facts=row)


def _told(run: str, standings: Mapping[str, _Unfinished]) -> tuple[str, str | None, str | None]:
    """Status, what blocks it, and why there is no result, of a run without one."""
    status, blocker = status_of(run, standings), nearest_failed(run, standings)
    is_blocked = status == Status.BLOCKED.value
    blocked_by = blocker.name if is_blocked and blocker else None
    return status, blocked_by, _reason(standings[run].facts, status, blocked_by)


def _reason(facts: Row, status: str, blocked_by: str | None) -> str:
    problems = facts["problems"]
    if status == Status.FAILED.value:
        return _joined(facts["failure"], problems)
    if problems:
        return _joined(problems, facts["curve_problems"])
    if blocked_by is not None:
        return f"{blocked_by} failed"
    return _joined(_progress(facts), facts["curve_problems"])


def _joined(*texts: str | None) -> str:
    return "; ".join(text for text in texts if text is not None)


def _progress(facts: Row) -> str:
    if not facts["num_attempts"]:
        return "not started"
    epochs = "?" if facts["epochs"] is None else facts["epochs"]
    return f"{facts['num_epochs_done']} of {epochs} epochs done"


def _data_columns(store: Store, facts: pa.Table) -> dict[str, Any]:
    """What is known of the data, from its manifest; its name from finished runs, if there are any."""
    fingerprints, names = facts["data_fingerprint"].to_pylist(), facts["own_data_name"].to_pylist()
    known = {data: _manifest_columns(store, data) for data in set(fingerprints) if data is not None}
    for data, name in zip(fingerprints, names, strict=True):
        if name is not None:
            known[data]["data_name"] = name
    columns: dict[str, Any] = {name: [known.get(data, {}).get(name) for data in fingerprints] for name in _OF_DATA}
    counted, planned = facts["num_train_images"], to_column(columns["num_train_images"], pa.int64())
    return columns | {"num_train_images": pc.if_else(facts["is_finished"], counted, planned)}


def _manifest_columns(store: Store, fingerprint: str) -> Row:
    try:
        manifest = store.manifest(fingerprint)
    except CorruptFileError:
        return {}
    sizes = {"image_size": manifest.image_size, "num_train_images": manifest.num_images.get(Split.TRAIN)}
    return {"data_name": manifest.name, "resize": manifest.resize, **sizes}
