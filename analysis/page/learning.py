"""Curves of a whole store, small enough for a page: a mean and a band per group, at some of the epochs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from analysis.tables import Row, to_list

MOST_POINTS = 24_000
"""Of all groups together; fewer than FEWEST of one would not show a curve."""
FEWEST, DIGITS = 8, 5

_OF_EPOCH = {"train": "train_accuracy", "validation": "validation_accuracy"}


def learning_curves(curves: pa.Table, runs: Sequence[Row]) -> list[Row]:
    """Per group, in the order of the runs: `epochs`, and at them means, least and most of both accuracies over runs.

    `best` has the epoch and validation accuracy that each finished run keeps.
    """
    groups = list(dict.fromkeys(run["group_id"] for run in runs if run["group_id"] is not None))
    wanted = pa.array([run["run_id"] for run in runs], pa.string())
    chosen = curves.filter(pc.is_in(curves["run_id"], value_set=wanted))
    by_group = _aggregated(chosen)
    most = max(FEWEST, MOST_POINTS // max(1, len(by_group)))
    best: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for run in runs:
        if run["best_epoch"]:
            best[run["group_id"]].append((run["best_epoch"], run["best_validation_accuracy"]))
    return [
        {"group_id": group, **_thinned(by_group[group], most), "best": best[group]}
        for group in groups
        if group in by_group
    ]


def _aggregated(curves: pa.Table) -> dict[str, dict[str, list[float]]]:
    how = [(column, what) for column in _OF_EPOCH.values() for what in ("mean", "min", "max")]
    table = (
        curves.group_by(["group_id", "epoch"])
        .aggregate(how)
        .sort_by([("group_id", "ascending"), ("epoch", "ascending")])
    )
    names = {"epoch": "epochs"}
    for name, column in _OF_EPOCH.items():
        names |= {f"{column}_mean": name, f"{column}_min": f"{name}_low", f"{column}_max": f"{name}_high"}
    columns = {short: to_list(table[long]) for long, short in names.items()}
    groups: dict[str, dict[str, list[float]]] = {}
    for index, group in enumerate(to_list(table["group_id"])):
        if group is not None:
            into = groups.setdefault(group, {name: [] for name in columns})
            for name, values in columns.items():
                into[name].append(values[index])
    return groups


def _thinned(group: dict[str, list[float]], most: int) -> Row:
    """At most so many epochs, evenly spread, the first and the last among them."""
    num_epochs = len(group["epochs"])
    kept = np.unique(np.linspace(0, num_epochs - 1, min(most, num_epochs)).round().astype(int)).tolist()
    thin: Row = {name: [_rounded(values[index]) for index in kept] for name, values in group.items()}
    return {**thin, "num_epochs": num_epochs}


def _rounded(value: float | None) -> float | None:
    return value if value is None or isinstance(value, int) else round(value, DIGITS)
