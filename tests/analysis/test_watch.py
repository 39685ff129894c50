"""A sweep watched from outside: of a store made by hand, whose bytes and times stay as they are."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis.lookout import Lookout, is_over
from analysis.overview import Phase
from analysis.watch import Events, best_lines_of, main
from trainers.files import write
from trainers.heartbeat import write_record
from trainers.leases import DriverRecord
from trainers.records import encode_record
from trainers.result import Failure
from trainers.spec import RunSpec, group_id, run_id
from trainers.storage import Store
from trainers.teacher_logits import LogitsRequest, logits_id, logits_read_by
from trainers.whereabouts import this_machine

ROOT = Path(__file__).resolve().parents[2]
LATER = "2026-01-01T00:05:00.000+00:00"


def drive(store: Store, *runs: str, beats: int = 1, begun: str = LATER) -> None:
    """A driver of another machine has just beaten, and is at these jobs."""
    record = DriverRecord(token="d1", host="box2", pid=7, started_at=begun, beats=beats, machine="another", begun="1")
    write_record(store, record)
    for run in runs:
        write(store.lease_file(run), encode_record({"driver": "d1"}))


@pytest.fixture
def specs(make_spec: Any) -> dict[str, RunSpec]:
    """Two teachers, a student of each, and a network alone; each of two epochs."""
    good, bad = make_spec(model="resnet18"), make_spec(model="resnet18", batch_size=64)
    return {
        "teacher_good": good,
        "teacher_bad": bad,
        "student_kd": make_spec(teacher=good),
        "student_of_bad": make_spec(teacher=bad),
        "conv": make_spec(model="conv_plain"),
    }


def plan(lab: Any, specs: dict[str, RunSpec]) -> None:
    """As a sweep does: with the specs of all its jobs."""
    lab.plan(*specs.items())
    for spec in specs.values():
        lab.store.write_spec(spec)


@pytest.fixture
def running(lab: Any, specs: dict[str, RunSpec]) -> Any:
    """The good teacher is at work after one epoch of two, the bad one failed, the network alone is done."""
    plan(lab, specs)
    lab.begin(specs["teacher_good"], num_epochs=1)
    lab.fail(specs["teacher_bad"], "loss is not finite at epoch 1")
    lab.finish(specs["conv"], validation=0.75)
    drive(lab.store, run_id(specs["teacher_good"]), begun="2025-12-31T00:00:00.000+00:00")
    return lab


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert main(arguments) == 0
    return [line.rstrip() for line in capsys.readouterr().out.splitlines()]


def test_a_running_sweep_shows_who_is_at_what_and_what_waits_for_it(
    running: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Epochs of the teacher take 4 s, of the network alone 45 s (90 s in two), so of a student 24.5 s on average."""
    monkeypatch.setenv("COLUMNS", "80")
    bar, *lines = shown(capsys, str(running.store.root), "--once")
    assert bar.startswith("report  ") and bar.endswith("about 0:53 left")
    assert lines[:4] == [
        "5 jobs: 1 done, 1 running, 1 waiting, 1 FAILED, 1 BLOCKED",
        "driver on box2 (process 7), last sign of life 0:00 ago",
        "FAILED teacher_bad@0: loss is not finite at epoch 1",
        "BLOCKED by teacher_bad@0, 1: student_of_bad@0",
    ]
    assert next(line for line in lines if line.startswith("* teacher_good@0 ")).split()[-4:] == [
        "1/2",
        "50.0",
        "250",
        "0:04",
    ]
    assert lines[-3:] == [
        "* teacher_good@0 (50 %) holds up 1: student_kd@0",
        "* longest path, 0:53: teacher_good@0 > student_kd@0",
        "  done, 1: conv@0 (75.0 %)",
    ]


def everything(folder: Path) -> dict[str, tuple[int, bytes]]:
    paths = [folder, *sorted(folder.rglob("*"))]
    return {str(path): (path.stat().st_mtime_ns, b"" if path.is_dir() else path.read_bytes()) for path in paths}


