"""The other drivers of a store, and how to wait for what they are at: between passes, outside Tune."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from sweeps.labels import num_jobs
from trainers.leases import Alone, DriverRecord, Leasing

POLL_SECONDS = 1.0


def silent(message: str) -> None:
    """Says nothing."""


@dataclass(frozen=True, kw_only=True)
class Company:
    """Who else may be at the jobs of a store; `say` tells a person whom we wait for, `pause` sleeps so many seconds."""

    leases: Leasing = field(default_factory=Alone)
    say: Callable[[str], None] = silent
    pause: Callable[[float], None] = time.sleep

    def wait(self, tasks: Collection[str], may_start: Callable[[str], bool]) -> None:
        """Until another driver has ended one of these jobs, or lives no more, or none of them may start any more."""
        waiting, told = frozenset(tasks), ""
        while any(map(may_start, waiting)) and waiting <= (holders := self.leases.holders(waiting)).keys():
            message = whom(holders)
            if message != told:
                self.say(message)
            told = message
            self.pause(POLL_SECONDS)


def whom(holders: Mapping[str, DriverRecord]) -> str:
    """`waiting for 2 jobs of another driver on box (process 7)`, in one line for all of them."""
    counts = Counter(holder.place for holder in holders.values())
    return "waiting for " + ", ".join(
        f"{num_jobs(count)} of another driver on {place}" for place, count in sorted(counts.items())
    )
