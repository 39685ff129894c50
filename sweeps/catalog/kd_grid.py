"""Temperature x weight of distillation: one student under nine losses, and alone.

Question: which temperature, and how much weight on the teacher, does the student gain most from? How
much does it lose where they are chosen badly?
Cost: 11 runs and a pretraining per seed; about 5 minutes on 2 cores with plates and the recipe `quick`
(estimated from the report's epochs). Measured: 3 seeds of 6 epochs on 10,000 photos of 32 pixels, 39 minutes on 1 core.
Expected: weight matters more than temperature. On 10,000 CIFAR-10 photos (README, 3 seeds) weight 0.9 gained
2.9 ±1.4 points over 0.1, temperature 20 1.1 ±0.7 over 1; at weight 0.1 no gain was decided.
"""

from sweeps.context import Context
from sweeps.plan import Job
from trainers.spec import Choice, Role

TEMPERATURES = (1.0, 4.0, 20.0)
WEIGHTS = (0.1, 0.5, 0.9)
"""20 and 0.5 are the course's; Hinton et al. 2015 (arXiv 1503.02531) tried temperatures from 1 to 20."""


def jobs(context: Context) -> tuple[Job, ...]:
    """The teacher, the student alone, and a student for every point of the grid, for every seed."""
    return context.of_every_seed(_of_seed)


def _of_seed(context: Context, seed: int) -> tuple[Job, ...]:
    student = Choice(name="student")
    *pretraining, teacher = context.best_teacher(seed)
    alone = context.job("student_scratch", role=Role.STUDENT, model=student, seed=seed)
    distilled = [
        context.job(
            "student_kd",
            role=Role.STUDENT,
            model=student,
            seed=seed,
            objective="kd",
            teacher=teacher,
            point={"objective.temperature": temperature, "objective.weight": weight},
        )
        for temperature in TEMPERATURES
        for weight in WEIGHTS
    ]
    return (*pretraining, teacher, alone, *distilled)
