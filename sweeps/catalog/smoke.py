"""Every kind of job once, as small as it gets: does everything work here?

Question: does this machine or cluster pretrain, train a teacher, distil from it and rank? No more than that.
Cost: 4 runs and a pretraining per seed; half a minute on 2 cores with plates.
Expected: everything above guessing, the teacher well above; the order of the rest means nothing.
"""

from typing import Any

from sweeps.context import Context
from sweeps.plan import Job
from trainers.spec import Choice, Role

SMALL = Choice(name="conv_plain")
"""Teacher and pretraining too: a plain CNN learns plates in an epoch, and is above guessing after it."""

ONE_EPOCH = {"epochs": 1, "optimizer.lr": 3e-3, "batch_size": 32}


def jobs(context: Context) -> tuple[Job, ...]:
    """All kinds of job for every seed; without a source set the teacher starts from scratch."""
    return context.of_every_seed(_of_seed)


def _of_seed(context: Context, seed: int) -> tuple[Job, ...]:
    def job(label: str, role: Role, model: Choice, **more: Any) -> Job:
        return context.job(label, role=role, model=model, seed=seed, settings=ONE_EPOCH, **more)

    student = Choice(name="student")
    start = None if context.source is None else job("pretrain", Role.PRETRAIN, SMALL)
    teacher = job("teacher", Role.TEACHER, SMALL, start=start)
    alone = job("student_scratch", Role.STUDENT, student)
    distilled = job("student_kd", Role.STUDENT, student, objective="kd", teacher=teacher)
    variant = job("conv_group", Role.VARIANT, Choice(name="conv_group"))
    return tuple(one for one in (start, teacher, alone, distilled, variant) if one is not None)
