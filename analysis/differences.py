"""Pairs of groups -> difference in accuracy, its standard error, 95 % interval and p-value; all at once. Pure.

Legend: G groups, S seeds, P pairs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from scipy import special

from analysis.stats import CONFIDENCE, Floats, Integers

_VALUES_AT_ONCE = 4_000_000
_NO_SPREAD = 1e-12
"""Of differences that are equal but for rounding: nothing can be tested against it."""


class Method(StrEnum):
    """How two groups were compared."""

    PAIRED_SEEDS = "paired seeds"
    WELCH = "welch"
    MCNEMAR = "mcnemar"
    PICTURES = "pictures"
    PICTURES_UNPAIRED = "pictures unpaired"


@dataclass(frozen=True, kw_only=True)
class Groups:
    """Groups of one data set.

    `values_GS` are accuracies by seed, NaN where a group has not finished a seed. `both_right_GG` is the mean over the
    pictures of the product of two groups' shares of runs that are right; NaN where predictions are not known.
    """

    values_GS: Floats
    num_runs_G: Integers
    num_images_G: Integers
    both_right_GG: Floats


@dataclass(frozen=True, kw_only=True)
class Differences:
    """First minus second, an entry per pair. Interval and p are NaN where seeds have no spread: nothing can be tested.

    `n` counts pairs of seeds, or the seeds of the side that has fewer; it is 1 if a side has one and pictures decide.
    """

    method: npt.NDArray[np.object_]
    num_shared_seeds: Integers
    n: Integers
    mean: Floats
    standard_error: Floats
    degrees_of_freedom: Floats
    low: Floats
    high: Floats
    p: Floats


def compare(groups: Groups, first: Integers, second: Integers) -> Differences:
    """Paired by seed if two seeds are shared; unpaired (Welch 1947) if both sides have two; else over the pictures.

    Pictures tell of two networks on other pictures, not of what other seeds would give: McNemar's exact test (1947)
    for two runs, the normal test for more, with the adjusted Wald interval (Bonett & Price 2012, J. Educ. Behav. Stat.
    37:479); without predictions the two accuracies as if they were of different pictures (Agresti & Caffo 2000).
    """
    chunks = _chunks(len(first), groups.values_GS.shape[1])
    return _joined([_compare(groups, first[chunk], second[chunk]) for chunk in chunks])


def _chunks(num_pairs: int, num_seeds: int) -> Iterator[slice]:
    step = max(1, _VALUES_AT_ONCE // max(1, num_seeds))
    return (slice(start, start + step) for start in range(0, max(1, num_pairs), step))


def _joined(parts: list[Differences], order: Integers | slice = slice(None)) -> Differences:
    columns = {field.name: [getattr(part, field.name) for part in parts] for field in fields(Differences)}
    return Differences(**{name: np.concatenate(arrays)[order] for name, arrays in columns.items()})


def _compare(groups: Groups, first: Integers, second: Integers) -> Differences:
    """Each pair in the first way that there is evidence for, in the order of the pairs."""
    shared = np.count_nonzero(~np.isnan(groups.values_GS[first] - groups.values_GS[second]), axis=1)
    fewer = np.minimum(_num_seeds(groups)[first], _num_seeds(groups)[second])
    is_predicted = ~np.isnan(groups.both_right_GG[first, second])
    way = np.select([shared >= 2, fewer >= 2, is_predicted], [0, 1, 2], 3)
    places = [np.flatnonzero(way == number) for number in range(len(_WAYS))]
    parts = [act(groups, first[at], second[at], shared[at]) for act, at in zip(_WAYS, places, strict=True)]
    return _joined(parts, np.argsort(np.concatenate(places)))


def _num_seeds(groups: Groups) -> Integers:
    num_seeds: Integers = np.count_nonzero(~np.isnan(groups.values_GS), axis=1)
    return num_seeds


def _paired(groups: Groups, first: Integers, second: Integers, shared: Integers) -> Differences:
    apart_PS = groups.values_GS[first] - groups.values_GS[second]
    mean, variance = _moments(apart_PS)
    error = np.sqrt(variance / shared)
    return _tested(Method.PAIRED_SEEDS, shared, shared, mean, error, shared.astype(np.float64) - 1)


def _welch(groups: Groups, first: Integers, second: Integers, shared: Integers) -> Differences:
    n_G, (mean_G, variance_G) = _num_seeds(groups), _moments(groups.values_GS)
    parts = [variance_G[side] / n_G[side] for side in (first, second)]
    total = parts[0] + parts[1]
    with np.errstate(invalid="ignore"):  # two groups without any spread: 0 / 0, and no test
        freedom = total**2 / sum(part**2 / (n_G[side] - 1) for part, side in zip(parts, (first, second), strict=True))
    n = np.minimum(n_G[first], n_G[second])
    return _tested(Method.WELCH, shared, n, mean_G[first] - mean_G[second], np.sqrt(total), freedom)


def _moments(values: Floats) -> tuple[Floats, Floats]:
    """Mean and sample variance of every row, without its NaN; NaN where there are too few values."""
    n = np.count_nonzero(~np.isnan(values), axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.nansum(values, axis=1) / n
        return mean, np.nansum((values - mean[:, None]) ** 2, axis=1) / (n - 1.0)


def _same_pictures(groups: Groups, first: Integers, second: Integers, shared: Integers) -> Differences:
    """With two pictures more, on each of which one side alone is right: few pictures must not look like certainty."""
    right_GG, num_images = groups.both_right_GG, groups.num_images_G[first].astype(np.float64)
    mean = _means(groups)[first] - _means(groups)[second]
    square = num_images * (right_GG[first, first] + right_GG[second, second] - 2 * right_GG[first, second])
    total = num_images + 2
    centre = mean * num_images / total
    variance = np.maximum(0, (square + 2) / total - centre**2)  # below 0 only if predictions are not those counted
    error = np.sqrt(variance / total)
    are_single = (groups.num_runs_G[first] == 1) & (groups.num_runs_G[second] == 1)
    methods = np.where(are_single, Method.MCNEMAR.value, Method.PICTURES.value)
    tested = _tested(methods, shared, np.ones_like(shared), mean, error, np.full(mean.shape, np.inf), centre)
    return replace(tested, p=np.where(are_single, _mcnemar(square, mean * num_images), tested.p))


def _mcnemar(num_disagreements: Floats, lead: Floats) -> Floats:
    """Exact and two-sided: of the pictures that one of the two gets right, either is as likely to be the one."""
    num_pictures = np.rint(num_disagreements).astype(np.int64)
    fewer = np.clip(np.rint((num_disagreements - np.abs(lead)) / 2), 0, None)
    p: Floats = np.minimum(1, 2 * special.bdtr(fewer, num_pictures, 0.5))
    return p


def _other_pictures(groups: Groups, first: Integers, second: Integers, shared: Integers) -> Differences:
    """With one right and one wrong picture more on each side."""
    num_images_G = groups.num_images_G + 2.0
    accuracy_G = (_means(groups) * groups.num_images_G + 1) / num_images_G
    variance_G = accuracy_G * (1 - accuracy_G) / num_images_G
    mean = _means(groups)[first] - _means(groups)[second]
    error, centre = np.sqrt(variance_G[first] + variance_G[second]), accuracy_G[first] - accuracy_G[second]
    n, freedom = np.ones_like(shared), np.full(mean.shape, np.inf)
    return _tested(Method.PICTURES_UNPAIRED, shared, n, mean, error, freedom, centre)


def _means(groups: Groups) -> Floats:
    return _moments(groups.values_GS)[0]


_WAYS = (_paired, _welch, _same_pictures, _other_pictures)


def _tested(
    method: Method | npt.NDArray[np.str_],
    shared: Integers,
    n: Integers,
    mean: Floats,
    error: Floats,
    freedom: Floats,
    centre: Floats | None = None,
) -> Differences:
    """Interval and p of Student's t; `centre` is the middle of the interval where it is not the mean."""
    centre = mean if centre is None else centre
    error = np.where(error > _NO_SPREAD, error, np.nan)
    half = special.stdtrit(freedom, (1 + CONFIDENCE) / 2) * error
    return Differences(
        method=np.full(mean.shape, method, dtype=np.object_),
        num_shared_seeds=shared,
        n=n,
        mean=mean,
        standard_error=error,
        degrees_of_freedom=freedom,
        low=centre - half,
        high=centre + half,
        p=2 * special.stdtr(freedom, -np.abs(centre) / error),
    )
