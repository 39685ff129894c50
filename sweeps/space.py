"""Room on the disk for a sweep: what its jobs will write, and that none starts once that would not fit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from heapq import nlargest

from sweeps.estimates import network
from sweeps.logits_job import LogitsJob
from sweeps.passes import Pass
from sweeps.plan import Plan, Task
from trainers.errors import DiskFullError
from trainers.remote import Place
from trainers.result import Cause
from trainers.space import FREE_SOME, free_bytes, room_bytes

NUM_CHECKPOINTS = 3
"""Of a training at work: the two that it keeps, and the one that it writes."""

WEIGHT_BYTES, STATE_BYTES = 4, 16
"""Of a parameter: in the weights; in a checkpoint, which holds it as it is, at its best, and in AdamW's two moments."""

PICTURE_BYTES, RECORD_BYTES = 12, 2**16
"""Of a picture in the predictions, besides its logits (4 bytes a class); of a job's records, curves and log."""


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Bytes on disk, estimated from parameters by network, and from pictures that are predicted by data."""

    num_params: Mapping[str, int]
    num_pictures: Mapping[str, int]

    def kept(self, job: Task) -> int:
        """What a job leaves behind when it is done."""
        if isinstance(job, LogitsJob):
            return RECORD_BYTES + (job.num_bytes or 0)
        num_classes = job.spec.model.args.get("num_classes")
        per_picture = PICTURE_BYTES + 4 * (num_classes if isinstance(num_classes, int) else 0)
        pictures = self.num_pictures.get(job.spec.data, 0) * per_picture
        return RECORD_BYTES + pictures + WEIGHT_BYTES * self._params(job)

    def meanwhile(self, job: Task) -> int:
        """What a job needs only until it is done."""
        if isinstance(job, LogitsJob):
            return 0
        average = WEIGHT_BYTES if job.spec.ema_decay else 0
        return NUM_CHECKPOINTS * (STATE_BYTES + average) * self._params(job)

    def _params(self, job: Task) -> int:
        return 0 if isinstance(job, LogitsJob) else self.num_params.get(network(job.spec.model), 0)

    def needed(self, jobs: Iterable[Task], num_slots: int) -> int:
        """What all of them need, the largest at work at once."""
        jobs = tuple(jobs)
        return sum(map(self.kept, jobs)) + sum(nlargest(num_slots, map(self.meanwhile, jobs)))


class Room:
    """The disk of a store while a sweep runs; once it is short, no job starts any more, and `check` says why.

    Jobs that run already go on: each looks for room itself before it saves an epoch.
    """

    def __init__(self, root: Place, sizes: Sizes) -> None:
        self._root, self._sizes = root, sizes
        self._shortage = ""

    def free_beside(self, plan: Plan, to_run: Iterable[str], num_slots: int) -> int:
        """Bytes that are free besides what is left of a plan; below 0 if they are too few."""
        return free_bytes(self._root) - self._sizes.needed((plan.tasks[task] for task in to_run), num_slots)

    def check_before(self, plan: Plan, to_run: Iterable[str], num_slots: int) -> None:
        """DiskFullError if what is left of a plan does not fit."""
        needed, room = self._sizes.needed((plan.tasks[task] for task in to_run), num_slots), room_bytes(self._root)
        if needed > room:
            raise DiskFullError(
                f"the sweep needs about {needed:,} bytes and {max(0, room):,} are left at {self._root}; "
                "free some space, choose another --store, or run a part of it with --only"
            )

    def allows(self, job: Task) -> bool:
        """Whether a job may start."""
        needed, room = self._sizes.kept(job) + self._sizes.meanwhile(job), room_bytes(self._root)
        if needed > room and not self._shortage:
            self._shortage = f"{job.name} needs about {needed:,} bytes and {max(0, room):,} are left at {self._root}"
        return not self._shortage

    def watching(self, execute: Callable[[Pass], None]) -> Callable[[Pass], None]:
        """The same, and no pass after one in which a job found the disk full."""

        def run(work: Pass) -> None:
            execute(work)
            reasons = [failure.reason for failure in work.failures.values() if failure.cause is Cause.DISK]
            self._shortage = self._shortage or next(iter(reasons), "")

        return run

    def check(self) -> None:
        """DiskFullError if the disk was short."""
        if self._shortage:
            raise DiskFullError(f"the sweep stopped, {self._shortage.partition(';')[0]}; {FREE_SOME}")
