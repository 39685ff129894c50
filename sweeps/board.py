"""The state of every job of a sweep and how long the rest will take, from estimates and from what this run measures.

It is told the time, so that it can be tested. Every event costs the same, however many jobs there are.
"""

from __future__ import annotations

import time
from bisect import insort
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from analysis.overview import OPEN, Glance, Overview, Phase
from sweeps.estimates import Kind
from sweeps.plan import Plan, Task
from sweeps.step import Step


@dataclass
class Line:
    """One job as the board knows it; seconds per epoch are None until one was seen, `since` is when it last spoke."""

    job: Task
    estimated_epoch_seconds: float
    kind: Kind
    phase: Phase = Phase.WAITING
    num_epochs_done: int = 0
    validation_accuracy: float | None = None
    best_accuracy: float | None = None
    images_per_second: float | None = None
    epoch_seconds: float | None = None
    place: str = ""
    note: str = ""
    started_at: float = 0.0
    since: float = 0.0
    train_seconds: float = 0.0
    starts_process: bool = False

    @property
    def is_open(self) -> bool:
        """Whether there is still something to do."""
        return self.phase in OPEN

    @property
    def num_epochs_left(self) -> int:
        """Epochs still to train."""
        return self.job.num_epochs - self.num_epochs_done if self.is_open else 0


@dataclass
class Pace:
    """Seconds of epochs as measured and as they had been estimated."""

    measured: float = 0.0
    estimated: float = 0.0

    def add(self, measured: float, estimated: float) -> None:
        """One more epoch, or one less."""
        self.measured += measured
        self.estimated += estimated


