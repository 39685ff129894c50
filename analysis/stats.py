"""Seeds -> mean, spread and interval; groups -> Pareto front. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy import special

CONFIDENCE = 0.95
"""Coverage of every interval in tables and reports; the field's convention."""

SIGNIFICANT = 1 - CONFIDENCE
"""A corrected p-value below this is a finding."""

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Mean of n values with their sample standard deviation and t-interval: None where n does not allow it."""

    n: int
    mean: float | None = None
    sd: float | None = None
    low: float | None = None
    high: float | None = None


def summarize(values: Sequence[float]) -> Summary:
    """Mean, sd (n - 1 in the denominator) and the 95 % t-interval of the mean; one value has no spread."""
    n = len(values)
    if n < 2:
        return Summary(n=n, mean=values[0] if values else None)
    mean = mean_of(values)
    sd = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    half = _t_quantile(n - 1) * sd / math.sqrt(n)
    return Summary(n=n, mean=mean, sd=sd, low=mean - half, high=mean + half)


def mean_of(values: Sequence[float]) -> float:
    """The mean, whatever the order of the values; of equal ones it is their value to the last bit."""
    return values[0] if min(values) == max(values) else math.fsum(values) / len(values)


@cache
def _t_quantile(degrees_of_freedom: int) -> float:
    """Of Student's t: the interval of a mean reaches so many standard errors to either side."""
    return float(special.stdtrit(degrees_of_freedom, (1 + CONFIDENCE) / 2))


def paired_difference(first: Mapping[int, float], second: Mapping[int, float]) -> Summary:
    """`first` minus `second` over the seeds that both have: what a seed adds to both sides cancels."""
    shared = sorted(first.keys() & second.keys())
    return summarize([first[seed] - second[seed] for seed in shared])


def pareto_front(accuracies: Sequence[float], num_params: Sequence[int]) -> list[bool]:
    """For each point: no other is at least as accurate and as small, and better in one of the two."""
    order = sorted(range(len(accuracies)), key=lambda index: (num_params[index], -accuracies[index]))
    is_on_front = [False] * len(accuracies)
    best, best_size = -math.inf, -1
    for index in order:
        accuracy, size = accuracies[index], num_params[index]
        if accuracy > best or (accuracy == best and size == best_size):
            best, best_size, is_on_front[index] = accuracy, size, True
    return is_on_front


def holm(p: Floats) -> Floats:
    """p-values corrected for their number (Holm 1979, Scand. J. Statist. 6:65): the chance of one false finding stays.

    NaN is no test and is not counted. (statsmodels has it too, at two seconds of imports for every ranking.)
    """
    corrected = np.full(p.shape, np.nan)
    order = np.argsort(p)[: np.count_nonzero(~np.isnan(p))]  # NaN sorts last
    steps = np.arange(len(order), 0, -1) * p[order]
    corrected[order] = np.minimum(1, np.maximum.accumulate(steps))
    return corrected
