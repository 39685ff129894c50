"""Room on a disk: how much is free, how much of it stays free, and what a full disk is told as.

What stays free is for what is small and must not fail: records, logs, tables, and whatever else lives on the disk.
"""

from __future__ import annotations

import errno
import shutil
import sys
from pathlib import Path

from trainers.errors import DiskFullError, SweepError
from trainers.remote import Place, RemotePath

RESERVED_BYTES = 256 * 2**20
RESERVED_SHARE = 50
"""At most those bytes, and of a small disk the fiftieth part."""

FULL = (errno.ENOSPC, errno.EDQUOT)
FREE_SOME = "free some space and run the same command again"


def free_bytes(path: Place) -> int:
    """Free on the disk that a file or folder is on, or will be once it is made.

    No end of it in a bucket, and on a disk that does not tell its size, as some that are reached over a network.
    """
    return _free_and_total(path)[0]


def room_bytes(path: Place) -> int:
    """What may still be written there: the free bytes without those that stay free; below 0 if they are too few."""
    free, total = _free_and_total(path)
    return free - min(RESERVED_BYTES, total // RESERVED_SHARE)


def _free_and_total(path: Place) -> tuple[int, int]:
    if isinstance(path, RemotePath):
        return sys.maxsize, 0
    usage = shutil.disk_usage(next(folder for folder in (path, *path.parents) if folder.exists()))
    return (usage.free, usage.total) if usage.total else (sys.maxsize, 0)


def check_room(file: Place, num_bytes: int) -> None:
    """DiskFullError if a file of so many bytes would take of what stays free."""
    room = room_bytes(file.parent)
    if num_bytes > room:
        raise DiskFullError(f"no room for {file}: it takes {num_bytes:,} bytes, {max(0, room):,} are left; {FREE_SOME}")


def disk_full(file: Path) -> DiskFullError:
    """The error of a file that could not be written."""
    return DiskFullError(f"disk full while writing {file} ({free_bytes(file.parent):,} bytes are free); {FREE_SOME}")


def is_full(error: BaseException) -> bool:
    """Whether an error came of a full disk or quota, whoever raised it."""
    if isinstance(error, DiskFullError):
        return True
    return isinstance(error, OSError) and (error.errno in FULL or "No space left on device" in str(error))


def explained(error: BaseException) -> str:
    """An error as the command line tells it; a full disk with what to do, wherever it was met."""
    text = " ".join(str(error).split())
    if is_full(error) and not isinstance(error, SweepError):
        return f"disk full ({text}); {FREE_SOME}"
    return text
