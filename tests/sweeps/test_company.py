"""Other drivers on the same store: what they are at is left to them, waited for between passes, and told."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

import pytest

from analysis.overview import Phase
from sweeps.company import Company, whom
from sweeps.passes import Pass, Setup
from sweeps.plan import Decision, Plan, Task, make_plan
from sweeps.resources import Resources, default_resources
from sweeps.step import Step
from sweeps.sweep import refuse_disturbing, set_aside_stale
from sweeps.tries import run_passes
from trainers.errors import PlanError
from trainers.heartbeat import driving
from trainers.leases import DriverRecord
from trainers.result import Failure
from trainers.spec import Role
from trainers.storage import Store, now

ORDER = ("teacher", "student", "alone")
OTHER = DriverRecord(token="other", host="box", pid=7, started_at="", beats=1)


def test_whom_we_wait_for_is_said_in_one_line() -> None:
    third = DriverRecord(token="third", host="cube", pid=8, started_at="", beats=1)
    assert whom({"a": OTHER, "b": third, "c": OTHER}) == (
        "waiting for 2 jobs of another driver on box (process 7), 1 job of another driver on cube (process 8)"
    )


@dataclass
class Told:
    """What the progress is told."""

    events: list[tuple[str, str]] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)

    def started(self, run: str) -> None:
        self.events.append((run, "started"))

    def elsewhere(self, run: str, place: str) -> None:
        pass

    def epoch(self, run: str, step: Step) -> None:
        pass

    def ended(self, run: str, phase: Phase, note: str) -> None:
        self.events.append((run, phase.value))
        self.notes[run] = note


@dataclass
class Neighbours:
    """The leases of other drivers: label -> what becomes of the job after so many pauses of ours."""

    store: Store
    plan: Plan
    make_result: Any
    holding: dict[str, tuple[int, Callable[[Neighbours, str], None] | None]]
    num_pauses: int = 0
    released: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    is_time_up: bool = False

    def take(self, task: str) -> bool:
        return not self.holders([task])

    def release(self, task: str) -> None:
        self.released.append(task)

    def holders(self, tasks: Collection[str]) -> dict[str, DriverRecord]:
        return {task: OTHER for task in tasks if self.plan.tasks[task].label in self.holding}

    def pause(self, seconds: float) -> None:
        self.num_pauses += 1
        for label, (pauses, ending) in list(self.holding.items()):
            if self.num_pauses >= pauses:
                del self.holding[label]
                if ending is not None:
                    ending(self, next(job.id for job in self.plan.jobs if job.label == label))

    def execute(self, work: Pass) -> None:
        """Every job succeeds at once."""
        frontier = work.frontier()
        while (run := frontier.start_next()) is not None:
            work.on_start(run)
            finish(self, run)
            frontier.end(run, is_ok=work.on_end(run))

    def may_start(self, task: Task) -> bool:
        return not self.is_time_up

    def run(self, told: Told) -> list[str]:
        """The labels that we started, in order."""
        for job in self.plan.jobs:
            self.store.write_spec(job.spec)
        setup = Setup(resources=default_resources(has_gpu=False), machines=(Resources(cpus=1),), driver="ours")
        company = Company(leases=self, say=self.said.append, pause=self.pause)
        to_run = set(self.plan.by_id)
        run_passes(self.plan, self.store, to_run, setup, told, self.execute, self.may_start, company=company)
        return [self.plan.by_id[run].label for run, event in told.events if event == "started"]


def finish(world: Neighbours, run: str) -> None:
    attempt = world.store.begin_attempt(run, "ours")
    result = world.make_result(world.store.spec(run), attempt=attempt.token, files={})
    assert world.store.finish(attempt, result)


def fail(is_permanent: bool) -> Callable[[Neighbours, str], None]:
    def end(world: Neighbours, run: str) -> None:
        failure = Failure(reason="their reason", is_permanent=is_permanent, log_path="", failed_at=now())
        world.store.begin_attempt(run, "theirs").write_failure(failure)

    return end


@pytest.fixture
def plan(make_job: Any) -> Plan:
    """A teacher with a student, and one job alone."""
    teacher = make_job("teacher", role=Role.TEACHER)
    return make_plan([teacher, make_job("student", lr=0.1, teacher=teacher.spec), make_job("alone", lr=0.5)])


@pytest.fixture
def world(plan: Plan, tmp_path: Any, make_result: Any) -> Callable[..., Neighbours]:
    return lambda **holding: Neighbours(Store(tmp_path), plan, make_result, holding)


def phases(plan: Plan, told: Told) -> dict[str, str]:
    return {plan.by_id[run].label: event for run, event in told.events}


def test_what_another_driver_finishes_counts_as_done_and_what_waits_for_it_runs_then(world: Any, plan: Plan) -> None:
    neighbours, told = world(teacher=(3, finish)), Told()
    assert neighbours.run(told) == ["alone", "student"]
    assert phases(plan, told) == dict.fromkeys(("teacher", "student", "alone"), "done")
    assert told.notes[plan.jobs[0].id].startswith("by another driver: validation 90.0%")
    assert neighbours.said == ["waiting for 1 job of another driver on box (process 7)"]
    assert len(neighbours.store.attempts(plan.jobs[0].id)) == 1


def test_what_another_driver_leaves_undone_is_taken_over(world: Any, plan: Plan) -> None:
    neighbours, told = world(teacher=(2, None)), Told()
    assert neighbours.run(told) == ["alone", "teacher", "student"]
    assert set(phases(plan, told).values()) == {"done"}


def test_a_failure_of_another_driver_that_would_come_again_is_told_with_its_reason_and_not_tried_again(
    world: Any, plan: Plan
) -> None:
    neighbours, told = world(teacher=(1, fail(True))), Told()
    assert neighbours.run(told) == ["alone"]
    assert phases(plan, told) == {"teacher": "FAILED", "student": "BLOCKED", "alone": "done"}
    assert told.notes[plan.jobs[0].id] == "their reason"
    assert told.events.count((plan.jobs[0].id, "FAILED")) == 1


def test_a_failure_of_another_driver_that_may_pass_is_tried_here(world: Any, plan: Plan) -> None:
    neighbours, told = world(teacher=(1, fail(False))), Told()
    assert neighbours.run(told) == ["alone", "teacher", "student"]
    assert set(phases(plan, told).values()) == {"done"}


def test_a_failure_of_yesterday_says_nothing_of_what_another_driver_is_at(world: Any, plan: Plan) -> None:
    neighbours, told = world(teacher=(2, finish)), Told()
    fail(True)(neighbours, plan.jobs[0].id)
    assert neighbours.run(told) == ["alone", "student"]
    assert set(phases(plan, told).values()) == {"done"}


def test_two_jobs_that_others_finish_one_after_the_other_are_both_awaited(world: Any, plan: Plan) -> None:
    neighbours, told = world(teacher=(1, finish), student=(4, finish), alone=(6, finish)), Told()
    assert neighbours.run(told) == []
    assert phases(plan, told) == dict.fromkeys(("teacher", "student", "alone"), "done")
    assert neighbours.num_pauses == 6


def test_waiting_ends_when_the_time_is_up(world: Any, plan: Plan) -> None:
    neighbours, told = world(teacher=(10**9, None)), Told()
    pause = neighbours.pause

    def late(seconds: float) -> None:
        pause(seconds)
        neighbours.is_time_up = neighbours.num_pauses == 5

    neighbours.pause = late
    assert neighbours.run(told) == ["alone"]
    assert neighbours.num_pauses == 5 and phases(plan, told) == {"alone": "done"}


def test_an_interrupt_ends_the_waiting(world: Any) -> None:
    neighbours = world(teacher=(10**9, None))

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    neighbours.pause = interrupt
    with pytest.raises(KeyboardInterrupt):
        neighbours.run(Told())


def test_every_job_that_we_started_is_given_back(world: Any, plan: Plan) -> None:
    neighbours = world(teacher=(1, finish))
    neighbours.run(Told())
    assert {plan.by_id[run].label for run in neighbours.released} == {"alone", "student"}


def test_a_crash_is_recorded_in_an_attempt_of_our_own_and_not_in_that_of_another_driver(world: Any, plan: Plan) -> None:
    neighbours, told = world(), Told()

    def crash_while_another_driver_begins(work: Pass) -> None:
        frontier = work.frontier()
        while (run := frontier.start_next()) is not None:
            work.on_start(run)
            neighbours.store.begin_attempt(run, "theirs")
            frontier.end(run, is_ok=work.on_end(run))

    neighbours.execute = crash_while_another_driver_begins
    neighbours.run(told)
    attempts = neighbours.store.attempts(plan.jobs[0].id)
    assert {attempt.driver for attempt in attempts} == {"ours", "theirs"}
    assert all((attempt.failure() is not None) == (attempt.driver == "ours") for attempt in attempts)


def decisions(plan: Plan, *labels: str) -> dict[str, Decision]:
    """These jobs start over, and replace the result of attempt 0001-a."""
    jobs = [job for job in plan.jobs if job.label in labels]
    return {
        job.id: Decision(job=job, will_run=True, reason="forced", starts_over=True, replaces="0001-a") for job in jobs
    }


def test_nothing_that_another_driver_needs_starts_over(plan: Plan) -> None:
    teacher, student, alone = (next(job.id for job in plan.jobs if job.label == label) for label in ORDER)
    with pytest.raises(PlanError, match=r"teacher@0 cannot start over now: student@0 needs it, .* box \(process 7\)"):
        refuse_disturbing(plan, decisions(plan, "teacher"), {student: OTHER})
    refuse_disturbing(plan, decisions(plan, "student", "teacher"), {teacher: OTHER, alone: OTHER})
    refuse_disturbing(plan, decisions(plan, "alone"), {student: OTHER})


def test_what_another_driver_is_at_or_has_made_since_is_not_set_aside(
    plan: Plan, tmp_path: Any, make_result: Any
) -> None:
    store, asked = Store(tmp_path), decisions(plan, *ORDER)
    attempts = {}
    for job, number in zip(plan.jobs, ("a", "b", "a"), strict=True):
        store.write_spec(job.spec)
        attempts[job.id] = f"0001-{number}"
        attempt = store.attempt(job.id, attempts[job.id])
        assert store.finish(attempt, make_result(job.spec, attempt=attempt.token, files={}))
    busy = plan.jobs[2].id
    set_aside_stale(store, asked, {busy: OTHER})
    kept = {job.id for job in plan.jobs if store.result(job.id) is not None}
    assert kept == {busy, plan.jobs[1].id}


def test_whoever_watches_is_told_how_long_epochs_should_take(petite: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, float] = {}

    def recording(store: Store, expected: dict[str, float]) -> Any:
        told.update(expected)
        return driving(store, expected)

    monkeypatch.setattr("sweeps.driver.driving", recording)
    assert petite.main(*petite.report, "--only", "student_kd_scratch", "--serial").code == 0
    (plan,) = Store(petite.store).plans()
    seconds = {job.label: told.pop(job.group_id) for job in plan.jobs}
    assert not told and seconds["teacher_scratch"] > seconds["student_kd_scratch"] > 0
