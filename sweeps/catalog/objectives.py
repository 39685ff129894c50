"""Every objective of distillation on one student: which one helps?

Question: over the same teacher, recipe and views, which loss does the student gain most from, and is plain
distillation ever beaten? Each objective has its own defaults; `--grid dkd:objective.beta=1,8` looks further.
Cost: 9 runs and a pretraining per seed; about 5 minutes on 2 cores with plates and the recipe `quick`
(estimated from the report's epochs). Measured: 3 seeds of 6 epochs on 10,000 photos of 32 pixels, 27 minutes on 1 core.
Expected: where the teacher knows much more than the student, a hint on its features is worth most; attention's
weight must fit the size of the maps. On 10,000 CIFAR-10 photos (README, 3 seeds of 6 epochs) hint gained 8.5 ±1.1
points, dist 4.2 ±1.3, kd 3.8 ±0.4, dkd -0.4 ±1.3. funmatch is behind in short trainings (Beyer et al. 2021 train for
thousands of epochs).
"""

from sweeps.context import Context
from sweeps.plan import Job
from trainers import plugins
from trainers.plugins import Kind
from trainers.spec import Choice, Role

STUDENT = Choice(name="student")
MIXUP = {"augment.mixup_alpha": 1.0}
"""For objectives that want mixed pictures, and for their scratch twin."""


def jobs(context: Context) -> tuple[Job, ...]:
    """The teacher, the student alone with and without mixup, and a student per objective, for every seed."""
    return context.of_every_seed(_of_seed)


def _of_seed(context: Context, seed: int) -> tuple[Job, ...]:
    *before, teacher = context.best_teacher(seed)
    alone = [
        context.job(label, role=Role.STUDENT, model=STUDENT, seed=seed, settings=settings)
        for label, settings in (("student_scratch", None), ("student_scratch_mixup", MIXUP))
    ]
    distilled = [
        context.job(
            f"student_{name}",
            role=Role.STUDENT,
            model=STUDENT,
            seed=seed,
            objective=name,
            teacher=teacher,
            settings=MIXUP if plugins.says(Kind.OBJECTIVE, name, "NEEDS_MIXUP") else None,
        )
        for name in plugins.names(Kind.OBJECTIVE)
        if plugins.says(Kind.OBJECTIVE, name, "NEEDS_TEACHER")
    ]
    return (*before, teacher, *alone, *distilled)
