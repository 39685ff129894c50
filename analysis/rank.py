"""Runs -> groups, ordered by validation accuracy: `python -m analysis.rank STORE [--plan ID | --all]`.

Order, rank and Pareto front use validation accuracy only; test accuracy is shown and chooses nothing.
Groups are ranked among those trained on the same data; source pretraining is shown, never ranked.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from analysis.command import existing_store, exit_code
from analysis.gains import GAINS_SCHEMA, OF_GAINS, gain_rows, kd_gains
from analysis.gather import gather
from analysis.latency import OF_LATENCY, latency_columns
from analysis.reference import comparable, published
from analysis.stats import Summary, mean_of, pareto_front, summarize
from analysis.tables import (
    RUNS_SCHEMA,
    STATUSES,
    Row,
    from_frame,
    group_label,
    table_rows,
    to_column,
    to_list,
    to_table,
    write_tables,
)
from analysis.variants import mark_variants
from analysis.words import counted
from trainers.errors import PlanError
from trainers.result import PlanRecord, Status
from trainers.shown import Parser
from trainers.spec import Role
from trainers.storage import Store

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["GAINS_SCHEMA", "RANKING_SCHEMA", "Ranking", "kd_gains", "rank", "ranked", "select", "write_ranking"]

RANKING_SCHEMA = pa.schema(
    [
        pa.field("rank", pa.int64()),
        pa.field("group_id", pa.string()),
        pa.field("label", pa.string()),
        pa.field("variant", pa.string()),
        pa.field("role", pa.string()),
        pa.field("model", pa.string()),
        pa.field("objective", pa.string()),
        pa.field("teacher_label", pa.string()),
        pa.field("data_name", pa.string()),
        pa.field("data_fingerprint", pa.string()),
        pa.field("image_size", pa.int64()),
        pa.field("resize", pa.string()),
        pa.field("num_train_images", pa.int64()),
        pa.field("n", pa.int64(), nullable=False),
        pa.field("num_failed", pa.int64(), nullable=False),
        pa.field("num_blocked", pa.int64(), nullable=False),
        pa.field("num_unfinished", pa.int64(), nullable=False),
        pa.field("validation_accuracy_mean", pa.float64()),
        pa.field("validation_accuracy_sd", pa.float64()),
        pa.field("validation_accuracy_low", pa.float64()),
        pa.field("validation_accuracy_high", pa.float64()),
        pa.field("test_accuracy_mean", pa.float64()),
        pa.field("test_accuracy_sd", pa.float64()),
        pa.field("test_accuracy_low", pa.float64()),
        pa.field("test_accuracy_high", pa.float64()),
        pa.field("num_params", pa.int64()),
        pa.field("size_bytes", pa.int64()),
        pa.field("num_macs", pa.int64()),
        pa.field("is_pareto", pa.bool_(), nullable=False),
        pa.field("reference_accuracy", pa.float64()),
        pa.field("reference_difference", pa.float64()),
        pa.field("epochs", pa.int64()),
        pa.field("train_seconds_mean", pa.float64()),
        pa.field("latency_seconds_mean", pa.float64()),
        pa.field("latency_seconds_sd", pa.float64()),
        pa.field("latency_seconds_low", pa.float64()),
        pa.field("latency_seconds_high", pa.float64()),
        pa.field("latency_measured_on", pa.string()),
    ]
)
"""One row per group. `n` counts finished seeds; sd, low and high (95 % t-interval) are null if n = 1.

