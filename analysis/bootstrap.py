"""What other pictures would have given: bootstrap intervals of accuracies, in closed form. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy import special

from analysis.stats import CONFIDENCE, Floats, Integers
from analysis.tables import Row


def bootstrap_intervals(accuracies: Floats, num_images: Integers) -> tuple[Floats, Floats]:
    """The 95 % percentile bootstrap over the pictures, of one run each (Efron 1979, Ann. Statist. 7:1); NaN stays NaN.

    A picture is right or wrong, so that the accuracy of N pictures drawn again is Binomial(N, accuracy) / N: its
    quantiles are what endless draws would give, and nothing is drawn.
    """
    tail = (1 - CONFIDENCE) / 2
    low, high = (_binomial_quantile(share, num_images, accuracies) / num_images for share in (tail, 1 - tail))
    return low, high


def _binomial_quantile(share: float, num: Integers, chance: Floats) -> Floats:
    """The smallest count whose distribution function reaches `share`."""
    inside = np.clip(chance, 1e-12, 1 - 1e-12)  # the inverse is not defined at 0 and 1
    count = np.ceil(special.bdtrik(share, num, inside))
    below = np.maximum(count - 1, 0)
    count = np.where(special.bdtr(below, num, inside) >= share, below, count)  # a step that rounding made too many
    return np.where(chance <= 0, 0, np.where(chance >= 1, num, count))


def add_bootstrap(rows: list[Row], finished: Mapping[str, list[Row]]) -> None:
    """Fill in the bootstrap columns of groups with one seed; `finished` are runs by group id."""
    for split in ("validation", "test"):
        single = [row for row in rows if row["n"] == 1 and row[f"{split}_accuracy_mean"] is not None]
        accuracies = np.array([row[f"{split}_accuracy_mean"] for row in single], np.float64)
        counts = np.array([finished[row["group_id"]][0][f"num_{split}_images"] for row in single], np.int64)
        for row, low, high in zip(single, *bootstrap_intervals(accuracies, counts), strict=True):
            ends = {"low": float(low), "high": float(high)}
            row |= {f"{split}_accuracy_bootstrap_{end}": value for end, value in ends.items()}
