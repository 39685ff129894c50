"""Arrays of numbers in NumPy's files, read without unpickling: everything that reads one does so here."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from trainers.errors import CorruptFileError

_UNREADABLE = (OSError, ValueError, EOFError, SyntaxError, TypeError, OverflowError, MemoryError, zipfile.BadZipFile)
"""What NumPy raises for a file that is none of its own, or holds objects."""


def load_array(file: Path, mmap_mode: Literal["r", "c"] | None = None) -> npt.NDArray[Any]:
    """The numbers in a file, mapped into memory if asked for; CorruptFileError if it holds anything else."""
    try:
        array = np.load(file, mmap_mode=mmap_mode, allow_pickle=False)
    except _UNREADABLE as error:
        raise CorruptFileError(f"{file} cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(array, np.ndarray):
        array.close()
        raise CorruptFileError(f"{file} cannot be read: it is an archive of arrays")
    if array.dtype.kind not in "uif":
        raise CorruptFileError(f"{file} cannot be read: it holds {array.dtype}, no numbers")
    return array
