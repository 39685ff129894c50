"""The parts of a page, section by section: rows for the templates, and tables for the page's own JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pyarrow.compute as pc

from analysis.charts.pareto import SIZES
from analysis.page import provenance
from analysis.page.answer import answers, at_budget
from analysis.page.cells import ranking_table, run_name, run_rows
from analysis.page.distillation import agreements, class_changes
from analysis.page.gantt import COLUMNS as GANTT_COLUMNS
from analysis.page.gantt import gantt
from analysis.page.learning import learning_curves
from analysis.page.mistakes import hardest, matrices, may_be_shown, thumbnails
from analysis.page.read import Tables
from analysis.page.render import clean, in_columns
from analysis.page.sweeps import compared
from analysis.page.texts import agreement_texts, best_text, claim_texts, gain_texts
from analysis.page.timeline import seconds
from analysis.page.wishes import Wishes
from analysis.tables import RUNS_SCHEMA, Row, table_rows
from trainers.result import PlanRecord, Split
from trainers.storage import Store

FILTERS = ("role", "model", "objective", "recipe", "data", "sweep")
SELDOM = ("data", "sweep")
"""Filters that are there only if there is something to choose."""
MOST_SPEC_BYTES = 1_500_000
"""Of all specs together; beyond, a page leaves them out, and the store has them."""

Parts = tuple[dict[str, Any], dict[str, Any]]
"""What is for the templates, and what is for the page's JSON."""

_OF_RUNS = tuple(name for name in RUNS_SCHEMA.names if name != "spec_json")
_OF_PLANS = ("status", "epochs", "num_params", "size_bytes", "seed", "best_validation_accuracy")


def answer_parts(ranking: Sequence[Row], wishes: Wishes) -> Parts:
    found = answers(ranking)
    template = {
        "answers": [{**answer, "now": at_budget(answer, wishes.budget_bytes)} for answer in found],
        "budget": _slider(found, wishes.budget_bytes),
        "pareto_sizes": [(size, title) for size, (title, *_) in SIZES.items() if any(row.get(size) for row in ranking)],
    }
    return template, {"answers": [_cleaned(answer) for answer in found]}


def _slider(found: Sequence[Row], budget_bytes: int) -> Row:
    """A power of ten, from under the smallest network to above the largest."""
    least = min((answer["smallest"] for answer in found), default=1) * 0.9
    most = max((answer["largest"] for answer in found), default=1) * 1.1
    bounds = {"least": min(least, budget_bytes), "most": max(most, budget_bytes), "value": budget_bytes}
    return {name: round(math.log10(max(1.0, value)), 6) for name, value in bounds.items()}


def _cleaned(answer: Row) -> Row:
    steps = [{**step, "name": clean(step["name"]), "text": clean(step["text"])} for step in answer["steps"]]
    return {**answer, "data_name": clean(answer["data_name"]), "steps": steps}


def ranking_parts(tables: Tables, ranking: Sequence[Row], runs: Sequence[Row]) -> Parts:
    values = {name: sorted({clean(row[name]) for row in ranking if row[name]}) for name in FILTERS}
    filters = {name: found for name, found in values.items() if name not in SELDOM or len(found) > 1}
    template = {"filters": filters.items(), "ranking": ranking, **ranking_table(ranking, runs)}
    columns = [*tables.ranking.schema.names, "recipe", "data", "sweep"]
    return template, {"filters": filters, "ranking": in_columns(ranking, columns)}


def claims_parts(tables: Tables) -> Parts:
    rows = table_rows(tables.claims)
    has_published = any(row["published"] is not None for row in rows)
    template = {"claims": claim_texts(rows), "has_published": has_published}
    return template, {"claims": in_columns(rows, tables.claims.schema.names)}


def distillation_parts(tables: Tables) -> Parts:
    gains, agreement = table_rows(tables.gains), table_rows(tables.agreement)
    classes = class_changes(gains, table_rows(tables.class_accuracy))
    template = {
        "gains": gain_texts(gains),
        "agreements": agreement_texts(agreements(agreement)),
        "has_classes": bool(classes),
    }
    data = {
        "gains": in_columns(gains, tables.gains.schema.names),
        "agreement": in_columns(agreement, tables.agreement.schema.names),
        "classes": in_columns(classes, ("student", "class_name", "who", "accuracy")),
    }
    return template, data


