"""What a plan is expected to take on this machine, before anything starts."""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from analysis.words import format_seconds
from sweeps.admission import Ledger
from sweeps.estimates import Estimates, History
from sweeps.passes import Setup
from sweeps.plan import Plan
from sweeps.request import ExecutionRequest
from sweeps.resources import Resources
from sweeps.simulation import Task, World, simulate


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """Estimated seconds by run id of what would run, {} while its pictures are not counted; `words` sum them up."""

    seconds: Mapping[str, float] = field(default_factory=dict)
    words: str = ""


def tasks_of(plan: Plan, to_run: Collection[str], setup: Setup) -> tuple[Task, ...]:
    """Some jobs of a plan as a simulation knows them: what they ask for, and how long they are estimated to take."""
    return tuple(
        Task(
            id=job.id,
            request=setup.request(job),
            epoch_seconds=setup.epoch_seconds(job),
            num_epochs=job.num_epochs,
            extra_seconds=setup.estimates.history.extra_seconds,
            parents=(*job.parents, *plan.wishes.get(job.id, ())),
        )
        for job in plan.tasks.values()
        if job.id in to_run
    )


def look_ahead(
    plan: Plan, to_run: Collection[str], num_images: Mapping[str, int], history: History, request: ExecutionRequest
) -> Outlook:
    """Of the jobs `to_run` and the logits that they share."""
    estimates = Estimates(history=history, num_images=num_images)
    if not to_run or not all(estimates.knows(plan.by_id[run].spec.data) for run in to_run):
        return Outlook()
    machine = Resources(cpus=math.inf if request.serial else float(os.cpu_count() or 1))
    resources = request.resources(has_gpu=False)
    setup = Setup(resources=resources, machines=(machine,), estimates=estimates, readers=plan.wishes.keys())
    tasks = tasks_of(plan, {*to_run, *(job.id for job in plan.logits)}, setup)
    work = format_seconds(sum(task.seconds for task in tasks))
    source = f"{len(history.runs)} runs of this store" if history.runs else "roles alone, no run is finished yet"
    return Outlook(
        seconds={task.id: task.seconds for task in tasks},
        words=f"estimated: {work} of work{_on_this_machine(tasks, setup, request)} (from {source})",
    )


def _on_this_machine(tasks: tuple[Task, ...], setup: Setup, request: ExecutionRequest) -> str:
    """How long it would take here; of a cluster nothing is known before it is joined."""
    if request.address is not None:
        return ""
    ledger = Ledger(setup.machines)
    if not all(ledger.can_ever_fit(task.request) for task in tasks):
        return ", for which this machine is too small"
    most = 1 if request.serial else request.max_concurrent
    makespan = simulate(tasks, World(machines=setup.machines, max_concurrent=most)).makespan_seconds
    where = "one after the other" if request.serial else f"on this machine's {setup.machines[0].cpus:g} CPUs"
    return f", {format_seconds(makespan)} {where} without a GPU"
