"""The top of a finished sweep's ranking, from the table that the sweep has written; nothing is computed or written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from trainers.files import readable
from trainers.result import PlanRecord
from trainers.shown import one_line
from trainers.storage import Store

MOST_GROUPS = 5
_INTERVAL = ("validation_accuracy_mean", "validation_accuracy_low", "validation_accuracy_high")
_COLUMNS = ("group_id", "label", "rank", "n", "num_params", *_INTERVAL)


def best_lines(store: Store, plan: PlanRecord) -> Iterator[str]:
    """The first groups with mean, half of the interval and n; else how to have them ranked."""
    groups = Counter(job.group_id for job in plan.jobs if store.has_result(job.run_id))
    rows = [row for row in _rows(store) if row["group_id"] in groups and row["rank"] is not None]
    if not rows or any(row["n"] > groups[row["group_id"]] for row in rows):
        yield f"not ranked yet: python -m analysis.rank {one_line(store.root)} --plan {plan.plan_id}"
        return
    yield "best by validation accuracy (mean over n seeds, ± half of the 95 % interval):"
    for row in sorted(rows, key=lambda row: row["rank"])[:MOST_GROUPS]:
        figures = f"{_accuracy(row)} %  n {row['n']}  {row['num_params']:,} parameters"
        yield f"  {row['rank']}. {one_line(row['label'])}  {figures}"


def _rows(store: Store) -> list[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(readable(store.table_file("ranking")), columns=list(_COLUMNS), partitioning=None)
    except (OSError, pa.ArrowException, KeyError):
        return []
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def _accuracy(row: dict[str, Any]) -> str:
    mean, low, high = (row[name] for name in _INTERVAL)
    return f"{100 * mean:.2f}" + ("" if low is None else f" ±{100 * (high - low) / 2:.2f}")
