"""A folder for one process at a time; the lock ends with the process, however it ends."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

LOCK = "lock"
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make a folder and hold it, after waiting for whoever holds it now."""
    while (lock := _acquired(folder, fcntl.LOCK_EX)) is None:
        folder.mkdir(parents=True, exist_ok=True)
    with lock:
        yield


def is_held(folder: Path) -> bool:
    """Whether some process holds the folder."""
    try:
        lock = _acquired(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    if lock is not None:
        lock.close()
    return False


def _acquired(folder: Path, operation: int) -> BinaryIO | None:
    """The locked file; None if the folder is not there, or went while we waited."""
    with ExitStack() as stack, suppress(FileNotFoundError):
        lock = stack.enter_context((folder / LOCK).open("ab"))
        _lock(lock, operation)
        if os.path.samestat(os.fstat(lock.fileno()), (folder / LOCK).stat()):
            stack.pop_all()
            return lock
    return None


def _lock(lock: BinaryIO, operation: int) -> None:
    """On a file system that knows no locks, nothing: writers then only do the same work twice."""
    try:
        fcntl.flock(lock, operation)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
