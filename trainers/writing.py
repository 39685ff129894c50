"""Checkpoints and curves of a training, written beside it: one state at a time, while the next epoch trains."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any

from trainers.attempt import Attempt
from trainers.checkpoint import encode_state
from trainers.result import EpochRecord


class Writer:
    """As a context: every write is done when it ends, and no thread is left, whatever ended it."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt, self._last = attempt, Future[None]()
        self._last.set_result(None)

    def __enter__(self) -> Writer:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        return self

    def check(self) -> None:
        """Raise the error of the last write if it has failed by now: what is trained after that could not be saved."""
        if self._last.done():
            self._last.result()

    def write(
        self, epoch: int, state: dict[str, Any], records: Iterable[EpochRecord], *, is_synced: bool = True
    ) -> None:
        """Begin to write a state that nobody changes any more; waits for the one before and raises its error."""
        self._last.result()
        self._last = self._thread.submit(self._write, epoch, state, tuple(records), is_synced)

    def _write(self, epoch: int, state: dict[str, Any], records: tuple[EpochRecord, ...], is_synced: bool) -> None:
        self._attempt.write_checkpoint(epoch, encode_state(state), is_synced=is_synced)
        self._attempt.write_curves(records)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._thread.shutdown()
        if error is None:  # else that one is told
            self._last.result()
