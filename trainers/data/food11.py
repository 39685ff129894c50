"""Food-11, 11 classes of food photos: `food11:PATH`, a folder with `training`, `validation`, `evaluation` or `testing`.

Each holds `{class}_{index}.jpg` with classes 0 to 10, or one folder per class, called by its name or
number; both give the same data. `testing` may be unlabelled (`0000.jpg`): then there is no test accuracy.
Source: M. Singla, L. Yuan, T. Ebrahimi, "Food/Non-food Image Classification and Food Categorization", 2016;
file names and order of classes as NTU's course "Machine Learning" (spring 2020) handed them out.
"""

from __future__ import annotations

import re
from pathlib import Path

from trainers.errors import DataError
from trainers.folders import files_below, files_in, folder_at, identity_of, raw_data, split_folders, subfolders
from trainers.images import RawData
from trainers.result import Split

PRETRAINED = "imagenet"
SOURCE_DATA = None

CLASS_NAMES = (
    *("Bread", "Dairy product", "Dessert", "Egg", "Fried food", "Meat"),
    *("Noodles/Pasta", "Rice", "Seafood", "Soup", "Vegetable/Fruit"),
)
LABELLED, UNLABELLED = re.compile(r"(\d+)_(\d+)"), re.compile(r"\d+")

Labelled = list[tuple[int, Path]]


def identity(path: str | None) -> dict[str, object]:
    """Names, sizes and times of all files: changes whenever they do, without reading them."""
    return {"files": identity_of(files_below(folder_at("food11", path)))}


def read(path: str | None) -> RawData:
    """Labels from file names or class folders, and nothing else of the path; DataError for a file without one."""
    root = folder_at("food11", path)
    folders = split_folders(root)
    if Split.TRAIN not in folders:
        inside = ", ".join(folder.name for folder in subfolders(root)) or "no folder"
        raise DataError(f"{root} has no folder 'training' (inside: {inside}); give the folder that holds it")
    files = {split: sorted(_labelled(folder, split), key=_place) for split, folder in folders.items()}
    return raw_data(root, CLASS_NAMES, files, f"food-11 in {path}")


def _labelled(folder: Path, split: Split) -> Labelled:
    """(label, file) of every picture of a split, in either layout."""
    classes, flat = subfolders(folder), files_in(folder)
    if classes and flat:
        raise DataError(f"{len(flat)} files in {folder} lie beside class folders ({flat[0].name}, ...); move them")
    if classes:
        return [(_label_of_folder(inner), file) for inner in classes for file in files_below(inner)]
    if split is Split.TEST and all(UNLABELLED.fullmatch(file.stem) for file in flat):
        return [(-1, file) for file in flat]
    silent = [file.name for file in flat if _label_of_file(file) is None]
    if silent:
        raise DataError(
            f"{len(silent)} of {len(flat)} files in {folder} have no label ({silent[0]}, ...); "
            "needed: {class}_{index}.jpg with classes 0 to 10, or one folder per class"
        )
    return [(label, file) for file in flat if (label := _label_of_file(file)) is not None]


def _label_of_file(file: Path) -> int | None:
    found = LABELLED.fullmatch(file.stem)
    return int(found[1]) if found and int(found[1]) < len(CLASS_NAMES) else None


def _label_of_folder(folder: Path) -> int:
    """`Noodles-Pasta`, `noodles_pasta` and `6` are all class 6."""
    plain = [_letters(name) for name in CLASS_NAMES]
    if folder.name.isdecimal() and int(folder.name) < len(CLASS_NAMES):
        return int(folder.name)
    if _letters(folder.name) in plain:
        return plain.index(_letters(folder.name))
    raise DataError(f"{folder} is no class of food-11; have: {', '.join(CLASS_NAMES)}")


def _letters(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.lower())


def _place(labelled: tuple[int, Path]) -> tuple[int, int, str]:
    """The order of pictures, the same in both layouts: by class, then by the last number of the file's name."""
    label, file = labelled
    numbers = re.findall(r"\d+", file.stem)
    return label, int(numbers[-1]) if numbers else -1, file.name
