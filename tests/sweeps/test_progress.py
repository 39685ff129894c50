"""What a person sees; estimates are worked out by hand."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from sweeps.board import Board, Phase
from sweeps.estimates import Kind, kind_of
from sweeps.forecast import Forecasts, format_seconds
from sweeps.plan import Job, Plan, make_plan
from sweeps.progress import BoardProgress, LiveTable
from trainers.spec import Role, Weights

COSTS = {Role.PRETRAIN: 4.0, Role.TEACHER: 4.0, Role.STUDENT: 1.5, Role.VARIANT: 1.0}


def kind(job: Job) -> Kind:
    return kind_of(job.spec)


def epoch_cost(job: Job) -> float:
    return COSTS[job.role]


@pytest.fixture
def plan(make_job: Any) -> Plan:
    """A teacher of 4 epochs, its student of 10, a variant of 6."""
    teacher = make_job("teacher", role=Role.TEACHER, epochs=4)
    student = make_job("student", epochs=10, teacher=teacher.spec)
    return make_plan([teacher, student, make_job("variant", role=Role.VARIANT, epochs=6)])


def ids(plan: Plan) -> dict[str, str]:
    return {job.label: job.id for job in plan.jobs}


def test_before_the_first_epoch_the_estimate_stands_as_it_was_made(plan: Plan) -> None:
    """Teacher 4 x 4 s and its student 10 x 1.5 s are the longest chain; with the variant 37 s for one slot."""
    assert Board(plan, (), num_slots=2, epoch_seconds=epoch_cost, kind=kind).seconds_left() == pytest.approx(31.0)
    board = Board(plan, (), num_slots=1, epoch_seconds=epoch_cost, kind=kind)
    assert board.seconds_left() == pytest.approx(37.0)
    assert board.measured_seconds_left(ids(plan)["teacher"]) is None


def test_what_a_job_takes_besides_its_epochs_is_measured_and_what_a_running_one_has_had_is_gone(plan: Plan) -> None:
    """The teacher starts a process (2 s), so 5 s of 4 x 4 + 1 + 2 s are gone; that it did says nothing of others.

    The variant took 9 s, of them 6 s of epochs: 3 s besides.
    """
    seconds = 0.0
    board = Board(plan, (), 1, epoch_cost, kind=kind, extra_seconds=1.0, startup_seconds=2.0, clock=lambda: seconds)
    teacher, variant = ids(plan)["teacher"], ids(plan)["variant"]
    assert board.seconds_left() == pytest.approx(2.0 + 16.0 + 15.0 + 6.0 + 3 * 1.0)
    board.started(teacher)
    seconds = 5.0
    assert board.job_seconds_left(teacher) == pytest.approx(4 * 4.0 + 1.0 + 2.0 - 5.0)
    for epoch in range(1, 5):
        board.epoch(teacher, epoch, 0.5, 4.0)
    board.ended(teacher, Phase.DONE, "")
    assert board.job_seconds_left(variant) == pytest.approx(6 * 1.0 + 1.0)
    board.started(variant)
    seconds = 14.0
    for epoch in range(1, 7):
        board.epoch(variant, epoch, 0.5, 1.0)
    board.ended(variant, Phase.DONE, "")
    assert board.job_seconds_left(ids(plan)["student"]) == pytest.approx(10 * 1.5 + 3.0)


def test_estimates_are_held_against_what_was_taken() -> None:
    """It took 200 s: at 10 % the estimate of 12 s held, not yet that of 25 s; a sweep of no time had one estimate."""
    forecasts = Forecasts()
    for at, left in ((0.0, 240.0), (12.0, 208.0), (25.0, 100.0)):
        forecasts.add(at, left)
    assert forecasts.against(200.0) == "estimated 4:00 at the start, 3:40 at 10 %; took 3:20"
    assert forecasts.against(0.0) == "estimated 4:00 at the start, 4:00 at 10 %; took 0:00"


def test_a_sweep_of_many_jobs_looks_at_them_all_once_a_second(make_job: Any) -> None:
    plan = make_plan([make_job("job", seed=seed, epochs=1) for seed in range(501)])
    seconds = 0.0
    board = Board(plan, (), 1, epoch_seconds=lambda job: 2.0, kind=kind, clock=lambda: seconds)
    progress = BoardProgress(board, lambda line: None, clock=lambda: seconds)
    for job in plan.jobs[:40]:
        progress.started(job.id)
        seconds += 0.125
    assert [forecast.at for forecast in progress.forecasts.entries] == [0.0, 1.0, 2.0, 3.0, 4.0]


@pytest.mark.parametrize(("num_slots", "expected"), [(1, 33.0), (2, 27.0), (9, 27.0)])
def test_the_estimate_is_the_longest_chain_or_all_work_over_the_slots(
    plan: Plan, num_slots: int, expected: float
) -> None:
    """Teacher: 3 epochs of 4 s = 12. Student, by cost 1.5 / 4 of a teacher's: 10 of 1.5 s = 15. Variant: 6 of 1 s."""
    board = Board(plan, (), num_slots, epoch_seconds=epoch_cost, kind=kind)
    BoardProgress(board, lambda line: None).epoch(ids(plan)["teacher"], 1, 0.5, 4.0)
    assert board.seconds_left() == pytest.approx(expected)


