"""Stores of many runs that nobody trained, in the format of real ones: every reader must take them for real.

Half of the runs are reports of many seeds (a teacher, a scratch student and two distilled ones per seed), half are
points of a grid over temperature and weight with five seeds each. One run in 200 failed, another was interrupted.
Files are written without waiting for the disk.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from trainers.result import Environment, EpochRecord, Failure, FileRecord, PlannedJob, PlanRecord, Result, Started
from trainers.spec import (
    Augment,
    Choice,
    Normalization,
    Optimizer,
    OptimizerName,
    Precision,
    Role,
    RunSpec,
    Schedule,
    ScheduleName,
    canonical_json,
    group_id,
    run_id,
    to_dict,
)
from trainers.storage import CURVES, PREDICTIONS, WEIGHTS, Store

NUM_EPOCHS = 3
JOBS_PER_PLAN = 11_000
SEEDS_PER_POINT = 5
ONE_FAILED_IN = 200
_BASE = RunSpec(
    data="f00df00df00d",
    model=Choice(name="student", args={"num_classes": 11, "image_size": 32}),
    objective=Choice(name="cross_entropy", args={"label_smoothing": 0.0}),
    optimizer=Optimizer(name=OptimizerName.ADAMW, lr=1e-3, weight_decay=0.01),
    schedule=Schedule(name=ScheduleName.COSINE),
    augment=Augment(crop_padding=4, horizontal_flip=True),
    normalize=Normalization.NONE,
    epochs=NUM_EPOCHS,
    batch_size=32,
    precision=Precision.FLOAT32,
    seed=0,
    view_seed=0,
)
_ENVIRONMENT = Environment(
    host="box",
    device="cpu",
    hardware="AMD EPYC",
    num_threads=1,
    python="3.11.9",
    torch="2.9.0",
    torchvision="0.24.0",
    git_commit="0123456789abcdef0123456789abcdef01234567",
    git_is_dirty=False,
    source_digests={"trainers.models.student": "0" * 12, "trainers.objectives.kd": "1" * 12},
)
_MOMENT = "2026-01-01T00:00:00.000+00:00"


@dataclass(frozen=True, kw_only=True)
class SyntheticRun:
    """A spec, its place in a plan, and both ids of it."""

    spec: RunSpec
    job: PlannedJob


def make_store(root: Path, num_runs: int, *, num_epochs: int = NUM_EPOCHS, predictions: Sequence[bytes] = ()) -> Store:
    """A new store of so many runs, in plans of at most 11,000 jobs, and the latest plan of all of them.

    Runs take the given files of predictions in turn; without any, they have some that nobody can read.
    """
    store = Store(root).open()
    jobs: list[PlannedJob] = []
    for made in _runs(num_runs, replace(_BASE, epochs=num_epochs)):
        write_run(store, made, len(jobs), predictions[len(jobs) % len(predictions)] if predictions else None)
        jobs.append(made.job)
    for number, start in enumerate(range(0, num_runs, JOBS_PER_PLAN)):
        _write_plan(store, f"part{number:08d}", jobs[start : start + JOBS_PER_PLAN], day=number + 1)
    _write_plan(store, "everything00", jobs, day=28)
    return store


def add_runs(store: Store, number: int, first_seed: int = 1_000_000) -> None:
    """New finished scratch students, in a plan of their own that is older than the latest."""
    jobs = []
    for seed in range(first_seed, first_seed + number):
        made = _made("student_scratch", Role.STUDENT, replace(_BASE, seed=seed, view_seed=seed))
        write_run(store, made, index=1)
        jobs.append(made.job)
    _write_plan(store, f"new{first_seed:09d}", jobs, day=27)


def _runs(num_runs: int, base: RunSpec) -> Iterator[SyntheticRun]:
    num_reports = num_runs // 2
    made = 0
    for runs, limit in ((_reports(base), num_reports), (_grid(base), num_runs)):
        for run in runs:
            if made >= limit:
                break
            made += 1
            yield run


def _reports(base: RunSpec) -> Iterator[SyntheticRun]:
    """Plans of one recipe and many seeds; the next plan has another learning rate."""
    for plan in range(1_000_000):
        lr = 1e-3 / (1 + plan)
        for seed in range(JOBS_PER_PLAN // 4):
            yield from _family(base, seed, lr, (("kd", {"temperature": 20.0}), ("attention", {"weight": 1000.0})))


def _grid(base: RunSpec) -> Iterator[SyntheticRun]:
    """Five seeds of students over temperatures and weights; one teacher and one scratch student per seed and row."""
    for row in range(1_000_000):
        lr, temperature = 5e-4 / (1 + row // 100), 1.0 + row % 100
        for seed in range(SEEDS_PER_POINT):
            points = (("kd", {"temperature": temperature, "kd_weight": (1 + index) / 100}) for index in range(99))
            yield from _family(base, seed, lr, tuple(points))


def _family(
    base: RunSpec, seed: int, lr: float, losses: tuple[tuple[str, dict[str, Any]], ...]
) -> Iterator[SyntheticRun]:
    base = replace(base, seed=seed, view_seed=seed, optimizer=replace(base.optimizer, lr=lr))
    teacher = replace(base, model=replace(base.model, name="resnet18"))
    yield _made("teacher_scratch", Role.TEACHER, teacher)
    yield _made("student_scratch", Role.STUDENT, base)
    for name, args in losses:
        label = f"student_{name}/" + ",".join(f"{key}={value:g}" for key, value in args.items())
        spec = replace(base, objective=Choice(name=name, args=args), teacher=teacher)
        yield _made(label, Role.STUDENT, spec)


def _made(label: str, role: Role, spec: RunSpec) -> SyntheticRun:
    parents = tuple(run_id(parent) for parent in spec.parents)
    ids = {"run_id": run_id(spec), "group_id": group_id(spec)}
    return SyntheticRun(spec=spec, job=PlannedJob(**ids, label=label, role=role, seed=spec.seed, parents=parents))


def write_run(store: Store, made: SyntheticRun, index: int, predictions: bytes | None = None) -> None:
    """All files of a finished run; every 200th failed, and the one after it was interrupted after its first epoch."""
    run = made.job.run_id
    folder = store.run_folder(run)
    attempt = store.attempt(run, f"0001-{run[:8]}")
    attempt.folder.mkdir(parents=True, exist_ok=True)
    (folder / "spec.json").write_bytes(_record(to_dict(made.spec)))
    started = Started(host="box", pid=1, started_at=_MOMENT, resumed_from_epoch=0)
    (attempt.folder / "started.json").write_bytes(_record(msgspec.to_builtins(started)))
    attempt.log_file.write_bytes(b"attempt 1\n")
    if index % ONE_FAILED_IN == ONE_FAILED_IN - 2:
        failure = Failure(reason="out of memory", is_permanent=True, log_path=str(attempt.log_file), failed_at=_MOMENT)
        (attempt.folder / "failure.json").write_bytes(_record(msgspec.to_builtins(failure)))
        return
    is_interrupted = index % ONE_FAILED_IN == ONE_FAILED_IN - 1
    num_epochs = made.spec.epochs
    curves = [_epoch(number, run, num_epochs) for number in range(1, 2 if is_interrupted else num_epochs + 1)]
    lines = "".join(canonical_json(msgspec.to_builtins(record)) + "\n" for record in curves).encode()
    contents = {CURVES: lines, WEIGHTS: run.encode(), PREDICTIONS: predictions or run[::-1].encode()}
    for name, content in contents.items():
        if name == CURVES or not is_interrupted:
            (attempt.folder / name).write_bytes(content)
    if not is_interrupted:
        result = _result(made, attempt.token, curves[-1].validation_accuracy, contents)
        (folder / "result.json").write_bytes(_record(msgspec.to_builtins(result)))


def _epoch(epoch: int, run: str, num_epochs: int) -> EpochRecord:
    """Numbers that look measured: a run's own offset, and better with every epoch."""
    offset = int(run[:6], 16) / 16**6 / 10
    return EpochRecord(
        epoch=epoch,
        train_loss=2 / epoch + offset,
        loss_parts={"hard": 1 / epoch + offset, "soft": offset},
        train_accuracy=0.5 + offset,
        validation_loss=1.5 + offset,
        validation_accuracy=0.5 + 0.3 * epoch / num_epochs + offset,
        learning_rate=1e-3 / epoch,
        images_per_second=250 + offset,
        epoch_seconds=4 + offset,
    )


