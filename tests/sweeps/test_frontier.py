"""Admission and frontier, simulated on random graphs, machines and ends; the ledger is checked by one of our own."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeps.admission import Ledger
from sweeps.frontier import Frontier
from sweeps.plan import Job, Plan, make_plan
from sweeps.resources import Resources
from trainers.spec import Role

CPUS = st.sampled_from([0.25, 0.5, 1.0, 2.0, 3.0])
GPUS = st.sampled_from([0.0, 0.0, 0.1, 0.25, 0.3, 0.5, 1.0, 2.0])
MACHINES = st.lists(
    st.builds(Resources, cpus=st.sampled_from([1.0, 2.0, 4.0]), gpus=st.sampled_from([0.0, 1.0, 2.0])),
    min_size=1,
    max_size=3,
)


@dataclass
class World:
    """A plan in progress: what runs where, what ended how, judged without the code under test."""

    plan: Plan
    requests: dict[str, Resources]
    machines: list[Resources]
    frontier: Frontier
    max_concurrent: int | None = None
    running: list[str] = field(default_factory=list)
    ok: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    starts: Counter[str] = field(default_factory=Counter)

    def start_all(self) -> None:
        """Start until nothing starts; parents, doubles and capacity are checked at every start."""
        while (run := self.frontier.start_next()) is not None:
            job = self.plan.by_id[run]
            assert set(job.parents) <= self.ok
            self.starts[job.id] += 1
            self.running.append(job.id)
            assert self.starts[job.id] == 1
            assert self.max_concurrent is None or len(self.running) <= self.max_concurrent
            assert fits([self.requests[run] for run in self.running], self.machines)

    def end(self, run: str, is_ok: bool) -> None:
        self.running.remove(run)
        (self.ok if is_ok else self.failed).add(run)
        self.frontier.end(run, is_ok=is_ok)


def fits(requests: list[Resources], machines: list[Resources]) -> bool:
    """Whether requests can be packed at all: exhaustive search over machines and GPUs."""
    cpus = tuple(machine.cpus for machine in machines)
    gpus = tuple((1.0,) * int(machine.gpus) for machine in machines)
    return _pack(tuple(sorted(((r.gpus, r.cpus) for r in requests), reverse=True)), cpus, gpus)


def _pack(requests: tuple[Any, ...], cpus: tuple[float, ...], gpus: tuple[tuple[float, ...], ...]) -> bool:
    if not requests:
        return True
    (wanted, cpu), rest = requests[0], requests[1:]
    for index, free in enumerate(gpus):
        if cpus[index] + 1e-9 < cpu:
            continue
        left = (*cpus[:index], cpus[index] - cpu, *cpus[index + 1 :])
        for after in _gpu_choices(free, wanted):
            if _pack(rest, left, (*gpus[:index], after, *gpus[index + 1 :])):
                return True
    return False


def _gpu_choices(free: tuple[float, ...], wanted: float) -> list[tuple[float, ...]]:
    if wanted == 0:
        return [free]
    if wanted <= 1:
        able = {share: index for index, share in enumerate(free) if share + 1e-9 >= wanted}
        return [(*free[:i], free[i] - wanted, *free[i + 1 :]) for i in able.values()]
    whole = [index for index, share in enumerate(free) if share + 1e-9 >= 1][: int(wanted)]
    return [tuple(0.0 if i in whole else f for i, f in enumerate(free))] if len(whole) == int(wanted) else []


def make_jobs(draw: st.DrawFn, make: Any) -> list[Job]:
    jobs: list[Job] = []
    for number in range(draw(st.integers(1, 8))):
        parents = [draw(st.none() | st.sampled_from(jobs)) if jobs else None for _ in range(2)]
        teacher, start = (None if parent is None else parent.spec for parent in parents)
        jobs.append(make(f"job{number}", lr=float(number + 1), teacher=teacher, init_run=start))
    return jobs


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_every_run_of_a_plan_ends_with_all_done_failed_or_blocked(
    make_job: Any, make_frontier: Any, data: st.DataObject
) -> None:
    plan = make_plan(data.draw(st.composite(lambda draw: make_jobs(draw, make_job))()))
    machines = data.draw(MACHINES)
    ledger = Ledger(machines)
    requests = {}
    for job in plan.jobs:
        request = data.draw(st.builds(Resources, cpus=CPUS, gpus=GPUS), label=job.label)
        requests[job.id] = request if fits([request], machines) else Resources(cpus=0.25)
        assert ledger.can_ever_fit(request) == fits([request], machines)
    most = data.draw(st.none() | st.integers(1, 3))
    done = plan.ancestors(data.draw(st.sets(st.sampled_from([job.id for job in plan.jobs]))))
    to_run = set(plan.by_id) - done
    cost = {run: float(data.draw(st.integers(1, 9))) for run in sorted(plan.by_id)}
    frontier = make_frontier(
        plan, to_run, lambda job: requests[job.id], ledger, lambda job: cost[job.id], max_concurrent=most
    )
    world = World(plan, requests, machines, frontier, most, ok=set(done))
    world.start_all()
    while world.running:
        assert frontier.num_running == len(world.running)
        run = data.draw(st.sampled_from(world.running))
        world.end(run, is_ok=data.draw(st.integers(0, 4)) > 0)
        if data.draw(st.booleans()) or not world.running:  # several may end before Tune asks again
            world.start_all()
    blocked = plan.descendants(world.failed) - world.failed
    assert frontier.num_running == 0
    assert world.ok | world.failed | blocked == set(plan.by_id)
    assert not blocked & set(world.starts)


def simple(make_job: Any, counts: dict[str, int], gpus: dict[str, float]) -> tuple[Plan, Any]:
    """Independent jobs by kind, and what each kind asks for."""
    jobs = [
        make_job(f"{kind}{number}", lr=float(1 + number), batch_size=8 + index)
        for index, (kind, count) in enumerate(counts.items())
        for number in range(count)
    ]
    return make_plan(jobs), lambda job: Resources(cpus=1, gpus=gpus[job.label.rstrip("0123456789")])


def test_four_quarters_share_one_gpu_and_a_fifth_waits(make_job: Any, make_frontier: Any) -> None:
    plan, requests = simple(make_job, {"student": 5}, {"student": 0.25})
    frontier = make_frontier(plan, set(plan.by_id), requests, Ledger([Resources(cpus=16, gpus=1)]), lambda job: 1.0)
    started = [frontier.start_next() for _ in range(5)]
    assert [job is not None for job in started] == [True] * 4 + [False]


def test_quarters_fill_one_gpu_before_they_touch_a_second(make_job: Any, make_frontier: Any) -> None:
    plan, requests = simple(make_job, {"student": 4, "teacher": 1}, {"student": 0.25, "teacher": 1.0})
    ledger = Ledger([Resources(cpus=16, gpus=2)])
    urgency = {"student": 2.0, "teacher": 1.0}
    cost = lambda job: urgency[job.label.rstrip("0123456789")]  # noqa: E731
    frontier = make_frontier(plan, set(plan.by_id), requests, ledger, cost)
    started = [run for run in (frontier.start_next() for _ in range(5)) if run is not None]
    assert len(started) == 5 and plan.by_id[started[-1]].label == "teacher0"


def test_thirds_of_a_gpu_come_back_whole(make_job: Any, make_frontier: Any) -> None:
    plan, requests = simple(make_job, {"third": 9, "whole": 1}, {"third": 0.1, "whole": 1.0})
    ledger = Ledger([Resources(cpus=16, gpus=1)])
    cost = {"third": 2.0, "whole": 1.0}
    frontier = make_frontier(plan, set(plan.by_id), requests, ledger, lambda job: cost[job.label.rstrip("0123456789")])
    thirds = [frontier.start_next() for _ in range(9)]
    assert frontier.start_next() is None
    for run in thirds:
        frontier.end(run, is_ok=True)
    assert plan.by_id[frontier.start_next()].label == "whole0"


@pytest.mark.parametrize("num_machines", [1, 2])
def test_a_whole_gpu_teacher_is_not_starved_by_a_stream_of_quarters(
    make_job: Any, make_frontier: Any, num_machines: int
) -> None:
    """The teacher becomes ready while students hold the GPU; they end one by one, and another always waits."""
    start = make_job("start", role=Role.PRETRAIN, lr=99.0)
    teacher = make_job("teacher", role=Role.TEACHER, init_run=start.spec)
    students = [make_job(f"student{number}", lr=float(number + 1), batch_size=9) for number in range(60)]
    plan = make_plan([start, teacher, *students])
    gpus = {Role.PRETRAIN: 0.25, Role.TEACHER: 1.0, Role.STUDENT: 0.25}
    frontier = make_frontier(
        plan,
        set(plan.by_id),
        lambda job: Resources(cpus=1, gpus=gpus[job.role]),
        Ledger([Resources(cpus=16, gpus=1)] * num_machines),
        lambda job: 50.0 if job.role is Role.TEACHER else 1.0,
    )
    running: list[Job] = []
    num_ends = 0
    while not any(job.role is Role.TEACHER for job in running):
        while (run := frontier.start_next()) is not None:
            running.append(plan.by_id[run])
        if not any(job.role is Role.TEACHER for job in running):
            frontier.end(running.pop(0).id, is_ok=True)
            num_ends += 1
    assert num_ends <= 4 * num_machines


def test_a_small_job_may_pass_a_waiting_one_on_another_machine(make_job: Any, make_frontier: Any) -> None:
    plan, requests = simple(make_job, {"big": 2, "small": 1}, {"big": 2.0, "small": 0.5})
    ledger = Ledger([Resources(cpus=4, gpus=2), Resources(cpus=4, gpus=1)])
    cost = {"big": 9.0, "small": 1.0}
    frontier = make_frontier(plan, set(plan.by_id), requests, ledger, lambda job: cost[job.label.rstrip("0123456789")])
    labels = [plan.by_id[run].label if (run := frontier.start_next()) else None for _ in range(3)]
    assert labels[1:] == ["small0", None] and str(labels[0]).startswith("big")


def test_the_longest_path_starts_first(make_job: Any, make_frontier: Any) -> None:
    leaf = make_job("leaf", epochs=9)
    teacher = make_job("teacher", lr=0.5, epochs=3)
    student = make_job("student", lr=0.5, epochs=8, teacher=teacher.spec)
    plan = make_plan([leaf, student, teacher])
    ledger = Ledger([Resources(cpus=math.inf)])
    frontier = make_frontier(
        plan, set(plan.by_id), lambda job: Resources(cpus=1), ledger, lambda job: float(job.spec.epochs)
    )
    assert [plan.by_id[frontier.start_next()].label for _ in range(2)] == ["teacher", "leaf"]


def test_a_request_returns_exactly_what_it_took() -> None:
    ledger = Ledger([Resources(cpus=2, gpus=2)])
    request = Resources(cpus=1.5, gpus=2)
    for _ in range(3):
        booking = ledger.book(request)
        assert booking is not None and ledger.book(Resources(cpus=1)) is None
        assert ledger.book(Resources(cpus=0.5, gpus=0.1)) is None
        ledger.release(booking)


def test_parents_that_were_done_before_are_not_waited_for(make_job: Any, make_frontier: Any) -> None:
    teacher = make_job("teacher", lr=0.5)
    student = make_job("student", teacher=teacher.spec)
    plan = make_plan([teacher, student])
    ledger = Ledger([Resources(cpus=1)])
    frontier = make_frontier(plan, {student.id}, lambda job: Resources(cpus=1), ledger, lambda job: 1.0)
    assert frontier.start_next() == student.id
    assert frontier.start_next() is None
