"""What a job of a role needs, and what a user may ask for instead."""

from __future__ import annotations

from typing import Any

import pytest

from sweeps.passes import Setup
from sweeps.plan import make_plan
from sweeps.resources import Resources, default_resources, parse_per_role, resources_per_role
from trainers.errors import ResourceError
from trainers.spec import Role


def test_a_teacher_gets_a_whole_gpu_and_small_networks_share_one() -> None:
    gpus = {role: need.gpus for role, need in default_resources(has_gpu=True).items()}
    assert gpus == {Role.PRETRAIN: 1, Role.TEACHER: 1, Role.STUDENT: 0.25, Role.VARIANT: 0.25}


def test_without_a_gpu_nobody_asks_for_one() -> None:
    assert {(need.cpus, need.gpus) for need in default_resources(has_gpu=False).values()} == {(1, 0.0)}


@pytest.mark.parametrize(("cpus", "num_threads"), [(0.25, 1), (1, 1), (1.9, 1), (4, 4)])
def test_torch_gets_as_many_threads_as_there_are_whole_cpus(cpus: float, num_threads: int) -> None:
    assert Resources(cpus=cpus).num_threads == num_threads


def test_a_wish_for_one_role_leaves_the_others_alone() -> None:
    wished = resources_per_role(
        has_gpu=True,
        cpus=parse_per_role("--cpus-per-trial", ["teacher=4"]),
        gpus=parse_per_role("--gpus-per-trial", ["student=0.1", "student=0.5"]),
    )
    assert wished[Role.TEACHER] == Resources(cpus=4, gpus=1)
    assert wished[Role.STUDENT] == Resources(cpus=1, gpus=0.5)
    assert wished[Role.VARIANT] == Resources(cpus=1, gpus=0.25)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tutor=1", "--x tutor=1: unknown role 'tutor'; have: pretrain, teacher, student, variant"),
        ("teacher", "--x teacher: '' is not a number; write ROLE=X, as in teacher=1"),
        ("teacher=two", "--x teacher=two: 'two' is not a number; write ROLE=X, as in teacher=1"),
    ],
)
def test_what_is_no_wish_is_refused(text: str, message: str) -> None:
    with pytest.raises(ResourceError) as raised:
        parse_per_role("--x", [text])
    assert str(raised.value) == message


@pytest.mark.parametrize("number", [0.0, -1.0, float("nan"), float("inf")])
def test_a_job_needs_some_cpu(number: float) -> None:
    with pytest.raises(ResourceError, match=r"--cpus-per-trial teacher=.*; allowed: "):
        resources_per_role(has_gpu=False, cpus={Role.TEACHER: number}, gpus={})


@pytest.mark.parametrize("number", [-0.5, 1.5, float("nan"), float("inf")])
def test_gpus_are_a_share_of_one_or_whole(number: float) -> None:
    with pytest.raises(ResourceError, match=r"--gpus-per-trial student=.*; allowed: 0 to 1, or a whole number"):
        resources_per_role(has_gpu=True, cpus={}, gpus={Role.STUDENT: number})


@pytest.mark.parametrize(
    ("machines", "max_concurrent", "num_slots"),
    [
        ((Resources(cpus=2),), None, 2),
        ((Resources(cpus=2), Resources(cpus=3)), None, 5),
        ((Resources(cpus=64),), None, 9),
        ((Resources(cpus=64),), 4, 4),
    ],
)
def test_slots_are_what_fits_at_once(
    make_job: Any, machines: tuple[Resources, ...], max_concurrent: int | None, num_slots: int
) -> None:
    plan = make_plan([make_job(f"job{number}", lr=float(number + 1)) for number in range(9)])
    setup = Setup(resources=default_resources(has_gpu=False), machines=machines, max_concurrent=max_concurrent)
    assert setup.num_slots(plan) == num_slots


def test_what_no_machine_could_run_is_refused_with_what_there_is(make_job: Any) -> None:
    needs = default_resources(has_gpu=False) | {Role.TEACHER: Resources(cpus=3)}
    setup = Setup(resources=needs, machines=(Resources(cpus=2), Resources(cpus=2)))
    setup.check_feasible([make_job("student")])
    with pytest.raises(ResourceError) as raised:
        setup.check_feasible([make_job("big", role=Role.TEACHER)])
    assert str(raised.value).startswith("job 'big@0' (teacher) needs 3 CPUs and 0 GPUs; the largest machines have: 2")
