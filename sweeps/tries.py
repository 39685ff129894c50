"""All that is left of a plan, in passes of limited size, and once more what failed for a reason that may pass."""

from __future__ import annotations

import gc
from collections.abc import Callable

from sweeps.passes import Pass, Setup
from sweeps.plan import Plan, Task
from sweeps.progress import Progress
from sweeps.time_limit import always
from trainers.storage import Store

MAX_TRIES = 2
"""The second takes up what a machine's fault or a damaged parent stopped in the first."""

JOBS_PER_PASS = 2000
"""Tune keeps about 30 KB of every trial until its experiment ends, and slows down with their number; a pass costs a few
seconds, in which its processes start."""


def run_passes(
    plan: Plan,
    store: Store,
    to_run: set[str],
    setup: Setup,
    progress: Progress,
    execute: Callable[[Pass], None],
    may_start: Callable[[Task], bool] = always,
    most: int = JOBS_PER_PASS,
) -> None:
    """Run everything, at `most` so many jobs in a pass, and once more what is left for a reason that may have passed.

    What depends on a job that an earlier pass did not finish waits for the next try. A try in which memory ran short
    with several jobs at a time does not count: each has fewer at a time than the one before.
    """
    num_tries = 0
    while num_tries < MAX_TRIES:
        done, is_thinned = set[str](), False
        has_run = False
        parts = slices(plan, to_run, setup.cost, most)
        for number, part in enumerate(parts):
            gone = set().union(*parts[:number]) - done
            later = set().union(*parts[number + 1 :])
            able = part - plan.descendants(gone)
            work = Pass(plan, able, store, setup, progress, may_start, later)
            if able and work.can_start():
                execute(work)
                has_run = True
                gc.collect()  # an experiment of Tune is full of circles, and its memory is wanted for the next
            done |= work.done
            is_thinned |= bool(work.short_of_memory) and work.most_at_once > 1
        if not has_run:
            return
        num_tries += not is_thinned
        to_run = _worth_another_try(plan, store)


def slices(plan: Plan, to_run: set[str], cost: Callable[[Task], float], most: int) -> list[set[str]]:
    """The jobs in parts of at most so many, those with the longest path below them first.

    The path of a parent is never shorter than that of its child, and of equals the plan's order has it first: every
    part needs only itself and the parts before it.
    """
    paths = plan.longest_paths(cost)
    order = sorted((task for task in plan.tasks if task in to_run), key=lambda task: -paths[task])
    return [set(order[start : start + most]) for start in range(0, len(order), most)]


def _worth_another_try(plan: Plan, store: Store) -> set[str]:
    """Unfinished jobs whose failure may pass and that no permanent failure blocks."""
    states = {job.id: store.state(job.id) for job in plan.jobs}
    hopeless = {
        run for run, state in states.items() if state.result is None and state.failure and state.failure.is_permanent
    }
    unfinished = {run for run, state in states.items() if state.result is None}
    left = unfinished - plan.descendants(hopeless)
    return left | {job.id for job in plan.logits if left.intersection(job.readers) and _may_be_written(store, job.id)}


def _may_be_written(store: Store, logits: str) -> bool:
    failure = store.logits(logits).failure()
    return failure is None or not failure.is_permanent
