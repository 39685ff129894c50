"""The best network under a budget of bytes, in a sentence; by validation accuracy, for every budget. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from analysis.cells import model_size_text
from analysis.stats import pareto_front
from analysis.tables import Row
from analysis.words import counted


def answers(ranking: Sequence[Row]) -> list[Row]:
    """For every data set with ranked groups, the answer from each size on at which it changes.

    `steps` have `from_bytes`, `group_id` and `text`; a budget below the first has no answer.
    """
    ranked = [row for row in ranking if row["rank"] is not None and row["size_bytes"] is not None]
    sets = groupby(ranked, key=lambda row: (row["data_name"], row["data_fingerprint"]))
    return [{"data_name": name, "data_fingerprint": data, **_answer(list(rows))} for (name, data), rows in sets]


def _answer(rows: list[Row]) -> Row:
    front = pareto_front([row["validation_accuracy_mean"] for row in rows], [row["size_bytes"] for row in rows])
    best = sorted((row for row, is_on in zip(rows, front, strict=True) if is_on), key=lambda row: row["size_bytes"])
    steps = {row["size_bytes"]: _step(row) for row in reversed(best)}  # of equals the one that stands first
    sizes = [row["size_bytes"] for row in rows]
    return {"steps": [steps[size] for size in sorted(steps)], "smallest": min(sizes), "largest": max(sizes)}


def _step(row: Row) -> Row:
    return {"from_bytes": row["size_bytes"], "group_id": row["group_id"], "name": name_of(row), "text": _text(row)}


def at_budget(answer: Row, budget_bytes: float) -> Row | None:
    """The step that holds for a budget; None if no network is that small."""
    return next((step for step in reversed(answer["steps"]) if step["from_bytes"] <= budget_bytes), None)


def name_of(row: Row) -> str:
    """The label, with what tells it apart from others of that label."""
    name = row["label"] or row["group_id"]
    return f"{name} ({row['variant']})" if row.get("variant") else str(name)


def _text(row: Row) -> str:
    size = f"{counted(row['num_params'], 'parameter')} in {model_size_text(row['size_bytes'])}"
    accuracy = f"{percent(row['validation_accuracy_mean'])} validation accuracy ({_certainty(row)})"
    return f"{accuracy}, {size}.{_rank(row)}"


def _certainty(row: Row) -> str:
    name = "validation_accuracy"
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    if low is not None and percent(low) == percent(high):
        return f"n = {row['n']} seeds, all the same, so no spread is known"
    if low is not None:
        return f"95% interval {percent(low)} to {percent(high)}, n = {row['n']} seeds"
    low, high = row.get(f"{name}_bootstrap_low"), row.get(f"{name}_bootstrap_high")
    over = f"; 95% interval over pictures {percent(low)} to {percent(high)}" if low is not None else ""
    return f"n = {row['n']} {'seed' if row['n'] == 1 else 'seeds'}, so no spread is known{over}"


def _rank(row: Row) -> str:
    low, high = row.get("rank_low"), row.get("rank_high")
    if low is None:
        return ""
    if low == high:
        return f" Its rank among all networks is {low}."
    return f" Its rank among all networks lies between {low} and {high}."


def percent(value: float | None, digits: int = 2) -> str:
    """`80.09%`; empty if unknown."""
    return "" if value is None else f"{100 * value:.{digits}f}%"
