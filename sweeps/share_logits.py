"""Which teachers' logits are written once for several students: `--teacher-logits`. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from sweeps.logits_job import LogitsJob
from sweeps.plan import Job, Plan
from trainers.spec import LogitsType, run_id
from trainers.teacher_logits import LogitsRequest, LogitsSpec, logits_id, logits_read_by

RESERVED_BYTES = 10**9
"""Of the disk's free space, for checkpoints and whatever else writes to it."""

NUM_BYTES = {LogitsType.FLOAT32: 4, LogitsType.FLOAT16: 2}


class TeacherLogits(StrEnum):
    """When a teacher's logits over all views are written: for every student, where several share them, or never."""

    ALWAYS = "always"
    AUTO = "auto"
    NEVER = "never"


@dataclass
class _Set:
    """A set of logits and the jobs that would read it."""

    spec: LogitsSpec
    readers: list[Job] = field(default_factory=list)


def share_logits(plan: Plan, to_run: Collection[str], mode: TeacherLogits, num_images: Mapping[str, int]) -> Plan:
    """The plan with a job for every set that students `to_run` share; `num_images` (training, by data) tells its size.

    What a student alone would read costs as much to write as to compute, and is not written unless `mode` says so.
    """
    least = {TeacherLogits.ALWAYS: 1, TeacherLogits.AUTO: 2}.get(mode)
    sets: dict[str, _Set] = {}
    for job in plan.jobs if least is not None else ():
        for spec in logits_read_by(job.spec) if job.id in to_run else ():
            sets.setdefault(logits_id(spec), _Set(spec)).readers.append(job)
    shared = [one for one in sets.values() if len(one.readers) >= (least or 0)]
    return replace(plan, logits=tuple(_job(plan, one, num_images) for one in shared))


def _job(plan: Plan, shared: _Set, num_images: Mapping[str, int]) -> LogitsJob:
    spec, num_epochs = shared.spec, max(job.num_epochs for job in shared.readers)
    pictures = num_images.get(spec.data)
    return LogitsJob(
        teacher_label=plan.by_id[run_id(spec.teacher)].label,
        request=LogitsRequest(spec=spec, num_epochs=num_epochs),
        readers=tuple(job.id for job in shared.readers),
        num_bytes=pictures and pictures * spec.num_classes * num_epochs * NUM_BYTES[spec.dtype],
    )


def readable(plan: Plan, place: Callable[[Job | LogitsJob], Hashable]) -> Plan:
    """The plan without readers that run in another place than what writes for them: their last bits might differ."""
    kept = []
    for job in plan.logits:
        readers = tuple(reader for reader in job.readers if place(plan.by_id[reader]) == place(job))
        if readers:
            kept.append(replace(job, readers=readers))
    return replace(plan, logits=tuple(kept))


def without_room(plan: Plan, free_bytes: int) -> tuple[Plan, str]:
    """The plan with the sets that fit on the disk beside all else, and a line for those that do not; "" if all do."""
    kept: list[LogitsJob] = []
    left = free_bytes - RESERVED_BYTES
    for job in plan.logits:
        if (job.num_bytes or 0) <= left:
            left -= job.num_bytes or 0
            kept.append(job)
    if len(kept) == len(plan.logits):
        return plan, ""
    needed = sum(job.num_bytes or 0 for job in plan.logits)
    what = f"teachers' logits would take {needed:,} bytes and {free_bytes:,} are free"
    number = f"{len(plan.logits) - len(kept)} of {len(plan.logits)} sets are not written"
    return replace(plan, logits=tuple(kept)), f"{what}: {number}, students run those teachers themselves"
