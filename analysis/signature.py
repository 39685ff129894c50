"""Whether the files of a finished run are still those that were read, without opening one. Imports next to nothing.

A file is taken for unchanged while its size, both its times and its inode are; a folder of attempts likewise, so that a
new attempt is noticed. A changed bit that leaves all of these alone is for `analysis.store STORE verify` to find.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence

SETTLED_SECONDS = 2.0
"""A run whose files changed this shortly before it was read is read again: file systems count time in steps."""

_NANOSECONDS = 1_000_000_000

Seen = tuple[str, str, str, bytes]
"""Run id, token of the attempt with the result, the result's files joined by line ends, and the signature."""


def is_remote(root: str) -> bool:
    """Whether a store is in a bucket, where a listing tells (`analysis.listed`)."""
    return root.startswith("s3://")


def signature(root: str, run: str, attempt: str, files: str) -> bytes:
    """Sizes, times and inodes of a finished run's files; empty if one is missing."""
    return _taken(root, run, attempt, files)[0]


def settled_signature(root: str, run: str, attempt: str, files: str, read_at: float) -> bytes:
    """The same; empty as well if something changed shortly before the run was read, or later (seconds since 1970)."""
    taken, newest = _taken(root, run, attempt, files)
    return taken if newest < (read_at - SETTLED_SECONDS) * _NANOSECONDS else b""


def are_unchanged(root: str, runs: Sequence[Seen]) -> list[bool]:
    """For each run, whether its signature is the one that was noted."""
    if is_remote(root):
        from analysis.listed import signatures

        found = signatures(root, [run for run, *_ in runs])
        return [found.get(run) == noted for run, _, _, noted in runs]
    return [signature(root, run, attempt, files) == noted for run, attempt, files, noted in runs]


def _taken(root: str, run: str, attempt: str, files: str) -> tuple[bytes, int]:
    """The signature, and the newest time in it."""
    folder = f"{root}/runs/{run}"
    inner = f"{folder}/attempts/{attempt}/"
    paths = [f"{folder}/spec.json", f"{folder}/result.json", f"{folder}/attempts"]
    paths += [inner + name for name in files.split("\n")] if files else []
    values: list[int] = []
    newest = 0
    try:
        for path in paths:
            found = os.stat(path)
            times = (found.st_mtime_ns, found.st_ctime_ns)
            values += (found.st_size, found.st_ino, *times)
            newest = max(newest, *times)
    except OSError:
        return b"", newest
    return struct.pack(f"<{len(values)}Q", *(value & 0xFFFF_FFFF_FFFF_FFFF for value in values)), newest
