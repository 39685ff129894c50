"""What becomes of a job that hangs: its process ends, so that another goes on from its last epoch."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from trainers.attempt import Attempt, now
from trainers.execution import Execution
from trainers.result import Cause, Failure
from trainers.watchdog import Watchdog, limits, stacks

T = TypeVar("T")


def watched(
    epochs: Iterator[T],
    seconds_of: Callable[[T], float],
    attempt: Attempt,
    before: Iterable[Attempt],
    execution: Execution,
) -> Iterator[T]:
    """The epochs of an attempt, and an end to it if they stop coming; `before` are earlier attempts at the same."""
    failures = [one.failure() for one in before if one.token != attempt.token]
    num_hung = sum(failure is not None and failure.cause is Cause.HUNG for failure in failures)

    def on_hung(reason: str) -> None:
        end(attempt, reason) if execution.is_own_process else warn(attempt, reason)

    dog = Watchdog(limits(execution.epoch_seconds, num_hung), on_hung, ends_process=execution.is_own_process)
    return dog.watched(epochs, seconds_of)


def end(attempt: Attempt, reason: str) -> None:
    """Say why and where every thread stood, and end this process at once, whatever its other threads hold."""
    failure = Failure(
        reason=reason, is_permanent=False, log_path=str(attempt.log_file), failed_at=now(), cause=Cause.HUNG
    )
    try:
        attempt.log(f"{reason}; every thread stood here:\n{stacks()}")
        attempt.write_failure(failure)
    finally:
        os._exit(1)


def warn(attempt: Attempt, reason: str) -> None:
    """In the process of the command itself, which may be in a debugger, only say so."""
    attempt.log(f"{reason}; every thread stands here:\n{stacks()}")
    print(f"{reason}; where it stands is in {attempt.log_file}; Ctrl-C stops the sweep", file=sys.stderr, flush=True)