class Board:
    """The state of every job and how long the rest will take.

    `epoch_seconds` estimates an epoch of a job, `kind` says which jobs are alike, `extra_seconds` is what a job takes
    besides. An estimate is corrected by how those of the same kind compare with what this run measured, or those of all
    kinds. Jobs that start before any has ended are the first of their processes, which take `startup_seconds`; the
    others find one.
    """

    def __init__(
        self,
        plan: Plan,
        done: Iterable[str],
        num_slots: int,
        epoch_seconds: Callable[[Task], float],
        kind: Callable[[Task], Kind],
        extra_seconds: float = 0.0,
        startup_seconds: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._plan, self._num_slots, self._clock = plan, max(1, num_slots), clock
        finished = set(done)
        self.lines = {job.id: Line(job, epoch_seconds(job), kind(job)) for job in plan.tasks.values()}
        for run in finished & set(self.lines):
            self.lines[run].phase, self.lines[run].note = Phase.DONE, "was done"
        self._counts = Counter(line.phase for line in self.lines.values())
        self._paces: dict[Kind, Pace] = defaultdict(Pace)
        self._overall = Pace()
        self._expected_extra, self._extras = extra_seconds, list[float]()
        self._startup_seconds, self._num_started, self._num_ended = startup_seconds, 0, 0
        self._start, self._glances, self._touched = clock(), dict[str, Glance](), deque(self.lines)

    def started(self, run: str) -> None:
        """A job was given its resources."""
        line = self.lines[run]
        self._turn(line, Phase.RUNNING)
        line.started_at = line.since = self._clock()
        line.place = ""
        line.train_seconds = 0.0
        line.starts_process = self._num_ended == 0
        self._num_started += 1

    def elsewhere(self, run: str, place: str) -> None:
        """Another driver is at a job."""
        self._turn(self.lines[run], Phase.ELSEWHERE)
        self.lines[run].place = place

    def epoch(self, run: str, step: Step) -> None:
        """A job finished an epoch; its last one is what counts."""
        line = self.lines[run]
        for pace in (self._paces[line.kind], self._overall):
            if line.epoch_seconds is not None:
                pace.add(-line.epoch_seconds, -line.estimated_epoch_seconds)
            pace.add(step.epoch_seconds, line.estimated_epoch_seconds)
        line.num_epochs_done, line.epoch_seconds = step.epoch, step.epoch_seconds
        line.validation_accuracy, line.images_per_second = step.validation_accuracy, step.images_per_second
        if step.validation_accuracy is not None:
            line.best_accuracy = max(step.validation_accuracy, line.best_accuracy or 0.0)
        self._touched.append(run)
        line.train_seconds += step.epoch_seconds
        line.since = self._clock()

    def ended(self, run: str, phase: Phase, note: str) -> None:
        """A job is done, failed or blocked, and why."""
        line = self.lines[run]
        self._num_ended += 1
        if phase is Phase.DONE and line.phase is Phase.RUNNING and not line.starts_process:
            insort(self._extras, max(0.0, self._clock() - line.started_at - line.train_seconds))
        line.note = note
        self._turn(line, phase)

    def count(self, phase: Phase) -> int:
        """How many jobs are in a phase."""
        return self._counts[phase]

    def overview(self, title: str) -> Overview:
        """All of it as it stands. What has not changed since the last time is not made again."""
        now = self._clock()
        while self._touched:
            run = self._touched.popleft()
            self._glances[run] = self._glance(self.lines[run], now)
        running = (line for line in self.lines.values() if line.phase is Phase.RUNNING)
        self._glances |= {line.job.id: self._glance(line, now) for line in running}
        return Overview(
            title=title,
            jobs=self._glances,
            job_seconds={run: self.job_seconds_left(run) for run, line in self.lines.items() if line.is_open},
            elapsed_seconds=now - self._start,
            num_slots=self._num_slots,
            startup_seconds=0.0 if self._num_started else self._startup_seconds,
        )

    def _glance(self, line: Line, now: float) -> Glance:
        job = line.job
        return Glance(
            id=job.id,
            name=job.name,
            label=job.label,
            role=job.role.value,
            phase=line.phase,
            num_epochs=job.num_epochs,
            num_epochs_done=line.num_epochs_done,
            validation_accuracy=line.validation_accuracy,
            best_accuracy=line.best_accuracy,
            images_per_second=line.images_per_second,
            epoch_seconds=line.epoch_seconds or line.estimated_epoch_seconds,
            running_seconds=now - line.started_at if line.phase is Phase.RUNNING else None,
            waits_for=(*job.parents, *self._plan.wishes.get(job.id, ())),
            place=line.place,
            note=line.note,
        )

    def seconds_left(self) -> float:
        """Estimate for the whole sweep: the longest chain, or all work over the slots."""
        rest = {run: self.job_seconds_left(run) for run, line in self.lines.items() if line.is_open}
        chains = self._plan.longest_paths(lambda job: rest.get(job.id, 0.0)) if rest else {}
        startup = 0.0 if self._num_started or not rest else self._startup_seconds
        return startup + max([sum(rest.values()) / self._num_slots, *chains.values()])

    def job_seconds_left(self, run: str) -> float:
        """Estimate for one job: from its own epochs, else from the estimate, corrected by what was measured."""
        line = self.lines[run]
        if not line.is_open:
            return 0.0
        per_epoch = line.epoch_seconds or line.estimated_epoch_seconds * self._correction(line.kind)
        gone = self._clock() - line.since if line.phase is Phase.RUNNING else 0.0
        is_starting = line.starts_process and line.train_seconds == 0
        extra = self._extra_seconds + (self._startup_seconds if is_starting else 0.0)
        return max(0.0, per_epoch * line.num_epochs_left + extra - gone)

    def measured_seconds_left(self, run: str) -> float | None:
        """The same, once this run has measured anything: before, an estimate may be a guess."""
        return self.job_seconds_left(run) if self._overall.measured else None

    @property
    def _extra_seconds(self) -> float:
        return self._extras[len(self._extras) // 2] if self._extras else self._expected_extra

    def _correction(self, kind: Kind) -> float:
        paces = (self._paces.get(kind), self._overall)
        return next((pace.measured / pace.estimated for pace in paces if pace and pace.estimated > 0), 1.0)

    def _turn(self, line: Line, phase: Phase) -> None:
        self._counts[line.phase] -= 1
        self._counts[phase] += 1
        line.phase = phase
        self._touched.append(line.job.id)
