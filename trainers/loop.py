"""The only training loop: one spec, one attempt, epoch by epoch, to one result."""

from __future__ import annotations

from collections.abc import Iterator

from trainers.device import choose_device
from trainers.environment import describe_environment
from trainers.errors import CorruptFileError, WeakTeacherError
from trainers.execution import Execution
from trainers.process import own_settings
from trainers.result import EpochRecord
from trainers.spec import RunSpec, run_id
from trainers.storage import Attempt, Store, now
from trainers.teaching import Lessons
from trainers.training import Training
from trainers.writing import Writer


def epochs(spec: RunSpec, store: Store, attempt: Attempt, execution: Execution) -> Iterator[EpochRecord]:
    """Train one spec, giving a record after every epoch; the result is in the store when the iterator ends.

    Goes on from the newest sound checkpoint of any attempt. Raises SweepError for what would fail
    again: a weak teacher, weights that do not fit, a loss that is not finite.
    """
    with own_settings(execution.num_threads, deterministic=execution.deterministic):
        yield from _epochs(spec, store, attempt, execution)


def _epochs(spec: RunSpec, store: Store, attempt: Attempt, execution: Execution) -> Iterator[EpochRecord]:
    device = choose_device(execution)
    environment = describe_environment(spec, device, execution)
    for teacher in () if execution.allow_weak_teacher else spec.teachers:
        _check_teacher(store, teacher)
    started_at = now()
    lessons = Lessons(spec, store, device, execution, attempt.log)
    writer = Writer(attempt)
    training = Training(spec, store, device, environment, lessons, writer.check)
    training.resume(attempt)
    with writer:
        for epoch in range(len(training.records) + 1, spec.epochs + 1):
            if store.has_result(attempt.run):
                break
            record = training.run_epoch(epoch)
            # the last one's result follows at once, and waits for the disk itself; the checkpoint before it is there
            writer.write(epoch, training.state(), training.records, is_synced=epoch < spec.epochs)
            attempt.log(f"epoch {epoch}/{spec.epochs}: validation accuracy {record.validation_accuracy:.4f}")
            yield record
    if store.has_result(attempt.run):
        store.remove_checkpoints(attempt.run)
        attempt.log(f"another attempt has finished this run; this one stops after epoch {len(training.records)}")
    elif not store.finish(attempt, training.result(attempt, started_at)):
        attempt.log("another attempt had finished this run before; its result stands")


def _check_teacher(store: Store, teacher: RunSpec) -> None:
    """WeakTeacherError if a teacher's validation accuracy is within two standard errors of guessing."""
    result = store.result(run_id(teacher))
    if result is None:
        raise CorruptFileError(f"teacher {run_id(teacher)} has no result; run the sweep again")
    chance = 1 / store.manifest(teacher.data).num_classes
    bound = chance + 2 * (chance * (1 - chance) / result.num_validation_images) ** 0.5
    if result.best_validation_accuracy <= bound:
        raise WeakTeacherError(
            f"teacher {run_id(teacher)} has validation accuracy {result.best_validation_accuracy:.3f}, no better than "
            f"guessing (up to {bound:.3f}); train it longer, or pass --allow-weak-teacher"
        )
