"""One teacher or three: a student distilled from its teacher, and from the mean of three.

Question: is the mean of several teachers' logits a better teacher than one of them?
Cost: 3 students, 3 teachers and their pretrainings per seed; about 6 minutes on 2 cores with plates and `quick`
(estimated from the report's epochs).
Expected: a point or less, for three times the teachers (Hinton et al. 2015, arXiv 1503.02531, section 4, distil ten).
"""

from typing import Any

from sweeps.context import Context
from sweeps.plan import Job
from trainers.errors import SpecError
from trainers.spec import Choice, Role

SEED_DISTANCE = 1000
NUM_TEACHERS = 3
"""The further teachers of seed s have seeds s + 1000 and s + 2000, so that no two students share one."""


def jobs(context: Context) -> tuple[Job, ...]:
    """The teachers, and a student alone, one of its first teacher, and one of all three, for every seed."""
    if context.given is not None:
        raise SpecError("the sweep 'ensemble' needs several teachers; leave out --teacher")
    return context.of_every_seed(_of_seed)


def _of_seed(context: Context, seed: int) -> tuple[Job, ...]:
    chains = [context.best_teacher(seed + index * SEED_DISTANCE) for index in range(NUM_TEACHERS)]
    teachers = [chain[-1] for chain in chains]

    def student(label: str, **more: Any) -> Job:
        return context.job(label, role=Role.STUDENT, model=Choice(name="student"), seed=seed, **more)

    alone = student("student_scratch")
    one = student("student_kd", objective="kd", teacher=teachers[0])
    all_of_them = student("student_kd_ensemble", objective="kd", teacher=teachers)
    return (*(job for chain in chains for job in chain), alone, one, all_of_them)
