"""What the store holds about each run, as far as it can be read: a damaged file becomes a problem, never a crash."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Protocol, TypeVar

import msgspec

from analysis.tables import UNFINISHED
from trainers.result import EpochRecord, PlannedJob, PlanRecord, Result, RunState, Started, Status
from trainers.spec import RunSpec, group_id, run_id
from trainers.storage import CURVES, Attempt, Store

T = TypeVar("T")

_UNREADABLE = (OSError, ValueError, RecursionError)
"""All that reading a truncated, altered or alien file can raise; the store's own errors are among them."""


class Standing(Protocol):
    """What decides how a run stands: `parents` are run ids, `name` is its label, or its id if no plan names it."""

    @property
    def is_finished(self) -> bool: ...
    @property
    def has_failed(self) -> bool: ...
    @property
    def parents(self) -> tuple[str, ...]: ...
    @property
    def name(self) -> str: ...


S = TypeVar("S", bound=Standing)


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """One run id. `problems` are the files that cannot be trusted; with any, a result does not count."""

    run: str
    job: PlannedJob | None = None
    plan: PlanRecord | None = None
    spec: RunSpec | None = None
    group_id: str | None = None
    state: RunState = field(default_factory=RunState)
    attempts: tuple[Attempt, ...] = ()
    started: Started | None = None
    curves: tuple[EpochRecord, ...] = ()
    problems: tuple[str, ...] = ()
    curve_problems: tuple[str, ...] = ()

    @property
    def result(self) -> Result | None:
        """The result, if every record that leads to it can be trusted."""
        return None if self.problems else self.state.result

    @property
    def is_finished(self) -> bool:
        """Whether there is such a result."""
        return self.result is not None

    @property
    def has_failed(self) -> bool:
        """The newest attempt gave up, and no result is there."""
        return self.result is None and self.state.failure is not None

    @property
    def parents(self) -> tuple[str, ...]:
        """Run ids that must be finished before this one; the plan knows most, then the spec."""
        if self.job is not None:
            return self.job.parents
        return self.spec_parents

    @property
    def spec_parents(self) -> tuple[str, ...]:
        """Run ids of what the spec says that the run is trained from."""
        return tuple(ids_of_parent(parent)[0] for parent in self.spec.parents) if self.spec else ()

    @property
    def name(self) -> str:
        """The label, or the id of a run that no plan names."""
        return self.job.label if self.job else self.run


def read_store(store: Store, plans: Sequence[PlanRecord] | None = None) -> dict[str, Evidence]:
    """Every run id that is in a plan or under the store, sorted; the latest plan that names a run counts."""
    planned = planned_jobs(store.plans() if plans is None else plans)
    started = set(store.run_ids())
    evidence = {}
    for run in sorted(started | set(planned)):
        known = read_run(store, run) if run in started else Evidence(run=run)
        job, plan = planned.get(run, (None, None))
        evidence[run] = replace(known, job=job, plan=plan)
    return evidence


def planned_jobs(plans: Sequence[PlanRecord]) -> dict[str, tuple[PlannedJob, PlanRecord]]:
    """By run id, the job of the latest plan that names it."""
    return {job.run_id: (job, plan) for plan in plans for job in plan.jobs}


def status_of(run: str, standings: Mapping[str, Standing]) -> str:
    """`ok`, `failed`, `blocked` or `unfinished`."""
    known = standings[run]
    if known.is_finished:
        return Status.OK.value
    if nearest_failed(run, standings):  # before its own failure, which is then an earlier one
        return Status.BLOCKED.value
    return Status.FAILED.value if known.has_failed else UNFINISHED


def nearest_failed(run: str, standings: Mapping[str, S]) -> S | None:
    """The failed ancestor with the fewest steps to this run; a finished ancestor hides its own ancestors."""
    seen, layer = {run}, [run]
    while layer:
        above = list(dict.fromkeys(p for child in layer for p in standings[child].parents if p in standings))
        layer = [parent for parent in above if parent not in seen and not standings[parent].is_finished]
        failed = next((parent for parent in layer if status_of(parent, standings) == Status.FAILED.value), None)
        if failed is not None:
            return standings[failed]
        seen.update(layer)
    return None


def ids_of_parent(spec: RunSpec) -> tuple[str, str]:
    """`run_id` and `group_id` of a spec inside another that was read; many students name the same teacher."""
    return _ids_of(msgspec.json.encode(spec))


@lru_cache(maxsize=100_000)
def _ids_of(text: bytes) -> tuple[str, str]:
    spec = msgspec.json.decode(text, type=RunSpec)
    return run_id(spec), group_id(spec)


def read_run(store: Store, run: str) -> Evidence:
    """What the folder of a run holds."""
    problems: list[str] = []
    curve_problems: list[str] = []
    spec, group = _readable(lambda: store.spec_and_group(run), problems) or (None, None)
    state, curves = _readable(lambda: store.state_and_curves(run), problems) or (RunState(), b"")
    attempts = _readable(lambda: store.attempts(run), problems) or ()
    problems += [state.corrupt] if state.corrupt else []
    problems += _mismatch(run, group, state.result)
    return Evidence(
        run=run,
        spec=spec,
        group_id=group,
        state=state,
        attempts=attempts,
        started=_readable(attempts[-1].started, []) if attempts else None,
        curves=_curves(store, attempts, state.result, curves, curve_problems),
        problems=tuple(problems),
        curve_problems=tuple(curve_problems),
    )


def _mismatch(run: str, group: str | None, result: Result | None) -> list[str]:
    """A result that was copied from another run says so itself."""
    if group is None or result is None or (result.run_id, result.group_id) == (run, group):
        return []
    return [f"result.json of run {run} is of run {result.run_id}, group {result.group_id}; move it away and run again"]


def _curves(
    store: Store, attempts: tuple[Attempt, ...], result: Result | None, content: bytes, problems: list[str]
) -> tuple[EpochRecord, ...]:
    """The curves behind the result, whose `content` was read already, else those of the newest attempt with any."""
    if result is not None and CURVES in result.files:
        attempt = store.attempt(result.run_id, result.attempt)
        return _readable(lambda: attempt.decoded_curves(content), problems) or ()
    tries = (store.attempt(result.run_id, result.attempt),) if result else attempts[::-1]
    for attempt in tries:
        curves = _readable(attempt.curves, problems) if attempt.curves_file.exists() else None
        if curves:
            return curves
    return ()


def _readable(read: Callable[[], T], problems: list[str]) -> T | None:
    try:
        return read()
    except _UNREADABLE as error:
        problems.append(str(error))
        return None
