"""How long jobs will take, from the epochs that this sweep has seen. Pure.

A job's own epochs are the best guide, then those of its group (the same but for the seed), then what a driver expects
of the group, as far as that held for others; without it those of its label, its role, all.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import replace
from statistics import mean

from analysis.overview import OPEN, Glance


def with_paces(
    jobs: Mapping[str, Glance], groups: Mapping[str, str], expected: Mapping[str, float]
) -> tuple[dict[str, Glance], dict[str, float]]:
    """The jobs, with seconds per epoch where they can be guessed, and the seconds that open ones still take.

    `groups` are the group ids of jobs, `expected` the seconds of an epoch that a driver expects, by group id.
    """
    measured: dict[Hashable, list[float]] = defaultdict(list)
    for job in jobs.values():
        for key in _keys(job, groups) if job.epoch_seconds else ():
            measured[key].append(job.epoch_seconds or 0.0)
    paces = {key: mean(seconds) for key, seconds in measured.items()}
    paces = _corrected({("group", group): seconds for group, seconds in expected.items()}, paces) | paces
    known = {run: replace(job, epoch_seconds=_pace(job, groups, paces)) for run, job in jobs.items()}
    seconds = {run: left for run, job in known.items() if (left := _seconds_left(job)) is not None}
    return known, seconds


def _corrected(expected: Mapping[Hashable, float], measured: Mapping[Hashable, float]) -> dict[Hashable, float]:
    """What is expected, times what the measured ones took over what they should have taken."""
    both = expected.keys() & measured.keys()
    should, did = (math.fsum(seconds[key] for key in both) for seconds in (expected, measured))
    return {key: seconds * (did / should if should else 1.0) for key, seconds in expected.items()}


def _keys(job: Glance, groups: Mapping[str, str]) -> Iterator[Hashable]:
    yield from (("group", groups.get(job.id)), ("label", job.kind), ("role", job.role), "all")


def _pace(job: Glance, groups: Mapping[str, str], paces: Mapping[Hashable, float]) -> float | None:
    guesses = (paces.get(key) for key in _keys(job, groups))
    return job.epoch_seconds or next((guess for guess in guesses if guess is not None), None)


def _seconds_left(job: Glance) -> float | None:
    """None if it is over, or nothing is known of it."""
    if job.phase not in OPEN or job.num_epochs is None or job.epoch_seconds is None:
        return None
    return job.epoch_seconds * max(0, job.num_epochs - job.num_epochs_done)
