"""`images:PATH`: trees of class folders, sound and not."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainers.data import images
from trainers.errors import DataError
from trainers.result import Split


def read(root: Path) -> Any:
    return images.read(str(root))


def labels(raw: Any) -> dict[Split, list[int]]:
    return {split: numbers.tolist() for split, numbers in raw.labels.items()}


def message(root: Path) -> str:
    with pytest.raises(DataError) as caught:
        read(root)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_class_folders_alone_are_training(tmp_path: Path, write_tree: Any, photo: Any) -> None:
    raw = read(write_tree(tmp_path / "7_pets", ["dog/1.png", "cat/b.png", "cat/a.png"]))
    assert raw.class_names == ("cat", "dog")
    assert labels(raw) == {Split.TRAIN: [0, 0, 1]}
    for index, written in enumerate([2, 1, 0]):
        assert np.array_equal(np.asarray(raw.decode(Split.TRAIN, index)), np.asarray(photo(written)))
    assert raw.name(Split.TRAIN, 2) == "dog/1.png"


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [("train", "val", "test"), ("Training", "validation", "evaluation"), ("train", "dev", "TEST")],
)
def test_splits_are_known_by_their_usual_names(
    tmp_path: Path, write_tree: Any, train: str, validation: str, test: str
) -> None:
    names = [
        f"{train}/a/1.png",
        f"{train}/b/2.png",
        f"{validation}/a/3.png",
        f"{validation}/b/4.png",
        f"{test}/b/5.png",
    ]
    raw = read(write_tree(tmp_path, names))
    assert labels(raw) == {Split.TRAIN: [0, 1], Split.VALIDATION: [0, 1], Split.TEST: [1]}


def test_a_class_may_be_called_like_a_split(tmp_path: Path, write_tree: Any) -> None:
    raw = read(write_tree(tmp_path, ["train/1.png", "plane/1.png", "car/1.png"]))
    assert raw.class_names == ("car", "plane", "train")


@pytest.mark.parametrize(
    ("names", "what_to_do"),
    [
        (["training/0_12.jpg", "evaluation/10_3.jpg"], "they are named {class}_{index} as in food-11, which is "),
        (["train/1.png", "val/2.png"], "put them into one folder per class, as train/cat/1.png"),
        (["train/1.png", "val/.hidden.png"], "put them into one folder per class, as train/cat/1.png"),
        (["train/1.png", "test/cat/2.png"], "put them into one folder per class, as train/cat/1.png"),
        (["test/1.png"], "put them into one folder per class, as test/cat/1.png"),
    ],
)
def test_split_folders_that_hold_pictures_and_no_classes_are_not_taken_for_classes(
    tmp_path: Path, write_tree: Any, names: list[str], what_to_do: str
) -> None:
    text = message(write_tree(tmp_path, names))
    assert "and no class folders inside; " + what_to_do in text
    assert text.endswith(f"--data food11:{tmp_path}") == ("food-11" in text)


def test_pictures_below_a_class_folder_are_of_the_class_however_deep(tmp_path: Path, write_tree: Any) -> None:
    raw = read(write_tree(tmp_path, ["cat/tabby/old/1.png", "cat/2.png", "dog/3.png"]))
    assert labels(raw) == {Split.TRAIN: [0, 0, 1]}


def test_linked_folders_are_followed_and_a_circle_of_links_ends(tmp_path: Path, write_tree: Any) -> None:
    root = write_tree(tmp_path / "set", ["cat/1.png", "dog/1.png"])
    write_tree(tmp_path / "more", ["2.png"])
    (root / "cat" / "more").symlink_to(tmp_path / "more")
    (root / "cat" / "again").symlink_to(root / "cat")
    assert labels(read(root)) == {Split.TRAIN: [0, 0, 1]}


def test_notes_and_hidden_files_are_no_pictures(tmp_path: Path, write_tree: Any) -> None:
    root = write_tree(tmp_path, ["cat/1.png", "dog/1.png"])
    for name in ("README.md", "cat/.DS_Store", "cat/Thumbs.db", ".cache/x.png", "dog/labels.csv"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(b"x")
    assert labels(read(root)) == {Split.TRAIN: [0, 1]}


def test_any_other_file_in_a_class_folder_must_be_a_picture(tmp_path: Path, write_tree: Any) -> None:
    root = write_tree(tmp_path, ["cat/1.png", "dog/1.png"])
    (root / "cat" / "2.heic").write_bytes(b"not for us")
    raw = read(root)
    assert labels(raw) == {Split.TRAIN: [0, 0, 1]}
    with pytest.raises(DataError, match=r"image cat/2\.heic cannot be read \(no known picture format\)"):
        raw.decode(Split.TRAIN, 1)


def test_accents_written_in_two_ways_are_one_class(tmp_path: Path, write_tree: Any) -> None:
    composed, decomposed = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    raw = read(write_tree(tmp_path, [f"train/{composed}/1.png", "train/tea/1.png", f"val/{decomposed}/2.png"]))
    assert raw.class_names == (composed, "tea")
    assert labels(raw)[Split.VALIDATION] == [0]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    assert f"no folder at {tmp_path / 'none'}" in message(tmp_path / "none")


def test_a_folder_without_class_folders_is_named(tmp_path: Path) -> None:
    assert message(tmp_path) == f"{tmp_path} has no class folders; needed: one folder of pictures per class"


def test_an_empty_class_folder_is_named(tmp_path: Path, write_tree: Any) -> None:
    root = write_tree(tmp_path, ["cat/1.png", "dog/1.png"])
    (root / "emu").mkdir()
    assert message(root) == f"class folder {root / 'emu'} has no pictures; add some or remove it"


@pytest.mark.parametrize("where", ["", "train"])
def test_files_without_a_class_are_counted_and_named(tmp_path: Path, write_tree: Any, where: str) -> None:
    root = write_tree(tmp_path, ["train/cat/1.png", "train/dog/1.png", "val/cat/2.png", "val/dog/2.png"])
    write_tree(root / where, ["8.png", "9.png"])
    assert message(root) == f"2 files in {root / where} have no class (8.png, ...); move them into folders"


def test_classes_that_differ_by_case_are_named_even_in_two_splits(tmp_path: Path, write_tree: Any) -> None:
    root = write_tree(tmp_path, ["train/Cat/1.png", "train/dog/1.png", "val/cat/2.png", "val/dog/2.png"])
    assert message(root) == f"classes 'Cat' and 'cat' in {root} differ by upper and lower case; rename one"


def test_a_folder_that_is_no_split_beside_splits_is_named(tmp_path: Path, write_tree: Any) -> None:
    root = write_tree(tmp_path, ["train/cat/1.png", "extra/cat/1.png"])
    assert message(root) == f"{root / 'extra'} is no split and 'train' beside it is; move one away"


def test_two_folders_for_one_split_are_named(tmp_path: Path, write_tree: Any) -> None:
    root = write_tree(tmp_path, ["train/cat/1.png", "val/cat/1.png", "valid/cat/2.png"])
    assert message(root) == f"{root / 'valid'} and {root / 'val'} both mean validation; keep one of them"


def test_a_new_a_changed_and_a_renamed_file_change_the_identity(tmp_path: Path, write_tree: Any) -> None:
    root = write_tree(tmp_path, ["cat/1.png", "dog/1.png"])
    seen = [images.identity(str(root))]
    write_tree(root / "cat", ["3.png"])
    seen.append(images.identity(str(root)))
    (root / "cat" / "3.png").write_bytes(b"x")
    seen.append(images.identity(str(root)))
    (root / "cat" / "3.png").rename(root / "cat" / "4.png")
    seen.append(images.identity(str(root)))
    assert len({str(one) for one in seen}) == 4
