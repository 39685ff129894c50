"""Runs -> groups, ordered by validation accuracy: `python -m analysis.rank STORE [--plan ID | --all]`.

Order, rank and Pareto front use validation accuracy only; test accuracy is shown and chooses nothing.
Groups are ranked among those trained on the same data; source pretraining is shown, never ranked.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa

from analysis.answers import rightness_of
from analysis.bootstrap import add_bootstrap
from analysis.claims import CLAIMS_SCHEMA, claim_rows
from analysis.command import existing_store, exit_code
from analysis.comparisons import COMPARISONS_SCHEMA, compare_family
from analysis.families import Rightness, families, nothing_known
from analysis.gains import GAINS_SCHEMA, OF_GAINS, gain_rows, kd_gains
from analysis.gather import gather
from analysis.latency import OF_LATENCY, latency_columns
from analysis.reference import reference_columns
from analysis.selected import chosen_plan, select, selected_runs
from analysis.stats import Summary, pareto_front, summarize
from analysis.tables import (
    RUNS_SCHEMA,
    STATUSES,
    Row,
    by_seed,
    from_frame,
    group_label,
    table_rows,
    to_table,
    write_tables,
)
from analysis.variants import mark_variants
from trainers.result import Status
from trainers.shown import Parser
from trainers.spec import Role
from trainers.storage import Store

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["GAINS_SCHEMA", "RANKING_SCHEMA", "Ranking", "kd_gains", "rank", "ranked", "select", "write_ranking"]

RANKING_SCHEMA = pa.schema(
    [
        pa.field("rank", pa.int64()),
        pa.field("rank_low", pa.int64()),
        pa.field("rank_high", pa.int64()),
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
        pa.field("validation_accuracy_bootstrap_low", pa.float64()),
        pa.field("validation_accuracy_bootstrap_high", pa.float64()),
        pa.field("test_accuracy_mean", pa.float64()),
        pa.field("test_accuracy_sd", pa.float64()),
        pa.field("test_accuracy_low", pa.float64()),
        pa.field("test_accuracy_high", pa.float64()),
        pa.field("test_accuracy_bootstrap_low", pa.float64()),
        pa.field("test_accuracy_bootstrap_high", pa.float64()),
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

Then there is the 95 % bootstrap interval over the pictures, which is not the spread over seeds. Of all ranks from
`rank_low` to `rank_high` none can be excluded, with 95 % confidence for the data set (`analysis.comparisons`).

`variant` tells groups apart whose label and data have one name (`epochs=20`); it is null where there is one such group.
Latency is that of one picture, `latency_measured_on` says where; both are null unless all seeds were measured alike.
"""

_OF_GROUP = ("group_id", "label", "role", "model", "objective", "teacher_label")
_OF_DATA = ("data_name", "data_fingerprint", "image_size", "resize", "num_train_images")
_SAME_FOR_ALL_SEEDS = (*_OF_GROUP, *_OF_DATA, "epochs", "num_params", "size_bytes", "num_macs")
_OF_RUN = ("run_id", "seed", "status", "best_validation_accuracy", "test_accuracy", "train_seconds")
_OF_IMAGES = ("num_validation_images", "num_test_images")
_OF_RANKING = (*_SAME_FOR_ALL_SEEDS, *_OF_RUN, *OF_LATENCY, *_OF_IMAGES, "spec_json")
"""The columns of RUNS_SCHEMA that a ranking looks at."""


_FILES = {"gains": "kd_gains"}


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """What a report needs, each with the columns of the schema of its name, and the runs behind it (RUNS_SCHEMA)."""

    ranking: pd.DataFrame
    gains: pd.DataFrame
    comparisons: pd.DataFrame
    claims: pd.DataFrame
    runs: pd.DataFrame


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """A Ranking as Arrow tables."""

    ranking: pa.Table
    gains: pa.Table
    comparisons: pa.Table
    claims: pa.Table
    runs: pa.Table


def rank(runs: pd.DataFrame) -> pd.DataFrame:
    """One row per group, in order: ranked groups, best first and by data set; then those without a rank."""
    rows = table_rows(from_frame(runs, RUNS_SCHEMA), _OF_RANKING)
    ranking: pd.DataFrame = to_table(_judged(rows, nothing_known).ranking, RANKING_SCHEMA).to_pandas()
    return ranking


