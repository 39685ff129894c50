"""The jobs of a sweep that a store has finished, as they ran: to be simulated, and the makespan to be compared."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from statistics import median

from sweeps.resources import default_resources
from sweeps.simulation import Task
from trainers.errors import CorruptFileError, PlanError
from trainers.result import PlanRecord, Result
from trainers.storage import Store


@dataclass(frozen=True, kw_only=True)
class Span:
    """When a job ran, in seconds."""

    begun: float
    ended: float


@dataclass(frozen=True, kw_only=True)
class Recording:
    """The tasks of a finished plan, from the end of one job to the end of the next in its slot, and what it took."""

    tasks: tuple[Task, ...]
    makespan_seconds: float
    handover_seconds: float


def read_recording(store: Store) -> Recording:
    """The store's latest plan; PlanError if a job of it is not done."""
    plans = sorted(store.plans(), key=lambda plan: plan.planned_at)
    if not plans:
        raise PlanError(f"{store.root} has no plan; give the store of a finished sweep")
    results = _results(store, plans[-1])
    spans = {run: _span(result) for run, result in results.items()}
    handover = handover_seconds(tuple(spans.values()))
    tasks = [replace(task, extra_seconds=handover) for task in _tasks(plans[-1], spans, results)]
    begun, ended = min(span.begun for span in spans.values()), max(span.ended for span in spans.values())
    return Recording(tasks=tuple(tasks), makespan_seconds=ended - begun, handover_seconds=handover)


def handover_seconds(spans: Sequence[Span]) -> float:
    """Typical time from the end of a job to the start of the next in its place; 0 where none followed another."""
    free: list[float] = []
    gaps = []
    ends = sorted(span.ended for span in spans)
    for begun in sorted(span.begun for span in spans):
        while ends and ends[0] <= begun:
            free.append(ends.pop(0))
        place = bisect_right(free, begun)
        if place:
            gaps.append(begun - free.pop(place - 1))
    return median(gaps) if gaps else 0.0


def _results(store: Store, plan: PlanRecord) -> dict[str, Result]:
    results = {}
    for job in plan.jobs:
        result = store.result(job.run_id)
        if result is None:
            raise PlanError(f"{job.label}@{job.seed} of the latest plan of {store.root} is not done; finish it first")
        results[job.run_id] = result
    return results


def _span(result: Result) -> Span:
    """Of the attempt that finished it; CorruptFileError for times that are none."""
    try:
        begun, ended = (datetime.fromisoformat(at).timestamp() for at in (result.started_at, result.finished_at))
    except ValueError as error:
        raise CorruptFileError(f"run {result.run_id} has no sound times: {error}") from error
    return Span(begun=begun, ended=ended)


def _tasks(plan: PlanRecord, spans: Mapping[str, Span], results: Mapping[str, Result]) -> list[Task]:
    """In the plan's order, in which parents come first."""
    has_gpu = any(result.environment.device == "cuda" for result in results.values())
    needs = default_resources(has_gpu=has_gpu)
    return [
        Task(
            id=job.run_id,
            request=needs[job.role],
            epoch_seconds=spans[job.run_id].ended - spans[job.run_id].begun,
            parents=job.parents,
        )
        for job in plan.jobs
    ]
