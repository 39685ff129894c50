"""All that is left of a plan, in passes of limited size, and once more what failed for a reason that may pass."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from analysis.overview import Phase
from sweeps.company import Company
from sweeps.passes import Pass, Setup, in_words, show_failure
from sweeps.plan import Plan, Task
from sweeps.progress import Progress
from sweeps.time_limit import always
from trainers.result import Failure, RunState
from trainers.storage import Store

MAX_TRIES = 2
"""Of a job: the second takes up what a machine's fault or a damaged parent stopped in the first."""

JOBS_PER_PASS = 2000
"""Tune keeps about 30 KB of every trial until its experiment ends, and slows down with their number; a pass costs a few
seconds, in which its processes start."""


@dataclass(kw_only=True)
class Round:
    """What became of the jobs of a round of passes; `elsewhere` are those that another driver was at."""

    done: set[str] = field(default_factory=set)
    started: set[str] = field(default_factory=set)
    elsewhere: set[str] = field(default_factory=set)
    is_thinned: bool = False

    def add(self, work: Pass) -> None:
        """One more pass is over."""
        self.done |= work.done
        self.started |= work.started
        self.elsewhere |= work.elsewhere
        self.is_thinned |= bool(work.short_of_memory) and work.most_at_once > 1


def run_passes(
    plan: Plan,
    store: Store,
    to_run: set[str],
    setup: Setup,
    progress: Progress,
    execute: Callable[[Pass], None],
    may_start: Callable[[Task], bool] = always,
    most: int = JOBS_PER_PASS,
    company: Company | None = None,
) -> None:
    """Run everything, at `most` so many jobs in a pass, and once more what is left for a reason that may have passed.

    What depends on a job that an earlier pass did not finish waits for the next round, and what another driver is at
    for its end. A round in which memory ran short with several jobs at a time does not count as a try of theirs: each
    has fewer at a time than the one before.
    """
    company, rest = company or Company(), Rest(plan, store, progress)

    def make_pass(able: set[str], later: set[str]) -> Pass:
        return Pass(plan, able, store, setup, progress, may_start, later, company.leases)

    while to_run:
        over = _round(plan, slices(plan, to_run, setup.cost, most), make_pass, execute)
        if over.elsewhere and not over.started:
            company.wait(over.elsewhere, lambda task: may_start(plan.tasks[task]))
        elif not over.started:
            return
        to_run = rest.after(over)


def _round(
    plan: Plan,
    parts: Sequence[set[str]],
    make_pass: Callable[[set[str], set[str]], Pass],
    execute: Callable[[Pass], None],
) -> Round:
    """One pass after the other; what depends on a job that an earlier one did not finish is left out."""
    over = Round()
    for number, part in enumerate(parts):
        gone = set().union(*parts[:number]) - over.done
        able = part - plan.descendants(gone)
        work = make_pass(able, set().union(*parts[number + 1 :]))
        if able and work.can_start():
            execute(work)
            gc.collect()  # an experiment of Tune is full of circles, and its memory is wanted for the next
        over.add(work)
    return over


def slices(plan: Plan, to_run: set[str], cost: Callable[[Task], float], most: int) -> list[set[str]]:
    """The jobs in parts of at most so many, those with the longest path below them first.

    The path of a parent is never shorter than that of its child, and of equals the plan's order has it first: every
    part needs only itself and the parts before it.
    """
    paths = plan.longest_paths(cost)
    order = sorted((task for task in plan.tasks if task in to_run), key=lambda task: -paths[task])
    return [set(order[start : start + most]) for start in range(0, len(order), most)]


class Rest:
    """What is left of a plan after each round, as the store tells; what others have done or failed at is shown.

    A failure that was there at first is of an earlier command, and no reason not to try.
    """

    def __init__(self, plan: Plan, store: Store, progress: Progress) -> None:
        self._plan, self._store, self._progress = plan, store, progress
        states = {job.id: store.state(job.id) for job in plan.jobs}
        self._earlier = {run: state.failure for run, state in states.items()}
        self._num_tries: Counter[str] = Counter()
        self._shown_done = {run for run, state in states.items() if state.result is not None}
        self._shown_failed: set[str] = set()

    def after(self, over: Round) -> set[str]:
        """Unfinished jobs that were not tried too often, whose failure may pass, and that no other's blocks."""
        self._num_tries.update(() if over.is_thinned else over.started)
        self._shown_done |= over.done
        self._shown_failed |= over.started - over.done
        states = {job.id: self._store.state(job.id) for job in self._plan.jobs}
        unfinished = {run for run, state in states.items() if state.result is None}
        failures = {run: failure for run in unfinished if (failure := self._new_failure(run, states[run]))}
        self._show(states, failures)
        hopeless = {run for run, failure in failures.items() if failure.is_permanent}
        spent = {task for task, number in self._num_tries.items() if number >= MAX_TRIES}
        left = unfinished - self._plan.descendants(hopeless | (spent & unfinished))
        wanted = {job.id for job in self._plan.logits if left.intersection(job.readers) and self._is_wanted(job.id)}
        return left | (wanted - spent)

    def _new_failure(self, run: str, state: RunState) -> Failure | None:
        return None if state.failure == self._earlier.get(run) else state.failure

    def _show(self, states: dict[str, RunState], failures: dict[str, Failure]) -> None:
        """What happened elsewhere: results, and failures that stay."""
        for run, state in states.items():
            if state.result is not None and run not in self._shown_done:
                self._progress.ended(run, Phase.DONE, f"by another driver: {in_words(state.result)}")
                self._shown_done.add(run)
        for run, failure in failures.items():
            if failure.is_permanent and run not in self._shown_failed:
                show_failure(self._progress, self._plan, run, failure, states.keys() - self._shown_done)
                self._shown_failed.add(run)

    def _is_wanted(self, logits: str) -> bool:
        failure = self._store.logits(logits).failure()
        return failure is None or not failure.is_permanent
