"""Real Ray: the same bytes as without it, and one line for what cannot be; faults are in tests/faults."""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path
from typing import Any

import pytest

from sweeps.board import Board
from sweeps.passes import Pass, Setup
from sweeps.plan import make_plan
from sweeps.progress import BoardProgress
from sweeps.resources import default_resources
from trainers.result import Started
from trainers.storage import WEIGHTS, Store

pytestmark = pytest.mark.ray


def started_records(petite: Any) -> list[Started]:
    store = Store(petite.store)
    records = [attempt.started() for run in store.run_ids() for attempt in store.attempts(run)]
    return [record for record in records if record is not None]


def test_the_report_under_ray_equals_a_serial_run_byte_for_byte_in_few_processes(petite: Any, finished: Any) -> None:
    outcome = petite.process(*petite.report)
    assert outcome.code == 0, outcome.out + outcome.err
    assert "Traceback" not in outcome.out + outcome.err
    assert petite.weights == finished.weights
    assert "9 ok, 0 failed, 0 blocked" in outcome.out
    assert set(petite.num_attempts.values()) == {1}
    num_slots = os.cpu_count() or 1
    assert len({record.pid for record in started_records(petite)}) <= num_slots + 1
    assert not (Store(petite.store).log_folder() / "tune").exists()


def test_a_given_teacher_under_ray_is_evaluated_and_distilled_as_without_it(
    petite: Any, finished: Any, tmp_path: Path
) -> None:
    teacher = Store(finished.store).verified_file(finished.labels["teacher_scratch@0"], WEIGHTS)
    data = ["--data", f"parquet:{petite.pictures}", "--epochs", "1", "--batch-size", "16"]
    arguments = [*data, "--teacher", str(teacher), "--only", "student_kd_given"]
    outcome = petite.process(*arguments)
    assert outcome.code == 0, outcome.out + outcome.err
    assert "2 ok, 0 failed, 0 blocked" in outcome.out
    assert re.search(r"^\[\d+:\d\d\] teacher_given@0: done", outcome.out, re.MULTILINE)
    assert set(petite.num_attempts.values()) == {1}
    serial = dataclasses.replace(petite, store=tmp_path / "serial")
    assert serial.process(*arguments, "--serial").code == 0
    assert petite.weights == serial.weights


def test_time_that_is_up_before_the_first_trial_ends_a_pass_without_an_error(make_job: Any, tmp_path: Path) -> None:
    from sweeps.connect import connected
    from sweeps.execute import run_with_tune

    store, plan = Store(tmp_path / "store").open(), make_plan([make_job("student")])
    with connected(None, store, print) as machines:
        setup = Setup(resources=default_resources(has_gpu=False), machines=machines)
        progress = BoardProgress(Board(plan, (), 1, setup.epoch_seconds, setup.kind), print)
        run_with_tune(Pass(plan, set(plan.by_id), store, setup, progress, lambda job: False))
    assert store.run_ids() == ()


def test_an_address_where_no_cluster_is_ends_in_one_line(petite: Any) -> None:
    outcome = petite.process(*petite.report, "--only", "conv_plain", "--address", "127.0.0.1:1")
    assert outcome.code == 2
    (line,) = outcome.err.splitlines()
    assert line.startswith("error: cannot reach a Ray cluster at 127.0.0.1:1: ")
    assert "Traceback" not in outcome.out


def test_what_no_machine_of_the_cluster_has_is_refused(petite: Any) -> None:
    outcome = petite.process(*petite.report, "--only", "teacher_scratch", "--cpus-per-trial", "teacher=999")
    assert outcome.code == 2
    (line,) = outcome.err.splitlines()
    assert "needs 999 CPUs and 0 GPUs; the largest machines have: " in line
    assert not any(Path(petite.store).glob("runs/*/attempts/*"))
