"""Which plan is looked at, and its runs under the names that they have there. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from analysis.tables import RUNS_SCHEMA, from_frame, to_column, to_list
from analysis.words import counted
from trainers.errors import PlanError
from trainers.result import PlanRecord
from trainers.storage import Store

if TYPE_CHECKING:
    import pandas as pd


def select(runs: pd.DataFrame, plan: PlanRecord) -> pd.DataFrame:
    """The runs of a plan, under the labels and roles they have there; PlanError if the table misses one."""
    selected: pd.DataFrame = selected_runs(from_frame(runs, RUNS_SCHEMA), plan).to_pandas()
    return selected


def selected_runs(runs: pa.Table, plan: PlanRecord) -> pa.Table:
    """`select`, of an Arrow table."""
    jobs = {job.run_id: job for job in plan.jobs}
    chosen = runs.filter(pc.is_in(runs["run_id"], value_set=pa.array(jobs, pa.string())))
    if chosen.num_rows < len(jobs):
        raise PlanError(
            f"{counted(len(jobs) - chosen.num_rows, 'run')} of plan {plan.plan_id} missing from the table; gather again"
        )
    own = [jobs[run] for run in to_list(chosen["run_id"])]
    teachers = zip(to_list(chosen["teacher_run_id"]), to_list(chosen["teacher_label"]), strict=True)
    columns = {
        "label": [job.label for job in own],
        "role": [job.role.value for job in own],
        "plan_id": [plan.plan_id] * len(own),
        "sweep": [plan.sweep] * len(own),
        "teacher_label": [jobs[run].label if run in jobs else label for run, label in teachers],
    }
    for name, values in columns.items():
        place = chosen.schema.get_field_index(name)
        chosen = chosen.set_column(place, chosen.schema.field(name), to_column(values, pa.string()))
    return chosen


def chosen_plan(store: Store, plans: Sequence[PlanRecord], plan_id: str | None) -> PlanRecord:
    """The latest plan, or the one that is named; PlanError if there is none."""
    if not plans:
        raise PlanError(f"store {store.root} has no plan; rank every run with --all")
    chosen = {plan.plan_id: plan for plan in plans}.get(plan_id or plans[-1].plan_id)
    if chosen is None:
        raise PlanError(f"unknown plan {plan_id!r}; have: {', '.join(plan.plan_id for plan in plans)}")
    return chosen