def learning_parts(store: Store, tables: Tables, runs: Sequence[Row], wishes: Wishes) -> Parts:
    curves = learning_curves(tables.curves, runs)
    validation = tables.confusion.filter(pc.equal(tables.confusion["split"], Split.VALIDATION.value))
    confusion = matrices(table_rows(validation), runs)
    class_names = {data["fingerprint"]: data.get("class_names", ()) for data in provenance.data_sets(store, runs)}
    names = {run["run_id"]: run_name(run) for run in runs}
    template = {
        "curves_are_thinned": any(len(curve["epochs"]) < curve["num_epochs"] for curve in curves),
        "matrices": [{"run_id": one["run_id"], "name": names[one["run_id"]]} for one in confusion],
        "num_hidden_matrices": len(validation["run_id"].unique()) - len(confusion),
        **_hard(store, tables, runs, class_names, wishes),
    }
    return template, {"curves": curves, "confusion": confusion, "class_names": _clean_names(class_names)}


def _clean_names(names: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    return {fingerprint: [clean(name) for name in of_data] for fingerprint, of_data in names.items()}


def _hard(
    store: Store, tables: Tables, runs: Sequence[Row], names: Mapping[str, Sequence[str]], wishes: Wishes
) -> dict[str, Any]:
    """The pictures that most networks get wrong, if they may be shown; otherwise how many there are."""
    done = [run for run in runs if run["data_fingerprint"] is not None and run["status"] == "ok"]
    hard = hardest(tables.answers, runs) if done else []
    if not hard:
        return {"hard": [], "is_withheld": False}
    if not (wishes.shows_pictures or may_be_shown(done[0]["data_name"])):
        return {"hard": [], "is_withheld": True}
    class_names = names.get(done[0]["data_fingerprint"], ())
    pictures = thumbnails(store, done[0]["data_fingerprint"], hard)
    return {"hard": [_named(row, class_names) for row in pictures], "is_withheld": False}


def _named(row: Row, class_names: Sequence[str]) -> Row:
    true, called = (
        class_names[number] if number < len(class_names) else str(number) for number in (row["true_class"], row["said"])
    )
    return row | {"true": true, "called": called}


def time_parts(store: Store, runs: Sequence[Row], plans: Sequence[PlanRecord], wishes: Wishes) -> Parts:
    template, rows = gantt(store, runs, plans, seconds(wishes.made_at) if wishes.is_running else None)
    return {"timeline": template}, {"attempts": in_columns(rows, GANTT_COLUMNS)}


def provenance_parts(
    store: Store, tables: Tables, runs: Sequence[Row], plans: Sequence[PlanRecord], wishes: Wishes
) -> Parts:
    every = {row["run_id"]: row for row in table_rows(tables.all_runs, ("run_id", *_OF_PLANS))}
    sweeps = compared(plans, every, wishes.plan_id, wishes.budget_bytes)
    ranking = table_rows(tables.ranking, ("group_id",))
    specs = _specs(runs)
    template = {
        "runs": run_rows(runs, ranking),
        "has_specs": bool(specs),
        "sweeps": [row | {name: best_text(row[name]) for name in ("best", "best_small")} for row in sweeps],
        "data_sets": provenance.data_sets(store, runs),
        "environments": provenance.environments(runs),
        "versions": provenance.versions(store, runs),
        "failures": [{**row, "log": (row["log"] or "").splitlines()} for row in provenance.failures(store, runs)],
    }
    return template, {"runs": in_columns(runs, _OF_RUNS), "specs": specs}


def _specs(runs: Sequence[Row]) -> Mapping[str, Any]:
    """One spec of each group, by group id; none if they would make the page too large."""
    texts: dict[str, str] = {}
    for run in runs:
        if run["spec_json"] is not None:
            texts.setdefault(run["group_id"], run["spec_json"])
    if sum(map(len, texts.values())) > MOST_SPEC_BYTES:
        return {}
    return {group: msgspec.json.decode(text) for group, text in texts.items()}
