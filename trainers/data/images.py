"""Any tree of class folders: `images:PATH` with `cat/1.jpg`, or with `train/cat/1.jpg`, `val/...`, `test/...`.

The name of a class is that of its folder; all pictures below it belong to it. Splits may also be
called training, valid, validation, dev, testing, eval or evaluation. Validation and test that are
missing are cut from training, stratified and always the same.
"""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

from trainers.errors import DataError
from trainers.folders import files_below, files_in, folder_at, identity_of, raw_data, split_folders, subfolders
from trainers.images import RawData
from trainers.result import Split

PRETRAINED = "imagenet"
SOURCE_DATA = None


def identity(path: str | None) -> dict[str, object]:
    """Names, sizes and times of all files: changes whenever they do, without reading them."""
    return {"files": identity_of(files_below(folder_at("images", path)))}


def read(path: str | None) -> RawData:
    """Labels and undecoded pictures per split; DataError for files without a class and for classes that clash."""
    root = folder_at("images", path)
    folders = {split: _class_folders(folder) for split, folder in _splits(root).items()}
    names = sorted({name for classes in folders.values() for name in classes})
    if not names:
        raise DataError(f"{root} has no class folders; needed: one folder of pictures per class")
    _check_names(names, root)
    numbers = {name: number for number, name in enumerate(names)}
    files = {
        split: [(numbers[name], file) for name, folder in classes.items() for file in _pictures(folder)]
        for split, classes in folders.items()
    }
    return raw_data(root, tuple(names), files, f"pictures in {path}")


def _splits(root: Path) -> dict[Split, Path]:
    """Split folders if there are any (a class may be called `train`: then no folders are in it), else all training."""
    _check_classes(root)
    splits = {split: folder for split, folder in split_folders(root).items() if subfolders(folder)}
    if not splits:
        return {Split.TRAIN: root}
    others = [folder for folder in subfolders(root) if folder not in splits.values()]
    if others:
        raise DataError(f"{others[0]} is no split and {next(iter(splits.values())).name!r} beside it is; move one away")
    _check_no_files(root)
    return splits


def _check_classes(root: Path) -> None:
    """DataError if all folders are splits and any holds pictures of no class: the splits would become the classes."""
    named = split_folders(root)
    flat = {split: (folder, files_in(folder)) for split, folder in named.items() if _is_flat(folder)}
    if not flat or len(named) < len(subfolders(root)):
        return
    folder, files = flat.get(Split.TRAIN) or next(iter(flat.values()))
    names = ", ".join(folder.name for folder, _ in flat.values())
    is_food11 = Split.TRAIN in flat and all(re.fullmatch(r"\d+_\d+", file.stem) for file in files)
    what_to_do = (
        f"they are named {{class}}_{{index}} as in food-11, which is --data food11:{root}"
        if is_food11
        else f"put them into one folder per class, as {folder.name}/cat/{files[0].name}"
    )
    raise DataError(f"{root} has pictures in its split folders ({names}) and no class folders inside; {what_to_do}")


def _is_flat(folder: Path) -> bool:
    return bool(files_in(folder)) and not subfolders(folder)


def _class_folders(folder: Path) -> dict[str, Path]:
    """Class name -> its folder; composed and decomposed accents are the same name."""
    _check_no_files(folder)
    return {unicodedata.normalize("NFC", inner.name): inner for inner in subfolders(folder)}


def _check_no_files(folder: Path) -> None:
    files = files_in(folder)
    if files:
        raise DataError(f"{len(files)} files in {folder} have no class ({files[0].name}, ...); move them into folders")


def _check_names(names: list[str], root: Path) -> None:
    """DataError for classes that are the same but for upper and lower case."""
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.casefold(), name)
        if other != name:
            raise DataError(f"classes {other!r} and {name!r} in {root} differ by upper and lower case; rename one")


def _pictures(folder: Path) -> list[Path]:
    files = files_below(folder)
    if not files:
        raise DataError(f"class folder {folder} has no pictures; add some or remove it")
    return files