`variant` tells groups apart whose label and data have one name (`epochs=20`); it is null where there is one such group.
Latency is that of one picture, `latency_measured_on` says where; both are null unless all seeds were measured alike.
"""

_OF_GROUP = ("group_id", "label", "role", "model", "objective", "teacher_label")
_OF_DATA = ("data_name", "data_fingerprint", "image_size", "resize", "num_train_images")
_SAME_FOR_ALL_SEEDS = (*_OF_GROUP, *_OF_DATA, "epochs", "num_params", "size_bytes", "num_macs")
_OF_RUN = ("run_id", "seed", "status", "best_validation_accuracy", "test_accuracy", "train_seconds")
_OF_RANKING = (*_SAME_FOR_ALL_SEEDS, *_OF_RUN, *OF_LATENCY, "num_validation_images", "spec_json")
"""The columns of RUNS_SCHEMA that a ranking looks at."""


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """What a report needs: groups (RANKING_SCHEMA), gains (GAINS_SCHEMA), and the runs behind them (RUNS_SCHEMA)."""

    ranking: pd.DataFrame
    gains: pd.DataFrame
    runs: pd.DataFrame


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """A Ranking as Arrow tables."""

    ranking: pa.Table
    gains: pa.Table
    runs: pa.Table


def rank(runs: pd.DataFrame) -> pd.DataFrame:
    """One row per group, in order: ranked groups, best first and by data set; then those without a rank."""
    rows = table_rows(from_frame(runs, RUNS_SCHEMA), _OF_RANKING)
    ranking: pd.DataFrame = to_table(_rank_rows(rows), RANKING_SCHEMA).to_pandas()
    return ranking


def _rank_rows(runs: list[Row]) -> list[Row]:
    """The rows of `rank`, of runs with the columns `_OF_RANKING`."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for run in runs:
        groups[run["group_id"] or run["run_id"]].append(run)
    rows = sorted((_group_row(members) for members in groups.values()), key=_order)
    mark_variants(rows, _specs(groups))
    by_data: dict[str, list[Row]] = defaultdict(list)
    for row in filter(_is_ranked, rows):
        by_data[row["data_fingerprint"]].append(row)
    for ranked_of_data in by_data.values():
        _place(ranked_of_data)
    return rows


def _specs(groups: Mapping[str, list[Row]]) -> dict[str, dict[str, Any]]:
    """Plain specs by group id, of groups of which any run's spec could be read."""
    texts = {group: _first(members, "spec_json") for group, members in groups.items()}
    return {group: msgspec.json.decode(text) for group, text in texts.items() if text is not None}


def select(runs: pd.DataFrame, plan: PlanRecord) -> pd.DataFrame:
    """The runs of a plan, under the labels and roles they have there; PlanError if the table misses one."""
    selected: pd.DataFrame = _selected(from_frame(runs, RUNS_SCHEMA), plan).to_pandas()
    return selected


def _selected(runs: pa.Table, plan: PlanRecord) -> pa.Table:
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


def write_ranking(store: Store, *, plan_id: str | None = None, all_runs: bool = False) -> Ranking:
    """Gather a store, rank its latest plan (or another, or every run), and write all tables.

    PlanError if there is no such plan.
    """
    tables = ranked(store, plan_id=plan_id, all_runs=all_runs)
    ranking, gains, runs = (table.to_pandas() for table in (tables.ranking, tables.gains, tables.runs))
    return Ranking(ranking=ranking, gains=gains, runs=runs)


def ranked(store: Store, *, plan_id: str | None = None, all_runs: bool = False) -> Ranked:
    """`write_ranking`, without pandas."""
    plans = store.plans()
    plan = None if all_runs else _plan(store, plans, plan_id)
    runs = gather(store, plans).runs
    selected = runs if plan is None else _selected(runs, plan)
    rows = table_rows(selected, tuple(dict.fromkeys((*_OF_RANKING, *OF_GAINS))))
    ranking = to_table(_rank_rows(rows), RANKING_SCHEMA)
    gains = to_table(gain_rows(rows, lambda: table_rows(runs, OF_GAINS)), GAINS_SCHEMA)
    write_tables({store.table_file("ranking"): ranking, store.table_file("kd_gains"): gains})
    return Ranked(ranking=ranking, gains=gains, runs=selected)


def _plan(store: Store, plans: Sequence[PlanRecord], plan_id: str | None) -> PlanRecord:
    if not plans:
        raise PlanError(f"store {store.root} has no plan; rank every run with --all")
    chosen = {plan.plan_id: plan for plan in plans}.get(plan_id or plans[-1].plan_id)
    if chosen is None:
        raise PlanError(f"unknown plan {plan_id!r}; have: {', '.join(plan.plan_id for plan in plans)}")
    return chosen


