"""Looks at a store, again and again, while a sweep runs in it: reads what has changed, and writes nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

from analysis.drivers import Drivers
from analysis.logits_sets import LogitsSets
from analysis.overview import AT_WORK, OPEN, Glance, Overview, Phase
from analysis.pace import with_paces
from analysis.records import Records
from analysis.words import counted
from trainers.attempt import Attempt
from trainers.errors import CorruptFileError, PlanError
from trainers.remote import Place, RemotePath
from trainers.result import EpochRecord, PlannedJob, PlanRecord, Result, Started
from trainers.snapshot import Snapshot
from trainers.storage import Store

MOST_RESULTS, MOST_SPECS = 200, 200
"""Finished jobs that are read for their accuracy, and groups that are read for their epochs, at each look."""

MOST_DRIVERS = 3


class Lookout:
    """A plan of a store (the latest unless `plan_id` names one), and what is known of it from the looks so far."""

    def __init__(self, root: Place, plan_id: str | None = None, now: Callable[[], float] = time.time) -> None:
        self._snapshot = Snapshot(root) if isinstance(root, RemotePath) else None
        self.store = Store(root if self._snapshot is None else self._snapshot.root)
        self._plan_id, self._now = plan_id, now
        self._records, self._num_epochs = Records(), dict[str, int | None]()
        self.drivers = Drivers(self.store, self._records, now)
        self._logits = LogitsSets(self.store, self.drivers)
        self._most_at_once = 1

    def has_plan(self) -> bool:
        """Whether there is anything to look at yet."""
        if self._snapshot is not None:
            self._snapshot.look()
        return bool(self.store.plan_ids())

    def look(self) -> Overview:
        """The sweep as it stands now; PlanError if there is no such plan."""
        if self._snapshot is not None:
            self._snapshot.look()
        self.plan = self._latest()
        self.drivers.look()
        jobs = self._jobs()
        jobs |= self._logits.glances(self.plan, jobs)
        in_order = _blocked(_in_order(jobs, self.plan))
        known, seconds = with_paces(
            in_order, {job.run_id: job.group_id for job in self.plan.jobs}, self.drivers.expected
        )
        self._most_at_once = max(self._most_at_once, sum(job.phase in AT_WORK for job in known.values()))
        return Overview(
            title=self.plan.sweep,
            jobs=known,
            job_seconds=seconds,
            elapsed_seconds=self._elapsed(known),
            num_slots=self._most_at_once,
            remarks=tuple(self._remarks(known)),
        )

    def _latest(self) -> PlanRecord:
        plans = [self._records.read(self.store.plan_file(plan), PlanRecord) for plan in self.store.plan_ids()]
        known = {plan.plan_id: plan for plan in plans if plan is not None}
        if not known or (self._plan_id is not None and self._plan_id not in known):
            wanted = "a plan" if self._plan_id is None else f"plan {self._plan_id!r}"
            raise PlanError(f"{self.store.root} has not {wanted}; have: {', '.join(known) or 'none'}")
        return known[self._plan_id] if self._plan_id else max(known.values(), key=lambda plan: plan.planned_at)

    # Jobs

    def _jobs(self) -> dict[str, Glance]:
        done = [job.run_id for job in self.plan.jobs if self.store.has_result(job.run_id)]
        read, is_done = set(done[-MOST_RESULTS:]), set(done)
        self._new_specs = 0
        return {
            job.run_id: self._finished(job, is_read=job.run_id in read) if job.run_id in is_done else self._open(job)
            for job in self.plan.jobs
        }

    def _finished(self, job: PlannedJob, *, is_read: bool) -> Glance:
        result = self._records.read(self.store.result_file(job.run_id), Result) if is_read else None
        known = _glance(job, Phase.DONE, self._epochs(job))
        if result is None:
            return known
        seconds = result.train_seconds / known.num_epochs if known.num_epochs else None
        return replace(known, best_accuracy=result.best_validation_accuracy, epoch_seconds=seconds)

    def _open(self, job: PlannedJob) -> Glance:
        """A job without a result: at work, failed, stopped in the middle, or not begun."""
        attempts = self.store.attempts(job.run_id)
        newest = attempts[-1] if attempts else None
        driver = self.drivers.at(job.run_id, newest.driver if newest else "")
        failure = newest.failure() if newest else None
        if driver is None and failure is not None and self.is_given_up(failure.failed_at):
            return replace(_glance(job, Phase.FAILED, self._epochs(job)), note=failure.reason)
        phase = Phase.WAITING if driver is None else Phase.RUNNING
        known = _glance(job, phase, self._epochs(job, is_needed=phase is Phase.RUNNING))
        if newest is None:
            return replace(known, place=driver.record.host if driver else "")
        return self._begun(known, newest)

    def is_given_up(self, failed_at: str) -> bool:
        """Whether a failure is the last word: not if a driver that lives began after it, and will try again."""
        return not any(driver.record.started_at > failed_at for driver in self.drivers.alive)

    def _begun(self, known: Glance, attempt: Attempt) -> Glance:
        """What the newest attempt has come to."""
        curves = _curves(attempt)
        started = _started(attempt)
        resumed = started.resumed_from_epoch if started else 0
        last = curves[-1] if curves else None
        is_at_work = known.phase is Phase.RUNNING
        return replace(
            known,
            num_epochs_done=max(last.epoch if last else 0, resumed),
            validation_accuracy=last.validation_accuracy if last else None,
            best_accuracy=max((one.validation_accuracy for one in curves), default=None),
            images_per_second=last.images_per_second if last else None,
            epoch_seconds=last.epoch_seconds if last else None,
            running_seconds=self._since(started.started_at) if started and is_at_work else None,
            place=started.host if started and is_at_work else "",
        )

    def _epochs(self, job: PlannedJob, *, is_needed: bool = False) -> int | None:
        """How many it trains, as the spec of any run of its group says; None if that was not read yet."""
        if job.group_id not in self._num_epochs and (is_needed or self._new_specs < MOST_SPECS):
            self._new_specs += 1
            try:
                self._num_epochs[job.group_id] = self.store.spec(job.run_id).epochs
            except (CorruptFileError, OSError):
                self._num_epochs[job.group_id] = None
        return self._num_epochs.get(job.group_id)

    # The sweep

    def _since(self, moment: str) -> float | None:
        try:
            return max(0.0, self._now() - datetime.fromisoformat(moment).timestamp())
        except ValueError:
            return None

    def _elapsed(self, jobs: Mapping[str, Glance]) -> float | None:
        """Since the plan was made, until its last job ended or the last driver was killed."""
        since = self._since(self.plan.planned_at)
        if since is None:
            return None
        if any(job.phase in OPEN for job in jobs.values()):
            return max(0.0, since - self.drivers.silent_seconds)
        read = (
            self._records.read(self.store.result_file(job.run_id), Result) for job in self.plan.jobs[-MOST_RESULTS:]
        )
        ends = [self._since(result.finished_at) for result in read if result is not None]
        return max(0.0, since - min((end for end in ends if end is not None), default=0.0))

    def _remarks(self, jobs: Mapping[str, Glance]) -> list[str]:
        """Who is at work, and what to do if nobody is."""
        drivers = sorted(self.drivers.by_token.values(), key=lambda driver: driver.silent_seconds)
        lines = [driver.words for driver in drivers[:MOST_DRIVERS]]
        if len(drivers) > MOST_DRIVERS:
            lines.append(f"and {counted(len(drivers) - MOST_DRIVERS, 'more driver')}")
        if not self.drivers.alive and any(job.phase in OPEN for job in jobs.values()):
            lines.append(f"nobody is at work; to go on: {self.plan.command}")
        return lines


def is_over(overview: Overview, num_alive: int) -> bool:
    """Whether nothing more can change: all is done, or what is not has failed and nobody is there to try again."""
    is_done = overview.counts[Phase.DONE] == len(overview.jobs)
    return is_done or (num_alive == 0 and not any(overview.counts[phase] for phase in OPEN))


def _glance(job: PlannedJob, phase: Phase, num_epochs: int | None) -> Glance:
    return Glance(
        id=job.run_id,
        name=f"{job.label}@{job.seed}",
        label=job.label,
        role=job.role.value,
        phase=phase,
        num_epochs=num_epochs,
        waits_for=job.parents,
    )


def _curves(attempt: Attempt) -> tuple[EpochRecord, ...]:
    try:
        return attempt.curves()
    except (CorruptFileError, FileNotFoundError):
        return ()


def _started(attempt: Attempt) -> Started | None:
    try:
        return attempt.started()
    except CorruptFileError:
        return None


def _in_order(jobs: Mapping[str, Glance], plan: PlanRecord) -> dict[str, Glance]:
    """The jobs as the plan has them, each behind what it waits for; logits behind their teacher."""
    logits: dict[str, list[Glance]] = {}
    for job in jobs.values():
        if job.is_optional:
            logits.setdefault(job.waits_for[0], []).append(job)
    ordered: dict[str, Glance] = {}
    for planned in plan.jobs:
        ordered[planned.run_id] = jobs[planned.run_id]
        ordered |= {job.id: job for job in logits.get(planned.run_id, ())}
    return ordered


def _blocked(jobs: Mapping[str, Glance]) -> dict[str, Glance]:
    """What waits for something that failed is blocked by that; logits can be done without."""
    found: dict[str, Glance] = {}
    for run, job in jobs.items():
        above = [found[parent] for parent in job.waits_for if parent in found and not found[parent].is_optional]
        blocker = next((parent for parent in above if parent.phase in (Phase.FAILED, Phase.BLOCKED)), None)
        if job.phase is Phase.WAITING and blocker is not None:
            note = f"by {blocker.name}" if blocker.phase is Phase.FAILED else blocker.note
            job = replace(job, phase=Phase.BLOCKED, note=note)
        found[run] = job
    return found
