"""Simulated sweeps: by hand on two machines, and that no schedule beats the lower bounds."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeps.resources import Resources
from sweeps.simulation import (
    SECONDS_PER_DAY,
    Policy,
    Task,
    World,
    lower_bound,
    shared_work,
    simulate,
    tail_bound,
)

CPU = Resources(cpus=1)
TWO = (CPU, CPU)


def task(name: str, seconds: float, *parents: str, request: Resources = CPU) -> Task:
    return Task(id=name, request=request, epoch_seconds=seconds, parents=parents)


LEAVES_FIRST = [task("a", 3), task("b", 3), task("teacher", 4), task("student", 5, "teacher")]


@pytest.mark.parametrize(
    ("policy", "makespan"), [(Policy.LONGEST_PATH, 9.0), (Policy.FIFO, 12.0), (Policy.STAGES, 12.0)]
)
def test_the_policies_differ_where_a_chain_stands_last_in_the_plan(policy: Policy, makespan: float) -> None:
    """Longest path: teacher 0-4, student 4-9 beside a and b. In the plan's order: teacher 3-7, student 7-12."""
    assert simulate(LEAVES_FIRST, World(machines=TWO), policy).makespan_seconds == makespan


def test_a_stage_waits_for_the_last_job_of_the_one_before() -> None:
    """teacher 0-1, slow 0-6; the student could run 1-3, but with a barrier it runs 6-8."""
    tasks = [task("teacher", 1), task("slow", 6), task("student", 2, "teacher")]
    world = World(machines=TWO)
    assert simulate(tasks, world, Policy.LONGEST_PATH).makespan_seconds == 6.0
    assert simulate(tasks, world, Policy.STAGES).makespan_seconds == 8.0


def test_the_bounds_by_hand() -> None:
    """15 s of work take two CPUs 7.5 s; the chain takes 9 s."""
    assert shared_work(LEAVES_FIRST, TWO) == 7.5
    assert lower_bound(LEAVES_FIRST, TWO) == tail_bound(LEAVES_FIRST, TWO) == 9.0


def test_what_a_chain_waits_for_makes_the_bound_tighter() -> None:
    """Two teachers of 4 s, a GPU each, and a student of 6 s on a quarter below each: one GPU does them in 14 s.

    All work is 2 x 4 + 2 x 6 / 4 = 11 s and the chain 10 s, but both teachers must be done 6 s before the end.
    """
    whole, quarter = Resources(cpus=1, gpus=1), Resources(cpus=1, gpus=0.25)
    tasks = [task("one", 4, request=whole), task("two", 4, request=whole)]
    tasks += [task(f"student of {one}", 6, one, request=quarter) for one in ("one", "two")]
    machines = (Resources(cpus=8, gpus=1),)
    assert lower_bound(tasks, machines) == 11.0
    assert tail_bound(tasks, machines) == 14.0
    assert simulate(tasks, World(machines=machines)).makespan_seconds == 14.0


def test_four_quarters_share_a_gpu() -> None:
    tasks = [task(f"student{n}", 2, request=Resources(cpus=1, gpus=0.25)) for n in range(8)]
    machines = (Resources(cpus=8, gpus=1),)
    assert simulate(tasks, World(machines=machines)).makespan_seconds == 4.0 == lower_bound(tasks, machines)


def test_a_new_process_costs_its_first_job_a_start_up_and_later_jobs_find_it() -> None:
    """Two slots, four jobs of 2 s, start-up 1 s: 1 + 2 + 2."""
    tasks = [task(f"job{n}", 2) for n in range(4)]
    assert simulate(tasks, World(machines=TWO, startup_seconds=1.0)).makespan_seconds == 5.0


def test_after_a_failure_a_job_goes_on_from_its_last_whole_epoch() -> None:
    """One machine, ten epochs of 1 s, a start-up of 0.5 s: a failure loses less than an epoch and a start-up."""
    one = Task(id="job", request=CPU, epoch_seconds=1.0, num_epochs=10)
    world = World(machines=(CPU,), failures_per_day=SECONDS_PER_DAY / 3, startup_seconds=0.5, seed=1)
    result = simulate([one], world)
    assert result.num_restarts > 0
    starts = 0.5 * (1 + result.num_restarts)
    assert 10.0 + 0.5 < result.makespan_seconds <= 10.0 + result.lost_seconds + starts
    assert result.lost_seconds < result.num_restarts * 1.0
    assert simulate([one], world) == result


@st.composite
def graphs(draw: st.DrawFn) -> list[Task]:
    tasks: list[Task] = []
    for number in range(draw(st.integers(1, 12))):
        parents = draw(st.sets(st.sampled_from([one.id for one in tasks]), max_size=2)) if tasks else set()
        request = Resources(cpus=draw(st.sampled_from([0.5, 1.0])), gpus=draw(st.sampled_from([0.0, 0.25, 1.0])))
        epochs, seconds = draw(st.integers(0, 4)), draw(st.floats(0.1, 9.0))
        extra = draw(st.floats(0.0, 1.0))
        tasks.append(
            Task(
                id=str(number),
                request=request,
                epoch_seconds=seconds,
                num_epochs=epochs,
                extra_seconds=extra,
                parents=tuple(sorted(parents)),
            )
        )
    return tasks


@settings(max_examples=200, deadline=None)
@given(graphs(), st.sampled_from(Policy), st.integers(1, 3), st.sampled_from([0.0, 5000.0]), st.integers(0, 9))
def test_no_policy_beats_the_bounds_and_all_jobs_end(
    tasks: list[Task], policy: Policy, num_machines: int, failures_per_day: float, seed: int
) -> None:
    machines = (Resources(cpus=2, gpus=1),) * num_machines
    result = simulate(tasks, World(machines=machines, failures_per_day=failures_per_day, seed=seed), policy)
    assert shared_work(tasks, machines) <= lower_bound(tasks, machines) <= tail_bound(tasks, machines)
    assert tail_bound(tasks, machines) <= result.makespan_seconds + 1e-6
    if not failures_per_day:
        assert result.makespan_seconds <= sum(one.seconds for one in tasks) + 1e-6
        assert result.num_restarts == result.lost_seconds == 0
