"""Teachers' logits that jobs of a plan wait for: no part of the plan's record, but of what holds up whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from analysis.drivers import Drivers
from analysis.overview import OPEN, Glance, Phase
from trainers.errors import CorruptFileError, SweepError
from trainers.logits_folder import LogitsFolder
from trainers.result import PlannedJob, PlanRecord
from trainers.spec import run_id
from trainers.storage import Store
from trainers.teacher_logits import LogitsRequest, logits_id, logits_read_by

MOST_READERS = 500
"""Jobs whose specs are read to tell what they read; in a larger plan only what is being written is shown."""


def request_of(store: Store, logits: str) -> LogitsRequest | None:
    """What is to be written to a set; None if that cannot be read."""
    try:
        return store.logits(logits).request()
    except (CorruptFileError, OSError):
        return None


def label_of(teacher: str) -> str:
    """What a set is called, by its teacher's label."""
    return f"logits({teacher})"


class LogitsSets:
    """The sets of a store, as far as a plan's jobs read them."""

    def __init__(self, store: Store, drivers: Drivers) -> None:
        self._store, self._drivers = store, drivers
        self._requests = dict[str, LogitsRequest | None]()
        self._read_by = dict[str, frozenset[str]]()

    def glances(self, plan: PlanRecord, jobs: Mapping[str, Glance]) -> dict[str, Glance]:
        """Sets that are not written yet, with their readers' glances, which wait for them too."""
        readers = [job for job in plan.jobs if job.parents and jobs[job.run_id].phase in OPEN]
        found: dict[str, Glance] = {}
        for logits in self._store.logits_ids() if readers else ():
            request = self._request(logits)
            teacher = jobs.get(run_id(request.spec.teacher)) if request else None
            if request is None or teacher is None:
                continue
            reading = self._readers(logits, teacher.id, readers)
            glance = self._glance(self._store.logits(logits), request, teacher)
            if glance is not None and (reading or glance.phase is Phase.RUNNING):
                found[logits] = glance
                found |= {run: _waiting_for(found.get(run, jobs[run]), logits) for run in reading}
        return found

    def _request(self, logits: str) -> LogitsRequest | None:
        if logits not in self._requests:
            self._requests[logits] = request_of(self._store, logits)
        return self._requests[logits]

    def _readers(self, logits: str, teacher: str, jobs: list[PlannedJob]) -> list[str]:
        """Of the open jobs that learn from a teacher, those that read a set."""
        students = [job.run_id for job in jobs if teacher in job.parents]
        if len(jobs) > MOST_READERS:
            return []
        return [run for run in students if logits in self._sets_of(run)]

    def _sets_of(self, run: str) -> frozenset[str]:
        if run not in self._read_by:
            try:
                self._read_by[run] = frozenset(map(logits_id, logits_read_by(self._store.spec(run))))
            except (SweepError, OSError):
                self._read_by[run] = frozenset()
        return self._read_by[run]

    def _glance(self, folder: LogitsFolder, request: LogitsRequest, teacher: Glance) -> Glance | None:
        """None for what is written already, or was given up."""
        attempts = folder.attempts()
        newest = attempts[-1] if attempts else None
        driver = self._drivers.at(folder.id, newest.driver if newest else "")
        if newest is not None and (folder.finished_at(newest) is not None or newest.failure() is not None):
            return None
        if driver is None and (newest is not None or not self._drivers.alive):
            return None
        epochs = [epoch for _, epoch in folder.all_epochs()]
        return Glance(
            id=folder.id,
            name=f"{label_of(teacher.label)}@{request.spec.view_seed}",
            label=label_of(teacher.label),
            role=teacher.role,
            phase=Phase.WAITING if driver is None else Phase.RUNNING,
            num_epochs=request.num_epochs,
            num_epochs_done=min(request.num_epochs, max(epochs, default=0)),
            waits_for=(teacher.id,),
            place=driver.record.host if driver else "",
            is_optional=True,
        )


def _waiting_for(job: Glance, logits: str) -> Glance:
    return replace(job, waits_for=(*job.waits_for, logits)) if job.phase is Phase.WAITING else job
