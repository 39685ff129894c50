"""One job inside one process: the work that a Tune trial and a serial run share, and where failures are recorded.

Free of ray and, until a job is begun, of torch.
"""

from __future__ import annotations

import os
import socket
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from sweeps.causes import cause_of, is_worth_another_try_at_once
from sweeps.hanging import watched
from sweeps.step import Step
from trainers.errors import CorruptFileError, SweepError, UnreachableError
from trainers.execution import Execution
from trainers.plugin_folder import use
from trainers.result import Cause, Failure, Started
from trainers.spec import RunSpec, run_id
from trainers.storage import WEIGHTS, Attempt, Store, now

T = TypeVar("T")


def run_task(store: Store, task: str, execution: Execution) -> Iterator[Step]:
    """Do one job, epoch by epoch; a failure of its own is recorded and ends the iterator.

    What another try at once may cure (a lost file system, a faulty GPU) is raised, so that the scheduler makes it; a
    disk that is full or memory that is short is not. Success is what the store says afterwards.
    """
    return _write_logits(store, task, execution) if store.logits(task).is_requested else train(store, task, execution)


def train(store: Store, run: str, execution: Execution) -> Iterator[Step]:
    """Train one run to its result."""
    if store.result(run) is not None:
        return
    from trainers import loop

    spec = store.spec(run)
    attempt = store.begin_attempt(run, execution.driver)
    with _failures_recorded(attempt, lambda: _set_damaged_parents_aside(store, spec.parents, attempt)):
        _use_plugins(store, execution)
        saved = store.state(run).num_epochs_saved
        logged = _logged(loop.epochs(spec, store, attempt, execution), attempt, saved)
        for record in watched(logged, lambda done: done.epoch_seconds, attempt, store.attempts(run), execution):
            yield Step(
                epoch=record.epoch,
                epoch_seconds=record.epoch_seconds,
                is_last=record.epoch == spec.epochs,
                validation_accuracy=record.validation_accuracy,
                images_per_second=record.images_per_second,
            )


def _write_logits(store: Store, logits: str, execution: Execution) -> Iterator[Step]:
    """Write a teacher's logits."""
    from trainers.teaching import write_logits

    folder = store.logits(logits)
    attempt, teachers = folder.begin_attempt(execution.driver), list[RunSpec]()
    with _failures_recorded(attempt, lambda: _set_damaged_parents_aside(store, teachers, attempt)):
        request = folder.request()
        teachers.append(request.spec.teacher)
        _use_plugins(store, execution)
        logged = _logged(write_logits(store, attempt, execution), attempt, 0)
        for epoch, seconds in watched(logged, lambda done: done[1], attempt, folder.attempts(), execution):
            yield Step(epoch=epoch, epoch_seconds=seconds, is_last=epoch == request.num_epochs)
        folder.finish(attempt)


def _use_plugins(store: Store, execution: Execution) -> None:
    if execution.plugins:
        use(store.plugins(execution.plugins))


@contextmanager
def _failures_recorded(attempt: Attempt, on_damage: Callable[[], None]) -> Iterator[None]:
    """The one place where any error of a job is caught: it is recorded, and raised again only if it may pass."""
    try:
        yield
    except Exception as error:
        record_failure(attempt, error)
        if isinstance(error, CorruptFileError):
            on_damage()
        if is_worth_another_try_at_once(error):
            raise


def _logged(epochs: Iterator[T], attempt: Attempt, num_epochs_saved: int) -> Iterator[T]:
    attempt.write_started(
        Started(host=socket.gethostname(), pid=os.getpid(), started_at=now(), resumed_from_epoch=num_epochs_saved)
    )
    attempt.log(f"attempt {attempt.token} on {socket.gethostname()}, process {os.getpid()}")
    yield from epochs
    attempt.log("finished")
    attempt.save_log()


def record_failure(attempt: Attempt, error: BaseException) -> None:
    """Write why an attempt failed: one line as the reason, the traceback into its log."""
    try:
        attempt.log("".join(traceback.format_exception(error)))
        attempt.write_failure(failure_of(attempt, error))
    except (OSError, UnreachableError):  # a full disk cannot hold the record either; the driver sees that none came
        return


def failure_of(attempt: Attempt, error: BaseException) -> Failure:
    """The record of an error; our own errors explain themselves, others are named by their type."""
    text = str(error).strip().splitlines() or [""]
    reason = text[0] if isinstance(error, SweepError) else f"{type(error).__name__}: {text[0]}"
    cause = cause_of(error)
    return Failure(
        reason=reason,
        is_permanent=cause is Cause.OWN,
        log_path=str(attempt.log_file),
        failed_at=now(),
        cause=cause,
    )


def _set_damaged_parents_aside(store: Store, parents: Iterable[RunSpec], attempt: Attempt) -> None:
    """A parent whose weights are damaged counts as unfinished, so that the next pass trains it again."""
    for parent in parents:
        try:
            store.verified_file(run_id(parent), WEIGHTS)
        except CorruptFileError as error:
            attempt.log(f"parent {run_id(parent)} is set aside: {error}")
            store.set_aside(run_id(parent))
