"""Jobs and plans: what depends on what, what is left to do, and why. Pure: no disk, clock or network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cached_property
from graphlib import CycleError, TopologicalSorter

from sweeps.graph import longest_paths
from sweeps.labels import base_label
from sweeps.logits_job import LogitsJob
from trainers.errors import PlanError
from trainers.fields import flatten
from trainers.result import Environment, PlannedJob, RunState
from trainers.spec import Role, RunSpec, digest_of, group_id, run_id


@dataclass(frozen=True, kw_only=True)
class Job:
    """One training to be done: a spec, what it is called and what it is for; `also` are other labels of the same."""

    label: str
    role: Role
    spec: RunSpec
    also: tuple[str, ...] = ()

    @cached_property
    def id(self) -> str:
        """The run id; equal specs are one job."""
        return run_id(self.spec)

    @property
    def name(self) -> str:
        """Label and seed, unique within a plan: `student_scratch@0`."""
        return f"{self.label}@{self.spec.seed}"

    @property
    def shape(self) -> str:
        """Jobs of one shape ask for the same, and find each other's processes."""
        return self.role.value

    @property
    def num_epochs(self) -> int:
        """Epochs that it trains."""
        return self.spec.epochs

    @cached_property
    def parents(self) -> tuple[str, ...]:
        """Ids of the jobs that must be finished first."""
        return tuple(run_id(parent) for parent in self.spec.parents)

    def matches(self, pattern: str) -> bool:
        """Whether a user's `LABEL` or `LABEL@SEED` (with * and ?) means this job; a base label means all its points."""
        labels = {same for label in (self.label, *self.also) for same in (label, base_label(label))}
        names = labels | {f"{label}@{self.spec.seed}" for label in labels}
        return any(fnmatchcase(name, pattern) for name in names)


Task = Job | LogitsJob
"""What can be started: a training, or what trainings share."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Jobs in an order in which every parent comes before its children; each id once.

    `logits` are shared by some of them: no part of the plan's identity, since they change no number.
    """

    jobs: tuple[Job, ...]
    logits: tuple[LogitsJob, ...] = ()

    @cached_property
    def by_id(self) -> dict[str, Job]:
        """Every training by its run id."""
        return {job.id: job for job in self.jobs}

    @cached_property
    def tasks(self) -> dict[str, Task]:
        """Everything that can be started, by id, in an order that respects what waits for what."""
        by_id: dict[str, LogitsJob] = {job.id: job for job in self.logits}
        tasks: dict[str, Task] = {}
        for job in self.jobs:
            tasks.update({wish: by_id[wish] for wish in self.wishes.get(job.id, ())})
            tasks[job.id] = job
        return tasks

    @cached_property
    def wishes(self) -> dict[str, tuple[str, ...]]:
        """Run id -> ids of the logits that it waits for, though it can do without; only runs that have any."""
        wishes: dict[str, tuple[str, ...]] = {}
        for job in self.logits:
            for reader in job.readers:
                wishes[reader] = (*wishes.get(reader, ()), job.id)
        return wishes

    @cached_property
    def plan_id(self) -> str:
        """The identity of this set of jobs and labels."""
        return digest_of(sorted([job.id, job.label] for job in self.jobs))

    @cached_property
    def children(self) -> dict[str, tuple[str, ...]]:
        """Id -> ids of the tasks that wait for it."""
        children: dict[str, list[str]] = {task: [] for task in self.tasks}
        for task in self.tasks.values():
            for parent in (*task.parents, *self.wishes.get(task.id, ())):
                children[parent].append(task.id)
        return {parent: tuple(ids) for parent, ids in children.items()}

    def descendants(self, ids: Iterable[str]) -> set[str]:
        """The given tasks and everything that cannot be done without them."""
        found = set(ids)
        for task in self.tasks.values():
            if found.intersection(task.parents):
                found.add(task.id)
        return found

    def ancestors(self, ids: Iterable[str]) -> set[str]:
        """The given jobs and everything that they depend on."""
        found = set(ids)
        for job in reversed(self.jobs):
            if job.id in found:
                found.update(job.parents)
        return found

    def matching(self, patterns: Iterable[str]) -> set[str]:
        """Ids of the jobs that labels mean; PlanError for a label that means none."""
        found: set[str] = set()
        for pattern in patterns:
            ids = {job.id for job in self.jobs if job.matches(pattern)}
            if not ids:
                labels = ", ".join(dict.fromkeys(base_label(job.label) for job in self.jobs))
                raise PlanError(f"no job is called {pattern!r}; have: {labels} (LABEL, LABEL@SEED, * and ? allowed)")
            found |= ids
        return found

    def restricted(self, *, only: Iterable[str] = (), exclude: Iterable[str] = ()) -> Plan:
        """The plan with `only` some labels and their ancestors, without `exclude`d labels and their descendants."""
        chosen, unwanted = self.matching(only), self.descendants(self.matching(exclude))
        kept = (self.ancestors(chosen) if chosen else set(self.by_id)) - unwanted
        if not kept:
            raise PlanError("no job is left after --only and --exclude; leave one of them out")
        return make_plan(job for job in self.jobs if job.id in kept)

    def longest_paths(self, cost: Callable[[Task], float]) -> dict[str, float]:
        """Id -> cost of the task and of the dearest chain of tasks that waits for it."""
        return longest_paths(tuple(self.tasks), [self.children], lambda task: cost(self.tasks[task]))

    def records(self) -> tuple[PlannedJob, ...]:
        """The jobs as a plan file keeps them."""
        return tuple(
            PlannedJob(
                run_id=job.id,
                group_id=group_id(job.spec),
                label=job.label,
                role=job.role,
                seed=job.spec.seed,
                parents=job.parents,
            )
            for job in self.jobs
        )


