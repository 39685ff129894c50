"""What a plan is expected to take on this machine, before anything starts."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sweeps.admission import Ledger
from sweeps.estimates import Estimates, History
from sweeps.forecast import format_seconds
from sweeps.passes import Setup
from sweeps.plan import Job
from sweeps.request import ExecutionRequest
from sweeps.resources import Resources
from sweeps.simulation import Task, World, simulate


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """Estimated seconds by run id of what would run, {} while its pictures are not counted; `words` sum them up."""

    seconds: Mapping[str, float] = field(default_factory=dict)
    words: str = ""


def tasks_of(jobs: Iterable[Job], setup: Setup) -> tuple[Task, ...]:
    """Jobs as a simulation knows them: what they ask for, and how long they are estimated to take."""
    return tuple(
        Task(
            id=job.id,
            request=setup.request(job),
            epoch_seconds=setup.epoch_seconds(job),
            num_epochs=job.spec.epochs,
            extra_seconds=setup.estimates.history.extra_seconds,
            parents=job.parents,
        )
        for job in jobs
    )


def look_ahead(
    jobs: Iterable[Job], num_images: Mapping[str, int], history: History, request: ExecutionRequest
) -> Outlook:
    """Of the jobs that would run, in the plan's order."""
    jobs = tuple(jobs)
    estimates = Estimates(history=history, num_images=num_images)
    if not jobs or not all(estimates.knows(job.spec.data) for job in jobs):
        return Outlook()
    machine = Resources(cpus=math.inf if request.serial else float(os.cpu_count() or 1))
    setup = Setup(resources=request.resources(has_gpu=False), machines=(machine,), estimates=estimates)
    tasks = tasks_of(jobs, setup)
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
