"""Watches over a training: what to do when no epoch has come within a limit that its own epochs set.

Time counts only while an epoch is worked at and while the process runs: one that is stopped (a suspended machine, a
batch system that stops its jobs) or that waits for its scheduler is not hung.
"""

from __future__ import annotations

import faulthandler
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

SLACK = 10
"""Times its slowest epoch so far, or the estimate of its first, until a training counts as hung."""

LEAST_SECONDS, LEAST_FIRST_SECONDS = 600.0, 3600.0
"""Less than that never counts: a disk or a data set may be slow once. The first epoch has only an estimate."""

PATIENCE = 4
"""Times longer it is waited for after each earlier attempt that was ended: the limit itself may have been the fault."""

DEAF_SECONDS = 3600.0
"""Until a process ends in which no thread of Python gets a turn: it is waited for by C alone, stopped or not."""

VARIABLE = "PETITE_HANG_SECONDS"
"""Of the environment: stands for both least times; for tests."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How long an epoch may take, in seconds; `estimate` is of one epoch, `num_hung` how many attempts were ended."""

    estimate: float = 0.0
    num_hung: int = 0
    least: float = LEAST_SECONDS
    least_first: float = LEAST_FIRST_SECONDS

    def seconds(self, slowest: float | None) -> float:
        """The limit, told the slowest epoch so far; None before the first."""
        least, expected = (self.least_first, self.estimate) if slowest is None else (self.least, slowest)
        return max(least, SLACK * expected) * float(PATIENCE**self.num_hung)


def limits(estimate: float, num_hung: int) -> Limits:
    """Those of this process's environment."""
    given = os.environ.get(VARIABLE)
    if given is None:
        return Limits(estimate=estimate, num_hung=num_hung)
    return Limits(num_hung=num_hung, least=float(given), least_first=float(given))


class Watchdog:
    """Calls `on_hung` with a line that says why, from a thread of its own, once for every epoch that does not come."""

    def __init__(self, limits: Limits, on_hung: Callable[[str], None], *, ends_process: bool = False) -> None:
        self._limits, self._on_hung, self._ends_process = limits, on_hung, ends_process
        self._slowest: float | None = None
        self._is_at_work, self._waited, self._is_over = False, 0.0, threading.Event()

    def watched(self, epochs: Iterator[T], seconds_of: Callable[[T], float]) -> Iterator[T]:
        """The same epochs; how long each may take follows from those before it."""
        thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        thread.start()
        try:
            while True:
                self._waited, self._is_at_work = 0.0, True
                epoch = next(epochs, None)
                self._is_at_work = False
                if epoch is None:
                    return
                self._slowest = max(self._slowest or 0.0, seconds_of(epoch))
                yield epoch
        finally:
            self._is_over.set()
            thread.join()

    def _watch(self) -> None:
        try:
            while not self._is_over.is_set():
                limit = self._limits.seconds(self._slowest)
                if self._ends_process:  # even if nobody here gets a turn any more
                    faulthandler.dump_traceback_later(limit + DEAF_SECONDS, exit=True, file=2)
                self._tick(min(5.0, limit / 20), limit)
        finally:
            if self._ends_process:
                faulthandler.cancel_dump_traceback_later()

    def _tick(self, seconds: float, limit: float) -> None:
        """Let a short time pass; however long it took, it counts no more than twice: the process was stopped."""
        before = time.monotonic()
        self._is_over.wait(seconds)
        if not self._is_at_work:
            return
        was_in_time = self._waited < limit
        self._waited += min(time.monotonic() - before, 2 * seconds)
        if was_in_time and self._waited >= limit:
            took = "none before it" if self._slowest is None else f"its slowest took {self._slowest:.0f} s"
            self._on_hung(f"hung: no epoch in {limit:.0f} s ({took})")


def stacks() -> str:
    """Where every thread of this process stands."""
    with tempfile.TemporaryFile("w+") as stream:
        faulthandler.dump_traceback(stream, all_threads=True)
        stream.seek(0)
        return stream.read()
