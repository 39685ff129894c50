"""A run as loggers are told of it, and which runs have changed since one was told last."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from itertools import accumulate
from typing import Any

from analysis.evidence import Evidence, read_run
from trainers.result import EpochRecord, PlannedJob, PlanRecord, Result
from trainers.shown import one_line
from trainers.spec import RunSpec, run_id, to_dict
from trainers.storage import Store

Planned = Mapping[str, tuple[PlannedJob, PlanRecord]]
"""By run id, its job and the plan that names it."""

FINALS = (
    *("best_validation_accuracy", "last_validation_accuracy", "test_accuracy", "train_accuracy"),
    *("num_params", "num_macs", "size_bytes", "train_seconds", "latency_seconds", "best_epoch"),
)
"""Of a Result, what is logged when a run has ended."""

_PARENTS = ("teacher", "init_run", "co_teachers")
_SERIES = (
    *("train_loss", "train_accuracy", "validation_loss", "validation_accuracy"),
    *("learning_rate", "images_per_second"),
)


class Standing(StrEnum):
    """How a run stands; only OK stays so."""

    RUNNING = "running"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    OK = "ok"


@dataclass(frozen=True, kw_only=True)
class LoggedRun:
    """A run that was begun. `moments` are seconds since 1970, at its start and at the end of each epoch."""

    run_id: str
    name: str
    standing: Standing
    reason: str
    moments: tuple[float, ...]
    tags: Mapping[str, str]
    params: Mapping[str, str | int | float | bool]
    curves: tuple[EpochRecord, ...]
    finals: Mapping[str, float]

    def new(self, num_epochs: int) -> tuple[tuple[EpochRecord, float], ...]:
        """The epochs after so many, each with the moment of its end."""
        both = zip(self.curves, self.moments[1:], strict=True)
        return tuple((record, moment) for record, moment in both if record.epoch > num_epochs)


def series(record: EpochRecord) -> dict[str, float]:
    """What is drawn over epochs, by name."""
    parts = {f"loss_parts/{one_line(name)}": value for name, value in record.loss_parts.items()}
    return {name: getattr(record, name) for name in _SERIES} | parts


class News:
    """The runs of plans as the store has them, each given whenever it has changed since it was taken up last."""

    def __init__(self, store: Store, planned: Planned) -> None:
        self._store, self._planned = store, planned
        self._taken: dict[str, tuple[Standing, int]] = {}
        self._at: set[str] = set()

    def of_running(self) -> Iterator[LoggedRun]:
        """Changed ones among those that some driver is at, or was the last time."""
        running = set(self._store.lease_ids())
        looked_at, self._at = running | self._at, running
        yield from self._changed(run for run in self._planned if run in looked_at)

    def of_all(self) -> Iterator[LoggedRun]:
        """Changed ones among all."""
        yield from self._changed(self._planned)

    def _changed(self, runs: Iterable[str]) -> Iterator[LoggedRun]:
        leased = set(self._store.lease_ids())
        for run in runs:
            if self._taken.get(run, (None, 0))[0] is Standing.OK:
                continue
            job, plan = self._planned[run]
            found = logged_run(replace(read_run(self._store, run), job=job, plan=plan), is_running=run in leased)
            if found is not None and self._taken.get(run) != _mark(found):
                yield found
                self._taken[run] = _mark(found)  # not if the logger failed at it


def _mark(run: LoggedRun) -> tuple[Standing, int]:
    return run.standing, len(run.curves)


def logged_run(known: Evidence, *, is_running: bool) -> LoggedRun | None:
    """What there is to tell of a run; None before its first attempt, or if nobody can read what it is."""
    if known.spec is None or not known.attempts:
        return None
    job, seed = known.job, known.spec.seed
    failure = known.state.failure if known.has_failed and not is_running else None
    return LoggedRun(
        run_id=known.run,
        name=one_line(f"{job.label}@{seed}" if job else known.run),
        standing=_standing(known, is_running),
        reason=one_line(failure.reason) if failure else "",
        moments=_moments(known),
        tags=_tags(known, known.spec),
        params=_flat({name: value for name, value in to_dict(known.spec).items() if name not in _PARENTS}),
        curves=known.curves,
        finals=_finals(known.result) if known.result else {},
    )


def _standing(known: Evidence, is_running: bool) -> Standing:
    if known.is_finished:
        return Standing.OK
    if is_running:
        return Standing.RUNNING
    return Standing.FAILED if known.has_failed else Standing.INTERRUPTED


def _moments(known: Evidence) -> tuple[float, ...]:
    """From the start of the first attempt on; the time between attempts is left out, so that no moment ever moves."""
    started = known.attempts[0].started() or known.started
    begun = datetime.fromisoformat(started.started_at).timestamp() if started else 0.0
    return tuple(accumulate((record.epoch_seconds for record in known.curves), initial=begun))


def _tags(known: Evidence, spec: RunSpec) -> dict[str, str]:
    """Who a run is; parents by their ids, as the tables name them."""
    job, plan = known.job, known.plan
    tags = {"run_id": known.run, "group_id": known.group_id or "", "seed": str(spec.seed)}
    tags |= {"label": job.label, "role": job.role.value} if job else {}
    tags |= {"sweep": plan.sweep, "data": plan.data_name} if plan else {}
    tags |= {"teacher_run_id": run_id(spec.teacher)} if spec.teacher else {}
    return {name: one_line(text) for name, text in tags.items()}


def _finals(result: Result) -> dict[str, float]:
    values = {name: getattr(result, name) for name in FINALS}
    return {name: float(value) for name, value in values.items() if value is not None}


def _flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, str | int | float | bool]:
    """Fields by their dotted names, lists as JSON; what is None is left out."""
    flat: dict[str, str | int | float | bool] = {}
    for name, value in content.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        elif isinstance(value, list | tuple):
            flat[prefix + name] = one_line(json.dumps(value))
        elif value is not None:
            flat[prefix + name] = one_line(value) if isinstance(value, str) else value
    return flat
