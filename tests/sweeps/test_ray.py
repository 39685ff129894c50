"""Real Ray: the same bytes as without it, faults of workers and drivers, and shares of (logical) GPUs."""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from sweeps.board import Board
from sweeps.passes import Pass, Setup
from sweeps.plan import make_plan
from sweeps.progress import BoardProgress
from sweeps.resources import default_resources
from trainers.result import Started
from trainers.storage import WEIGHTS, Store

pytestmark = pytest.mark.ray

CLUSTER = """
import sys
from ray.cluster_utils import Cluster
node = {"num_cpus": 12, "num_gpus": 2, "object_store_memory": 80 * 2**20, "include_dashboard": False}
cluster = Cluster(initialize_head=True, head_node_args=node)
print(cluster.address, flush=True)
sys.stdin.read()
cluster.shutdown()
"""
SHARES = {"pretrain": 1.0, "teacher": 1.0, "student": 0.25, "conv": 0.25}
"""What the defaults give a job on a GPU machine, by the beginning of its label."""


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A cluster of one machine with two GPUs that only Ray believes in; gone after the test, and it alone."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([sys.executable, "-c", CLUSTER], text=True, start_new_session=True, **pipes) as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        yield next(line.strip() for line in lines if re.fullmatch(r"[\d.]+:\d+\n", line))
        try:
            process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            for child in family(process.pid):
                child.kill()


def family(pid: int) -> list[psutil.Process]:
    """A process and all its descendants."""
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


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


def test_a_gpu_is_shared_by_four_small_jobs_and_a_failed_teacher_blocks_its_student_alone(
    petite: Any, finished: Any, address: str
) -> None:
    bad = ["--set", "teacher_scratch:optimizer.lr=1e30"]
    outcome = petite.process(*petite.report, *bad, "--address", address)
    assert outcome.code == 1, outcome.out + outcome.err
    assert "7 ok, 1 failed, 1 blocked" in outcome.out
    assert "\nwarning: this Ray cluster asks nobody for a token: " in outcome.out
    assert "student_kd_scratch@0: BLOCKED by teacher_scratch@0" in outcome.out
    others = {run: digest for run, digest in finished.weights.items() if run in petite.labels.values()}
    assert petite.weights == others and len(others) == 7
    shares = booked_shares(outcome.out)
    assert max(sum(running.values()) for running in shares) == 2.0
    assert max(len(running) for running in shares) >= 4
    assert shares[-1] == {}


def booked_shares(text: str) -> list[dict[str, float]]:
    """The running jobs and their GPU shares after every event of the output."""
    running: dict[str, float] = {}
    states = []
    for name, event in re.findall(r"^\[[\d:]+\] (\S+): (started|done|FAILED)", text, re.MULTILINE):
        if event == "started":
            running[name] = SHARES[name.split("_")[0].split("@")[0]]
        else:
            del running[name]
        states.append(dict(running))
    return states


def test_time_that_is_up_before_the_first_trial_ends_a_pass_without_an_error(make_job: Any, tmp_path: Path) -> None:
    from sweeps.connect import connected
    from sweeps.execute import run_with_tune

    store, plan = Store(tmp_path / "store").open(), make_plan([make_job("student")])
    with connected(None, store, print) as machines:
        setup = Setup(resources=default_resources(has_gpu=False), machines=machines)
        progress = BoardProgress(Board(plan, (), 1, setup.epoch_seconds, setup.kind), print)
        run_with_tune(Pass(plan, set(plan.by_id), store, setup, progress, lambda job: False))
    assert store.run_ids() == ()


def test_a_killed_worker_is_retried_and_goes_on_from_its_last_epoch(petite: Any, start: Any, wait_for: Any) -> None:
    arguments = [*petite.report, "--only", "teacher_scratch", "--epochs", "10"]
    process = start(*arguments)
    (run,) = wait_for(lambda: [r for r in Store(petite.store).run_ids() if Store(petite.store).checkpoints(r)])
    (record,) = started_records(petite)
    os.kill(record.pid, signal.SIGKILL)
    out, err = process.communicate(timeout=180)
    assert process.returncode == 0, out + err
    assert petite.num_attempts == {run: 2}
    result = Store(petite.store).result(run)
    assert result is not None and len(result.resumed_from_epochs) == 1 and result.resumed_from_epochs[0] >= 1
    assert not result.has_mixed_environment
    undisturbed = petite.copy(petite.store.parent / "undisturbed")
    assert undisturbed.main(*arguments, "--serial", "--force", "teacher_scratch").code == 0
    assert undisturbed.num_attempts == {run: 3}
    assert undisturbed.weights == petite.weights


def test_a_killed_driver_loses_nothing_that_is_done(petite: Any, finished: Any, start: Any, wait_for: Any) -> None:
    process = start(*petite.report)
    wait_for(lambda: petite.weights and any(Store(petite.store).checkpoints(run) for run in petite.num_attempts))
    relatives = family(process.pid)
    process.kill()
    process.wait()
    for relative in relatives[1:]:
        if relative.is_running():
            relative.kill()
    done, before = petite.weights, petite.num_attempts
    assert 0 < len(done) < 9
    assert petite.main(*petite.report, "--serial").code == 0
    assert petite.weights == finished.weights
    assert not petite.trained(before) & set(done)


def test_a_stopped_driver_ends_in_seconds_and_takes_ray_along(petite: Any, start: Any, wait_for: Any) -> None:
    process = start(*petite.report, "--only", "conv_*", "--epochs", "2000")
    wait_for(lambda: any(Store(petite.store).checkpoints(run) for run in petite.num_attempts))
    relatives = family(process.pid)
    process.terminate()
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 143
    assert errors == "stopped; what is done is kept, and the same command goes on from here\n"
    wait_for(lambda: not any(is_alive(relative) for relative in relatives))
    plan = petite.main(*petite.report, "--only", "conv_*", "--epochs", "2000", "--plan")
    assert re.search(r"unfinished at epoch \d+ of 2000", plan.out)


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


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
