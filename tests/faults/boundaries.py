"""Kills a process at a chosen file operation under a folder: before it, with half of a write done, or right after it.

Only the operations through which a program can change a folder are looked at: opening a file for writing, each write,
`fsync`, `replace`, `link`, `unlink`, `mkdir`, `rmdir`. What was not flushed yet is lost, as it is in any kill.
"""

from __future__ import annotations

import builtins
import io
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

CHANGES = ("replace", "link", "unlink", "mkdir", "rmdir")
SEEN_AFTERWARDS = ("replace", "link")
"""Operations after which the process may die as well: the file has its name by then."""


class Boundaries:
    """Counts the boundaries in a folder, says each to `note` and ends the process at number `fatal` (0: never)."""

    def __init__(self, root: Path, fatal: int, note: Callable[[str], None]) -> None:
        self._root, self._fatal, self._note = str(root), fatal, note
        self._lock = threading.RLock()
        self._number = 0

    def watch(self) -> None:
        """From now on, in this process and for good."""
        for name in CHANGES:
            setattr(os, name, self._watched(name, getattr(os, name)))
        self._fsync, self._open = os.fsync, io.open
        os.fsync = self._watched_fsync
        builtins.open = io.open = self._watched_open  # type: ignore[assignment]

    def reached(self, operation: str, path: str) -> bool:
        """One more boundary; whether the process must die at this one."""
        with self._lock:
            self._number += 1
            self._note(f"{operation} {kind_of(path, self._root)}")
            return self._number == self._fatal

    def pass_by(self, operation: str, path: str) -> None:
        """One more boundary, at which nothing is half done."""
        if self.reached(operation, path):
            die()

    def _watched(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def watched(path: Any, *more: Any, **options: Any) -> Any:
            place = str(more[0]) if name in SEEN_AFTERWARDS else str(path)
            if not self._is_inside(place, options):
                return real(path, *more, **options)
            self.pass_by(f"before {name}", place)
            done = real(path, *more, **options)
            if name in SEEN_AFTERWARDS:
                self.pass_by(f"after {name}", place)
            return done

        return watched

    def _is_inside(self, path: str, options: dict[str, Any]) -> bool:
        return path.startswith(self._root) or options.get("dir_fd") is not None

    def _watched_fsync(self, descriptor: int) -> None:
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        if path.startswith(self._root):
            self.pass_by("before fsync", path)
        self._fsync(descriptor)

    def _watched_open(self, file: Any, mode: str = "r", *more: Any, **options: Any) -> Any:
        path = str(file)
        if isinstance(file, int) or not path.startswith(self._root) or not set(mode) & set("wxa"):
            return self._open(file, mode, *more, **options)
        self.pass_by("before open", path)
        return Halved(self._open(file, mode, *more, **options), path, self)


class Halved:
    """A file whose fatal write is done by half."""

    def __init__(self, stream: Any, path: str, boundaries: Boundaries) -> None:
        self._stream, self._path, self._boundaries = stream, path, boundaries

    def write(self, content: Any) -> Any:
        """Write; if this is where the process dies, half of it, which then is in the file."""
        if self._boundaries.reached("half-written", self._path):
            self._stream.write(content[: len(content) // 2])
            self._stream.flush()
            die()
        return self._stream.write(content)

    def __enter__(self) -> Halved:
        return self

    def __exit__(self, *error: Any) -> None:
        self._stream.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def die() -> None:
    """As the kernel ends a process: at once, whatever other threads are at."""
    os.kill(os.getpid(), signal.SIGKILL)


def kind_of(path: str, root: str) -> str:
    """What a file of the store is: `result.json`, `checkpoint`, `data`; for one that is written aside, its target."""
    name = Path(path).name
    if name.startswith((".writing-", ".probe-")):
        name = Path(_target(path)).name
    parts = Path(path.removeprefix(root)).parts
    above = parts[1] if len(parts) > 2 else ""
    if "-00000000" in name:
        return "chunk"
    if name.startswith((".", "checkpoint-", "set-aside-", "epoch-")):
        return name.rpartition("-")[0] if name.startswith(".") else name.split("-")[0]
    if (
        "requests" in parts
        or above in ("plans", "weights", "plugins", "tables", "drivers", "leases")
        or name.endswith(".npy")
    ):
        return above or name
    return "folder" if "." not in name else name


def _target(path: str) -> str:
    """The file for which another is written aside, as the function that writes it calls it."""
    frame = sys._getframe()
    while frame is not None:
        found = frame.f_locals.get("file")
        if isinstance(found, Path) and not found.name.startswith("."):
            return str(found)
        frame = frame.f_back  # type: ignore[assignment]
    return path
