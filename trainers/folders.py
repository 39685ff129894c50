"""Trees of picture files, as data files read them: which folder means which split, which files are pictures."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from trainers.errors import DataError
from trainers.files import entry_is_folder
from trainers.files import subfolders as folder_names
from trainers.images import MAX_FILE_BYTES, RawData, decode_image
from trainers.result import Split
from trainers.spec import digest_of

SPLIT_WORDS = {
    "train": Split.TRAIN,
    "training": Split.TRAIN,
    "val": Split.VALIDATION,
    "valid": Split.VALIDATION,
    "validation": Split.VALIDATION,
    "dev": Split.VALIDATION,
    "test": Split.TEST,
    "testing": Split.TEST,
    "eval": Split.TEST,
    "evaluation": Split.TEST,
}
NO_PICTURES = (".txt", ".md", ".json", ".csv", ".xml", ".yaml", ".yml", ".db", ".ini")
"""Notes beside pictures. Any other file that is not hidden counts as a picture, and must be one."""

Files = Mapping[Split, list[tuple[int, Path]]]
"""Per split: label (-1: none) and file of every picture."""


def split_in_name(path: Path) -> Split | None:
    """The split that a path names, its file name before its folders: `test/0000.parquet`, `train-00000.parquet`."""
    for part in reversed(path.with_suffix("").parts):
        for word in re.split(r"[^a-z0-9]+", part.lower()):
            if word in SPLIT_WORDS:
                return SPLIT_WORDS[word]
    return None


def folder_at(data: str, path: str | None) -> Path:
    """The folder that a user named; DataError if there is none."""
    if not path:
        raise DataError(f"{data} needs a folder; write --data {data}:PATH")
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise DataError(f"no folder at {folder}; give the one that holds the pictures: --data {data}:PATH")
    return folder


def split_folders(root: Path) -> dict[Split, Path]:
    """The folders in `root` that are named like a split; DataError if two mean the same."""
    found: dict[Split, Path] = {}
    for folder in subfolders(root):
        split = SPLIT_WORDS.get(folder.name.lower())
        if split in found:
            raise DataError(f"{folder} and {found[split]} both mean {split}; keep one of them")
        if split is not None:
            found[split] = folder
    return found


def subfolders(folder: Path) -> list[Path]:
    """Folders in a folder, by name, but for hidden ones."""
    return [folder / name for name in folder_names(folder)]


def files_in(folder: Path) -> list[Path]:
    """What lies right in a folder and must be pictures, by name: pipes and links that lead nowhere are among them."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if _may_be_picture(entry.name) and not entry_is_folder(entry)]
    return sorted(folder / name for name in names)


def files_below(folder: Path) -> list[Path]:
    """Files anywhere below a folder that must be pictures, by name; links are followed, once each."""
    return sorted(_walk(folder, set()))


def _walk(folder: Path, seen: set[Path]) -> Iterator[Path]:
    place = folder.resolve()
    if place not in seen:
        seen.add(place)
        yield from files_in(folder)
        for inner in subfolders(folder):
            yield from _walk(inner, seen)


def _may_be_picture(name: str) -> bool:
    return not name.startswith(".") and not name.lower().endswith(NO_PICTURES)


def identity_of(files: Iterable[Path]) -> str:
    """Digest of names, sizes and times: changes whenever the files do, without reading them."""
    stats = ((file, _stat(file)) for file in files)
    return digest_of([[os.path.abspath(file), found.st_size, found.st_mtime_ns] for file, found in stats])


def _stat(file: Path) -> os.stat_result:
    """Of a file, or of a link that leads nowhere or to itself."""
    try:
        return file.stat()
    except OSError:
        return file.lstat()


def raw_data(root: Path, class_names: tuple[str, ...], files: Files, origin: str) -> RawData:
    """Labelled picture files below `root`, each decoded when it is asked for."""

    def name(split: Split, index: int) -> str:
        return str(files[split][index][1].relative_to(root))

    def decode(split: Split, index: int) -> Image.Image:
        return _decode(files[split][index][1], name(split, index))

    labels = {split: np.array([label for label, _ in pairs], dtype=np.int64) for split, pairs in files.items()}
    return RawData(class_names=class_names, labels=labels, decode=decode, origin=origin, name=name)


def _decode(file: Path, name: str) -> Image.Image:
    try:
        found = file.stat()
        if not stat.S_ISREG(found.st_mode):  # reading a pipe or a device may never end
            raise DataError(f"image {name} cannot be read (it is no file)")
        size_bytes = found.st_size
        if not size_bytes:  # nor may what the kernel says in files without a size
            raise DataError(f"image {name} cannot be read (it is empty)")
        if size_bytes > MAX_FILE_BYTES:
            raise DataError(f"image {name} cannot be read ({size_bytes} bytes; at most {MAX_FILE_BYTES})")
        return decode_image(file.read_bytes(), name)
    except OSError as error:
        raise DataError(f"image {name} cannot be read ({error.strerror})") from error
