"""`--grid`: one sweep over all combinations of some fields' values, each different job once. Pure.

The sweep is made once per combination. A job's label tells the values of those fields that make it
another job, directly or through a parent; a job that no field touches stays one job.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sweeps.context import all_settable_keys, check_settings, scopes_of
from sweeps.labels import base_label, num_jobs, point_label, short_name
from sweeps.plan import Job
from sweeps.recipes import Setting, read_value, split_setting
from trainers.errors import SpecError
from trainers.fields import check_value
from trainers.spec import Role, run_id

MOST_POINTS = 10_000
"""Each of them makes the whole sweep, and plans were tried with as many jobs."""

Point = tuple[int, ...]
"""Which value of every axis: a combination."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One `--grid`: a field's values, for every job or for those whose role, label, model or objective is `scope`."""

    key: str
    values: tuple[Any, ...]
    scope: str | None = None

    @property
    def name(self) -> str:
        """As the user wrote it: `student:objective.temperature`."""
        return self.key if self.scope is None else f"{self.scope}:{self.key}"

    @property
    def settings(self) -> tuple[Setting, ...]:
        """Every value as a setting."""
        return tuple(Setting(key=self.key, value=value, scope=self.scope) for value in self.values)


@dataclass(frozen=True, kw_only=True)
class Expansion:
    """The jobs of all combinations (a job may be there more than once), and what the axes did, in words."""

    jobs: tuple[Job, ...]
    note: str = ""


def parse_axis(text: str) -> Axis:
    """`[WHO:]KEY=V1,V2,...`; commas within [ ] belong to a value; SpecError if it is not that, or no field's value."""
    scope, key, rest = split_setting(text, "--grid", "KEY=V1,V2,...", "--grid objective.temperature=1,4,20")
    parts = re.split(r",(?![^\[]*\])", rest)
    values = tuple(read_value(part.strip()) for part in parts)
    if not all(part.strip() for part in parts):
        raise SpecError(f"--grid {text!r} has an empty value; write KEY=V1,V2,... without a comma too many")
    twice = [value for index, value in enumerate(values) if value in values[:index]]
    if twice:
        raise SpecError(f"--grid {text!r} has {twice[0]!r} twice; give every value once")
    if len(values) == 1:
        raise SpecError(f"--grid {text!r} has a single value; give several, or write --set {text}")
    for value in values:
        check_value(key, value)
    return Axis(key=key, values=values, scope=scope)


def expand(
    axes: Sequence[Axis], settings: tuple[Setting, ...], make_jobs: Callable[[tuple[Setting, ...]], tuple[Job, ...]]
) -> Expansion:
    """The sweep that `make_jobs` makes of the user's settings, over all combinations of the axes' values."""
    if not axes:
        return Expansion(jobs=make_jobs(settings))
    _check_axes(axes, settings)
    _check_number(axes)
    points = itertools.product(*(range(len(axis.values)) for axis in axes))
    made = {point: make_jobs(_settings_at(point, axes, settings)) for point in points}
    everything = tuple(job for jobs in made.values() for job in jobs)
    for axis in axes:
        check_settings(axis.settings, everything, "--grid")
    touching = _touching(axes, made)
    jobs = tuple(
        replace(job, label=point_label(job.label, _values(point, touching[job.name], axes)))
        for point, of_point in made.items()
        for job in of_point
    )
    return Expansion(jobs=jobs, note=_note(axes, made))


def _check_axes(axes: Sequence[Axis], settings: Iterable[Setting]) -> None:
    """SpecError for a field that is given twice for the same jobs."""
    given = dict.fromkeys(((setting.key, setting.scope) for setting in settings), "--set")
    for axis in axes:
        other = given.get((axis.key, axis.scope))
        if other is not None:
            raise SpecError(f"--grid {axis.name} contradicts the {other} of the same field; leave one of them out")
        given[axis.key, axis.scope] = "other --grid"


def _check_number(axes: Sequence[Axis]) -> None:
    """SpecError for more combinations than anybody plans."""
    counts = [len(axis.values) for axis in axes]
    if math.prod(counts) > MOST_POINTS:
        raise SpecError(
            f"--grid makes {math.prod(counts):,} combinations ({' x '.join(map(str, counts))}); "
            f"allowed: {MOST_POINTS:,} at most"
        )


