"""Pairs of groups, against hand-computed tests, tables and scipy's own."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from analysis.differences import Differences, Groups, compare

NAN = math.nan


def groups(values: list[list[float]], *, right: list[list[float]] | None = None, num_images: int = 100) -> Groups:
    """Groups with an accuracy per seed; `right` are shares of runs right by picture, if predictions are known."""
    known = np.full((len(values), len(values)), NAN)
    if right is not None:
        shares = np.array(right)
        known, num_images = shares @ shares.T / shares.shape[1], shares.shape[1]
    values_GS = np.array(values)
    return Groups(
        values_GS=values_GS,
        num_runs_G=np.count_nonzero(~np.isnan(values_GS), axis=1),
        num_images_G=np.full(len(values), num_images),
        both_right_GG=known,
    )


def difference(of: Groups, first: int = 0, second: int = 1) -> Differences:
    return compare(of, np.array([first]), np.array([second]))


def of_pictures(num_first_only: int, num_second_only: int, num_both: int, num_neither: int) -> Groups:
    """Two runs of one seed, by how many pictures who gets right."""
    first = [1.0] * num_first_only + [0.0] * num_second_only + [1.0] * num_both + [0.0] * num_neither
    second = [0.0] * num_first_only + [1.0] * num_second_only + [1.0] * num_both + [0.0] * num_neither
    return groups([[np.mean(first)], [np.mean(second)]], right=[first, second])


def test_shared_seeds_are_paired_with_a_hand_computed_interval_and_p() -> None:
    found = difference(groups([[0.50, 0.71, 0.92, 0.0, NAN], [0.40, 0.60, 0.80, NAN, 1.0]]))
    half = 4.302652729911275 * 0.01 / math.sqrt(3)  # differences 0.10, 0.11, 0.12
    assert (found.method[0], found.n[0], found.num_shared_seeds[0]) == ("paired seeds", 3, 3)
    assert (found.mean[0], found.low[0]) == (pytest.approx(0.11), pytest.approx(0.11 - half))
    t = 0.11 / (0.01 / math.sqrt(3))
    assert found.p[0] == pytest.approx(1 - t / math.sqrt(2 + t * t))  # Student's t of 2 degrees in closed form


def test_without_two_shared_seeds_both_spreads_count_as_welch_has_it() -> None:
    first, second = [0.80, 0.84, 0.82], [0.70, 0.79, 0.73, 0.76]
    found = difference(groups([[*first, NAN, NAN, NAN, NAN], [NAN, NAN, NAN, *second]]))
    expected = stats.ttest_ind(first, second, equal_var=False)
    interval = expected.confidence_interval(0.95)
    assert (found.method[0], found.n[0], found.num_shared_seeds[0]) == ("welch", 3, 0)
    assert (found.mean[0], found.p[0]) == (pytest.approx(0.075), pytest.approx(expected.pvalue))
    assert (found.low[0], found.high[0]) == (pytest.approx(interval.low), pytest.approx(interval.high))


def test_equal_differences_are_no_spread_and_no_test() -> None:
    found = difference(groups([[0.3, 0.5, 0.7], [0.2, 0.4, 0.6]]))
    assert found.mean[0] == pytest.approx(0.1)
    assert np.isnan([found.low[0], found.high[0], found.p[0]]).all()


def test_two_runs_are_compared_by_mcnemars_exact_test() -> None:
    found = difference(of_pictures(8, 1, 60, 31))
    assert found.method[0] == "mcnemar"
    assert found.mean[0] == pytest.approx(0.07)
    assert found.p[0] == pytest.approx(2 * (1 + 9) / 2**9)  # 0 or 1 of 9 coins, either way


@pytest.mark.parametrize(("first_only", "second_only"), [(0, 0), (3, 3), (1, 0), (0, 12), (40, 22)])
def test_mcnemar_equals_the_two_sided_binomial_test(first_only: int, second_only: int) -> None:
    found = difference(of_pictures(first_only, second_only, 50, 7))
    together = first_only + second_only
    expected = stats.binomtest(first_only, together).pvalue if together else 1.0
    assert found.p[0] == pytest.approx(expected)


def test_the_interval_over_pictures_is_the_adjusted_wald_interval_by_hand() -> None:
    found = difference(of_pictures(8, 1, 60, 31))
    first, second = 9 / 102, 2 / 102  # one picture more on which each side alone is right
    half = 1.959963984540054 * math.sqrt((first + second - (first - second) ** 2) / 102)
    assert found.low[0] == pytest.approx(first - second - half)
    assert found.high[0] == pytest.approx(first - second + half)


def test_the_interval_over_many_pictures_is_that_of_a_paired_bootstrap() -> None:
    found = difference(of_pictures(220, 150, 2_000, 630))
    drawn = np.random.default_rng(0).multinomial(3_000, [220 / 3_000, 150 / 3_000, 2_630 / 3_000], 40_000)
    low, high = np.quantile((drawn[:, 0] - drawn[:, 1]) / 3_000, [0.025, 0.975])
    assert (found.low[0], found.high[0]) == (pytest.approx(low, abs=4e-4), pytest.approx(high, abs=4e-4))


def test_one_seed_against_several_is_compared_on_the_same_pictures() -> None:
    right = [[1.0, 1.0, 0.0, 0.0], [0.5, 1.0, 1.0, 0.5]]
    found = difference(groups([[0.5, NAN], [0.75, 0.75]], right=right))
    apart = np.array([0.5, 0.0, -1.0, -0.5, 1.0, -1.0])  # and the two pictures more
    error = math.sqrt(np.mean(apart**2) - np.mean(apart) ** 2) / math.sqrt(6)
    assert (found.method[0], found.n[0]) == ("pictures", 1)
    assert found.low[0] == pytest.approx(np.mean(apart) - 1.959963984540054 * error)
    assert found.p[0] == pytest.approx(2 * stats.norm.sf(abs(np.mean(apart)) / error))


def test_without_predictions_pictures_count_as_different_ones() -> None:
    found = difference(groups([[0.80], [0.70]], num_images=100))
    first, second = 81 / 102, 71 / 102
    half = 1.959963984540054 * math.sqrt((first * (1 - first) + second * (1 - second)) / 102)
    assert (found.method[0], found.mean[0]) == ("pictures unpaired", pytest.approx(0.1))
    assert found.high[0] == pytest.approx(first - second + half)


def test_all_pairs_at_once_are_each_pair_alone_and_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(3)
    values = 0.7 + generator.random((9, 4)) / 50
    values[:3, 1:] = values[3:5, :2] = values[5:7, 2:] = NAN  # one seed; the later two; the earlier two; all
    of = groups(values.tolist(), right=(generator.random((9, 30)) < 0.7).astype(float).tolist())
    first, second = np.triu_indices(9, 1)
    monkeypatch.setattr("analysis.differences._VALUES_AT_ONCE", 16)
    together = compare(of, first, second)
    assert set(together.method) == {"paired seeds", "welch", "mcnemar", "pictures"}
    for pair, sides in enumerate(zip(first, second, strict=True)):
        alone = difference(of, *sides)
        assert together.method[pair] == alone.method[0]
        assert not np.isnan(alone.p[0])
        assert together.p[pair] == alone.p[0]


def test_no_pairs_are_no_differences() -> None:
    nothing = np.array([], np.int64)
    assert len(compare(groups([[0.5]]), nothing, nothing).p) == 0