@dataclass(frozen=True, kw_only=True)
class _Judged:
    """Rows of the tables that compare groups."""

    ranking: list[Row]
    comparisons: list[Row]
    claims: list[Row]


def _judged(runs: list[Row], rightness: Rightness) -> _Judged:
    """Groups in order, with what is known of how sure the order is, of runs with the columns `_OF_RANKING`."""
    groups = _groups(runs)
    rows = _rank_rows(groups)
    finished = {group: _finished(members) for group, members in groups.items()}
    add_bootstrap(rows, finished)
    found = families(rows, finished)
    comparisons = [pair for family in found for pair in compare_family(family, rightness)]
    return _Judged(ranking=rows, comparisons=comparisons, claims=claim_rows(rows, found, rightness))


def _groups(runs: list[Row]) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = defaultdict(list)
    for run in runs:
        groups[run["group_id"] or run["run_id"]].append(run)
    return groups


def _rank_rows(groups: Mapping[str, list[Row]]) -> list[Row]:
    """A row per group, in order."""
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


def write_ranking(store: Store, *, plan_id: str | None = None, all_runs: bool = False) -> Ranking:
    """Gather a store, rank its latest plan (or another, or every run), and write all tables.

    PlanError if there is no such plan.
    """
    tables = ranked(store, plan_id=plan_id, all_runs=all_runs)
    return Ranking(**{field.name: getattr(tables, field.name).to_pandas() for field in fields(Ranked)})


def ranked(store: Store, *, plan_id: str | None = None, all_runs: bool = False) -> Ranked:
    """`write_ranking`, without pandas."""
    plans = store.plans()
    plan = None if all_runs else chosen_plan(store, plans, plan_id)
    runs = gather(store, plans).runs
    selected = runs if plan is None else selected_runs(runs, plan)
    rows = table_rows(selected, tuple(dict.fromkeys((*_OF_RANKING, *OF_GAINS))))
    judged = _judged(rows, rightness_of(store, selected))
    tables = {
        "ranking": to_table(judged.ranking, RANKING_SCHEMA),
        "gains": to_table(gain_rows(rows, lambda: table_rows(runs, OF_GAINS)), GAINS_SCHEMA),
        "comparisons": to_table(judged.comparisons, COMPARISONS_SCHEMA),
        "claims": to_table(judged.claims, CLAIMS_SCHEMA),
    }
    write_tables({store.table_file(_FILES.get(name, name)): table for name, table in tables.items()})
    return Ranked(**tables, runs=selected)


def _finished(members: list[Row]) -> list[Row]:
    return [run for run in members if run["status"] == Status.OK.value]


def _group_row(members: list[Row]) -> Row:
    finished = _finished(members)
    row: Row = {name: _first(finished + members, name) for name in _SAME_FOR_ALL_SEEDS}
    row["label"] = group_label(finished + members)
    validation = summarize(list(by_seed(finished, "best_validation_accuracy").values()))
    test = summarize(list(by_seed(finished, "test_accuracy").values()))
    row |= _summary_columns("validation_accuracy", validation) | _summary_columns("test_accuracy", test)
    row |= {f"num_{status}": _count(members, status) for status in STATUSES[1:]}
    row |= reference_columns(row, *(_first(finished, f"num_{split}_images") for split in ("train", "validation")))
    row |= latency_columns(finished)
    seconds = summarize([run["train_seconds"] for run in finished])
    num_seeds = len({run["seed"] for run in finished})
    return row | {"n": num_seeds, "is_pareto": False, "train_seconds_mean": seconds.mean}


def _first(members: list[Row], name: str) -> Any:
    """What the seeds of a group have in common; null only if no run of it knows."""
    return next((run[name] for run in members if run[name] is not None), None)


def _count(members: list[Row], status: str) -> int:
    return sum(run["status"] == status for run in members)


def _summary_columns(name: str, summary: Summary) -> Row:
    parts = {"mean": summary.mean, "sd": summary.sd, "low": summary.low, "high": summary.high}
    return {f"{name}_{part}": value for part, value in parts.items()}


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
