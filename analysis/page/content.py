"""Everything that a page shows, collected from a store: plain rows for the template, tables for the page's own JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import pyarrow as pa

from analysis.charts.pareto import SIZES
from analysis.page import provenance
from analysis.page.answer import answers, at_budget, name_of
from analysis.page.cells import ranking_table, run_rows
from analysis.page.learning import learning_curves
from analysis.page.render import clean, in_columns
from analysis.rank import Ranked
from analysis.tables import RUNS_SCHEMA, Row, table_rows
from analysis.words import counted
from trainers.result import PlanRecord
from trainers.storage import Store

FILTERS = ("role", "model", "objective", "recipe", "data")
MOST_SPEC_BYTES = 1_500_000
"""Of all specs together; beyond, a page leaves them out, and the store has them."""

_OF_RUNS = tuple(name for name in RUNS_SCHEMA.names if name != "spec_json")


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What was asked for: the plan (None: all runs), the budget that the page opens at, and whether the sweep runs."""

    plan_id: str | None
    budget_bytes: int
    made_at: str
    is_running: bool = False


def collect(
    store: Store, ranked: Ranked, curves: pa.Table, plans: Sequence[PlanRecord], wishes: Wishes
) -> tuple[dict[str, Any], dict[str, Any]]:
    """For the template, and for the page's JSON."""
    ranking = table_rows(ranked.ranking)
    runs = in_order(table_rows(ranked.runs), ranking)
    for row, recipe in zip(ranking, _recipes(ranking, runs), strict=True):
        row |= {"recipe": recipe, "data": row["data_name"]}
    found = answers(ranking)
    known_curves = learning_curves(curves, runs)
    filters = {name: sorted({clean(row[name]) for row in ranking if row[name]}) for name in FILTERS}
    filters = {name: values for name, values in filters.items() if name != "data" or len(values) > 1}
    meta = _meta(store, plans, runs, wishes)
    template = {
        "meta": meta,
        "answers": [{**answer, "now": at_budget(answer, wishes.budget_bytes)} for answer in found],
        "budget": _budget(found, wishes.budget_bytes),
        "filters": filters.items(),
        "ranking": ranking,
        "pareto_sizes": [(size, title) for size, (title, _) in SIZES.items() if any(row.get(size) for row in ranking)],
        **ranking_table(ranking, runs),
        "runs": run_rows(runs, ranking),
        "curves_are_thinned": any(len(curve["epochs"]) < curve["num_epochs"] for curve in known_curves),
        "plans": provenance.plans(plans, wishes.plan_id),
        "data_sets": provenance.data_sets(store, runs),
        "environments": provenance.environments(runs),
        "versions": provenance.versions(store, runs),
        "failures": [{**row, "log": (row["log"] or "").splitlines()} for row in provenance.failures(store, runs)],
    }
    data = {
        "meta": meta,
        "answers": [_cleaned(answer) for answer in found],
        "filters": filters,
        "ranking": in_columns(ranking, [*ranked.ranking.schema.names, "recipe", "data"]),
        "gains": in_columns(table_rows(ranked.gains), ranked.gains.schema.names),
        "runs": in_columns(runs, _OF_RUNS),
        "specs": _specs(runs),
        "curves": known_curves,
    }
    return template, data


def in_order(runs: list[Row], ranking: Sequence[Row]) -> list[Row]:
    """Runs in the order of their groups, then by seed."""
    place = {row["group_id"]: number for number, row in enumerate(ranking)}
    return sorted(runs, key=lambda run: (place.get(run["group_id"], len(place)), run["seed"] or 0, run["run_id"]))


def _meta(store: Store, plans: Sequence[PlanRecord], runs: Sequence[Row], wishes: Wishes) -> Row:
    plan = next((plan for plan in plans if plan.plan_id == wishes.plan_id), None)
    names = dict.fromkeys(run["data_name"] for run in runs if run["data_name"])
    return {
        "title": "All runs of a store" if plan is None else f"Sweep {clean(plan.sweep)}",
        "plan_id": wishes.plan_id,
        "store": clean(str(store.root)),
        "made_at": wishes.made_at,
        "is_running": wishes.is_running,
        "budget_bytes": wishes.budget_bytes,
        "counts": f"{counted(len(runs), 'job')}: {provenance.state_line(runs)}",
        "data": clean(", ".join(names) or "unknown"),
    }


def _budget(found: Sequence[Row], budget_bytes: int) -> Row:
    """The slider: a power of ten, from under the smallest network to above the largest."""
    least = min((answer["smallest"] for answer in found), default=1) * 0.9
    most = max((answer["largest"] for answer in found), default=1) * 1.1
    bounds = {"least": min(least, budget_bytes), "most": max(most, budget_bytes), "value": budget_bytes}
    return {name: round(math.log10(max(1.0, value)), 6) for name, value in bounds.items()}


def _recipes(ranking: Sequence[Row], runs: Sequence[Row]) -> list[str | None]:
    """How each group was trained, in a few words."""
    first: dict[str, Row] = {}
    for run in runs:
        first.setdefault(run["group_id"], run)
    return [_recipe(first.get(row["group_id"])) for row in ranking]


def _recipe(run: Row | None) -> str | None:
    if run is None or run["optimizer"] is None:
        return None
    return f"{run['optimizer']} {run['lr']:g}, batch {run['batch_size']}, {counted(run['epochs'], 'epoch')}"


def _specs(runs: Sequence[Row]) -> Mapping[str, Any]:
    """One spec of each group, by group id; none if they would make the page too large."""
    texts: dict[str, str] = {}
    for run in runs:
        if run["spec_json"] is not None:
            texts.setdefault(run["group_id"], run["spec_json"])
    if sum(map(len, texts.values())) > MOST_SPEC_BYTES:
        return {}
    return {group: msgspec.json.decode(text) for group, text in texts.items()}


def _cleaned(answer: Row) -> Row:
    steps = [{**step, "name": clean(step["name"]), "text": clean(step["text"])} for step in answer["steps"]]
    return {**answer, "data_name": clean(answer["data_name"]), "steps": steps}


__all__ = ["FILTERS", "Wishes", "collect", "in_order", "name_of"]
