"""When a training counts as hung, when it does not, and that its process ends even if it is deaf."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sweeps.hanging import watched
from trainers.attempt import Attempt
from trainers.execution import Execution
from trainers.result import Cause, Failure
from trainers.watchdog import VARIABLE, Limits, Watchdog, limits

ROOT = Path(__file__).resolve().parents[2]


def test_a_limit_is_ten_times_the_slowest_epoch_or_the_estimate_and_never_short() -> None:
    these = Limits(estimate=500.0)
    assert these.seconds(None) == 5000.0
    assert Limits(estimate=1.0).seconds(None) == 3600.0
    assert these.seconds(61.0) == 610.0
    assert these.seconds(0.1) == 600.0
    assert Limits(num_hung=2).seconds(61.0) == 16 * 610.0


def test_a_variable_of_the_environment_stands_for_the_least_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "2.5")
    assert (limits(900.0, 0).seconds(None), limits(900.0, 0).seconds(0.1)) == (2.5, 2.5)
    monkeypatch.delenv(VARIABLE)
    assert limits(900.0, 0).seconds(None) == 9000.0


def taking(*seconds: float) -> Iterator[float]:
    for one in seconds:
        time.sleep(one)
        yield one


def test_the_epoch_that_does_not_come_is_told_once_with_the_slowest_before_it() -> None:
    told: list[str] = []
    dog = Watchdog(Limits(least=0.2, least_first=0.2), told.append)
    assert list(dog.watched(taking(0.0, 0.7, 0.0), lambda seconds: seconds)) == [0.0, 0.7, 0.0]
    assert told == ["hung: no epoch in 0 s (its slowest took 0 s)"]


def test_nothing_is_told_of_epochs_in_time_nor_of_a_scheduler_that_takes_its_time() -> None:
    told: list[str] = []
    dog = Watchdog(Limits(least=0.3, least_first=0.3), told.append)
    for _ in dog.watched(taking(0.0, 0.05, 0.0), lambda seconds: seconds):
        time.sleep(0.5)
    assert told == []


def test_an_error_of_an_epoch_goes_through_and_ends_the_watch() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("no")

    dog = Watchdog(Limits(), print)
    with pytest.raises(ValueError, match="no"):
        list(dog.watched(broken(), float))


def run_child(code: str, *arguments: str) -> subprocess.Popen[str]:
    begin = f"import os, sys, time, ctypes; sys.path.insert(0, {str(ROOT)!r})\n"
    command = [sys.executable, "-c", begin + code, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


STOPPED = """
from trainers.watchdog import Limits, Watchdog
def slow():
    print("begun", flush=True)
    for _ in range(8):
        time.sleep(0.05)
    yield 1
dog = Watchdog(Limits(least=0.8, least_first=0.8), lambda reason: os._exit(9))
list(dog.watched(slow(), float))
"""


def test_a_process_that_was_stopped_longer_than_the_limit_is_not_hung() -> None:
    child = run_child(STOPPED)
    assert child.stdout is not None and child.stdout.readline() == "begun\n"
    os.kill(child.pid, signal.SIGSTOP)
    time.sleep(1.5)
    os.kill(child.pid, signal.SIGCONT)
    _, errors = child.communicate(timeout=30)
    assert child.returncode == 0, errors


HANGS = """
from pathlib import Path
from sweeps.hanging import watched
from trainers import watchdog
from trainers.attempt import Attempt
from trainers.execution import Execution
watchdog.DEAF_SECONDS = 0.5
def stuck_here():
    yield 1
    {how}
attempt = Attempt(run="run", token="0001", folder=Path(sys.argv[1]))
execution = Execution(is_own_process=True)
list(watched(stuck_here(), lambda done: 0.0, attempt, [], execution))
"""


def hang(how: str, folder: Path) -> tuple[int, str]:
    folder.mkdir(exist_ok=True)
    os.environ[VARIABLE] = "0.5"
    try:
        child = run_child(HANGS.format(how=how), str(folder))
    finally:
        del os.environ[VARIABLE]
    _, errors = child.communicate(timeout=60)
    return child.returncode, errors


def test_a_process_that_hangs_says_why_and_where_and_ends(tmp_path: Path) -> None:
    code, errors = hang("time.sleep(60)", tmp_path)
    attempt = Attempt(run="run", token="0001", folder=tmp_path)
    failure = attempt.failure()
    assert code == 1, errors
    assert failure is not None and failure.cause is Cause.HUNG and not failure.is_permanent
    assert failure.reason.startswith("hung: no epoch in ") and failure.log_path == str(attempt.log_file)
    assert "in stuck_here" in (tmp_path / "log.txt").read_text()


def test_a_process_in_which_no_thread_gets_a_turn_ends_all_the_same(tmp_path: Path) -> None:
    code, errors = hang("ctypes.PyDLL(None).sleep(60)", tmp_path)
    assert code == 1 and "Timeout" in errors and "in stuck_here" in errors


def test_the_command_itself_is_only_told_and_waits_longer_after_each_hang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = [Attempt(run="run", token=f"000{number}", folder=tmp_path / str(number)) for number in (1, 2)]
    hung = Failure(reason="hung", is_permanent=False, log_path="", failed_at="", cause=Cause.HUNG)
    before[0].write_failure(hung)
    monkeypatch.setenv(VARIABLE, "0.1")
    (tmp_path / "3").mkdir()
    attempt = Attempt(run="run", token="0003", folder=tmp_path / "3")
    assert list(watched(taking(0.6), float, attempt, [*before, attempt], Execution())) == [0.6]
    assert capsys.readouterr().err.startswith("hung: no epoch in 0 s (none before it); where it stands is in ")
    assert attempt.failure() is None and "in taking" in (tmp_path / "3" / "log.txt").read_text()
    assert list(watched(taking(0.2), float, attempt, [*before, attempt], Execution())) == [0.2]
    assert capsys.readouterr().err == "", "four times 0.1 s after one hang"
