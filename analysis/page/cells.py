"""Tables of the page as texts: the ranking, with what it is sorted by, and the runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from analysis.cells import (
    duration_text,
    interval_text,
    latency_text,
    missing_text,
    model_size_text,
    number_text,
    percent_text,
    rank_text,
)
from analysis.page.answer import name_of
from analysis.page.render import clean
from analysis.tables import Row
from analysis.words import count_text


@dataclass(frozen=True, kw_only=True)
class Column:
    """`text` is shown, and sorted by `value` (of the row's column of that name, unless it is a function)."""

    name: str
    about: str
    text: Callable[[Row], str]
    value: str
    is_number: bool = True


COLUMNS = (
    Column(name="network", about="label of the group", text=name_of, value="label", is_number=False),
    Column(
        name="rank",
        about="by validation accuracy; in brackets what the seeds allow",
        text=rank_text,
        value="rank",
    ),
    Column(
        name="front",
        about="no network as small is better",
        text=lambda row: "*" if row["is_pareto"] else "",
        value="is_pareto",
    ),
    Column(name="n", about="finished seeds", text=lambda row: str(row["n"]), value="n"),
    Column(name="epochs", about="trained", text=lambda row: number_text(row["epochs"]), value="epochs"),
    Column(
        name="data",
        about="that it was trained on",
        text=lambda row: clean(row["data"] or ""),
        value="data",
        is_number=False,
    ),
    Column(
        name="validation %",
        about="best over epochs, mean over seeds",
        text=lambda row: interval_text(row, "validation_accuracy"),
        value="validation_accuracy_mean",
    ),
    Column(
        name="test %",
        about="read once; chooses nothing",
        text=lambda row: interval_text(row, "test_accuracy"),
        value="test_accuracy_mean",
    ),
    Column(
        name="parameters", about="of the network", text=lambda row: number_text(row["num_params"]), value="num_params"
    ),
    Column(
        name="size",
        about="of the weights, float32",
        text=lambda row: model_size_text(row["size_bytes"]),
        value="size_bytes",
    ),
    Column(
        name="MACs",
        about="multiply-accumulates per picture",
        text=lambda row: count_text(row["num_macs"]),
        value="num_macs",
    ),
    Column(
        name="latency",
        about="milliseconds per picture, one at a time",
        text=lambda row: latency_text(row["latency_seconds_mean"]),
        value="latency_seconds_mean",
    ),
    Column(
        name="train time",
        about="mean over seeds",
        text=lambda row: duration_text(row["train_seconds_mean"]),
        value="train_seconds_mean",
    ),
    Column(name="failed", about="jobs of the group without a result", text=missing_text, value="num_failed"),
)


def ranking_table(ranking: Sequence[Row], runs: Sequence[Row]) -> dict[str, Any]:
    """Columns and rows of the table; what nothing is known of is left out."""
    first: dict[str, str] = {}
    for run in runs:
        first.setdefault(run["group_id"] or run["run_id"], run["run_id"])
    is_empty = {
        "latency": not any(row["latency_seconds_mean"] for row in ranking),
        "failed": not any(map(missing_text, ranking)),
        "data": len({row["data"] for row in ranking if row["data"]}) < 2,
    }
    columns = [column for column in COLUMNS if not is_empty.get(column.name)]
    rows = [
        {
            "group_id": row["group_id"],
            "index": index,
            "first_run": first.get(row["group_id"], ""),
            "cells": [_cell(column, row) for column in columns],
        }
        for index, row in enumerate(ranking)
    ]
    return {"ranking_columns": columns, "ranking_rows": rows}


def _cell(column: Column, row: Row) -> Row:
    value = row.get(column.value)
    return {
        "text": column.text(row),
        "value": int(value) if isinstance(value, bool) else value,
        "is_number": column.is_number,
    }


def run_rows(runs: Sequence[Row], ranking: Sequence[Row]) -> list[Row]:
    """The table of runs."""
    index = {row["group_id"]: number for number, row in enumerate(ranking)}
    return [
        {
            "run_id": run["run_id"],
            "group_index": index.get(run["group_id"], ""),
            "name": run_name(run),
            "status": run["status"],
            "validation": percent_text(run["best_validation_accuracy"]),
            "test": percent_text(run["test_accuracy"]),
            "best_epoch": "" if run["best_epoch"] is None else f"{run['best_epoch']} of {run['epochs']}",
            "time": duration_text(run["train_seconds"]),
            "speed": "" if run["images_per_second"] is None else f"{run['images_per_second']:,.0f}",
            "host": run["host"],
        }
        for run in runs
    ]


def run_name(run: Row) -> str:
    """`label@seed`."""
    return f"{clean(run['label'] or run['run_id'])}@{'?' if run['seed'] is None else run['seed']}"
