"""The jobs of a sweep that a store has finished, as they ran: to be simulated, and the makespan to be compared."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from statistics import median

from sweeps.resources import Resources, default_resources
from sweeps.simulation import Task
from trainers.errors import CorruptFileError, PlanError
from trainers.plugin_folder import use
from trainers.result import PlanRecord, Result
from trainers.spec import Role, run_id
from trainers.storage import Store
from trainers.teacher_logits import logits_id, logits_read_by


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
    if plans[-1].plugins:
        use(store.plugins(plans[-1].plugins))
    results = _results(store, plans[-1])
    spans = {run: _span(result) for run, result in results.items()}
    handover = handover_seconds(tuple(spans.values()))
    begun, ended = min(span.begun for span in spans.values()), max(span.ended for span in spans.values())
    written = {
        logits: span for logits, span in _logits_spans(store).items() if begun <= span.begun and span.ended <= ended
    }
    tasks = [replace(task, extra_seconds=handover) for task in _tasks(store, plans[-1], {**spans, **written}, results)]
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
    """Of the attempt that finished it."""
    return Span(begun=_time(result.started_at), ended=_time(result.finished_at))


def _logits_spans(store: Store) -> dict[str, Span]:
    """Of the jobs that wrote teachers' logits, by set: the latest that came to its end."""
    spans = {}
    for logits in store.logits_ids():
        for attempt in store.logits(logits).attempts():
            started, ended = attempt.started(), store.logits(logits).finished_at(attempt)
            if started is not None and ended is not None:
                spans[logits] = Span(begun=_time(started.started_at), ended=_time(ended))
    return spans


def _tasks(store: Store, plan: PlanRecord, spans: Mapping[str, Span], results: Mapping[str, Result]) -> Iterator[Task]:
    """In the plan's order, in which parents come first; before the first that reads them, teachers' logits."""
    has_gpu = any(result.environment.device == "cuda" for result in results.values())
    needs = default_resources(has_gpu=has_gpu)
    known: set[str] = set()
    for job in plan.jobs:
        sets = {logits_id(one): run_id(one.teacher) for one in logits_read_by(store.spec(job.run_id))}
        read = {logits: teacher for logits, teacher in sets.items() if logits in spans}
        for logits, teacher in read.items():
            if logits not in known:
                yield _task(logits, needs[Role.TEACHER], spans, (teacher,))
        known |= read.keys()
        yield _task(job.run_id, needs[job.role], spans, (*job.parents, *read))


def _task(run: str, request: Resources, spans: Mapping[str, Span], parents: tuple[str, ...]) -> Task:
    return Task(id=run, request=request, epoch_seconds=spans[run].ended - spans[run].begun, parents=parents)


def _time(moment: str) -> float:
    """Seconds since 1970; CorruptFileError for a time that is none."""
    try:
        return datetime.fromisoformat(moment).timestamp()
    except ValueError as error:
        raise CorruptFileError(f"{moment!r} is no time") from error
