"""Which runs of a store may go. Pure: told what there is and what is wished, it gives run ids.

Every wish spares more: a run goes if it is old enough, in no plan, and not among the best, as far as
these were asked for. What stays keeps all its ancestors.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

ACTIVE_SECONDS = 3_600.0
"""A job without an end is taken to be at work if its files changed, or its plan was made, within this time."""


@dataclass(frozen=True, kw_only=True)
class KnownRun:
    """A run as far as pruning looks at it; `ancestors` are run ids, parents and theirs, `plans` those that name it.

    `validation_accuracy` is None for a run without a result. `is_active`: somebody may be training it.
    """

    run: str
    data: str | None
    ancestors: frozenset[str]
    plans: frozenset[str]
    age_seconds: float
    validation_accuracy: float | None
    is_active: bool


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What a user asks to be rid of."""

    older_than_seconds: float | None = None
    unreferenced: bool = False
    keep_best: int | None = None
    force: bool = False


def removable_runs(runs: Mapping[str, KnownRun], wishes: Wishes) -> set[str]:
    """The runs that go: those of plans only by force, those at work and what they need never."""
    kept = with_ancestors(_at_work(runs), runs)
    if wishes.unreferenced or not wishes.force:
        kept |= planned_runs(runs)
    if wishes.older_than_seconds is not None:
        kept |= {run for run, known in runs.items() if known.age_seconds < wishes.older_than_seconds}
    if wishes.keep_best is not None:
        kept |= best_runs(runs, wishes.keep_best)
    return set(runs) - with_ancestors(kept, runs)


def planned_runs(runs: Mapping[str, KnownRun]) -> set[str]:
    """What plans name, and what that needs."""
    return with_ancestors((run for run, known in runs.items() if known.plans), runs)


def best_runs(runs: Mapping[str, KnownRun], number: int) -> set[str]:
    """The finished runs with the highest validation accuracy, so many for every data set."""
    finished: dict[str | None, list[tuple[float, str]]] = defaultdict(list)
    for run, known in runs.items():
        if known.validation_accuracy is not None:
            finished[known.data].append((-known.validation_accuracy, run))
    return {run for of_data in finished.values() for _, run in sorted(of_data)[:number]}


def with_ancestors(chosen: Iterable[str], runs: Mapping[str, KnownRun]) -> set[str]:
    """Runs and everything that they were trained from."""
    found, waiting = set[str](), set(chosen)
    while waiting:
        found |= waiting
        above = {parent for run in waiting if run in runs for parent in runs[run].ancestors}
        waiting = above - found
    return found


def _at_work(runs: Mapping[str, KnownRun]) -> set[str]:
    """Active runs, and all others of their plans: some of those wait for their turn."""
    busy = {plan for known in runs.values() if known.is_active for plan in known.plans}
    return {run for run, known in runs.items() if known.is_active or known.plans & busy}
