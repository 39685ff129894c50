"""Which pictures a request means, and how missing splits are cut from training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainers.result import Split
from trainers.selection import Part, Selection, select

Labels = dict[Split, np.ndarray[Any, Any]]


def as_sets(selection: Selection) -> dict[Split, set[tuple[Split, int]]]:
    """Where every picture of a split comes from."""
    chosen = {split: [(origin, int(index)) for index in indices] for split, (origin, indices) in selection.items()}
    assert all(len(pictures) == len(set(pictures)) for pictures in chosen.values())
    return {split: set(pictures) for split, pictures in chosen.items()}


def all_of(selection: Selection) -> set[tuple[Split, int]]:
    """All chosen pictures; no two splits share one."""
    parts = as_sets(selection)
    union = set().union(*parts.values())
    assert len(union) == sum(len(part) for part in parts.values())
    return union


label_lists = st.lists(st.integers(0, 4), max_size=60).map(lambda values: np.array(values, dtype=np.int64))
label_tables = st.dictionaries(st.sampled_from(Split), label_lists, min_size=1).filter(
    lambda table: any(len(values) for values in table.values())
)


@given(labels=label_tables, limit=st.integers(1, 200))
@settings(max_examples=200)
def test_a_limit_and_its_complement_share_nothing_and_miss_nothing(labels: Labels, limit: int) -> None:
    inside = all_of(select(labels, limit, Part.WITHIN_LIMIT))
    outside = all_of(select(labels, limit, Part.OUTSIDE_LIMIT))
    everything = {(split, index) for split, values in labels.items() for index in range(len(values))}
    assert not inside & outside
    assert inside | outside == everything
    assert all_of(select(labels, None, Part.WITHIN_LIMIT)) == everything


@given(labels=label_tables, limit=st.integers(1, 200))
@settings(max_examples=200)
def test_a_limit_is_kept_exactly(labels: Labels, limit: int) -> None:
    total = sum(len(values) for values in labels.values())
    assert len(all_of(select(labels, limit, Part.WITHIN_LIMIT))) == min(limit, total)


@given(labels=label_tables, limit=st.integers(1, 200))
@settings(max_examples=200)
def test_a_limit_keeps_the_proportions_of_splits_and_classes(labels: Labels, limit: int) -> None:
    share = min(1.0, limit / sum(len(values) for values in labels.values()))
    chosen = all_of(select(labels, limit, Part.WITHIN_LIMIT))
    for split, values in labels.items():
        taken = [values[index] for origin, index in chosen if origin is split]
        assert abs(len(taken) - share * len(values)) < 1
        for label in range(5):
            wanted = share * (values == label).sum()
            assert abs(taken.count(label) - wanted) < 2


def test_proportions_by_hand() -> None:
    labels = {Split.TRAIN: np.repeat([0, 1], [60, 20]), Split.TEST: np.repeat([0, 1], [15, 5])}
    chosen = as_sets(select(labels, 50, Part.WITHIN_LIMIT))
    counts = {split: len(pictures) for split, pictures in chosen.items()}
    assert counts == {Split.TRAIN: 36, Split.VALIDATION: 4, Split.TEST: 10}
    assert sum(index < 60 for _, index in chosen[Split.TRAIN] | chosen[Split.VALIDATION]) == 30
    assert sum(index < 15 for _, index in chosen[Split.TEST]) in (7, 8)


@pytest.mark.parametrize(
    ("present", "expected"),
    [
        ({Split.TRAIN: 100}, {Split.TRAIN: 80, Split.VALIDATION: 10, Split.TEST: 10}),
        ({Split.TRAIN: 100, Split.TEST: 7}, {Split.TRAIN: 90, Split.VALIDATION: 10, Split.TEST: 7}),
        ({Split.TRAIN: 100, Split.VALIDATION: 7}, {Split.TRAIN: 100, Split.VALIDATION: 7}),
        (
            {Split.TRAIN: 100, Split.VALIDATION: 7, Split.TEST: 3},
            {Split.TRAIN: 100, Split.VALIDATION: 7, Split.TEST: 3},
        ),
        ({Split.TRAIN: 100, Split.TEST: 0}, {Split.TRAIN: 80, Split.VALIDATION: 10, Split.TEST: 10}),
    ],
)
def test_missing_splits_are_cut_from_training(present: dict[Split, int], expected: dict[Split, int]) -> None:
    labels = {split: np.arange(size) % 5 for split, size in present.items()}
    assert {split: len(part) for split, part in as_sets(select(labels, None, Part.WITHIN_LIMIT)).items()} == expected


def test_held_out_pictures_are_stratified_and_the_same_every_time() -> None:
    labels = {Split.TRAIN: np.repeat(np.arange(5), 20)}
    one, two = (select(labels, None, Part.WITHIN_LIMIT) for _ in range(2))
    assert as_sets(one) == as_sets(two)
    for split in (Split.VALIDATION, Split.TEST):
        origin, indices = one[split]
        assert origin is Split.TRAIN
        assert np.bincount(labels[Split.TRAIN][indices]).tolist() == [2] * 5


def test_held_out_pictures_are_not_the_first_of_their_class() -> None:
    _, indices = select({Split.TRAIN: np.zeros(100, dtype=np.int64)}, None, Part.WITHIN_LIMIT)[Split.VALIDATION]
    assert 20 < indices.mean() < 80
    assert np.ptp(indices) > 30
