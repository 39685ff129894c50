"""Corrected p-values and the ranks they leave open: by hand, by definition, and against statsmodels."""

from __future__ import annotations

import math
from dataclasses import fields

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from analysis.bootstrap import bootstrap_intervals
from analysis.differences import Differences
from analysis.power import num_more_seeds
from analysis.rank_intervals import rank_intervals, rank_intervals_of_many
from analysis.stats import holm


def test_holm_by_hand() -> None:
    corrected = holm(np.array([0.01, 0.04, 0.03, 0.005]))
    assert corrected.tolist() == pytest.approx(
        [0.03, 0.06, 0.06, 0.02]
    )  # 3 * 0.01, 2 * 0.03 which 0.04 inherits, 4 * 0.005


def test_holm_never_exceeds_one_and_counts_no_test_that_was_not_made() -> None:
    corrected = holm(np.array([0.7, math.nan, 0.6]))
    assert corrected[[0, 2]].tolist() == [1.0, 1.0]
    assert np.isnan(corrected[1])
    assert holm(np.array([0.02, math.nan]))[0] == 0.02
    assert holm(np.array([])).tolist() == []


def test_holm_equals_statsmodels() -> None:
    for seed in range(20):
        p = np.random.default_rng(seed).integers(1, 40, size=30) / 400  # few values, so that ties happen
        assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])


def made_up(means: np.ndarray) -> Differences:
    empty = {field.name: np.zeros(len(means)) for field in fields(Differences)}
    return Differences(**empty | {"mean": means})


@pytest.mark.parametrize("seed", range(30))
def test_rank_intervals_equal_their_definition_on_random_tables(seed: int) -> None:
    generator = np.random.default_rng(seed)
    num = int(generator.integers(1, 9))
    first, second = np.triu_indices(num, 1)
    corrected = np.where(generator.random(len(first)) < 0.2, np.nan, generator.random(len(first)) / 8)
    means = np.abs(generator.normal(size=len(first)))  # the better ranked of a pair has the higher mean
    low, high = rank_intervals(num, first, second, made_up(means), corrected)
    sure = {(a, b) for a, b, p in zip(first, second, corrected, strict=True) if p < 0.05}
    for group in range(num):
        assert low[group] == 1 + sum((other, group) in sure for other in range(num))
        assert high[group] == num - sum((group, other) in sure for other in range(num))


def test_a_rank_lies_within_its_interval_even_if_the_seeds_both_have_say_the_opposite() -> None:
    low, high = rank_intervals(2, np.array([0]), np.array([1]), made_up(np.array([-0.1])), np.array([0.001]))
    assert (low.tolist(), high.tolist()) == ([1, 1], [2, 2])


@pytest.mark.parametrize("seed", range(10))
def test_rank_intervals_of_many_equal_their_definition(seed: int) -> None:
    generator = np.random.default_rng(seed)
    means, errors = np.sort(generator.random(40))[::-1], generator.random(40) / 30
    errors[7] = np.nan
    freedom = generator.integers(1, 30, size=40).astype(float)
    low, high = rank_intervals_of_many(means, errors, freedom)
    half = np.nan_to_num(stats.t.isf(0.025 / 40, freedom) * errors, nan=np.inf)
    for group in range(40):
        better = sum(means[other] - half[other] > means[group] + half[group] for other in range(40))
        worse = sum(means[other] + half[other] < means[group] - half[group] for other in range(40))
        assert (low[group], high[group]) == (1 + better, 40 - worse)


def test_the_bootstrap_of_a_run_is_the_binomial_quantile_and_what_drawing_gives() -> None:
    accuracies, num_images = np.array([0.8, 0.5, 0.012]), np.array([3_430, 66, 1_000])
    low, high = bootstrap_intervals(accuracies, num_images)
    assert low.tolist() == (stats.binom.ppf(0.025, num_images, accuracies) / num_images).tolist()
    assert high.tolist() == (stats.binom.ppf(0.975, num_images, accuracies) / num_images).tolist()
    right = np.arange(66) < 33
    drawn = np.random.default_rng(0).choice(right, (20_000, 66)).mean(axis=1)
    assert [low[1], high[1]] == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=1 / 66)


def test_the_bootstrap_of_many_pictures_is_the_normal_interval() -> None:
    low, high = bootstrap_intervals(np.array([0.8]), np.array([1_000_000]))
    half = 1.959963984540054 * math.sqrt(0.8 * 0.2 / 1_000_000)
    assert (low[0], high[0]) == (pytest.approx(0.8 - half, abs=2e-6), pytest.approx(0.8 + half, abs=2e-6))


def test_a_run_that_is_always_right_or_always_wrong_stays_so_in_every_bootstrap() -> None:
    low, high = bootstrap_intervals(np.array([0.0, 1.0]), np.array([10, 10]))
    assert (low.tolist(), high.tolist()) == ([0.0, 1.0], [0.0, 1.0])


def test_the_seeds_that_would_decide_are_those_of_the_power_of_a_t_test() -> None:
    sd, effect, n = 0.02, 0.01, 3
    more = num_more_seeds(effect, sd / math.sqrt(n), n, n - 1, 0.05)
    assert more is not None

    def power(total: int) -> float:
        """Exactly, by the noncentral t distribution."""
        return float(stats.nct.sf(stats.t.isf(0.025, total - 1), total - 1, effect / sd * math.sqrt(total)))

    assert power(n + more) == pytest.approx(0.8, abs=0.02)
    assert power(n + more - 3) < 0.8 < power(n + more + 3)


def test_no_number_of_seeds_decides_a_difference_of_nothing_and_none_are_needed_for_a_large_one() -> None:
    assert num_more_seeds(0.0, 0.01, 3, 2, 0.05) is None
    assert num_more_seeds(5.0, 0.01, 3, 2, 0.05) == 0
