"""When and where every attempt ran: spans of time, the slots that they fill, what they waited for, how busy hosts were.

A store says when an attempt began, and when it failed or gave its result. One that was interrupted does not say when:
it reaches as far as the epochs that it has trained.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from graphlib import TopologicalSorter
from itertools import zip_longest

from analysis.tables import Row
from trainers.errors import CorruptFileError, SweepError
from trainers.result import Started, Status
from trainers.storage import Attempt, Store

MOST_READ = 500
"""Runs with several attempts, or none that finished, whose attempts are read one by one."""
INTERRUPTED, RUNNING = "interrupted", "running"


@dataclass(frozen=True, kw_only=True)
class Span:
    """An attempt at a run, or at a set of logits, whose id is `run_id` then.

    `start` and `end` are in seconds of the epoch; `slot` counts from 1 on its host, 0 before it has one.
    """

    run_id: str
    host: str
    start: float
    end: float
    state: str
    slot: int = 0


def spans(store: Store, runs: Sequence[Row], now: float | None = None) -> list[Span]:
    """Of all attempts that say when they began; `now` is the end of those that still run, if they do."""
    whole = [run for run in runs if run["status"] == Status.OK.value and run["num_attempts"] == 1]
    others = [run for run in runs if run["num_attempts"] and run not in whole][:MOST_READ]
    found = [_whole(run) for run in whole if run["started_at"] and run["finished_at"]]
    with ThreadPoolExecutor(8) as threads:
        several = threads.map(lambda run: list(_spans_of_run(store, run, now)), others)
    return [*found, *(span for spans in several for span in spans)]


def _whole(run: Row) -> Span:
    start, end = seconds(run["started_at"]), seconds(run["finished_at"])
    return Span(run_id=run["run_id"], host=run["host"] or "?", start=start, end=max(start, end), state=Status.OK.value)


def _spans_of_run(store: Store, run: Row, now: float | None) -> Iterator[Span]:
    finished_at = run["finished_at"] if run["status"] == Status.OK.value else None
    return spans_of(run["run_id"], lambda: store.attempts(run["run_id"]), lambda last: finished_at, now)


def spans_of(
    run: str, attempts: Callable[[], Iterable[Attempt]], finished_at: Callable[[Attempt], str | None], now: float | None
) -> Iterator[Span]:
    """Of the attempts at one thing; `finished_at` is asked of the last one. What cannot be read is passed over."""
    try:
        begun = [(attempt, started) for attempt in attempts() if (started := attempt.started()) is not None]
        following = [seconds(started.started_at) for _, started in begun[1:]]
        for (attempt, started), next_start in zip_longest(begun, following):
            start = seconds(started.started_at)
            trained_until = start + _epoch_seconds(attempt, started)
            end, state = _end(attempt, trained_until, next_start, finished_at, now)
            yield Span(run_id=run, host=started.host, start=start, end=max(start, end), state=state)
    except (SweepError, OSError, ValueError):
        return


def _end(
    attempt: Attempt,
    trained_until: float,
    following: float | None,
    finished_at: Callable[[Attempt], str | None],
    now: float | None,
) -> tuple[float, str]:
    failure = attempt.failure()
    if failure is not None:
        return seconds(failure.failed_at), Status.FAILED.value
    if following is not None:
        return min(following, trained_until), INTERRUPTED
    finished = finished_at(attempt)
    if finished is not None:
        return seconds(finished), Status.OK.value
    return (trained_until, INTERRUPTED) if now is None else (now, RUNNING)


def _epoch_seconds(attempt: Attempt, started: Started) -> float:
    """Of the epochs that an attempt has trained itself."""
    try:
        return math.fsum(one.epoch_seconds for one in attempt.curves() if one.epoch > started.resumed_from_epoch)
    except (CorruptFileError, FileNotFoundError):
        return 0.0


def seconds(moment: str) -> float:
    """Of the epoch, of ISO 8601."""
    return datetime.fromisoformat(moment).timestamp()


def in_slots(found: Iterable[Span]) -> list[Span]:
    """Each in the first slot of its host that is free when it starts: as few slots as can be."""
    ends: dict[str, list[float]] = defaultdict(list)
    placed = []
    for span in sorted(found, key=lambda span: (span.start, span.end, span.run_id)):
        slots = ends[span.host]
        free = next((number for number, end in enumerate(slots) if end <= span.start), len(slots))
        slots[free : free + 1] = [span.end]
        placed.append(replace(span, slot=free + 1))
    return placed


def critical_path(found: Sequence[Span], parents: Mapping[str, Sequence[str]]) -> list[str]:
    """Run ids of the chain with most seconds of work of which each waited for the one before; parents come first."""
    work = work_seconds(found)
    before: dict[str, str | None] = {}
    until: dict[str, float] = {}
    for run in _parents_first(work, parents):
        last = max((parent for parent in parents.get(run, ()) if parent in until), key=until.__getitem__, default=None)
        before[run], until[run] = last, work[run] + (until[last] if last is not None else 0.0)
    run_or_none = max(until, key=until.__getitem__, default=None)
    path = []
    while run_or_none is not None:
        path.append(run_or_none)
        run_or_none = before[run_or_none]
    return path[::-1]


def work_seconds(found: Iterable[Span]) -> dict[str, float]:
    """By run id, all its attempts together."""
    work: dict[str, float] = defaultdict(float)
    for span in found:
        work[span.run_id] += span.end - span.start
    return dict(work)


def _parents_first(runs: Iterable[str], parents: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """The runs in an order in which none comes before a parent of it."""
    known = set(runs)
    order = TopologicalSorter({run: [parent for parent in parents.get(run, ()) if parent in known] for run in known})
    yield from order.static_order()


def utilisation(found: Sequence[Span]) -> list[Row]:
    """Per host: its slots, and the share of their time, from the first start to the last end of all, that was used."""
    if not found:
        return []
    whole = max(span.end for span in found) - min(span.start for span in found)
    rows = []
    for host in sorted({span.host for span in found}):
        own = [span for span in found if span.host == host]
        slots, busy = max(span.slot for span in own), sum(span.end - span.start for span in own)
        share = busy / (slots * whole) if whole else None
        rows.append({"host": host, "num_slots": slots, "num_attempts": len(own), "busy_seconds": busy, "share": share})
    return rows