def _settings_at(point: Point, axes: Sequence[Axis], settings: tuple[Setting, ...]) -> tuple[Setting, ...]:
    """The user's settings with one value of each axis; for one field, what is said of fewer jobs comes later."""
    combined = list(settings)
    for index, axis in zip(point, axes, strict=True):
        special = [
            at for at, one in enumerate(combined) if one.key == axis.key and _rank(one.scope) > _rank(axis.scope)
        ]
        combined.insert(min(special, default=len(combined)), axis.settings[index])
    return tuple(combined)


def _rank(scope: str | None) -> int:
    """0 for every job, 1 for a role, 2 for a label or a plug-in."""
    return 0 if scope is None else 1 if scope in tuple(Role) else 2


def _touching(axes: Sequence[Axis], made: Mapping[Point, tuple[Job, ...]]) -> dict[str, dict[int, bool]]:
    """Job name -> the axes, by index, that make it another job, and whether by a field of its own or of its parents."""
    whole, own = (_ids(made, lambda job: job.name, identity) for identity in (_id, _own_id))
    return {
        name: {index: _matters(index, own[name]) for index in range(len(axes)) if _matters(index, whole[name])}
        for name in whole
    }


def _ids(
    made: Mapping[Point, tuple[Job, ...]], key: Callable[[Job], str], identity: Callable[[Job], str]
) -> dict[str, dict[Point, frozenset[str]]]:
    """For every key of jobs: combination -> what their identities are there."""
    ids: dict[str, dict[Point, frozenset[str]]] = defaultdict(dict)
    for point, jobs in made.items():
        for job in jobs:
            ids[key(job)][point] = ids[key(job)].get(point, frozenset()) | {identity(job)}
    return ids


def _id(job: Job) -> str:
    return job.id


def _own_id(job: Job) -> str:
    """The identity of a job apart from its parents."""
    return run_id(job.spec.without_parents())


def _matters(index: int, ids: Mapping[Point, frozenset[str]]) -> bool:
    """Whether two combinations that differ in this axis alone have other jobs."""
    seen: dict[Point, frozenset[str]] = {}
    return any(seen.setdefault((*point[:index], *point[index + 1 :]), found) != found for point, found in ids.items())


def _values(point: Point, touching: Mapping[int, bool], axes: Sequence[Axis]) -> dict[str, Any]:
    """Name -> value of the axes that touch a job: `epochs` is its own field, `teacher.epochs` one of its parents'."""
    short = [short_name(axis.key) for axis in axes]
    values = {}
    for index, is_own in touching.items():
        name = short[index] if short.count(short[index]) == 1 else axes[index].key
        owner = "" if is_own else f"{axes[index].scope or 'parent'}."
        values[owner + name] = axes[index].values[point[index]]
    return values


def _note(axes: Sequence[Axis], made: Mapping[Point, tuple[Job, ...]]) -> str:
    """What each axis multiplies, and how many jobs come of it; SpecError for an axis that multiplies nothing."""
    by_label = _ids(made, lambda job: base_label(job.label), _id)
    words = []
    for index, axis in enumerate(axes):
        labels = [label for label, ids in by_label.items() if _matters(index, ids)]
        if not labels:
            raise SpecError(_useless(axis, made))
        words.append(f"{axis.name} ({len(axis.values)} values) multiplies {', '.join(labels)}")
    num_after = len({job.id for jobs in made.values() for job in jobs})
    num_before = len({job.id for job in next(iter(made.values()))})
    return f"grid: {'; '.join(words)}; {num_jobs(num_after)} instead of {num_before}"


def _useless(axis: Axis, made: Mapping[Point, tuple[Job, ...]]) -> str:
    meant = [job for jobs in made.values() for job in jobs if axis.scope in (None, *scopes_of(job, axis.key))]
    others = [key for key in all_settable_keys(meant) if key != axis.key]
    return (
        f"--grid {axis.name} multiplies nothing: with every value the jobs are the same (a --set of a label wins over "
        f"it); other keys: {', '.join(others)}"
    )
