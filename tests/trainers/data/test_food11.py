"""food-11 in both public layouts: labels come from file names or class folders, and nothing else of the path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from trainers.data import food11
from trainers.errors import DataError
from trainers.prepare import DataRequest, prepare
from trainers.result import Split
from trainers.storage import Store

FOLDERS = (
    *("Bread", "Dairy product", "Dessert", "Egg", "Fried food", "Meat"),
    *("Noodles-Pasta", "Rice", "Seafood", "Soup", "Vegetable-Fruit"),
)
"""As a public copy calls them; a slash cannot be in a name."""
COUNTS = {"training": 12, "validation": 2, "evaluation": 1}


def pairs() -> list[tuple[str, int, int]]:
    """(split, class, index) of every picture; training has enough for the tenth picture to sort after the second."""
    return [(split, label, index) for split, count in COUNTS.items() for label in range(11) for index in range(count)]


def flat(split: str, label: int, index: int) -> str:
    return f"{split}/{label}_{index}.jpg"


def in_folders(split: str, label: int, index: int) -> str:
    return f"{split}/{FOLDERS[label]}/{index}.jpg"


def in_folders_with_whole_names(split: str, label: int, index: int) -> str:
    return f"{split}/{FOLDERS[label].replace('-', '_')}/{label}_{index}.jpg"


def in_numbered_folders(split: str, label: int, index: int) -> str:
    return f"{split}/{label:02d}/{index:04d}.jpg"


LAYOUTS = [flat, in_folders, in_folders_with_whole_names, in_numbered_folders]


def quietly(store: Store, root: Path) -> Any:
    return prepare(store, DataRequest(name="food11", path=str(root), image_size=16), lambda done, total: None)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_labels_are_right_under_a_path_full_of_digits_and_spaces(tmp_path: Path, write_tree: Any, layout: Any) -> None:
    raw = food11.read(str(write_tree(tmp_path / "2020 hw 7" / "3_1 food 11", [layout(*pair) for pair in pairs()])))
    assert raw.class_names[6] == "Noodles/Pasta"
    assert len(raw.class_names) == 11
    for split, (name, count) in zip(Split, COUNTS.items(), strict=True):
        assert raw.labels[split].tolist() == [label for label in range(11) for _ in range(count)], name


def test_all_layouts_are_the_same_data(tmp_path: Path, write_tree: Any) -> None:
    fingerprints = set()
    for layout in LAYOUTS:
        store = Store(tmp_path / f"store {layout.__name__}").open()
        root = write_tree(tmp_path / "4 5_6" / layout.__name__, [layout(*pair) for pair in pairs()])
        fingerprints.add(quietly(store, root).fingerprint)
    assert len(fingerprints) == 1


def test_unlabelled_testing_pictures_are_kept_without_a_test_accuracy(tmp_path: Path, write_tree: Any) -> None:
    names = [flat(*pair) for pair in pairs() if pair[0] != "evaluation"]
    manifest = quietly(
        Store(tmp_path / "store").open(), write_tree(tmp_path / "x", [*names, "testing/0000.jpg", "testing/0001.jpg"])
    )
    assert not manifest.has_test_labels
    assert manifest.num_images == {"train": 132, "validation": 22, "test": 2}
    assert manifest.name == "food11:x"


def message(root: Path) -> str:
    with pytest.raises(DataError) as caught:
        food11.read(str(root))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", ["training/x.jpg", "training/0000.jpg", "training/11_3.jpg", "validation/3.jpg"])
def test_a_file_without_a_label_is_counted_and_named(tmp_path: Path, write_tree: Any, name: str) -> None:
    root = write_tree(tmp_path, ["training/0_0.jpg", "validation/0_0.jpg", name])
    assert f"1 of 2 files in {(root / name).parent} have no label ({Path(name).name}, ...)" in message(root)


def test_test_pictures_are_all_labelled_or_none_is(tmp_path: Path, write_tree: Any) -> None:
    root = write_tree(tmp_path, ["training/0_0.jpg", "testing/0_1.jpg", "testing/0002.jpg"])
    assert f"1 of 2 files in {root / 'testing'} have no label (0002.jpg, ...)" in message(root)


def test_a_folder_that_is_no_class_is_named_with_those_that_are(tmp_path: Path, write_tree: Any) -> None:
    root = write_tree(tmp_path, ["training/Pizza/1.jpg"])
    assert f"{root / 'training' / 'Pizza'} is no class of food-11; have: Bread, Dairy product" in message(root)


def test_a_folder_around_the_right_one_says_what_is_inside(tmp_path: Path, write_tree: Any) -> None:
    root = write_tree(tmp_path, ["food-11/training/0_0.jpg"])
    assert message(root) == f"{root} has no folder 'training' (inside: food-11); give the folder that holds it"


def test_files_beside_class_folders_are_named(tmp_path: Path, write_tree: Any) -> None:
    root = write_tree(tmp_path, ["training/Egg/1.jpg", "training/0_0.jpg"])
    assert f"1 files in {root / 'training'} lie beside class folders (0_0.jpg, ...)" in message(root)
