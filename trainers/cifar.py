"""CIFAR's binary version: records of label bytes and 3 x 32 x 32 pixels. The Python version is a pickle, never opened.

Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009;
https://www.cs.toronto.edu/~kriz/cifar.html describes the records.
"""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from trainers.downloads import Download, fetched
from trainers.errors import DataError
from trainers.folders import identity_of
from trainers.images import RawData, array_data
from trainers.result import Split

PIXELS = 3 * 32 * 32
MAX_MEMBER_BYTES = 2**28


@dataclass(frozen=True, kw_only=True)
class Cifar:
    """One of the two sets: its archive, the folder and files inside, and where a record keeps its label."""

    data: str
    archive: Download
    folder: str
    files: Mapping[Split, tuple[str, ...]]
    num_label_bytes: int
    names_file: str
    num_classes: int

    @property
    def all_files(self) -> tuple[str, ...]:
        """Every file that is read."""
        return (*(name for names in self.files.values() for name in names), self.names_file)


def identity(cifar: Cifar, path: str | None) -> dict[str, object]:
    """The published checksum, or names, sizes and times of the user's files."""
    if not path:
        return {"sha256": cifar.archive.sha256}
    place = _place(cifar, path)
    return {"files": identity_of([place / name for name in cifar.all_files] if place.is_dir() else [place])}


def read(cifar: Cifar, path: str | None) -> RawData:
    """All pictures of an archive or of its unpacked files; DataError for what is missing or of another length."""
    place = _place(cifar, path) if path else fetched(cifar.data, cifar.archive)
    contents = _contents(cifar, place)
    names = tuple(contents[cifar.names_file].decode("ascii", "replace").split())
    if len(names) != cifar.num_classes:
        raise DataError(f"{place}: {cifar.names_file} names {len(names)} classes; needed: {cifar.num_classes}")
    records = {split: [_records(cifar, name, contents[name]) for name in files] for split, files in cifar.files.items()}
    tables = {split: np.concatenate(parts) for split, parts in records.items()}
    labels = {split: table[:, cifar.num_label_bytes - 1].astype(np.int64) for split, table in tables.items()}
    images = {split: _pictures(table[:, cifar.num_label_bytes :]) for split, table in tables.items()}
    return array_data(names, images, labels, f"{cifar.data} in {place}")


def _place(cifar: Cifar, path: str) -> Path:
    """The archive, or the folder with the unpacked files, that a user's path means."""
    root = Path(path).expanduser()
    for folder in (root, root / cifar.folder):
        if all((folder / name).is_file() for name in cifar.all_files):
            return folder
    for archive in (root, root / cifar.archive.name):
        if archive.is_file() and archive.name.endswith(".tar.gz"):
            return archive
    raise DataError(
        f"no {cifar.data} at {root}; needed: {cifar.archive.name} (from {cifar.archive.url}) or its files, "
        "unpacked (the Python version is a pickle, which is never opened)"
    )


def _contents(cifar: Cifar, place: Path) -> dict[str, bytes]:
    """File name -> content, from a folder or straight from the archive."""
    try:
        if place.is_dir():
            return {name: (place / name).read_bytes() for name in cifar.all_files}
        with tarfile.open(place, "r:gz") as archive:
            return {name: _member(archive, f"{cifar.folder}/{name}") for name in cifar.all_files}
    except (OSError, EOFError, KeyError, zlib.error, tarfile.TarError) as error:
        raise DataError(
            f"{place} cannot be read ({' '.join(str(error).split())}); needed: {cifar.archive.url}"
        ) from error


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    member = archive.getmember(name)
    stream = archive.extractfile(member) if member.size <= MAX_MEMBER_BYTES else None
    if stream is None:
        raise tarfile.TarError(f"{name} is no file, or has {member.size} bytes")
    return stream.read()


def _records(cifar: Cifar, name: str, content: bytes) -> npt.NDArray[np.uint8]:
    """(N, label bytes + pixels)."""
    length = cifar.num_label_bytes + PIXELS
    if not content or len(content) % length:
        raise DataError(f"{cifar.data}: {name} has {len(content)} bytes; needed: a multiple of {length}")
    return np.frombuffer(content, dtype=np.uint8).reshape(-1, length)


def _pictures(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Planes of red, green and blue -> (N, 32, 32, 3)."""
    return np.ascontiguousarray(pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
