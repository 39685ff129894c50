"""A sweep at one moment, as those who run it and those who watch its store both see it. Pure.

Who holds up whom follows from the graph: a job that waits for others is held up by the first of them that run, or
could run, however many steps lie between.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property


class Phase(StrEnum):
    """Where a job is, in the words of the screen; `elsewhere` means that another driver is at it."""

    DONE = "done"
    RUNNING = "running"
    ELSEWHERE = "elsewhere"
    WAITING = "waiting"
    FAILED = "FAILED"
    BLOCKED = "BLOCKED"


AT_WORK = (Phase.RUNNING, Phase.ELSEWHERE)
OPEN = (*AT_WORK, Phase.WAITING)


@dataclass(frozen=True, kw_only=True, slots=True)
class Glance:
    """One job as it stands. What is not known is None; accuracies are fractions.

    `waits_for` are the ids of all that must have ended first, done or not; `place` is where, or by whom, it is done;
    `note` says why it failed, or what blocks it. `epoch_seconds` may be an estimate. What waits for a job that
    `is_optional` can do without.
    """

    id: str
    name: str
    label: str
    role: str
    phase: Phase
    num_epochs: int | None = None
    num_epochs_done: int = 0
    validation_accuracy: float | None = None
    best_accuracy: float | None = None
    images_per_second: float | None = None
    epoch_seconds: float | None = None
    running_seconds: float | None = None
    waits_for: tuple[str, ...] = ()
    place: str = ""
    note: str = ""
    is_optional: bool = False

    @property
    def kind(self) -> str:
        """The label without a grid's point, by which many jobs are counted together."""
        return self.label.partition("/")[0]

    @property
    def share_done(self) -> float:
        """Of its epochs, in 0..1."""
        if self.phase is Phase.DONE:
            return 1.0
        return min(1.0, self.num_epochs_done / self.num_epochs) if self.num_epochs else 0.0


@dataclass(frozen=True, kw_only=True)
class Overview:
    """All jobs of a sweep by id, each after all that it waits for, and how long it has taken.

    `job_seconds` are those that each open job still takes, {} if nothing is known of them; `num_slots` jobs run at
    once, `startup_seconds` pass before the first. `remarks` are lines about the whole, such as who is at work.
    """

    title: str
    jobs: Mapping[str, Glance]
    job_seconds: Mapping[str, float] = field(default_factory=dict)
    elapsed_seconds: float | None = None
    num_slots: int = 1
    startup_seconds: float = 0.0
    remarks: tuple[str, ...] = ()

    @cached_property
    def counts(self) -> Counter[Phase]:
        """How many jobs are in each phase."""
        return Counter(job.phase for job in self.jobs.values())

    def of_phase(self, *phases: Phase) -> list[Glance]:
        """The jobs in some phases, in order."""
        return [job for job in self.jobs.values() if job.phase in phases]

    @cached_property
    def share_done(self) -> float:
        """Of the work that is not given up, by the seconds of epochs; where none is known, by jobs."""
        left = [job for job in self.jobs.values() if job.phase in (*OPEN, Phase.DONE)]
        work = [(job.epoch_seconds or 0.0) * (job.num_epochs or 0) for job in left]
        work = work if sum(work) else [1.0] * len(left)
        done = sum(seconds * job.share_done for seconds, job in zip(work, left, strict=True))
        return done / sum(work) if left else 1.0

    @cached_property
    def _heads(self) -> dict[str, tuple[str, ...]]:
        """Of every open job, those that hold it up; itself alone if nothing does."""
        heads: dict[str, tuple[str, ...]] = {}
        for job in self.jobs.values():
            if job.phase in AT_WORK:
                heads[job.id] = (job.id,)
            elif job.phase is Phase.WAITING:
                above = (head for parent in job.waits_for for head in heads.get(parent, ()))
                heads[job.id] = tuple(dict.fromkeys(above)) or (job.id,)
        return heads

    @cached_property
    def held_up(self) -> dict[str, list[str]]:
        """Id of a job that runs or could -> ids of the jobs that cannot start before it has ended."""
        held: dict[str, list[str]] = {}
        for job, heads in self._heads.items():
            for head in heads if heads != (job,) else ():
                held.setdefault(head, []).append(job)
        return held

    @cached_property
    def ready(self) -> list[Glance]:
        """Waiting jobs that nothing but room keeps from starting."""
        return [self.jobs[job] for job, heads in self._heads.items() if heads == (job,) and self._waits(job)]

    def _waits(self, job: str) -> bool:
        return self.jobs[job].phase is Phase.WAITING

    @cached_property
    def blocked(self) -> dict[str, list[Glance]]:
        """What is blocked, by the note that says what blocks it."""
        blocked: dict[str, list[Glance]] = {}
        for job in self.of_phase(Phase.BLOCKED):
            blocked.setdefault(job.note, []).append(job)
        return blocked

    @cached_property
    def path_seconds(self) -> dict[str, float]:
        """Of every open job, the seconds left of it and of the longest chain that waits for it."""
        seconds: dict[str, float] = {}
        below: dict[str, float] = {}
        for job in reversed(list(self.jobs.values())):
            if job.phase in OPEN:
                seconds[job.id] = self.job_seconds.get(job.id, 0.0) + below.get(job.id, 0.0)
                for parent in job.waits_for:
                    below[parent] = max(below.get(parent, 0.0), seconds[job.id])
        return seconds

    @cached_property
    def seconds_left(self) -> float | None:
        """Of the sweep: all work over the slots, or the longest chain; None if nothing is known of it."""
        if not self.job_seconds:
            return None
        work = sum(self.job_seconds.values()) / max(1, self.num_slots)
        return self.startup_seconds + max(work, max(self.path_seconds.values(), default=0.0))

    @cached_property
    def longest_path(self) -> tuple[str, ...]:
        """The chain of open jobs that takes longest, first the one that runs or could; of equals the first."""
        return tuple(self._chain())

    def _chain(self) -> Iterator[str]:
        children: dict[str, list[str]] = {}
        for job in self.of_phase(*OPEN):
            for parent in job.waits_for if job.phase is Phase.WAITING else ():
                if parent in children:  # it came before: nothing leads back to itself
                    children[parent].append(job.id)
            children[job.id] = []
        heads: Iterable[str] = dict.fromkeys(head for heads in self._heads.values() for head in heads)
        while heads:
            longest = max(heads, key=self.path_seconds.__getitem__)
            yield longest
            heads = children[longest]
