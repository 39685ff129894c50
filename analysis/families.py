"""The ranked groups of one data set, as the tests between them see them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.differences import Groups
from analysis.stats import Floats
from analysis.tables import Row, by_seed

Rightness = Callable[[Sequence[str]], Mapping[str, Floats]]
"""Run ids -> which validation pictures each run gets right (1) and which not (0), of runs with predictions."""


MOST_READ = 2_000
"""Runs whose predictions are read for a comparison; of more, pictures count as different ones."""


def nothing_known(runs: Sequence[str]) -> Mapping[str, Floats]:
    """The Rightness of whoever has no predictions."""
    return {}


@dataclass(frozen=True, kw_only=True)
class Family:
    """Rows of a ranking (RANKING_SCHEMA) with a rank, in its order, and the finished runs of each, of one data set."""

    rows: list[Row]
    runs: list[list[Row]]

    def first(self, number: int) -> Family:
        """Those of the lowest ranks."""
        return Family(rows=self.rows[:number], runs=self.runs[:number])

    def only(self, groups: Container[str]) -> Family:
        """Those whose id is among these."""
        chosen = [pair for pair in zip(self.rows, self.runs, strict=True) if pair[0]["group_id"] in groups]
        return Family(rows=[row for row, _ in chosen], runs=[runs for _, runs in chosen])

    def groups(self, rightness: Rightness) -> Groups:
        """What they are compared by; pictures are asked for only where a group has one seed."""
        has_single = any(row["n"] == 1 for row in self.rows)
        return Groups(
            values_GS=self._values(),
            num_runs_G=np.array([len(runs) for runs in self.runs], np.int64),
            num_images_G=np.array([runs[0]["num_validation_images"] for runs in self.runs], np.int64),
            both_right_GG=self._both_right(rightness if has_single else nothing_known),
        )

    def _values(self) -> Floats:
        of_groups = [by_seed(runs, "best_validation_accuracy") for runs in self.runs]
        seeds = {seed: place for place, seed in enumerate(sorted({seed for known in of_groups for seed in known}))}
        values_GS = np.full((len(of_groups), len(seeds)), np.nan)
        for values_S, known in zip(values_GS, of_groups, strict=True):
            values_S[[seeds[seed] for seed in known]] = list(known.values())
        return values_GS

    def _both_right(self, rightness: Rightness) -> Floats:
        wanted = [run["run_id"] for runs in self.runs for run in runs]
        known = rightness(wanted) if len(wanted) <= MOST_READ else {}
        shares = [_share([known.get(run["run_id"]) for run in runs]) for runs in self.runs]
        num_images = max((len(share) for share in shares if share is not None), default=1)
        right_GN = np.full((len(shares), num_images), np.nan, np.float32)
        for right_N, share in zip(right_GN, shares, strict=True):
            if share is not None and len(share) == num_images:
                right_N[:] = share
        both_right_GG: Floats = (right_GN @ right_GN.T / num_images).astype(np.float64)
        return both_right_GG


def _share(runs: Sequence[Floats | None]) -> Floats | None:
    """The share of a group's runs that get each picture right; None unless all of them are known."""
    known = [run for run in runs if run is not None]
    is_whole = len(known) == len(runs) and len({len(run) for run in known}) == 1
    return np.mean(known, axis=0) if is_whole else None


def families(rows: list[Row], finished: Mapping[str, list[Row]]) -> list[Family]:
    """The ranked of each data set; `finished` are runs by group id."""
    by_data: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.get("rank") is not None:
            by_data[row["data_fingerprint"]].append(row)
    return [Family(rows=known, runs=[finished[row["group_id"]] for row in known]) for known in by_data.values()]
