"""What the store holds about each run, as far as it can be read: a damaged file becomes a problem, never a crash."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from analysis.tables import UNFINISHED
from trainers.result import EpochRecord, PlannedJob, PlanRecord, Result, RunState, Started, Status
from trainers.spec import RunSpec, group_id, run_id
from trainers.storage import CURVES, Attempt, Store

T = TypeVar("T")

_UNREADABLE = (OSError, ValueError, RecursionError)
"""All that reading a truncated, altered or alien file can raise; the store's own errors are among them."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """One run id. `problems` are the files that cannot be trusted; with any, a result does not count."""

    run: str
    job: PlannedJob | None = None
    plan: PlanRecord | None = None
    spec: RunSpec | None = None
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
    def has_failed(self) -> bool:
        """The newest attempt gave up, and no result is there."""
        return self.result is None and self.state.failure is not None

    @property
    def parents(self) -> tuple[str, ...]:
        """Run ids that must be finished before this one; the plan knows most, then the spec."""
        if self.job is not None:
            return self.job.parents
        return tuple(run_id(parent) for parent in self.spec.parents) if self.spec else ()

    @property
    def name(self) -> str:
        """The label, or the id of a run that no plan names."""
        return self.job.label if self.job else self.run


def read_store(store: Store) -> dict[str, Evidence]:
    """Every run id that is in a plan or under the store, sorted; the latest plan that names a run counts."""
    planned = {job.run_id: (job, plan) for plan in store.plans() for job in plan.jobs}
    started = {run for run in store.run_ids() if store.run_folder(run).is_dir()}
    return {run: _read_run(store, run, *planned.get(run, (None, None))) for run in sorted(started | set(planned))}


def status_of(run: str, evidence: Mapping[str, Evidence]) -> str:
    """`ok`, `failed`, `blocked` or `unfinished`."""
    known = evidence[run]
    if known.result is not None:
        return Status.OK.value
    if nearest_failed(run, evidence):  # before its own failure, which is then an earlier one
        return Status.BLOCKED.value
    return Status.FAILED.value if known.has_failed else UNFINISHED


def _is_failed(run: str, evidence: Mapping[str, Evidence]) -> bool:
    return status_of(run, evidence) == Status.FAILED.value


def nearest_failed(run: str, evidence: Mapping[str, Evidence]) -> Evidence | None:
    """The failed ancestor with the fewest steps to this run; a finished ancestor hides its own ancestors."""
    seen, layer = {run}, [run]
    while layer:
        above = list(dict.fromkeys(p for child in layer for p in evidence[child].parents if p in evidence))
        layer = [parent for parent in above if parent not in seen and evidence[parent].result is None]
        failed = next((evidence[parent] for parent in layer if _is_failed(parent, evidence)), None)
        if failed is not None:
            return failed
        seen.update(layer)
    return None


def _read_run(store: Store, run: str, job: PlannedJob | None, plan: PlanRecord | None) -> Evidence:
    if not store.run_folder(run).is_dir():
        return Evidence(run=run, job=job, plan=plan)
    problems: list[str] = []
    curve_problems: list[str] = []
    spec = _readable(lambda: store.spec(run), problems)
    state = _readable(lambda: store.state(run), problems) or RunState()
    attempts = _readable(lambda: store.attempts(run), problems) or ()
    problems += [state.corrupt] if state.corrupt else []
    problems += _mismatch(run, spec, state.result)
    return Evidence(
        run=run,
        job=job,
        plan=plan,
        spec=spec,
        state=state,
        attempts=attempts,
        started=_readable(attempts[-1].started, []) if attempts else None,
        curves=_curves(store, attempts, state.result, curve_problems),
        problems=tuple(problems),
        curve_problems=tuple(curve_problems),
    )


def _mismatch(run: str, spec: RunSpec | None, result: Result | None) -> list[str]:
    """A result that was copied from another run says so itself."""
    if spec is None or result is None or (result.run_id, result.group_id) == (run, group_id(spec)):
        return []
    return [f"result.json of run {run} is of run {result.run_id}, group {result.group_id}; move it away and run again"]


def _curves(
    store: Store, attempts: tuple[Attempt, ...], result: Result | None, problems: list[str]
) -> tuple[EpochRecord, ...]:
    """The curves behind the result, else those of the newest attempt that has any."""
    tries = (store.attempt(result.run_id, result.attempt),) if result else attempts[::-1]
    for attempt in tries:
        curves = _readable(attempt.curves, problems) if (attempt.folder / CURVES).exists() else None
        if curves:
            return curves
    return ()


def _readable(read: Callable[[], T], problems: list[str]) -> T | None:
    try:
        return read()
    except _UNREADABLE as error:
        problems.append(str(error))
        return None
