"""How many more seeds would decide. Pure."""

from __future__ import annotations

import math
from bisect import bisect_left

from scipy import special

POWER = 0.8
"""How often so many seeds would decide, if the effect is what it looks like; the field's convention (Cohen 1988)."""

MOST_SEEDS = 1_000_000


def num_more_seeds(effect: float, standard_error: float, n: int, freedom: float, significant: float) -> int | None:
    """The fewest more seeds (pairs, or on each side) for a t test at this level; None if a million are too few.

    The spread is taken from the seeds that are there, so that few of them give a rough number.
    """

    def is_enough(more: int) -> bool:
        degrees = freedom * (n + more - 1) / (n - 1)
        quantiles = special.stdtrit(degrees, 1 - significant / 2) + special.stdtrit(degrees, POWER)
        return bool(abs(effect) >= quantiles * standard_error * math.sqrt(n / (n + more)))

    more = bisect_left(range(MOST_SEEDS + 1), True, key=is_enough)
    return more if more <= MOST_SEEDS else None