def make_plan(jobs: Iterable[Job]) -> Plan:
    """Sort jobs topologically, each id once (later labels are `also`); PlanError if they are not a plan."""
    by_id: dict[str, Job] = {}
    for job in jobs:
        by_id[job.id] = _merged(by_id.get(job.id, job), job)
    _check_names(by_id.values())
    for job in by_id.values():
        for parent in job.parents:
            if parent not in by_id:
                raise PlanError(
                    f"job {job.name!r} depends on run {parent}, which is no job; add its parent to the sweep"
                )
    try:
        order = TopologicalSorter({job.id: job.parents for job in by_id.values()}).static_order()
        return Plan(jobs=tuple(by_id[run] for run in order))
    except CycleError as error:
        raise PlanError(f"jobs depend on each other in a circle: {error.args[1]}") from error


def _merged(first: Job, other: Job) -> Job:
    """The first of two jobs with one spec, with the labels of both."""
    also = tuple(dict.fromkeys(label for label in (*first.also, other.label, *other.also) if label != first.label))
    return first if also == first.also else replace(first, also=also)


def _check_names(jobs: Iterable[Job]) -> None:
    seen: dict[str, Job] = {}
    for job in jobs:
        if job.name in seen:
            changed = "; ".join(differences(seen[job.name].spec, job.spec))
            raise PlanError(f"two jobs are called {job.name!r} ({changed}); give each its own label")
        seen[job.name] = job


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Whether a job will run, and why. One that starts over `replaces` the result of an attempt, if it had any."""

    job: Job
    will_run: bool
    reason: str
    starts_over: bool = False
    replaces: str | None = None


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What the user asked to be trained again: ids, and whether everything whose code or parents changed."""

    forced: frozenset[str] = frozenset()
    reruns_changed: bool = False


def decide(
    plan: Plan,
    states: Mapping[str, RunState],
    earlier: Mapping[str, RunSpec],
    module_digest: Callable[[str], str],
    wishes: Wishes,
) -> dict[str, Decision]:
    """What is left of a plan and why, by run id, in the plan's order.

    `states` is what the store knows of each id, `earlier` the spec that a job name had in the plan
    before, `module_digest` the present digest of a plug-in's source.
    """
    decisions: dict[str, Decision] = {}
    for job in plan.jobs:
        state = states[job.id]
        if job.id in wishes.forced:
            replaces = None if state.result is None else state.result.attempt
            decision = Decision(job=job, will_run=True, reason="forced", starts_over=True, replaces=replaces)
        elif state.result is None:
            decision = Decision(job=job, will_run=True, reason=_why_unfinished(job, state, earlier.get(job.name)))
        else:
            changed = _what_changed(job, states, module_digest)
            parent_runs = any(decisions[parent].will_run for parent in job.parents)
            is_again = wishes.reruns_changed and bool(changed or parent_runs)
            reason = "; ".join(["done", *changed]) if not is_again else "; ".join(changed) or "parent retrained"
            replaces = state.result.attempt if is_again else None
            decision = Decision(job=job, will_run=is_again, reason=reason, starts_over=is_again, replaces=replaces)
        decisions[job.id] = decision
    return decisions


def _why_unfinished(job: Job, state: RunState, earlier: RunSpec | None) -> str:
    if state.corrupt is not None:
        return f"damaged: {state.corrupt}"
    if state.failure is not None:
        return f"failed before: {state.failure.reason}"
    if state.num_epochs_saved:
        return f"unfinished at epoch {state.num_epochs_saved} of {job.spec.epochs}"
    changes = [] if earlier is None else differences(earlier, job.spec)
    return f"changed: {'; '.join(changes)}" if changes else "new"


def _what_changed(job: Job, states: Mapping[str, RunState], module_digest: Callable[[str], str]) -> list[str]:
    """Reasons for which a finished job would come out differently today."""
    result = states[job.id].result
    if result is None:
        return []
    environment: Environment = result.environment
    reasons = [
        f"code changed: {module.replace('.', '/')}.py"
        for module, digest in environment.source_digests.items()
        if module_digest(module) != digest
    ]
    for parent, digest in result.parent_weights.items():
        parent_result = states[parent].result if parent in states else None
        if parent_result is not None and parent_result.files["weights.safetensors"].sha256 != digest:
            reasons.append("parent retrained")
    return reasons


def differences(old: RunSpec, new: RunSpec, most: int = 3) -> list[str]:
    """What changed between two specs, in words, parents included; at most `most` of them, of other data only that."""
    if old.data != new.data:
        return ["other data"]
    before, after = flatten(old), flatten(new)
    keys = [key for key in dict.fromkeys([*after, *before]) if before.get(key) != after.get(key)]
    words = [f"{key} {before.get(key, 'unset')} -> {after.get(key, 'unset')}" for key in keys]
    return words if len(words) <= most else [*words[:most], f"and {len(words) - most} more"]


def blocked_by(plan: Plan, failed: Iterable[str]) -> dict[str, str]:
    """Id -> id of the nearest failed ancestor, for every task that cannot run because of one."""
    failed_ids = set(failed)
    blockers: dict[str, str] = {}
    for task in plan.tasks.values():
        for parent in task.parents:
            if task.id not in failed_ids and (parent in failed_ids or parent in blockers):
                blockers.setdefault(task.id, parent if parent in failed_ids else blockers[parent])
    return blockers
