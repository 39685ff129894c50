"""Pictures in two splits, against the definition."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers.errors import DataError
from trainers.leaks import Leak, find_leaks, refuse_leaks
from trainers.result import Split

digests = st.dictionaries(st.sampled_from(Split), st.lists(st.sampled_from("abcdefgh"), max_size=8))


@given(table=digests)
def test_a_leak_is_a_picture_that_an_earlier_split_has(table: dict[Split, list[str]]) -> None:
    order = list(Split)
    expected = {
        (split, position)
        for split, values in table.items()
        for position, value in enumerate(values)
        if any(value in table.get(earlier, []) for earlier in order[: order.index(split)])
    }
    leaks = find_leaks(table)
    assert {(leak.split, leak.position) for leak in leaks} == expected
    assert len(leaks) == len(expected)
    for leak in leaks:
        assert table[leak.earlier_split][leak.earlier_position] == table[leak.split][leak.position]
        assert order.index(leak.earlier_split) < order.index(leak.split)


def test_the_same_picture_twice_in_one_split_is_no_leak() -> None:
    assert find_leaks({Split.TRAIN: ["a", "a"], Split.TEST: ["b", "b"]}) == ()


def test_leaks_are_refused_with_counts_per_pair_of_splits_and_two_examples() -> None:
    table = {Split.TRAIN: ["a", "b", "c"], Split.VALIDATION: ["c", "x"], Split.TEST: ["b", "x", "a"]}
    with pytest.raises(DataError) as caught:
        refuse_leaks(find_leaks(table), lambda split, position: f"{split}/{position}.jpg", "photos")
    assert str(caught.value) == (
        "photos: 1 pictures of validation are also in train, 2 pictures of test are also in train, "
        "1 pictures of test are also in validation (validation/0.jpg = train/2.jpg, test/0.jpg = train/1.jpg); "
        "remove one of each, or go on with --allow-leak"
    )


def test_without_leaks_nothing_is_refused() -> None:
    refuse_leaks((), lambda split, position: "", "photos")
    assert find_leaks({}) == ()
    assert find_leaks({Split.TRAIN: ["a"], Split.TEST: ["a"]}) == (
        Leak(split=Split.TEST, position=0, earlier_split=Split.TRAIN, earlier_position=0),
    )
