"""Real stores, fabricated: every record is written by the store itself, only the training is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from trainers.result import (
    Environment,
    EpochRecord,
    Failure,
    PlannedJob,
    PlanRecord,
    Result,
    Started,
)
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
    group_id,
    run_id,
)
from trainers.storage import CURVES, PREDICTIONS, WEIGHTS, Attempt, Store

ENVIRONMENT = Environment(
    host="box",
    device="cpu",
    hardware="EPYC",
    num_threads=1,
    python="3.11",
    torch="2.6.0",
    torchvision="0.21.0",
    git_commit="abc123",
    git_is_dirty=False,
    source_digests={"trainers.models.student": "0" * 12},
)
RESULT = Result(
    run_id="of-whoever",
    group_id="",
    attempt="0001",
    data_name="food11",
    initialized_from="random",
    best_epoch=2,
    best_validation_accuracy=0.8,
    last_validation_accuracy=0.79,
    test_accuracy=0.78,
    train_accuracy=0.9,
    num_params=152_075,
    num_macs=5_000_000,
    size_bytes=620_000,
    num_train_images=9_866,
    num_validation_images=3_430,
    num_test_images=3_347,
    train_seconds=90.0,
    images_per_second=250.0,
    started_at="2026-01-01T00:00:00.000+00:00",
    finished_at="2026-01-01T00:01:30.000+00:00",
    environment=ENVIRONMENT,
    files={},
    parent_weights={},
)


def make_spec(*, model: str = "student", seed: int = 0, **changes: Any) -> RunSpec:
    """A small spec; `teacher=` makes it a distillation unless an objective is given."""
    objective = Choice(name="kd", args={"temperature": 20.0}) if "teacher" in changes else Choice(name="cross_entropy")
    spec = RunSpec(
        data="f00d",
        model=Choice(name=model, args={"num_classes": 11, "image_size": 32}),
        objective=objective,
        optimizer=Optimizer(name=OptimizerName.ADAMW, lr=1e-3, weight_decay=0.01),
        schedule=Schedule(name=ScheduleName.CONSTANT),
        augment=Augment(),
        normalize=Normalization.NONE,
        epochs=2,
        batch_size=32,
        precision=Precision.FLOAT32,
        seed=seed,
        view_seed=seed,
    )
    return replace(spec, **changes)


def make_epoch(epoch: int, validation_accuracy: float = 0.5) -> EpochRecord:
    return EpochRecord(
        epoch=epoch,
        train_loss=1 / epoch,
        loss_parts={"hard": 0.25, "soft": 0.75},
        train_accuracy=0.5,
        validation_loss=1.5,
        validation_accuracy=validation_accuracy,
        learning_rate=1e-3,
        images_per_second=250.0,
        epoch_seconds=4.0,
    )


@dataclass(frozen=True)
class Lab:
    """A store, and the four things that can happen to a run in it."""

    store: Store

    def finish(
        self,
        spec: RunSpec,
        validation: float = 0.8,
        *,
        curves: Sequence[EpochRecord] | None = None,
        predictions: bytes = b"",
        **changes: Any,
    ) -> str:
        """A result with two epochs and without predictions, unless they are given."""
        host = changes.get("environment", ENVIRONMENT).host
        attempt = self.begin(spec, num_epochs=0, host=host, started_at=changes.get("started_at", RESULT.started_at))
        files = {
            CURVES: attempt.write_curves(curves or [make_epoch(1), make_epoch(2, validation)]),
            WEIGHTS: attempt.write_file(WEIGHTS, b"weights"),
        }
        if predictions:
            files[PREDICTIONS] = attempt.write_file(PREDICTIONS, predictions)
        ids = {"run_id": run_id(spec), "group_id": group_id(spec), "attempt": attempt.token}
        result = replace(RESULT, **{**ids, "files": files, "best_validation_accuracy": validation, **changes})
        assert self.store.finish(attempt, result)
        return run_id(spec)

    def fail(self, spec: RunSpec, reason: str = "loss is not finite at epoch 1") -> str:
        attempt = self.begin(spec, num_epochs=0)
        log, moment = str(attempt.log_file), "2026-01-01T00:00:09.000+00:00"
        attempt.write_failure(Failure(reason=reason, is_permanent=True, log_path=log, failed_at=moment))
        return run_id(spec)

    def begin(
        self, spec: RunSpec, num_epochs: int, *, host: str = "box", started_at: str = RESULT.started_at
    ) -> Attempt:
        """An attempt that is still running, or was interrupted."""
        self.store.write_spec(spec)
        attempt = self.store.begin_attempt(run_id(spec))
        attempt.write_started(Started(host=host, pid=1, started_at=started_at, resumed_from_epoch=0))
        if num_epochs:
            attempt.write_curves(make_epoch(epoch) for epoch in range(1, num_epochs + 1))
        return attempt

    def plan(self, *jobs: tuple[str, RunSpec], plan_id: str = "plan1", at: str = "2026-01-01") -> PlanRecord:
        """A plan of (label, spec); the role follows from the label's beginning."""
        planned = tuple(_job(label, spec) for label, spec in jobs)
        record = PlanRecord(
            plan_id=plan_id, sweep="report", command="run_all", data_name="food11", planned_at=at, jobs=planned
        )
        self.store.write_plan(record)
        return record


def _job(label: str, spec: RunSpec) -> PlannedJob:
    roles = {"pretrain": Role.PRETRAIN, "teacher": Role.TEACHER, "conv": Role.VARIANT}
    role = roles.get(label.split("_")[0], Role.STUDENT)
    parents = tuple(run_id(parent) for parent in spec.parents)
    ids = {"run_id": run_id(spec), "group_id": group_id(spec)}
    return PlannedJob(**ids, label=label, role=role, seed=spec.seed, parents=parents)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """A new, empty store."""
    return Lab(Store(tmp_path / "store").open())


@pytest.fixture(name="make_spec")
def make_spec_fixture() -> Any:
    """The spec factory, for test files."""
    return make_spec
