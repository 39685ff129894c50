"""Pictures in two splits, against the definition."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

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


TABLE = {Split.TRAIN: ["a", "b", "c"], Split.VALIDATION: ["c", "x"], Split.TEST: ["b", "x", "a"]}


def refusal(list_file: Path, labels: Mapping[Split, list[int]]) -> str:
    with pytest.raises(DataError) as caught:
        refuse_leaks(
            find_leaks(TABLE),
            lambda split, position: f"{split}/{position}.jpg",
            lambda split, position: labels[split][position],
            "photos",
            list_file,
        )
    return str(caught.value)


def test_leaks_are_refused_with_counts_two_examples_and_a_list_of_all(tmp_path: Path) -> None:
    file = tmp_path / "list.txt"
    alike = {split: [0] * len(values) for split, values in TABLE.items()}
    assert refusal(file, alike) == (
        "photos: 1 pictures of validation are also in train, 2 pictures of test are also in train, "
        "1 pictures of test are also in validation (validation/0.jpg = train/2.jpg, test/0.jpg = train/1.jpg; "
        f"all are in {file}); remove one of each, or go on with --allow-leak"
    )
    assert file.read_text().splitlines() == [
        "validation/0.jpg = train/2.jpg",
        "test/0.jpg = train/1.jpg",
        "test/1.jpg = validation/1.jpg",
        "test/2.jpg = train/0.jpg",
    ]


def test_the_list_has_names_that_are_not_utf_8_as_the_disk_has_them(tmp_path: Path) -> None:
    file = tmp_path / "list.txt"
    leak = find_leaks({Split.TRAIN: ["a"], Split.TEST: ["a"]})
    with pytest.raises(DataError, match="all are in"):
        refuse_leaks(leak, lambda split, position: os.fsdecode(b"\xe9.jpg"), lambda split, position: 0, "", file)
    assert file.read_bytes() == b"\xe9.jpg = \xe9.jpg\n"


def test_pictures_of_two_classes_are_counted_but_not_those_without_a_label(tmp_path: Path) -> None:
    labels = {Split.TRAIN: [0, 0, 0], Split.VALIDATION: [1, 0], Split.TEST: [-1, 0, 1]}
    text = refusal(tmp_path / "list.txt", labels)  # c is 0 and 1, b 0 and unlabelled, x 0 and 0, a 0 and 1
    assert "); 2 of them are in another class there; remove one of each" in text


def test_without_leaks_nothing_is_refused(tmp_path: Path) -> None:
    refuse_leaks((), lambda split, position: "", lambda split, position: 0, "photos", tmp_path / "list.txt")
    assert not list(tmp_path.iterdir())
    assert find_leaks({}) == ()
    assert find_leaks({Split.TRAIN: ["a"], Split.TEST: ["a"]}) == (
        Leak(split=Split.TEST, position=0, earlier_split=Split.TRAIN, earlier_position=0),
    )
