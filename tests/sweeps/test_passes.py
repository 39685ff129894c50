"""Thousands of jobs in passes of some hundreds: what is in which, and what a failure in one means for the next."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.overview import Phase
from sweeps import driver
from sweeps.passes import Pass, Setup
from sweeps.plan import Plan, make_plan
from sweeps.resources import Resources, default_resources
from sweeps.step import Step
from sweeps.tries import run_passes, slices
from trainers.result import Failure
from trainers.spec import Role, run_id
from trainers.storage import Store, now


class Told:
    """What the progress is told."""

    def __init__(self) -> None:
        self.phases: dict[str, Phase] = {}

    def started(self, run: str) -> None:
        self.phases[run] = Phase.RUNNING

    def elsewhere(self, run: str, place: str) -> None:
        pass

    def epoch(self, run: str, step: Step) -> None:
        pass

    def ended(self, run: str, phase: Phase, note: str) -> None:
        self.phases[run] = phase


class World:
    """Carries out passes in no time: results are made up, and some jobs fail, for good or once."""

    def __init__(self, store: Store, make_result: Any, for_good: Iterable[str] = (), once: Iterable[str] = ()) -> None:
        self.store, self.make_result = store, make_result
        self.for_good, self.once, self.passes = set(for_good), set(once), list[list[str]]()

    def execute(self, work: Pass) -> None:
        frontier, labels = work.frontier(), list[str]()
        while (run := frontier.start_next()) is not None:
            work.on_start(run)
            labels.append(work.plan.by_id[run].label)
            self._train(run, labels[-1])
            frontier.end(run, is_ok=work.on_end(run))
        self.passes.append(labels)

    def _train(self, run: str, label: str) -> None:
        attempt = self.store.begin_attempt(run)
        if label in self.for_good or label in self.once:
            permanent = label in self.for_good
            self.once.discard(label)
            attempt.write_failure(Failure(reason="no", is_permanent=permanent, log_path="", failed_at=now()))
            return
        result = self.make_result(self.store.spec(run), attempt=attempt.token, files={})
        assert self.store.finish(attempt, result)


@pytest.fixture
def plan(make_job: Any) -> Plan:
    """Two teachers with two students each, and one job alone."""
    teachers = [make_job(f"teacher{number}", role=Role.TEACHER, lr=number) for number in (1, 2)]
    students = [
        make_job(f"student{number}{letter}", lr=lr, teacher=teacher.spec)
        for number, teacher in enumerate(teachers, start=1)
        for letter, lr in (("a", 0.1), ("b", 0.2))
    ]
    return make_plan([*teachers, *students, make_job("alone", lr=0.5)])


def run(plan: Plan, store: Store, world: World, most: int, told: Told) -> None:
    for job in plan.jobs:
        store.write_spec(job.spec)
    setup = Setup(resources=default_resources(has_gpu=False), machines=(Resources(cpus=1),))
    run_passes(plan, store, set(plan.by_id), setup, told, world.execute, most=most)


def told_of(plan: Plan, told: Told) -> dict[str, Phase]:
    return {plan.by_id[run].label: phase for run, phase in told.phases.items()}


def test_every_job_is_in_one_pass_and_none_before_its_parents(plan: Plan, tmp_path: Any, make_result: Any) -> None:
    world, told = World(Store(tmp_path), make_result), Told()
    run(plan, world.store, world, 2, told)
    assert [len(labels) for labels in world.passes] == [2, 2, 2, 1]
    assert set(world.passes[0]) == {"teacher1", "teacher2"}
    assert set(told_of(plan, told).values()) == {Phase.DONE} and len(told.phases) == 7


def test_a_failure_blocks_what_depends_on_it_in_later_passes_and_nothing_else(
    plan: Plan, tmp_path: Any, make_result: Any
) -> None:
    world, told = World(Store(tmp_path), make_result, for_good=["teacher1"]), Told()
    run(plan, world.store, world, 2, told)
    shown = told_of(plan, told)
    assert shown.pop("teacher1") is Phase.FAILED
    assert {label for label, phase in shown.items() if phase is Phase.BLOCKED} == {"student1a", "student1b"}
    started = [label for labels in world.passes for label in labels]
    assert sorted(started) == ["alone", "student2a", "student2b", "teacher1", "teacher2"]


@pytest.mark.parametrize("most", [1, 2, 100])
def test_what_may_pass_is_tried_once_more_with_all_that_waited_for_it(
    plan: Plan, tmp_path: Any, make_result: Any, most: int
) -> None:
    world, told = World(Store(tmp_path), make_result, once=["teacher1", "alone"]), Told()
    run(plan, world.store, world, most, told)
    assert set(told_of(plan, told).values()) == {Phase.DONE} and len(told.phases) == 7
    started = [label for labels in world.passes for label in labels]
    assert {label: started.count(label) for label in set(started)} == {
        **dict.fromkeys(("teacher2", "student1a", "student1b", "student2a", "student2b"), 1),
        **dict.fromkeys(("teacher1", "alone"), 2),
    }


def test_even_if_every_job_failed_there_is_another_try(make_job: Any, tmp_path: Any, make_result: Any) -> None:
    only = make_plan([make_job("alone")])
    world, told = World(Store(tmp_path), make_result, once=["alone"]), Told()
    run(only, world.store, world, 5, told)
    assert world.passes == [["alone"], ["alone"]] and told_of(only, told) == {"alone": Phase.DONE}


@given(st.data())
def test_a_part_needs_only_itself_and_the_parts_before_it(make_spec: Any, make_job: Any, data: st.DataObject) -> None:
    specs: list[Any] = []
    for number in range(data.draw(st.integers(1, 8))):
        teacher = data.draw(st.sampled_from([None, *specs]))
        specs.append(make_spec(lr=1.0 + number, teacher=teacher))
    plan = make_plan(make_job(f"job{number}", **vars_of(spec)) for number, spec in enumerate(specs))
    costs = {run_id(spec): float(data.draw(st.integers(0, 2))) for spec in specs}
    parts = slices(plan, set(plan.by_id), lambda job: costs[job.id], data.draw(st.integers(1, 4)))
    assert sorted(run for part in parts for run in part) == sorted(plan.by_id)
    for number, part in enumerate(parts):
        before = set().union(*parts[: number + 1])
        assert all(parent in before for run in part for parent in plan.by_id[run].parents)


def vars_of(spec: Any) -> dict[str, Any]:
    """What `make_job` needs to make the same spec."""
    return {"lr": spec.optimizer.lr, "teacher": spec.teacher}


EXECUTORS = [pytest.param(["--serial"], id="serially"), pytest.param([], id="with Ray", marks=pytest.mark.ray)]


@pytest.mark.parametrize("executor", EXECUTORS)
def test_three_passes_of_two_jobs_end_as_one_does(
    petite: Any, finished: Any, monkeypatch: pytest.MonkeyPatch, executor: list[str]
) -> None:
    monkeypatch.setattr(driver, "run_passes", functools.partial(driver.run_passes, most=2))
    kept = ["--only", "student_kd_scratch", "--only", "conv_*"]
    outcome = petite.main(*petite.report, *kept, *executor)
    assert outcome.code == 0, outcome.out + outcome.err
    assert "5 planned, 0 done, 5 to run" in outcome.out
    assert petite.weights == {run: finished.weights[run] for run in petite.labels.values()}
    assert set(petite.num_attempts.values()) == {1}


@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_failed_teacher_blocks_its_student_of_a_later_pass_and_nobody_else(
    petite: Any, monkeypatch: pytest.MonkeyPatch, executor: list[str]
) -> None:
    monkeypatch.setattr(driver, "run_passes", functools.partial(driver.run_passes, most=1))
    kept = ["--only", "student_kd_scratch", "--only", "conv_plain"]
    outcome = petite.main(*petite.report, *kept, "--set", "teacher_scratch:optimizer.lr=1e30", *executor)
    assert outcome.code == 1, outcome.out + outcome.err
    assert "1 ok, 1 failed, 1 blocked" in outcome.out
    assert "student_kd_scratch@0: BLOCKED by teacher_scratch@0" in outcome.out
    assert not re.search(r"student_kd_scratch@0: started", outcome.out)
    assert len(petite.num_attempts) == 3 and sorted(petite.num_attempts.values()) == [0, 1, 1]
