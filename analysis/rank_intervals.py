"""Which ranks the evidence leaves open. Pure.

After Mogstad, Romano, Shaikh & Wilhelm 2024 (Rev. Econ. Stud. 91:476) and Al Mohamad, Goeman & van Zwet 2022
(Biometrics 78:238): with all pairs tested at once, a group's rank is at least 1 + the number of groups that are surely
better, and at most the number of groups less those that are surely worse.
"""

from __future__ import annotations

import numpy as np
from scipy import special

from analysis.differences import Differences
from analysis.stats import SIGNIFICANT, Floats, Integers

Ranks = tuple[Integers, Integers]
"""Lowest and highest rank of each group, 1 the best."""


def rank_intervals(num_groups: int, first: Integers, second: Integers, found: Differences, corrected: Floats) -> Ranks:
    """From corrected p-values of all pairs; the ranks of all groups hold together with 95 % confidence."""
    is_sure = corrected < SIGNIFICANT
    is_first_better = found.mean[is_sure] > 0
    better = np.where(is_first_better, first[is_sure], second[is_sure])
    worse = np.where(is_first_better, second[is_sure], first[is_sure])
    low = 1 + np.bincount(worse, minlength=num_groups)
    return _around_own(low, num_groups - np.bincount(better, minlength=num_groups))


def rank_intervals_of_many(means: Floats, errors: Floats, freedom: Floats) -> Ranks:
    """Without pairs, for many groups: a group is surely better if the whole intervals are, Bonferroni over groups.

    NaN as an error is no knowledge: any rank.
    """
    num_groups = len(means)
    half = np.where(np.isnan(errors), np.inf, -special.stdtrit(freedom, SIGNIFICANT / 2 / num_groups) * errors)
    low, high = means - half, means + half
    num_better = num_groups - np.searchsorted(np.sort(low), high, side="right")
    num_worse = np.searchsorted(np.sort(high), low, side="left")
    return _around_own(1 + num_better, num_groups - num_worse)


def _around_own(low: Integers, high: Integers) -> Ranks:
    """Groups come in order of rank; one that shares few seeds with others may be surely better than its mean says."""
    own = np.arange(1, len(low) + 1)
    return np.minimum(low, own), np.maximum(high, own)
