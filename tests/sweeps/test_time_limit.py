"""`--max-hours` with a clock that a test sets; what may start is worked out by hand."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pytest

from analysis.overview import Phase
from sweeps.admission import Ledger
from sweeps.board import Board
from sweeps.estimates import kind_of
from sweeps.frontier import Frontier
from sweeps.plan import Job, make_plan
from sweeps.progress import BoardProgress
from sweeps.resources import Resources
from sweeps.step import Step
from sweeps.time_limit import TimeLimit, end_of, parse_hours
from trainers.errors import ResourceError
from trainers.spec import Role
from trainers.storage import Store

ONE_CPU = Resources(cpus=1)
COSTS = {Role.TEACHER: 4.0, Role.STUDENT: 2.0, Role.VARIANT: 1.0}


@dataclass
class Day:
    """A plan with a limit, one job at a time: a teacher and its student of 10 epochs, a variant of 5."""

    board: Board
    progress: BoardProgress
    frontier: Frontier
    ids: dict[str, str]
    seconds: float = 0.0

    def start(self) -> str | None:
        run = self.frontier.start_next()
        return None if run is None else self.board.lines[run].job.label

    def train(self, label: str, epoch_seconds: float) -> None:
        """Let a job run through; its epochs take so long."""
        run = self.ids[label]
        self.progress.started(run)
        for epoch in range(1, self.board.lines[run].job.spec.epochs + 1):
            self.seconds += epoch_seconds
            self.progress.epoch(run, Step(epoch=epoch, validation_accuracy=0.5, epoch_seconds=epoch_seconds))
        self.progress.ended(run, Phase.DONE, "")
        self.frontier.end(run, is_ok=True)


@pytest.fixture
def make_day(make_job: Any, make_frontier: Any) -> Any:
    def make(end: float, num_cpus: int = 1) -> Day:
        teacher = make_job("teacher", role=Role.TEACHER, epochs=10)
        student = make_job("student", epochs=10, teacher=teacher.spec)
        plan = make_plan([teacher, student, make_job("variant", role=Role.VARIANT, epochs=5)])

        def epoch_cost(job: Job) -> float:
            return COSTS[job.role]

        board = Board(plan, (), 1, epoch_cost, lambda job: kind_of(job.spec))
        limit = TimeLimit(end=end, clock=lambda: day.seconds, seconds_left=board.measured_seconds_left)
        frontier = make_frontier(
            plan,
            set(plan.by_id),
            lambda job: ONE_CPU,
            Ledger([ONE_CPU] * num_cpus),
            lambda job: job.spec.epochs * epoch_cost(job),
            may_start=limit.allows,
        )
        ids = {job.label: job.id for job in plan.jobs}
        day = Day(board, BoardProgress(board, lambda line: None), frontier, ids)
        return day

    return make


def test_with_time_for_all_every_job_starts(make_day: Any) -> None:
    """Teacher 10 x 4 s; by cost the student takes 10 x 2 s and the variant 5 x 1 s: 65 s in all."""
    day = make_day(end=65.0)
    for label, epoch_seconds in (("teacher", 4.0), ("student", 2.0), ("variant", 1.0)):
        assert day.start() == label
        day.train(label, epoch_seconds)
    assert day.board.count(Phase.WAITING) == 0


def test_a_job_that_would_not_be_done_in_time_gives_way_to_a_shorter_one(make_day: Any) -> None:
    """At 40 s the student would need 20 s more than the 19 s that are left; the variant needs 5 s."""
    day = make_day(end=59.0)
    assert day.start() == "teacher"
    day.train("teacher", 4.0)
    assert day.start() == "variant"
    day.train("variant", 1.0)
    assert day.start() is None
    assert day.board.count(Phase.WAITING) == 1


def test_an_estimate_that_improves_lets_a_job_start_after_all(make_day: Any) -> None:
    """The variant turns out five times as fast: 4.2 s measured for 5 s estimated make 16.8 s for the student."""
    day = make_day(end=59.0)
    day.start()
    day.train("teacher", 4.0)
    day.start()
    day.train("variant", 0.2)  # 41 s; left are 18 s
    assert day.start() == "student"


def test_before_anything_is_measured_jobs_start_until_the_time_is_up(make_day: Any) -> None:
    day = make_day(end=10.0, num_cpus=2)
    assert day.start() == "teacher"
    day.seconds = 9.9
    assert day.start() == "variant"
    late = make_day(end=10.0)
    late.seconds = 10.0
    assert late.start() is None


def test_what_runs_when_the_time_is_up_runs_on_and_its_child_waits(make_day: Any) -> None:
    day = make_day(end=10.0)
    assert day.start() == "teacher"
    day.train("teacher", 4.0)
    assert day.frontier.num_running == 0 and day.board.lines[day.ids["teacher"]].phase is Phase.DONE
    assert day.start() is None


@pytest.mark.parametrize(("text", "hours"), [(None, None), ("0.5", 0.5), ("12", 12.0), ("1e-3", 0.001)])
def test_hours_are_a_number(text: str | None, hours: float | None) -> None:
    assert parse_hours(text) == hours


@pytest.mark.parametrize(("hours", "end"), [(None, math.inf), (0.5, 1810.0), (12.0, 43_210.0)])
def test_hours_are_counted_from_the_start_of_the_command(hours: float | None, end: float) -> None:
    assert end_of(10.0, hours) == end


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "2h", ""])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ResourceError, match=r"allowed: a number above 0, as in 0\.5"):
        parse_hours(text)


def test_a_command_whose_time_is_up_starts_nothing_and_the_same_command_goes_on(petite: Any) -> None:
    arguments = [*petite.report, "--serial", "--only", "conv_*"]
    outcome = petite.main(*arguments, "--max-hours", "1e-9")
    assert outcome.code == 1, outcome
    assert outcome.out.splitlines()[-1] == (
        "3 jobs were not started because of --max-hours 1e-9; the same command goes on"
    )
    assert set(petite.num_attempts.values()) == {0}
    outcome = petite.main(*arguments, "--max-hours", "5")
    assert outcome.code == 0 and "--max-hours" not in outcome.out
    assert len(petite.weights) == 3


def test_time_that_runs_out_in_the_middle_leaves_the_rest_for_the_next_command(
    petite: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit is asked until the first result is there."""
    monkeypatch.setattr(TimeLimit, "allows", lambda limit, job: not petite.weights)
    arguments = [*petite.report, "--serial", "--only", "conv_*"]
    outcome = petite.main(*arguments, "--max-hours", "1")
    assert outcome.code == 1 and len(petite.weights) == 1
    assert "2 jobs were not started because of --max-hours 1;" in outcome.out
    assert "1 ok, 0 failed, 0 blocked, 2 unfinished" in outcome.out
    monkeypatch.undo()
    assert petite.main(*arguments).code == 0
    assert set(petite.num_attempts.values()) == {1}
    assert len(Store(petite.store).plans()) == 1
