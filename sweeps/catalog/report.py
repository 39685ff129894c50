"""The report's eight rows: what is distilling into a small network worth, and which convolution is best value?

Question: does a student gain from a teacher, and more from a stronger one? Which of plain, depthwise &
pointwise and group convolution is most accurate at equal parameter count?
Cost: 8 runs and a pretraining per seed; about 5 minutes on 2 cores with plates and the recipe `quick`.
Expected (the report, on food-11): distilled from the stronger teacher > from the weaker > alone;
depthwise > plain > group.
"""

from sweeps.context import Context
from sweeps.plan import Job
from trainers.spec import Choice, Role


def jobs(context: Context) -> tuple[Job, ...]:
    """All rows for every seed; the student of seed s learns from the teacher of seed s."""
    return context.of_every_seed(_rows)


def _rows(context: Context, seed: int) -> tuple[Job, ...]:
    resnet, student = Choice(name="resnet18"), Choice(name="student")
    *pretraining, tuned = context.pretrained_teacher(seed)
    scratch = context.job("teacher_scratch", role=Role.TEACHER, model=resnet, seed=seed)
    distilled = [
        context.job(label, role=Role.STUDENT, model=student, seed=seed, objective="kd", teacher=teacher)
        for label, teacher in (("student_kd_scratch", scratch), ("student_kd_pretrained", tuned))
    ]
    variants = [
        context.job(name, role=Role.VARIANT, model=Choice(name=name), seed=seed)
        for name in ("conv_plain", "conv_depthwise", "conv_group")
    ]
    alone = context.job("student_scratch", role=Role.STUDENT, model=student, seed=seed)
    return (*pretraining, scratch, tuned, alone, *distilled, *variants)
