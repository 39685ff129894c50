"""`--max-hours`: which jobs may still start. Told the time, so that it can be tested."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from sweeps.plan import Task
from trainers.errors import ResourceError


@dataclass(frozen=True, kw_only=True)
class TimeLimit:
    """No job starts after `end`, nor one that would not be done by then; `clock` and `end` are in seconds.

    `seconds_left` estimates a job, in seconds; None while nothing was measured, and then the job may start.
    """

    end: float
    clock: Callable[[], float]
    seconds_left: Callable[[str], float | None]

    def allows(self, job: Task) -> bool:
        """Whether a job may start now."""
        if self.end == math.inf:
            return True
        rest = self.end - self.clock()
        return rest > 0 and (self.seconds_left(job.id) or 0.0) <= rest


def end_of(started: float, hours: float | None) -> float:
    """When that many hours are over, in the seconds of `started`; never without a limit."""
    return math.inf if hours is None else started + hours * 3600


def always(job: Task) -> bool:
    """No limit."""
    return True


def all_allow(*limits: Callable[[Task], bool]) -> Callable[[Task], bool]:
    """Several limits as one, the first asked first."""
    return lambda job: all(allows(job) for allows in limits)


def parse_hours(text: str | None) -> float | None:
    """`--max-hours` as a number; ResourceError for what is no time."""
    try:
        hours = None if text is None else float(text)
    except ValueError:
        hours = math.nan
    if hours is not None and not 0 < hours < math.inf:
        raise ResourceError(f"--max-hours is {text}; allowed: a number above 0, as in 0.5")
    return hours