def test_watching_changes_neither_a_byte_nor_a_time_of_a_store(
    running: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read-only to the last: the folder may not even be written to by this user."""
    monkeypatch.setenv("PETITE_CACHE", str(tmp_path / "cache"))
    before = everything(running.store.root)
    shown(capsys, str(running.store.root), "--once")
    lookout = Lookout(running.store.root)
    for _ in range(2):
        lookout.look()
    assert everything(running.store.root) == before
    assert not (tmp_path / "cache").exists()


def test_a_look_sees_what_has_happened_since_the_one_before(running: Any, specs: dict[str, RunSpec]) -> None:
    lookout, events = Lookout(running.store.root), Events()
    assert lookout.look().counts[Phase.RUNNING] == 1
    events.show(lookout.look())
    attempt = running.store.attempts(run_id(specs["teacher_good"]))[-1]
    attempt.write_failure(Failure(reason="gone", is_permanent=True, log_path="", failed_at="2026-01-02"))
    running.store.remove_lease(run_id(specs["teacher_good"]))
    running.store.remove_driver("d1")
    overview = lookout.look()
    assert overview.counts == {Phase.DONE: 1, Phase.FAILED: 2, Phase.BLOCKED: 2}
    assert is_over(overview, len(lookout.drivers.alive))


def test_where_nothing_can_be_redrawn_each_event_is_a_line(
    running: Any, specs: dict[str, RunSpec], capsys: pytest.CaptureFixture[str]
) -> None:
    lookout, events = Lookout(running.store.root), Events()
    events.show(lookout.look())
    events.show(lookout.look())
    first = capsys.readouterr().out.splitlines()
    assert len(first) == 1 and "5 jobs: 1 done, 1 running, 1 waiting, 1 FAILED, 1 BLOCKED; " in first[0]
    running.finish(specs["teacher_good"], validation=0.875)
    events.show(lookout.look())
    done, totals = capsys.readouterr().out.splitlines()
    assert done == "teacher_good@0: done 87.5 %"
    assert "5 jobs: 2 done, 1 waiting, 1 FAILED, 1 BLOCKED; " in totals


def test_whoever_watched_to_the_end_is_shown_the_ranking_that_comes_last(
    running: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lookout, ranked = Lookout(running.store.root), iter([[], [], ["  1. conv"]])
    lookout.look()
    monkeypatch.setattr("analysis.watch.best_lines", lambda store, plan: next(ranked))
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    assert best_lines_of(lookout, patience=20.0) == ["  1. conv"]
    monkeypatch.setattr("analysis.watch.best_lines", lambda store, plan: [])
    (line,) = best_lines_of(lookout, patience=0.0)
    assert line.startswith("not ranked yet: python -m analysis.rank ")


def test_without_a_sign_of_life_nobody_is_at_work_and_the_command_is_said(
    running: Any, specs: dict[str, RunSpec]
) -> None:
    """Ten minutes later, by the clock of whoever looks; once the beats are seen to move, that clock does not count."""
    lookout = Lookout(running.store.root, now=lambda: time.time() + 600)
    overview = lookout.look()
    assert overview.counts[Phase.RUNNING] == 0
    assert overview.remarks == (
        "driver on box2 (process 7): no sign of life for 10 min",
        "nobody is at work; to go on: run_all",
    )
    assert not is_over(overview, 0)
    assert overview.elapsed_seconds == pytest.approx(Lookout(running.store.root).look().elapsed_seconds, abs=60)
    drive(running.store, beats=2, begun="2025-12-31T00:00:00.000+00:00")
    assert lookout.look().counts[Phase.RUNNING] == 1


def test_a_driver_of_this_machine_that_was_killed_is_gone_at_once(running: Any) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    record = DriverRecord(
        token="d1", host="box", pid=gone.pid, started_at=LATER, beats=1, machine=this_machine(), begun="1"
    )
    write_record(running.store, record)
    overview = Lookout(running.store.root).look()
    assert overview.counts[Phase.RUNNING] == 0
    assert overview.remarks[0] == f"driver on box (process {gone.pid}) is gone: it was killed"


def test_a_failure_before_a_driver_began_is_tried_again_by_it(running: Any) -> None:
    drive(running.store, begun=LATER)
    overview = Lookout(running.store.root).look()
    assert overview.counts[Phase.FAILED] == 0 and overview.counts[Phase.BLOCKED] == 0


def test_a_finished_sweep_ends_the_watch_with_the_top_of_its_ranking(
    lab: Any, make_spec: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    specs = {"conv": make_spec(model="conv_plain"), "student": make_spec()}
    lab.plan(*specs.items())
    for spec, validation in zip(specs.values(), (0.75, 0.5), strict=True):
        lab.finish(spec, validation=validation)
    lines = shown(capsys, str(lab.store.root))
    assert lines[0].endswith("100 %  " + lines[0].split("100 %  ")[1]) and "2 jobs: 2 done" in lines
    assert lines[-1].startswith("not ranked yet: python -m analysis.rank ")
    rows = [
        {"label": label, "group_id": group_id(spec), "rank": rank, "rank_low": 1, "rank_high": rank, "n": 1}
        | {"validation_accuracy_mean": mean, "validation_accuracy_low": None, "validation_accuracy_high": None}
        | {"num_params": 152_075}
        for rank, (label, spec, mean) in enumerate(zip(specs, specs.values(), (0.75, 0.5), strict=True), start=1)
    ]
    lab.store.table_file("ranking").parent.mkdir()
    pq.write_table(pa.Table.from_pylist(rows), lab.store.table_file("ranking"))
    assert shown(capsys, str(lab.store.root))[-2:] == [
        "  1. conv  75.00 %  n 1  152,075 parameters",
        "  2 (1-2). student  50.00 %  n 1  152,075 parameters",
    ]
    earlier = pa.Table.from_pylist(rows).drop_columns(["rank_low", "rank_high"])
    pq.write_table(earlier, lab.store.table_file("ranking"))
    assert shown(capsys, str(lab.store.root))[-1].startswith("not ranked yet: ")


def test_hostile_records_are_shown_as_text(lab: Any, make_spec: Any, capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "[red]\x1b[2J<script>\nforged\u202e" + 300 * "x"
    lab.plan((hostile, make_spec()), ("conv", make_spec(model="conv_plain")))
    lab.fail(make_spec(), hostile)
    lab.begin(make_spec(model="conv_plain"), num_epochs=0)
    lines = shown(capsys, str(lab.store.root), "--once")
    assert all(line.isprintable() for line in lines) and max(map(len, lines)) <= 80
    assert any(line.startswith("FAILED [red]?[2J<script>") for line in lines)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["nowhere"], "no store at"),
        ([".", "--once"], "holds no runs and no plans"),
        (["STORE", "--every", "0"], "--every is 0; allowed: 0.1 seconds or more"),
        (["STORE", "--every", "nan"], "--every is nan"),
        (["STORE", "--plan", "other"], "has not plan 'other'; have: plan1"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    running: Any,
    arguments: list[str],
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert main([str(running.store.root) if word == "STORE" else word for word in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1 and reason in captured.err


def test_a_sweep_that_is_not_planned_yet_is_waited_for(lab: Any, specs: dict[str, RunSpec], capsys: Any) -> None:
    lookout = Lookout(lab.store.root)
    assert not lookout.has_plan()
    lab.plan(*specs.items())
    assert lookout.has_plan()
    assert lookout.look().counts == {Phase.WAITING: 5}


def test_ctrl_c_ends_it_quietly(running: Any) -> None:
    command = [sys.executable, "-m", "analysis.watch", str(running.store.root), "--every", "60"]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TERM": "xterm"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # of a shell's background job it is ignored
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "")
    assert "5 jobs: " in first


def test_logits_that_are_being_written_hold_up_those_that_read_them(lab: Any, specs: dict[str, RunSpec]) -> None:
    (read,) = logits_read_by(specs["student_kd"])
    logits = logits_id(read)
    plan(lab, specs)
    lab.finish(specs["teacher_good"])
    lab.store.logits(logits).write_request(LogitsRequest(spec=read, num_epochs=2))
    lab.store.logits(logits).begin_attempt("d1")
    drive(lab.store, logits)
    overview = Lookout(lab.store.root).look()
    assert overview.jobs[logits].name == "logits(teacher_good)@0"
    assert overview.held_up[logits] == [run_id(specs["student_kd"])]


def test_a_damaged_record_of_a_job_is_no_reason_to_stop_looking(running: Any, specs: dict[str, RunSpec]) -> None:
    attempt = running.store.attempts(run_id(specs["teacher_good"]))[-1]
    for file in (
        attempt.curves_file,
        attempt.folder / "started.json",
        running.store.result_file(run_id(specs["conv"])),
    ):
        file.write_bytes(b"\xff{")
    overview = Lookout(running.store.root).look()
    assert overview.counts[Phase.RUNNING] == 1
    assert replace(overview.jobs[run_id(specs["teacher_good"])], place="").num_epochs_done == 0
