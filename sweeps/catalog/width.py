"""Accuracy against size: the student in five widths, alone and distilled.

Question: what does halving or doubling the channels cost or give, and does distillation help a small
student more than a large one?
Cost: 11 runs and a pretraining per seed; about 5 minutes on 2 cores with plates and the recipe `quick`
(estimated from the report's epochs).
Expected: accuracy rises with the logarithm of the parameters and flattens; the narrow students gain most.
"""

from sweeps.context import Context
from sweeps.plan import Job
from trainers.spec import Choice, Role

WIDTHS = (0.5, 0.75, 1.0, 1.5, 2.0)
"""Factors on all channels: MobileNetV2's width multiplier (arXiv 1801.04381); 1 is the report's student."""


def jobs(context: Context) -> tuple[Job, ...]:
    """The teacher, and two students of every width, for every seed."""
    return context.of_every_seed(_of_seed)


def _of_seed(context: Context, seed: int) -> tuple[Job, ...]:
    *pretraining, teacher = context.best_teacher(seed)
    pairs = [job for width in WIDTHS for job in _of_width(context, seed, width, teacher)]
    return (*pretraining, teacher, *pairs)


def _of_width(context: Context, seed: int, width: float, teacher: Job) -> tuple[Job, ...]:
    """The student alone and the distilled one."""
    student, point = Choice(name="student"), {"model.width": width}
    alone = context.job("student_scratch", role=Role.STUDENT, model=student, seed=seed, point=point)
    distilled = context.job(
        "student_kd",
        role=Role.STUDENT,
        model=student,
        seed=seed,
        objective="kd",
        teacher=teacher,
        point=point,
    )
    return alone, distilled