def test_a_job_is_estimated_from_its_own_epochs_once_it_has_some(plan: Plan) -> None:
    board = Board(plan, (), 1, epoch_seconds=epoch_cost, kind=kind)
    progress = BoardProgress(board, lambda line: None)
    progress.epoch(ids(plan)["teacher"], 1, 0.5, 4.0)
    progress.epoch(ids(plan)["student"], 2, 0.5, 0.25)
    assert board.job_seconds_left(ids(plan)["student"]) == pytest.approx(8 * 0.25)


def test_a_job_of_no_epochs_costs_nothing_and_is_shown(make_job: Any) -> None:
    given = make_job("given", role=Role.TEACHER, epochs=0, init_weights=Weights(name="file", digest="ab"))
    plan = make_plan([given, make_job("student", epochs=10, teacher=given.spec)])
    board = Board(plan, (), 1, epoch_seconds=epoch_cost, kind=kind)
    progress = BoardProgress(board, lambda line: None)
    progress.epoch(ids(plan)["student"], 1, 0.5, 2.0)
    assert board.job_seconds_left(ids(plan)["given"]) == 0
    assert board.seconds_left() == pytest.approx(9 * 2.0)
    assert any("given@0" in line and "0/0" in line for line in rendered(board))


def test_another_job_of_the_same_kind_is_the_best_guide(make_job: Any) -> None:
    plan = make_plan([*(make_job("student", seed=seed, epochs=5) for seed in (0, 1)), make_job("slow", batch_size=16)])
    zero, one = (next(job.id for job in plan.jobs if job.name == f"student@{seed}") for seed in (0, 1))
    board = Board(plan, (), 1, epoch_seconds=epoch_cost, kind=kind)
    progress = BoardProgress(board, lambda line: None)
    progress.epoch(zero, 1, 0.5, 2.0)
    progress.epoch(next(job.id for job in plan.jobs if job.label == "slow"), 1, 0.5, 50.0)
    assert board.job_seconds_left(one) == pytest.approx(5 * 2.0)


def test_what_is_done_failed_or_blocked_takes_no_more_time(plan: Plan) -> None:
    board = Board(plan, [ids(plan)["variant"]], 1, epoch_seconds=epoch_cost, kind=kind)
    progress = BoardProgress(board, lambda line: None)
    progress.epoch(ids(plan)["teacher"], 1, 0.5, 4.0)
    progress.ended(ids(plan)["teacher"], Phase.FAILED, "loss is nan")
    progress.ended(ids(plan)["student"], Phase.BLOCKED, "by teacher@0")
    assert board.seconds_left() == 0
    counts = {phase: board.count(phase) for phase in Phase}
    assert counts == {Phase.DONE: 1, Phase.RUNNING: 0, Phase.WAITING: 0, Phase.FAILED: 1, Phase.BLOCKED: 1}


def test_every_event_is_one_line_with_counts_and_estimates(plan: Plan) -> None:
    said: list[str] = []
    progress = BoardProgress(Board(plan, [ids(plan)["variant"]], 1, epoch_seconds=epoch_cost, kind=kind), said.append)
    progress.started(ids(plan)["teacher"])
    progress.epoch(ids(plan)["teacher"], 1, 0.625, 4.0)
    progress.ended(ids(plan)["teacher"], Phase.DONE, "validation 62.5%")
    assert [line.partition("] ")[2] for line in said] == [
        "teacher@0: started (1/3 jobs done, sweep 0:31 left)",
        "teacher@0: epoch 1/4, validation 62.5%, 0:12 left (1/3 jobs done, sweep 0:27 left)",
        "teacher@0: done validation 62.5% (2/3 jobs done, sweep 0:15 left)",
    ]