def _result(made: SyntheticRun, token: str, accuracy: float, contents: dict[str, bytes]) -> Result:
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    files = {name: FileRecord(size_bytes=len(contents[name]), sha256=digests[name]) for name in contents}
    is_teacher = made.job.role is Role.TEACHER
    return Result(
        run_id=made.job.run_id,
        group_id=made.job.group_id,
        attempt=token,
        data_name="food11",
        initialized_from="random",
        best_epoch=made.spec.epochs,
        best_validation_accuracy=accuracy,
        last_validation_accuracy=accuracy,
        test_accuracy=accuracy - 0.01,
        train_accuracy=accuracy + 0.01,
        num_params=11_182_155 if is_teacher else 152_075,
        num_macs=37_000_000 if is_teacher else 5_000_000,
        size_bytes=44_000_000 if is_teacher else 620_000,
        num_train_images=9_866,
        num_validation_images=3_430,
        num_test_images=3_347,
        train_seconds=12.5,
        images_per_second=250.0,
        started_at=_MOMENT,
        finished_at="2026-01-01T00:01:30.000+00:00",
        environment=_ENVIRONMENT,
        files=files,
        parent_weights={parent: hashlib.sha256(parent.encode()).hexdigest() for parent in made.job.parents},
    )


def _record(content: dict[str, Any]) -> bytes:
    """What `encode_record` gives, sooner."""
    checksum = hashlib.sha256(canonical_json(content).encode()).hexdigest()
    return msgspec.json.format(canonical_json({"content": content, "sha256": checksum}).encode(), indent=1) + b"\n"


def _write_plan(store: Store, plan_id: str, jobs: list[PlannedJob], day: int) -> None:
    plan = PlanRecord(
        plan_id=plan_id,
        sweep="synthetic",
        command="tests/benchmarks/gather.py",
        data_name="food11",
        planned_at=f"2026-01-{day:02d}T00:00:00.000+00:00",
        jobs=tuple(jobs),
    )
    file = store.plan_file(plan_id)
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(_record(msgspec.to_builtins(plan)))
