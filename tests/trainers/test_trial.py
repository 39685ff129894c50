"""One job in one process: how its failures are recorded, and what its parents' damage leads to."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sweeps import trial
from sweeps.causes import cause_of
from trainers import loop
from trainers.errors import CorruptFileError, DiskFullError, StoreError, TrainingError
from trainers.execution import Execution
from trainers.result import Cause, EpochRecord
from trainers.spec import Optimizer, OptimizerName, RunSpec, run_id
from trainers.storage import WEIGHTS, Store


def run(store: Store, spec: RunSpec) -> list[EpochRecord]:
    store.write_spec(spec)
    return list(trial.train(store, run_id(spec), Execution()))


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


@pytest.fixture
def fails_with(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets the training loop raise an error."""

    def use(error: BaseException) -> None:
        def fail(*args: object) -> Iterator[EpochRecord]:
            raise error
            yield

        monkeypatch.setattr(loop, "epochs", fail)

    return use


def test_a_job_trains_and_says_so(lab: Any, make_spec: Any) -> None:
    spec = make_spec(data=lab.data(), epochs=2)
    assert [record.epoch for record in run(lab.store, spec)] == [1, 2]
    attempt = lab.store.attempts(run_id(spec))[0]
    log = attempt.log_file.read_text()
    assert log.rstrip().endswith("finished")
    assert "epoch 2/2: validation accuracy" in log
    assert attempt.started().resumed_from_epoch == 0


def test_a_finished_job_does_nothing(lab: Any, make_spec: Any) -> None:
    spec = make_spec(data=lab.data(), epochs=1)
    run(lab.store, spec)
    assert run(lab.store, spec) == []
    assert len(lab.store.attempts(run_id(spec))) == 1


def test_a_resumed_job_says_from_where(lab: Any, make_spec: Any) -> None:
    spec = make_spec(data=lab.data(), epochs=3)
    lab.train_until(spec, 2)
    assert [record.epoch for record in run(lab.store, spec)] == [3]
    assert lab.store.attempts(run_id(spec))[-1].started().resumed_from_epoch == 2


def test_a_failure_is_recorded_in_one_line_and_its_traceback_in_the_log(lab: Any, make_spec: Any) -> None:
    wild = Optimizer(name=OptimizerName.SGD, lr=1e30, weight_decay=0.0)
    spec = make_spec(data=lab.data(), optimizer=wild)
    run(lab.store, spec)
    failure = lab.store.state(run_id(spec)).failure
    assert failure is not None
    assert "lower optimizer.lr" in failure.reason
    assert "\n" not in failure.reason
    assert failure.is_permanent
    log = Path(failure.log_path).read_text()
    assert "Traceback (most recent call last)" in log
    assert "TrainingError" in log


@pytest.mark.parametrize(
    ("error", "reason", "is_permanent"),
    [
        (TrainingError("loss is nan\nmore"), "loss is nan", True),
        (RuntimeError("shapes differ\n  at line 3"), "RuntimeError: shapes differ", True),
        (KeyError("weights"), "KeyError: 'weights'", True),
        (ValueError(), "ValueError: ", True),
        (CorruptFileError("weights are damaged"), "weights are damaged", False),
        (StoreError("a newer version wrote it"), "a newer version wrote it", True),
        (DiskFullError("disk full"), "disk full", False),
        (OSError(errno.ENOSPC, "No space left on device"), "OSError: [Errno 28] No space left on device", False),
        (MemoryError("no memory"), "MemoryError: no memory", False),
    ],
)
def test_a_failure_of_the_jobs_own_ends_quietly_with_its_reason(
    lab: Any, make_spec: Any, fails_with: Any, error: Exception, reason: str, is_permanent: bool
) -> None:
    fails_with(error)
    assert run(lab.store, make_spec()) == []
    failure = lab.store.state(run_id(make_spec())).failure
    assert failure is not None
    assert (failure.reason, failure.is_permanent) == (reason, is_permanent)


def test_a_failure_of_the_machine_is_recorded_and_raised_for_another_try(
    lab: Any, make_spec: Any, fails_with: Any
) -> None:
    fails_with(OSError(errno.EIO, "lost file system"))
    with pytest.raises(OSError, match="lost file system"):
        run(lab.store, make_spec())
    failure = lab.store.state(run_id(make_spec())).failure
    assert failure is not None
    assert not failure.is_permanent


class OutOfMemoryError(RuntimeError):
    """As torch names it."""


class AcceleratorError(RuntimeError):
    """As torch names it."""


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (DiskFullError("disk full"), Cause.DISK),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), Cause.DISK),
        (OSError("[Errno 28] Error writing bytes to file. Detail: No space left on device"), Cause.DISK),
        (MemoryError(), Cause.MEMORY),
        (OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), Cause.MEMORY),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 4 bytes"), Cause.MEMORY),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), Cause.MEMORY),
        (ValueError("the data has not enough memory of the past"), Cause.OWN),
        (AcceleratorError("CUDA error: an illegal memory access was encountered"), Cause.MACHINE),
        (OSError(errno.EIO, "lost file system"), Cause.MACHINE),
        (CorruptFileError("weights are damaged"), Cause.MACHINE),
        (StoreError("a newer version wrote it"), Cause.OWN),
        (TrainingError("loss is nan"), Cause.OWN),
    ],
)
def test_a_cause_is_told_by_the_error(error: Exception, cause: Cause) -> None:
    assert cause_of(error) is cause


def test_an_interruption_is_no_failure(lab: Any, make_spec: Any, fails_with: Any) -> None:
    fails_with(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        run(lab.store, make_spec())
    assert lab.store.state(run_id(make_spec())).failure is None


def test_a_record_that_cannot_be_written_hides_no_failure(
    lab: Any, make_spec: Any, fails_with: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainers.storage import Attempt

    def full(self: Attempt, message: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    fails_with(TrainingError("loss is nan"))
    monkeypatch.setattr(Attempt, "log", full)
    assert run(lab.store, make_spec()) == []


def test_a_parent_with_damaged_weights_is_set_aside_and_the_child_may_try_again(lab: Any, make_spec: Any) -> None:
    teacher = make_spec(data=lab.data(), epochs=5, seed=7)
    student = make_spec(data=teacher.data, teacher=teacher, epochs=1)
    run(lab.store, teacher)
    whole = lab.file(teacher, WEIGHTS).read_bytes()
    flip(lab.file(teacher, WEIGHTS))
    assert run(lab.store, student) == []
    state = lab.store.state(run_id(student))
    assert state.failure is not None
    assert not state.failure.is_permanent
    assert "does not match its checksum" in state.failure.reason
    assert lab.store.result(run_id(teacher)) is None
    assert f"parent {run_id(teacher)} is set aside" in Path(state.failure.log_path).read_text()
    run(lab.store, teacher)
    assert lab.file(teacher, WEIGHTS).read_bytes() == whole
    run(lab.store, student)
    assert lab.store.result(run_id(student)) is not None


def test_only_the_damaged_parent_is_set_aside(lab: Any, make_spec: Any) -> None:
    teacher = make_spec(data=lab.data(), epochs=5, seed=7)
    source = replace(teacher, seed=8, view_seed=8)
    student = make_spec(data=teacher.data, teacher=teacher, init_run=source, epochs=1)
    run(lab.store, teacher)
    run(lab.store, source)
    flip(lab.file(source, WEIGHTS))
    run(lab.store, student)
    assert lab.store.result(run_id(source)) is None
    assert lab.store.result(run_id(teacher)) is not None
