"""What a person sees; estimates are worked out by hand."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from analysis.overview import Phase
from analysis.words import format_seconds
from sweeps.board import Board
from sweeps.estimates import Kind, kind_of
from sweeps.forecast import Forecasts
from sweeps.plan import Job, Plan, make_plan
from sweeps.progress import BoardProgress, LiveTable
from sweeps.step import Step
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
        board.epoch(teacher, Step(epoch=epoch, validation_accuracy=0.5, epoch_seconds=4.0))
    board.ended(teacher, Phase.DONE, "")
    assert board.job_seconds_left(variant) == pytest.approx(6 * 1.0 + 1.0)
    board.started(variant)
    seconds = 14.0
    for epoch in range(1, 7):
        board.epoch(variant, Step(epoch=epoch, validation_accuracy=0.5, epoch_seconds=1.0))
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
    BoardProgress(board, lambda line: None).epoch(
        ids(plan)["teacher"], Step(epoch=1, validation_accuracy=0.5, epoch_seconds=4.0)
    )
    assert board.seconds_left() == pytest.approx(expected)


def test_a_job_is_estimated_from_its_own_epochs_once_it_has_some(plan: Plan) -> None:
    board = Board(plan, (), 1, epoch_seconds=epoch_cost, kind=kind)
    progress = BoardProgress(board, lambda line: None)
    progress.epoch(ids(plan)["teacher"], Step(epoch=1, validation_accuracy=0.5, epoch_seconds=4.0))
    progress.epoch(ids(plan)["student"], Step(epoch=2, validation_accuracy=0.5, epoch_seconds=0.25))
    assert board.job_seconds_left(ids(plan)["student"]) == pytest.approx(8 * 0.25)


def test_a_job_of_no_epochs_costs_nothing_and_is_shown(make_job: Any) -> None:
    given = make_job("given", role=Role.TEACHER, epochs=0, init_weights=Weights(name="file", digest="ab"))
    plan = make_plan([given, make_job("student", epochs=10, teacher=given.spec)])
    board = Board(plan, (), 1, epoch_seconds=epoch_cost, kind=kind)
    progress = BoardProgress(board, lambda line: None)
    progress.epoch(ids(plan)["student"], Step(epoch=1, validation_accuracy=0.5, epoch_seconds=2.0))
    assert board.job_seconds_left(ids(plan)["given"]) == 0
    assert board.seconds_left() == pytest.approx(9 * 2.0)
    assert any(line.startswith("* given@0 (ready) holds up 1: student@0") for line in rendered(board))


def test_another_job_of_the_same_kind_is_the_best_guide(make_job: Any) -> None:
    plan = make_plan([*(make_job("student", seed=seed, epochs=5) for seed in (0, 1)), make_job("slow", batch_size=16)])
    zero, one = (next(job.id for job in plan.jobs if job.name == f"student@{seed}") for seed in (0, 1))
    board = Board(plan, (), 1, epoch_seconds=epoch_cost, kind=kind)
    progress = BoardProgress(board, lambda line: None)
    progress.epoch(zero, Step(epoch=1, validation_accuracy=0.5, epoch_seconds=2.0))
    progress.epoch(
        next(job.id for job in plan.jobs if job.label == "slow"),
        Step(epoch=1, validation_accuracy=0.5, epoch_seconds=50.0),
    )
    assert board.job_seconds_left(one) == pytest.approx(5 * 2.0)


def test_what_is_done_failed_or_blocked_takes_no_more_time(plan: Plan) -> None:
    board = Board(plan, [ids(plan)["variant"]], 1, epoch_seconds=epoch_cost, kind=kind)
    progress = BoardProgress(board, lambda line: None)
    progress.epoch(ids(plan)["teacher"], Step(epoch=1, validation_accuracy=0.5, epoch_seconds=4.0))
    progress.ended(ids(plan)["teacher"], Phase.FAILED, "loss is nan")
    progress.ended(ids(plan)["student"], Phase.BLOCKED, "by teacher@0")
    assert board.seconds_left() == 0
    counts = {phase: board.count(phase) for phase in Phase}
    assert counts == dict.fromkeys(Phase, 0) | {Phase.DONE: 1, Phase.FAILED: 1, Phase.BLOCKED: 1}


def test_every_event_is_one_line_with_counts_and_estimates(plan: Plan) -> None:
    said: list[str] = []
    progress = BoardProgress(Board(plan, [ids(plan)["variant"]], 1, epoch_seconds=epoch_cost, kind=kind), said.append)
    progress.started(ids(plan)["teacher"])
    progress.epoch(
        ids(plan)["teacher"], Step(epoch=1, validation_accuracy=0.625, epoch_seconds=4.0, images_per_second=900.4)
    )
    progress.ended(ids(plan)["teacher"], Phase.DONE, "validation 62.5%")
    assert [line.partition("] ")[2] for line in said] == [
        "teacher@0: started (1/3 jobs done, sweep 0:31 left)",
        "teacher@0: epoch 1/4, validation 62.5%, 900 images/s, 0:12 left (1/3 jobs done, sweep 0:27 left)",
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
    progress.epoch(jobs[1].id, Step(epoch=150, validation_accuracy=0.875, epoch_seconds=60.0, images_per_second=1250.0))
    progress.ended(jobs[2].id, Phase.FAILED, "loss is nan")
    progress.ended(jobs[3].id, Phase.BLOCKED, "by conv_depthwise@0")
    return board, jobs


def test_the_screen_shows_every_phase_in_80_columns(busy: tuple[Board, list[Job]]) -> None:
    """Epochs of 1.5 s were expected, one of 60 s was seen: 200 that wait take 40 times 300 s, 50 that run 3,000 s."""
    board, _ = busy
    bar, *lines = rendered(board)
    assert max(map(len, [bar, *lines])) <= 80
    assert bar.startswith("sweep ") and bar.endswith("0:00 gone, about 3:20:00 left")
    assert lines == [
        "5 jobs: 1 done, 1 running, 1 waiting, 1 FAILED, 1 BLOCKED",
        "FAILED conv_depthwise@0: loss is nan",
        "BLOCKED by conv_depthwise@0, 1: student_scratch@0",
        "  running                                     epoch  valid. %  images/s   left",
        "  teacher_pretrained@0  ━━━━━━━━━━━━━╸      150/200      87.5     1,250  50:00",
        "  ready, 1: teacher_scratch@0",
        "  done, 1: student_kd_pretrained@0",
    ]


def test_the_table_is_drawn_on_a_terminal(busy: tuple[Board, list[Job]]) -> None:
    board, jobs = busy
    file = io.StringIO()
    with LiveTable(board, Console(width=80, height=40, file=file, force_terminal=True)):
        pass
    assert all(job.name in file.getvalue() for job in jobs)


def test_a_low_terminal_keeps_what_fails_and_runs_and_counts_the_rest(busy: tuple[Board, list[Job]]) -> None:
    board, jobs = busy
    for run in (jobs[0].id, jobs[4].id):
        board.started(run)
    lines = rendered(board, height=8)
    assert len(lines) == 7
    assert lines[1] == "5 jobs: 3 running, 1 FAILED, 1 BLOCKED"
    assert lines[-2].startswith("* student_kd_pretrained@0 ")
    assert lines[-1] == "  and 2 more: teacher_pretrained@0, teacher_scratch@0"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "?"), (0, "0:00"), (59.4, "0:59"), (59.6, "1:00"), (309, "5:09"), (3599.6, "1:00:00"), (3909, "1:05:09")],
)
def test_seconds_are_written_as_a_clock(seconds: float | None, text: str) -> None:
    assert format_seconds(seconds) == text


def test_the_name_of_a_grids_point_takes_two_lines_where_one_has_no_room(make_job: Any) -> None:
    plan = make_plan([make_job("student_kd_pretrained/temperature=4,weight=0.5"), make_job("other", lr=0.5)])
    board = Board(plan, (), num_slots=1, epoch_seconds=lambda job: 1.0, kind=kind)
    for job in plan.jobs:
        board.started(job.id)
    for width, is_broken in ((80, True), (140, False)):
        console = Console(file=io.StringIO(), width=width, height=20)
        console.print(LiveTable(board, console).render())
        lines = [line.strip(" *") for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]
        assert any(line.startswith("temperature=4,weight=0.5@0") for line in lines) is is_broken
        assert any(line.startswith("student_kd_pretrained/temperature=4") for line in lines) is not is_broken
        assert any(line.startswith("other@0") for line in lines)


def test_what_another_driver_is_at_is_marked_until_it_is_done(plan: Plan) -> None:
    board = Board(plan, (), 1, epoch_seconds=epoch_cost, kind=kind)
    said: list[str] = []
    progress = BoardProgress(board, said.append)
    progress.elsewhere(ids(plan)["teacher"], "another driver on box (process 7)")
    assert said[0].partition("] ")[2].startswith("teacher@0: left to another driver on box (process 7) (")
    lines = rendered(board)
    assert lines[1] == "3 jobs: 1 elsewhere, 2 waiting"
    assert "  another driver on box (process 7) is at 1: teacher@0" in lines
    assert "* teacher@0 (0 %) holds up 1: student@0" in lines
    progress.ended(ids(plan)["teacher"], Phase.DONE, "by another driver")
    assert rendered(board)[1] == "3 jobs: 1 done, 2 waiting"


def test_of_many_events_a_file_gets_few_lines_and_sums_and_every_failure(make_job: Any) -> None:
    """400 jobs of 5 epochs, each event a tenth of a second after the one before: 280 s of 2,800 events.

    40 lines may come at once and one per second more: 320 at most, and a sum every 30 s.
    """
    plan = make_plan([make_job("job", seed=seed, epochs=5) for seed in range(400)])
    said, seconds = list[str](), 0.0
    board = Board(plan, (), 1, epoch_seconds=lambda job: 0.1, kind=kind, clock=lambda: seconds)
    progress = BoardProgress(board, said.append, clock=lambda: seconds)
    for number, job in enumerate(plan.jobs):
        progress.started(job.id)
        for epoch in range(1, 6):
            seconds += 0.1
            progress.epoch(job.id, Step(epoch=epoch, validation_accuracy=0.5, epoch_seconds=0.1))
        is_bad = number % 100 == 99
        progress.ended(job.id, Phase.FAILED if is_bad else Phase.DONE, "loss is nan" if is_bad else "")
    progress.summary()
    sums = [line for line in said if line.startswith("more: ")]
    assert len(said) - len(sums) <= 40 + seconds and len(sums) <= 1 + seconds / 30
    assert [line.partition("] ")[2].partition(" (")[0] for line in said if "FAILED" in line and line not in sums] == [
        f"job@{seed}: FAILED loss is nan" for seed in (99, 199, 299, 399)
    ]
    words = [word.split(" x ") for line in sums for word in line[6:].partition(" (")[0].split(", ")]
    singly = {what: sum(f": {what}" in line for line in said) for what in ("started", "epoch", "done")}
    for what, number in {"started": 400, "epoch": 2000, "done": 396}.items():
        counted = sum(int(count.replace(",", "")) for count, counted_what in words if counted_what == what)
        assert counted + singly[what] == number


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
