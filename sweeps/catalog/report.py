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

STUDENT = Choice(name="student")


def jobs(context: Context) -> tuple[Job, ...]:
    """All rows for every seed; the student of seed s learns from the teacher of seed s, or from the given one."""
    return context.of_every_seed(_rows)


def _rows(context: Context, seed: int) -> tuple[Job, ...]:
    parents, teachers = _given(context) if context.given else _trained(context, seed)
    distilled = [
        context.job(f"student_kd_{name}", role=Role.STUDENT, model=STUDENT, seed=seed, objective="kd", teacher=teacher)
        for name, teacher in teachers.items()
    ]
    variants = [
        context.job(name, role=Role.VARIANT, model=Choice(name=name), seed=seed)
        for name in ("conv_plain", "conv_depthwise", "conv_group")
    ]
    alone = context.job("student_scratch", role=Role.STUDENT, model=STUDENT, seed=seed)
    return (*parents, *teachers.values(), alone, *distilled, *variants)


def _trained(context: Context, seed: int) -> tuple[list[Job], dict[str, Job]]:
    """The teachers by name, and the job that one starts from, if it is one."""
    *pretraining, tuned = context.best_teacher(seed)
    scratch = context.job("teacher_scratch", role=Role.TEACHER, model=Choice(name="resnet18"), seed=seed)
    return pretraining, {"scratch": scratch, "pretrained": tuned}


def _given(context: Context) -> tuple[list[Job], dict[str, Job]]:
    return [], {"given": context.given_teacher()}