def _group_row(members: list[Row]) -> Row:
    finished = [run for run in members if run["status"] == Status.OK.value]
    row: Row = {name: _first(finished + members, name) for name in _SAME_FOR_ALL_SEEDS}
    row["label"] = group_label(finished + members)
    validation = summarize(_seed_means(finished, "best_validation_accuracy"))
    test = summarize(_seed_means(finished, "test_accuracy"))
    row |= _summary_columns("validation_accuracy", validation) | _summary_columns("test_accuracy", test)
    row |= {f"num_{status}": _count(members, status) for status in STATUSES[1:]}
    row |= _reference_columns(row, finished) | latency_columns(finished)
    seconds = summarize([run["train_seconds"] for run in finished])
    num_seeds = len({run["seed"] for run in finished})
    return row | {"n": num_seeds, "is_pareto": False, "train_seconds_mean": seconds.mean}


def _seed_means(finished: list[Row], column: str) -> list[float]:
    """One value per seed: runs of one seed (over other views) are no independent evidence."""
    values: defaultdict[int, list[float]] = defaultdict(list)
    for run in finished:
        if run[column] is not None:
            values[run["seed"]].append(run[column])
    return [mean_of(of_seed) for of_seed in values.values()]


def _first(members: list[Row], name: str) -> Any:
    """What the seeds of a group have in common; null only if no run of it knows."""
    return next((run[name] for run in members if run[name] is not None), None)


def _count(members: list[Row], status: str) -> int:
    return sum(run["status"] == status for run in members)


def _summary_columns(name: str, summary: Summary) -> Row:
    parts = {"mean": summary.mean, "sd": summary.sd, "low": summary.low, "high": summary.high}
    return {f"{name}_{part}": value for part, value in parts.items()}


def _reference_columns(row: Row, finished: list[Row]) -> Row:
    num_train, num_validation = (_first(finished, f"num_{split}_images") for split in ("train", "validation"))
    reference = published(row["label"], row["num_params"])
    if reference is None or not comparable(row["data_name"], num_train, num_validation):
        return {}
    accuracy = reference.validation_accuracy
    return {"reference_accuracy": accuracy, "reference_difference": row["validation_accuracy_mean"] - accuracy}


def _is_ranked(row: Row) -> bool:
    return bool(row["n"]) and bool(row["role"] != Role.PRETRAIN.value)


def _order(row: Row) -> tuple[bool, bool, str, str, float, int, str, str]:
    accuracy, is_unknown = row["validation_accuracy_mean"] or 0.0, row["n"] == 0
    data = (row["data_name"] or "", row["data_fingerprint"] or "")
    names = (row["label"] or "", row["group_id"] or "")
    return (not _is_ranked(row), is_unknown, *data, -accuracy, row["num_params"] or 0, *names)


def _place(ranked: list[Row]) -> None:
    """Number the groups of one data set and mark those that no smaller one beats."""
    sizes = [row["num_params"] for row in ranked]
    is_on_front = pareto_front([row["validation_accuracy_mean"] for row in ranked], sizes)
    for place, (row, is_pareto) in enumerate(zip(ranked, is_on_front, strict=True), start=1):
        row |= {"rank": place, "is_pareto": is_pareto}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: exit code 0, or 2 with one line on stderr."""
    parser = Parser(prog="python -m analysis.rank", description="Rank the groups of a store.")
    parser.add_argument("store", metavar="STORE", help="the folder that run_all.py --store was given")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--plan", metavar="ID", help="a plan of the store (default: the latest)")
    which.add_argument("--all", action="store_true", help="every run of the store, in a plan or not")
    parser.add_argument("--markdown", action="store_true", help="print the ranking as a Markdown table")
    options = parser.parse_args(arguments)
    return exit_code(lambda: _print_ranking(options))


def _print_ranking(options: argparse.Namespace) -> None:
    from rich.console import Console

    from analysis.terminal import markdown_of, render_tables

    written = ranked(existing_store(options.store), plan_id=options.plan, all_runs=options.all)
    if options.markdown:
        print(markdown_of(written.ranking), end="")
        return
    render_tables(written.ranking, written.gains, written.runs, Console())


if __name__ == "__main__":
    raise SystemExit(main())
