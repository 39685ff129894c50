"""Everything that a page shows, from the tables of a store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from analysis.page import provenance, sections
from analysis.page.read import Tables
from analysis.page.render import clean
from analysis.page.sections import Parts
from analysis.page.wishes import Wishes
from analysis.tables import Row, table_rows
from analysis.words import counted
from trainers.result import PlanRecord
from trainers.storage import Store


def collect(store: Store, tables: Tables, plans: Sequence[PlanRecord], wishes: Wishes) -> Parts:
    """Every section's parts in one."""
    ranking = table_rows(tables.ranking)
    runs = in_order(table_rows(tables.runs), ranking)
    _describe(ranking, runs)
    meta = _meta(store, plans, runs, wishes)
    template: dict[str, Any] = {"meta": meta}
    data: dict[str, Any] = {"meta": meta}
    every: tuple[Parts, ...] = (
        sections.answer_parts(ranking, wishes),
        sections.ranking_parts(tables, ranking, runs),
        sections.claims_parts(tables),
        sections.distillation_parts(tables),
        sections.learning_parts(store, tables, runs, wishes),
        sections.time_parts(store, runs, plans, wishes),
        sections.provenance_parts(store, tables, runs, plans, wishes),
    )
    for for_template, for_json in every:
        template.update(for_template)
        data.update(for_json)
    return template, data


def in_order(runs: list[Row], ranking: Sequence[Row]) -> list[Row]:
    """Runs in the order of their groups, then by seed."""
    place = {row["group_id"]: number for number, row in enumerate(ranking)}
    return sorted(runs, key=lambda run: (place.get(run["group_id"], len(place)), run["seed"] or 0, run["run_id"]))


def _describe(ranking: Sequence[Row], runs: Sequence[Row]) -> None:
    """Give each group what it is filtered by."""
    first: dict[str, Row] = {}
    for run in runs:
        first.setdefault(run["group_id"] or run["run_id"], run)
    for row in ranking:
        of_group = first.get(row["group_id"])
        sweep = None if of_group is None else of_group["sweep"]
        row |= {"recipe": _recipe(of_group), "data": row["data_name"], "sweep": sweep}


def _recipe(run: Row | None) -> str | None:
    """How a group was trained, in a few words."""
    if run is None or run["optimizer"] is None:
        return None
    return f"{run['optimizer']} {run['lr']:g}, batch {run['batch_size']}, {counted(run['epochs'], 'epoch')}"


def _meta(store: Store, plans: Sequence[PlanRecord], runs: Sequence[Row], wishes: Wishes) -> Row:
    plan = next((plan for plan in plans if plan.plan_id == wishes.plan_id), None)
    names = dict.fromkeys(run["data_name"] for run in runs if run["data_name"])
    return {
        "title": "All runs of a store" if plan is None else f"Sweep: {clean(plan.sweep)}",
        "plan_id": wishes.plan_id,
        "store": clean(str(store.root)),
        "made_at": wishes.made_at,
        "is_running": wishes.is_running,
        "budget_bytes": wishes.budget_bytes,
        "counts": f"{counted(len(runs), 'job')}: {provenance.state_line(runs)}",
        "data": clean(", ".join(names) or "unknown"),
    }
