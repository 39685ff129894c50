"""Parquet in Hugging Face's layout, sound and not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trainers.data import parquet
from trainers.errors import DataError
from trainers.images import RawData
from trainers.result import Split


@pytest.fixture
def shard(tmp_path: Path, png: Any, pixels_of: Any, write_parquet: Any) -> Any:
    """Writes a shard of distinct pictures, the first of them with the number `start`."""

    def write(name: str, labels: Any, start: int = 0, **options: Any) -> Path:
        pictures = [png(pixels_of(start + index)) for index in range(len(labels))]
        file: Path = write_parquet(tmp_path / name, pictures, labels, **options)
        return file

    return write


def pixels(raw: RawData, split: Split, index: int) -> Any:
    return np.asarray(raw.decode(split, index))


@pytest.mark.parametrize("column", ["image", "img"])
def test_a_single_file_is_training_data(shard: Any, pixels_of: Any, column: str) -> None:
    raw = parquet.read(str(shard("photos.parquet", [1, 0, 1], column=column, names=["cat", "dog"])))
    assert raw.class_names == ("cat", "dog")
    assert {split: labels.tolist() for split, labels in raw.labels.items()} == {Split.TRAIN: [1, 0, 1]}
    for index in range(3):
        assert np.array_equal(pixels(raw, Split.TRAIN, index), pixels_of(index))


def test_without_metadata_classes_are_called_by_their_numbers(shard: Any) -> None:
    assert parquet.read(str(shard("photos.parquet", [0, 2, 1]))).class_names == ("0", "1", "2")


def test_names_may_be_more_than_the_labels_that_occur(shard: Any) -> None:
    assert parquet.read(str(shard("photos.parquet", [0, 1], names=["a", "b", "c"]))).class_names == ("a", "b", "c")


def test_a_folder_of_shards_is_read_in_the_order_of_the_names(shard: Any, tmp_path: Path, pixels_of: Any) -> None:
    shard("data/train-00001-of-00002.parquet", [1, 1], start=3)
    shard("data/train-00000-of-00002.parquet", [0, 1, 0], start=0)
    shard("data/validation-00000-of-00001.parquet", [1], start=5)
    shard("data/test-00000-of-00001.parquet", [0, 1], start=6)
    raw = parquet.read(str(tmp_path / "data"))
    assert {split: labels.tolist() for split, labels in raw.labels.items()} == {
        Split.TRAIN: [0, 1, 0, 1, 1], Split.VALIDATION: [1], Split.TEST: [0, 1],
    }  # fmt: skip
    for index in range(5):
        assert np.array_equal(pixels(raw, Split.TRAIN, index), pixels_of(index))
    assert np.array_equal(pixels(raw, Split.VALIDATION, 0), pixels_of(5))
    assert np.array_equal(pixels(raw, Split.TEST, 1), pixels_of(7))


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("cifar10-train.parquet", Split.TRAIN),
        ("train-00000-of-00002.parquet", Split.TRAIN),
        ("photos.parquet", Split.TRAIN),
        ("latest.parquet", Split.TRAIN),
        ("data_test.parquet", Split.TEST),
        ("TEST.parquet", Split.TEST),
        ("val-0.parquet", Split.VALIDATION),
        ("food11.validation.parquet", Split.VALIDATION),
    ],
)
def test_the_split_is_a_whole_word_of_the_file_name(shard: Any, name: str, split: Split) -> None:
    assert set(parquet.read(str(shard(name, [0, 1]))).labels) == {split}


def test_a_word_or_digit_in_a_parent_folder_moves_neither_split_nor_label(shard: Any) -> None:
    raw = parquet.read(str(shard("7/test_3/photos.parquet", [0, 1])))
    assert {split: labels.tolist() for split, labels in raw.labels.items()} == {Split.TRAIN: [0, 1]}


def test_an_empty_shard_is_no_obstacle(shard: Any, tmp_path: Path) -> None:
    shard("data/test-0.parquet", [])
    shard("data/train-0.parquet", [])
    shard("data/train-1.parquet", [0, 1], start=4)
    raw = parquet.read(str(tmp_path / "data"))
    assert raw.labels[Split.TEST].tolist() == []
    assert raw.labels[Split.TRAIN].tolist() == [0, 1]


def test_an_empty_shard_between_two_others_shifts_nothing(shard: Any, tmp_path: Path, pixels_of: Any) -> None:
    shard("data/train-0.parquet", [0])
    shard("data/train-1.parquet", [])
    shard("data/train-2.parquet", [1], start=1)
    raw = parquet.read(str(tmp_path / "data"))
    assert [np.array_equal(pixels(raw, Split.TRAIN, index), pixels_of(index)) for index in range(2)] == [True, True]


def test_unlabelled_test_pictures_keep_their_mark(shard: Any, tmp_path: Path) -> None:
    shard("data/train.parquet", [0, 1], names=["a", "b"])
    shard("data/test.parquet", [-1, -1], names=["a", "b"])
    assert parquet.read(str(tmp_path / "data")).labels[Split.TEST].tolist() == [-1, -1]


def test_a_changed_file_changes_the_identity(shard: Any) -> None:
    file = shard("photos.parquet", [0, 1])
    before = parquet.identity(str(file))
    assert parquet.identity(str(file)) == before
    shard("photos.parquet", [0, 1, 1])
    assert parquet.identity(str(file)) != before


# What is wrong is said in one line


def message(path: Path | str | None) -> str:
    with pytest.raises(DataError) as caught:
        parquet.read(None if path is None else str(path))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_no_path_is_told_how_to_give_one() -> None:
    assert "write --data parquet:PATH" in message(None)


def test_a_missing_path_is_named(tmp_path: Path) -> None:
    assert message(tmp_path / "none.parquet").startswith(f"no Parquet file at {tmp_path / 'none.parquet'}")


def test_a_folder_without_parquet_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    assert message(tmp_path).startswith(f"no Parquet file at {tmp_path}")


def test_a_folder_that_is_called_like_a_file_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "data" / "x.parquet").mkdir(parents=True)
    assert "no Parquet file" in message(tmp_path / "data")


@pytest.mark.parametrize("content", [b"", b"PAR1", b"<html></html>", b"PAR1" + bytes(50) + b"PAR1"])
def test_what_is_not_parquet_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "x.parquet"
    file.write_bytes(content)
    assert f"{file} is not a readable Parquet file" in message(file)


def test_a_truncated_file_is_named(shard: Any) -> None:
    file = shard("x.parquet", [0, 1])
    file.write_bytes(file.read_bytes()[:-20])
    assert f"{file} is not a readable Parquet file" in message(file)


def write_columns(file: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), file)
    return file


def test_a_file_without_pictures_names_its_columns_and_what_is_needed(tmp_path: Path) -> None:
    file = write_columns(tmp_path / "x.parquet", text=["a"], label=[0])
    assert message(file) == f"{file} has columns text, label; needed: one of image, img"


def test_a_picture_column_of_another_kind_is_named(tmp_path: Path) -> None:
    file = write_columns(tmp_path / "x.parquet", image=["a.png"], label=[0])
    assert message(file) == f"{file}: column 'image' is string; needed: a struct with a field 'bytes'"


def test_a_file_without_labels_names_its_columns_and_what_is_needed(tmp_path: Path) -> None:
    file = write_columns(tmp_path / "x.parquet", image=[{"bytes": b"x", "path": "p"}], fine_label=[0])
    assert message(file) == f"{file} has columns image, fine_label; needed: label"


def test_labels_that_are_no_integers_are_named(shard: Any) -> None:
    file = shard("x.parquet", pa.array([0.0, 1.0]))
    assert message(file) == f"{file}: column 'label' is double; needed: integers"


def test_missing_labels_are_counted(shard: Any) -> None:
    file = shard("x.parquet", pa.array([0, None, None]))
    assert message(file) == f"{file}: 2 rows have no label; remove them"


def test_a_label_beyond_the_names_is_named(shard: Any) -> None:
    assert message(shard("x.parquet", [0, 5], names=["a", "b"])) == "label 5 has no name; the metadata names 2 classes"


def test_shards_that_name_their_classes_differently_are_refused(shard: Any, tmp_path: Path) -> None:
    shard("data/train.parquet", [0, 1], names=["cat", "dog"])
    second = shard("data/validation.parquet", [0, 1], names=["dog", "cat"])
    assert str(second) in message(tmp_path / "data")


@pytest.mark.parametrize("content", [None, b""])
def test_a_picture_without_bytes_is_named_by_file_and_row(tmp_path: Path, write_parquet: Any, content: Any) -> None:
    raw = parquet.read(str(write_parquet(tmp_path / "x.parquet", [content, content], [0, 1])))
    with pytest.raises(DataError, match=r"image x\.parquet\[1\] has no bytes"):
        raw.decode(Split.TRAIN, 1)


def test_a_damaged_picture_is_named_by_file_and_row(tmp_path: Path, write_parquet: Any) -> None:
    raw = parquet.read(str(write_parquet(tmp_path / "x.parquet", [b"no picture", b"x"], [0, 1])))
    with pytest.raises(DataError, match=r"image x\.parquet\[0\] cannot be read"):
        raw.decode(Split.TRAIN, 0)


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("default/test/0000.parquet", Split.TEST),
        ("plain/validation/0000.parquet", Split.VALIDATION),
        ("test/train-00000.parquet", Split.TRAIN),
        ("evaluation-00000-of-00001.parquet", Split.TEST),
    ],
)
def test_a_folder_names_the_split_where_the_file_does_not(shard: Any, tmp_path: Path, name: str, split: Split) -> None:
    (tmp_path / "set" / name).parent.mkdir(parents=True)
    shard(f"set/{name}", [0, 1])
    assert list(parquet.read(str(tmp_path / "set")).labels) == [split]


def test_a_shard_that_names_no_split_beside_others_that_do_is_refused(shard: Any, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    shard("set/more.parquet", [0, 1])
    shard("set/test.parquet", [0, 1])
    assert "more.parquet names no split and others do" in message(tmp_path / "set")


def test_labels_need_no_picture_and_a_picture_one_row_group(
    tmp_path: Path, png: Any, pixels_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"bytes": png(pixels_of(index)), "path": ""} for index in range(12)]
    pq.write_table(pa.table({"image": rows, "label": [0, 1] * 6}), tmp_path / "x.parquet", row_group_size=4)
    groups: list[int] = []
    read = pq.ParquetFile.read_row_group
    monkeypatch.setattr(
        pq.ParquetFile,
        "read_row_group",
        lambda self, group, columns: (groups.append(group), read(self, group, columns=columns))[1],
    )
    raw = parquet.read(str(tmp_path / "x.parquet"))
    assert (raw.labels[Split.TRAIN].tolist(), groups) == ([0, 1] * 6, [])
    for index in (5, 6, 7, 11, 0):
        assert np.array_equal(pixels(raw, Split.TRAIN, index), pixels_of(index))
    assert groups == [1, 2, 0]
    assert raw.name(Split.TRAIN, 11) == "x.parquet[11]"
