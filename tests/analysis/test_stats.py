"""Against hand-computed values and brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest

from analysis.stats import paired_difference, pareto_front, summarize


def test_summary_of_three_values_matches_the_hand_computed_interval() -> None:
    summary = summarize([0.80, 0.82, 0.84])
    half = 4.302652729911275 * 0.02 / math.sqrt(3)  # t table: 97.5 %, 2 degrees of freedom
    assert (summary.n, summary.mean, summary.sd) == (3, pytest.approx(0.82), pytest.approx(0.02))
    assert (summary.low, summary.high) == (pytest.approx(0.82 - half), pytest.approx(0.82 + half))


def test_two_values_use_the_wide_interval_of_one_degree_of_freedom() -> None:
    summary = summarize([0.0, 1.0])
    assert summary.high == pytest.approx(0.5 + 12.706204736174694 * math.sqrt(0.5) / math.sqrt(2))


def test_one_value_has_a_mean_and_no_spread() -> None:
    summary = summarize([0.7])
    assert (summary.n, summary.mean, summary.sd, summary.low, summary.high) == (1, 0.7, None, None, None)


def test_no_value_has_no_mean() -> None:
    assert summarize([]).n == 0
    assert summarize([]).mean is None


def test_equal_values_have_an_interval_of_zero_width_and_no_rounding() -> None:
    summary = summarize([0.1, 0.1, 0.1])
    assert (summary.mean, summary.sd, summary.low, summary.high) == (0.1, 0.0, 0.1, 0.1)


def test_paired_difference_uses_shared_seeds_only_and_cancels_what_a_seed_adds() -> None:
    first = {0: 0.50, 1: 0.71, 2: 0.92, 7: 0.0}
    second = {0: 0.40, 1: 0.60, 2: 0.80, 8: 1.0}
    gain = paired_difference(first, second)
    half = 4.302652729911275 * 0.01 / math.sqrt(3)
    assert (gain.n, gain.mean) == (3, pytest.approx(0.11))
    assert (gain.low, gain.high) == (pytest.approx(0.11 - half), pytest.approx(0.11 + half))


def test_paired_difference_without_shared_seeds_says_n_is_zero() -> None:
    assert paired_difference({0: 1.0}, {1: 1.0}).n == 0


@pytest.mark.parametrize("seed", range(50))
def test_pareto_front_equals_its_definition_on_random_tables(seed: int) -> None:
    generator = np.random.default_rng(seed)
    accuracies = (generator.integers(0, 8, size=30) / 8).tolist()  # few values, so that ties happen
    sizes = generator.integers(1, 8, size=30).tolist()
    assert pareto_front(accuracies, sizes) == [_is_undominated(i, accuracies, sizes) for i in range(30)]


def _is_undominated(index: int, accuracies: list[float], sizes: list[int]) -> bool:
    own = (accuracies[index], -sizes[index])
    others = [(accuracy, -size) for accuracy, size in zip(accuracies, sizes, strict=True)]
    return not any(all(o >= s for o, s in zip(other, own, strict=True)) and other != own for other in others)
