"""The top of a finished sweep's ranking, from the table that the sweep has written; nothing is computed or written."""

from __future__ import annotations

from collections import Counter
from typing import Any

from analysis.cells import rank_text
from trainers.files import readable
from trainers.result import PlanRecord
from trainers.shown import one_line
from trainers.storage import Store

MOST_GROUPS = 5
_INTERVAL = ("validation_accuracy_mean", "validation_accuracy_low", "validation_accuracy_high")
_COLUMNS = ("group_id", "label", "rank", "rank_low", "rank_high", "n", "num_params", *_INTERVAL)


def best_lines(store: Store, plan: PlanRecord) -> list[str]:
    """The first groups with mean, half of the interval and n; [] if that table is not of this plan as it stands."""
    groups = Counter(job.group_id for job in plan.jobs if store.has_result(job.run_id))
    rows = [row for row in _rows(store) if row["group_id"] in groups and row["rank"] is not None]
    if not rows or any(row["n"] > groups[row["group_id"]] for row in rows):
        return []
    best = sorted(rows, key=lambda row: row["rank"])[:MOST_GROUPS]
    return ["best by validation accuracy (mean over n seeds, ± half of the 95 % interval):", *map(_line, best)]


def _line(row: dict[str, Any]) -> str:
    figures = f"{_accuracy(row)} %  n {row['n']}  {row['num_params']:,} parameters"
    return f"  {rank_text(row)}. {one_line(row['label'])}  {figures}"


def _rows(store: Store) -> list[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(readable(store.table_file("ranking")), columns=list(_COLUMNS), partitioning=None)
    except (OSError, pa.ArrowException):
        return []
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows if len(table.column_names) == len(_COLUMNS) else []  # an earlier version's table has fewer


def _accuracy(row: dict[str, Any]) -> str:
    mean, low, high = (row[name] for name in _INTERVAL)
    return f"{100 * mean:.2f}" + ("" if low is None else f" ±{100 * (high - low) / 2:.2f}")
