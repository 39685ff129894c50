"""The arrays of a prepared data set: how decoded pictures become files, and what identifies them.

Per split `<split>_labels.npy` (N,), and `<split>_images.npy`: (N, S, S, 3), or for pictures of unequal
sizes their bytes one after the other, with (height, width) in `<split>_sizes.npy` (N, 2).
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from trainers.files import file_digest
from trainers.result import Split
from trainers.spec import digest_of

FORMAT_VERSION = 1
COPY_BYTES = 2**20

Indices = npt.NDArray[np.int64]


def images_file(folder: Path, split: Split) -> Path:
    """The pixels of a split."""
    return folder / f"{split.value}_images.npy"


def labels_file(folder: Path, split: Split) -> Path:
    """The labels of a split."""
    return folder / f"{split.value}_labels.npy"


def sizes_file(folder: Path, split: Split) -> Path:
    """Heights and widths, only of pictures that are not all squares of one size."""
    return folder / f"{split.value}_sizes.npy"


def write_split(
    folder: Path, split: Split, parts: Sequence[Path], sizes_N2: Indices, labels: Indices, square: int | None
) -> None:
    """The arrays of a split from files that hold its pictures' bytes in order; `square` is S if all are S x S."""
    num_bytes = int(sizes_N2.prod(axis=1).sum()) * 3
    shape = (num_bytes,) if square is None else (len(sizes_N2), square, square, 3)
    _join(images_file(folder, split), shape, parts)
    np.save(labels_file(folder, split), labels)
    if square is None:
        np.save(sizes_file(folder, split), sizes_N2)


def _join(file: Path, shape: tuple[int, ...], parts: Sequence[Path]) -> None:
    """An array of bytes; written, not mapped: a full disk would end the process without a word."""
    with file.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": shape})
        for part in parts:
            with part.open("rb") as content:
                shutil.copyfileobj(content, stream, COPY_BYTES)
        stream.flush()
        os.fsync(stream.fileno())  # the manifest that is written later says that all of it is there


def fingerprint(folder: Path, class_names: tuple[str, ...], image_size: int) -> str:
    """First 16 hexadecimal digits of a SHA-256 over everything that training can see."""
    digest = hashlib.sha256(digest_of([FORMAT_VERSION, list(class_names)]).encode())
    for split in Split:
        for file in (images_file(folder, split), labels_file(folder, split)):
            digest.update(file_digest(file).encode())
        if sizes_file(folder, split).exists():  # then the pictures do not say what is cut from them
            digest.update(f"{file_digest(sizes_file(folder, split))}/{image_size}".encode())
    return digest.hexdigest()[:16]
