"""A sweep on a screen: expected lines are written by hand, and no line is wider, no screen higher, than was asked."""

from __future__ import annotations

import io
import unicodedata
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from analysis.fitting import listed, shortened
from analysis.overview import Glance, Overview, Phase
from analysis.screen import screen

W, R, D, F, B, E = Phase.WAITING, Phase.RUNNING, Phase.DONE, Phase.FAILED, Phase.BLOCKED, Phase.ELSEWHERE


def glance(name: str, phase: Phase = W, waits_for: str = "", **changes: Any) -> Glance:
    known: dict[str, Any] = {"label": name.partition("@")[0], "role": "student", "num_epochs": 8, "epoch_seconds": 7.5}
    return Glance(id=name, name=name, phase=phase, waits_for=tuple(waits_for.split()), **known | changes)


def overview(*jobs: Glance, **changes: Any) -> Overview:
    """Each open job takes a minute more."""
    seconds = {job.id: 60.0 for job in jobs if job.phase in (W, R, E)}
    known: dict[str, Any] = {"title": "report", "job_seconds": seconds, "elapsed_seconds": 250.0}
    return Overview(jobs={job.id: job for job in jobs}, **known | changes)


def drawn(shown: Overview, width: int, height: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(screen(shown, width, height))
    return [line.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]


TEACHER = glance("teacher@0", R, num_epochs_done=5, validation_accuracy=0.713, images_per_second=1240.4, role="teacher")
SWEEP = overview(
    TEACHER,
    glance("logits(teacher)@0", waits_for="teacher@0"),
    glance("student_kd@0", waits_for="teacher@0 logits(teacher)@0"),
    glance("scratch@0", E, place="another driver on box2 (process 7)"),
    glance("student_kd_scratch@0", waits_for="scratch@0"),
    glance("alone@0", D, best_accuracy=0.679),
    glance("alone@1"),
    glance(
        "plain@0", F, note="loss is not finite at epoch 2, step 17, learning rate 0.003; lower optimizer.lr, or clip"
    ),
    glance("child@0", B, note="by plain@0", waits_for="plain@0"),
)


def test_80_columns_say_who_holds_up_whom_what_failed_and_what_the_longest_path_needs_next() -> None:
    """5 minutes of 6 jobs in one slot are more than the chain's 3. Of 56 epochs that can be done 5 + 8 are: 23 %."""
    bar, *lines = drawn(SWEEP, 80, 24)
    assert bar.startswith("report  ━") and bar.endswith("  23 %  4:10 gone, about 6:00 left")
    assert lines == [
        "9 jobs: 1 done, 1 running, 1 elsewhere, 4 waiting, 1 FAILED, 1 BLOCKED",
        "FAILED plain@0: loss is not finite at epoch 2, step 17, learning rate 0.003;",
        "    lower optimizer.lr, or clip",
        "BLOCKED by plain@0, 1: child@0",
        "  running                                      epoch  valid. %  images/s  left",
        "* teacher@0  ━━━━━━━━━━━━━━━━━━━━                5/8      71.3     1,240  1:00",
        "  another driver on box2 (process 7) is at 1: scratch@0",
        "* teacher@0 (62 %) holds up 2: logits(teacher)@0, student_kd@0",
        "  scratch@0 (0 %) holds up 1: student_kd_scratch@0",
        "  ready, 1: alone@1",
        "* longest path, 3:00: teacher@0 > logits(teacher)@0 > student_kd@0",
        "  done, 1: alone@0 (67.9 %)",
    ]


def test_200_columns_have_room_for_more() -> None:
    lines = drawn(SWEEP, 200, 50)
    titles = next(line.split() for line in lines if "runs for" in line)
    assert " ".join(titles) == "running epoch valid. % best % images/s left s/epoch runs for holds up role"
    running = next(line for line in lines if line.startswith("* teacher@0 ") and "5/8" in line)
    assert running.split()[3:] == ["5/8", "71.3", "1,240", "1:00", "7.5", "2", "teacher"]
    assert "learning rate 0.003; lower optimizer.lr, or clip" in lines[2]


@pytest.mark.parametrize("height", [10, 13, 24, 60])
@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_screen_is_never_larger_than_its_terminal(width: int, height: int) -> None:
    lines = drawn(SWEEP, width, height)
    assert len(lines) <= height and max(map(len, lines)) <= width


def graph(num_seeds: int) -> Overview:
    """Per seed a running or waiting teacher with three students, and a network alone."""
    jobs = []
    for seed in range(num_seeds):
        jobs.append(glance(f"teacher@{seed}", R if seed < 30 else W))
        jobs += [glance(f"student_{letter}@{seed}", waits_for=f"teacher@{seed}") for letter in "abc"]
        jobs.append(glance(f"plain@{seed}", F if seed % 100 == 0 else D, best_accuracy=0.5 + seed / 10_000))
    return overview(*jobs)


def test_ten_thousand_jobs_are_one_screen_with_counts_by_label() -> None:
    """2,000 seeds: 30 teachers run, 1,970 could; each holds up three students. 20 of 2,000 plain ones failed."""
    lines = drawn(graph(2000), 80, 24)
    assert len(lines) <= 24 and max(map(len, lines)) <= 80
    assert lines[1] == "10,000 jobs: 1,980 done, 30 running, 7,970 waiting, 20 FAILED"
    assert "FAILED too, 17: plain x 17" in lines
    assert "* teacher x 2,000 (30 started) hold up 6,000: student_a x 2,000 and 4,000 more" in lines
    shown = sum(" 0/8 " in line for line in lines)
    assert f"  and {30 - shown} more: teacher x {30 - shown}" in lines
    assert "  ready, 1,970: " not in "\n".join(lines)  # they hold up others, and are counted there
    assert "  done, 1,980: plain 1,980 of 2,000 (50.0 to 70.0 %)" in lines


def test_a_job_that_waits_for_several_is_held_up_by_what_stands_at_the_front_of_each() -> None:
    """c waits for b and y; b for a, which runs; y could start. c counts for both, d for nobody."""
    jobs = (glance("a", R), glance("b", waits_for="a"), glance("y"), glance("c", waits_for="b y"), glance("d"))
    shown = overview(*jobs)
    assert shown.held_up == {"a": ["b", "c"], "y": ["c"]}
    assert [job.id for job in shown.ready] == ["y", "d"]
    assert shown.longest_path == ("a", "b", "c")


def test_what_is_done_or_only_wished_for_and_failed_holds_up_nothing() -> None:
    jobs = (glance("t", D), glance("logits", F, waits_for="t"), glance("student", waits_for="t logits"))
    assert overview(*jobs).held_up == {}
    assert [job.id for job in overview(*jobs).ready] == ["student"]


def test_a_circle_that_a_damaged_plan_names_ends() -> None:
    shown = overview(glance("a", waits_for="b"), glance("b", waits_for="a"))
    assert shown.longest_path == ("a", "b")


def test_a_sweep_without_estimates_shows_no_time_left() -> None:
    assert "about ? left" in drawn(overview(glance("a"), job_seconds={}), 80, 24)[0]


def test_a_finished_sweep_says_100_percent_and_no_time_left() -> None:
    bar = drawn(overview(glance("a", D), glance("b", D)), 80, 24)[0]
    assert bar.endswith("100 %  4:10 gone")


def test_100_percent_is_not_said_while_an_epoch_is_left() -> None:
    jobs = [glance(f"a@{number}", D) for number in range(999)]
    assert " 99 %" in drawn(overview(*jobs, glance("b@0", R, num_epochs_done=7)), 80, 24)[0]


HOSTILE = "[red]\x1b[2J<script>\r\nforged: done\u202e" + 300 * "x"


@pytest.mark.parametrize("phase", list(Phase))
def test_a_hostile_name_reason_and_place_are_text_of_bounded_size(phase: Phase) -> None:
    job = glance(HOSTILE, phase, note=HOSTILE, place=HOSTILE)
    lines = drawn(overview(job, glance("b", waits_for=HOSTILE), title=HOSTILE, remarks=(HOSTILE,)), 80, 24)
    assert len(lines) <= 24 and max(map(len, lines)) <= 80
    assert all(line.isprintable() for line in lines)
    assert any("[red]?[2J<script>" in line for line in lines)


@given(st.text(max_size=60), st.integers(8, 40))
@settings(max_examples=60, deadline=None)
def test_a_shortened_text_has_room_and_says_that_something_is_missing(text: str, width: int) -> None:
    def columns(line: str) -> int:
        return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in line)

    short = shortened(text, width)
    whole = shortened(text, 10_000)
    assert short == whole or "..." in short
    if text.isascii():
        assert columns(short) <= width


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (80, "student_kd@0, student_kd@1, other@0"),
        (24, "student_kd x 2, other@0"),
        (20, "s...d x 2 and 1 more"),
    ],
)
def test_a_list_is_names_then_counts_then_the_first_and_how_many_more(width: int, expected: str) -> None:
    assert listed([glance("student_kd@0"), glance("student_kd@1"), glance("other@0")], width) == expected