def rendered(board: Board, height: int = 40) -> list[str]:
    console = Console(width=80, height=height, file=io.StringIO(), force_terminal=False)
    console.print(LiveTable(board, console).render())
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().rstrip().splitlines()


@pytest.fixture
def busy(make_job: Any) -> tuple[Board, list[Job]]:
    """One job in every phase, with names as long as the report's."""
    names = ("student_kd_pretrained", "teacher_pretrained", "conv_depthwise", "student_scratch", "teacher_scratch")
    jobs = [make_job(name, lr=float(number + 1), epochs=200) for number, name in enumerate(names)]
    board = Board(make_plan(jobs), [jobs[0].id], 2, epoch_seconds=epoch_cost, kind=kind)
    progress = BoardProgress(board, lambda line: None)
    progress.started(jobs[1].id)
    progress.epoch(jobs[1].id, 150, 0.875, 60.0)
    progress.ended(jobs[2].id, Phase.FAILED, "loss is nan")
    progress.ended(jobs[3].id, Phase.BLOCKED, "by conv_depthwise@0")
    return board, jobs


def test_the_table_shows_every_phase_in_80_columns(busy: tuple[Board, list[Job]]) -> None:
    board, jobs = busy
    lines = rendered(board)
    assert max(map(len, lines)) <= 80
    assert "1 done, 1 running, 1 waiting, 1 FAILED, 1 BLOCKED" in lines[-2] + lines[-1]
    for job, words in zip(
        jobs,
        (["done", "200/200"], ["running", "150/200", "87.5%", "50:00"], ["FAILED"], ["BLOCKED"], ["waiting", "0/200"]),
        strict=True,
    ):
        line = next(line for line in lines if job.name in line)
        assert all(word in line for word in words), line


def test_the_table_is_drawn_on_a_terminal(busy: tuple[Board, list[Job]]) -> None:
    board, jobs = busy
    file = io.StringIO()
    with LiveTable(board, Console(width=80, height=40, file=file, force_terminal=True)):
        pass
    assert all(job.name in file.getvalue() for job in jobs)


def test_a_low_terminal_keeps_what_fails_and_runs_and_counts_the_rest(busy: tuple[Board, list[Job]]) -> None:
    board, jobs = busy
    lines = rendered(board, height=10)
    text = "\n".join(lines)
    assert len(lines) <= 10
    assert all(job.name in text for job in jobs[1:])
    assert jobs[0].name not in text
    assert "(1 not shown)" in text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "?"), (0, "0:00"), (59.4, "0:59"), (59.6, "1:00"), (309, "5:09"), (3599.6, "1:00:00"), (3909, "1:05:09")],
)
def test_seconds_are_written_as_a_clock(seconds: float | None, text: str) -> None:
    assert format_seconds(seconds) == text


def test_the_name_of_a_grids_point_takes_two_lines_where_it_would_take_half_of_a_terminal(make_job: Any) -> None:
    plan = make_plan([make_job("student_kd_pretrained/temperature=4,weight=0.5"), make_job("other", lr=0.5)])
    board = Board(plan, (), num_slots=1, epoch_seconds=lambda job: 1.0, kind=kind)
    for width, is_broken in ((80, True), (140, False)):
        console = Console(file=io.StringIO(), width=width, height=20)
        console.print(LiveTable(board, console).render())
        lines = [line.strip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]
        assert any(line.startswith("temperature=4,weight=0.5@0") for line in lines) is is_broken
        assert any(line.startswith("student_kd_pretrained/temperature=4") for line in lines) is not is_broken
        assert any(line.startswith("other@0") and "waiting" in line for line in lines)


def test_a_hostile_name_and_note_are_shown_as_text(make_job: Any, capsys: pytest.CaptureFixture[str]) -> None:
    from sweeps.api import _say

    job = make_job("[red]\x1b[2Jx\nforged")
    board = Board(make_plan([job]), (), num_slots=1, epoch_seconds=epoch_cost, kind=kind)
    progress = BoardProgress(board, _say)
    progress.started(job.id)
    progress.ended(job.id, Phase.FAILED, "no\r\x1b]0;owned\a\u202e")
    shown = io.StringIO()
    console = Console(width=100, file=shown, force_terminal=False)
    console.print(LiveTable(board, console).render())
    for text in (capsys.readouterr().out, shown.getvalue()):
        assert "[red]?[2Jx forged" in text and "no ?]0;owned??" in text
        assert all(line.isprintable() for line in text.split("\n"))
