"""Drivers and workers are killed at random moments of sweeps under Ray; the same command goes on until all is done.

Full size, 50 of each: python -m pytest tests/faults/test_random_kills.py --full
"""

from __future__ import annotations

import importlib.util
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from trainers.storage import Store

pytestmark = [pytest.mark.faults, pytest.mark.ray]

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 240
"""After which a command, or what a killed one left running, counts as hung."""
MORE = ["--epochs", "30", "--seeds", "0,1", "--exclude", "wild"]
NUM_JOBS = 2
"""CPUs of the machine that Ray believes in, hence jobs at a time."""


@dataclass
class Seen:
    """What the kills did."""

    kills: int = 0
    lost: int = 0
    repeated: int = 0
    seconds_left_running: list[float] = field(default_factory=list)
    relatives: list[psutil.Process] = field(default_factory=list)
    """What killed drivers had started."""
    commands: int = 0
    said: str = ""


@dataclass
class Sweep:
    """One store and the command that fills it."""

    folder: Path
    arguments: list[str]

    @property
    def store(self) -> Path:
        return self.folder / "store"

    def start(self, *more: str) -> subprocess.Popen[str]:
        """The command, with a file for what it says, in a session of its own."""
        run_all = str(ROOT / "sweeps" / "run_all.py")
        command = [sys.executable, run_all, "--store", str(self.store), *self.arguments, *MORE, *more]
        output = (self.folder / "said").open("a")
        with output:
            return subprocess.Popen(command, stdout=output, stderr=output, text=True, start_new_session=True)

    def said(self) -> str:
        return (self.folder / "said").read_text()

    def results(self) -> dict[Path, bytes]:
        """Every result that is there."""
        return {file: file.read_bytes() for file in self.store.glob("runs/*/result.json")}

    def num_epochs(self) -> int:
        """Epochs that were trained, by all attempts."""
        texts = [file.read_text() for file in self.store.glob("runs/*/attempts/*/log.txt")]
        return sum(len(re.findall(r" epoch \d+/\d+: ", text)) for text in texts)

    def workers(self) -> list[int]:
        """Processes that train at present."""
        store = Store(self.store)
        unfinished = [run for run in store.run_ids() if not (store.run_folder(run) / "result.json").exists()]
        started = [store.attempts(run)[-1].started() for run in unfinished if store.attempts(run)]
        return [one.pid for one in started if one is not None and psutil.pid_exists(one.pid)]


def family(pid: int) -> list[psutil.Process]:
    """The descendants of a process."""
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).children(recursive=True)
    return []


def is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def may_write(process: psutil.Process) -> bool:
    """Whether it lives and is none of Ray's two agents, which notice after a minute that their raylet is gone."""
    try:
        return is_alive(process) and not process.name().endswith("Agent")
    except psutil.NoSuchProcess:
        return False


def wait_until(probe: Callable[[], Any], what: str) -> float:
    """How many seconds it took."""
    start = time.monotonic()
    while time.monotonic() < start + SECONDS:
        if probe():
            return time.monotonic() - start
        time.sleep(0.02)
    raise AssertionError(f"hung: {what}")


@pytest.fixture(scope="module")
def sameness(tool: Path) -> Any:
    """What must be equal in two stores."""
    found = importlib.util.spec_from_file_location("sameness", tool / "sameness.py")
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def whole(tiny: Any, tmp_path_factory: pytest.TempPathFactory, sameness: Any) -> tuple[dict[str, Any], int]:
    """What an undisturbed sweep comes to, without Ray, and how many epochs it takes."""
    sweep = Sweep(tmp_path_factory.mktemp("whole"), tiny.arguments)
    assert sweep.start("--serial").wait(SECONDS) == 0, sweep.said()
    return sameness.summary(sweep.store), sweep.num_epochs()


@pytest.fixture
def sweeps(tiny: Any, tmp_path: Path) -> Iterator[Callable[[int], Sweep]]:
    """New sweeps by number."""

    def make(number: int) -> Sweep:
        folder = tmp_path / f"sweep-{number}"
        folder.mkdir()
        return Sweep(folder, tiny.arguments)

    yield make


def kill_driver(sweep: Sweep, process: subprocess.Popen[str], draw: random.Random, seen: Seen) -> None:
    """At a random moment after an epoch was done, with all its processes or alone; what it started goes as well."""
    before, pause = sweep.num_epochs(), draw.uniform(0, 0.5)
    wait_until(lambda: process.poll() is not None or sweep.num_epochs() > before, "no epoch was trained")
    time.sleep(pause)
    if process.poll() is not None:
        return
    relatives = family(process.pid)
    process.kill()
    process.wait()
    seen.kills += 1
    for relative in relatives if draw.random() < 0.5 else ():
        with suppress(psutil.NoSuchProcess):
            relative.kill()
    left = wait_until(lambda: not any(map(may_write, relatives)), "what a killed driver had started")
    seen.seconds_left_running.append(left)
    seen.relatives += relatives


def kill_worker(sweep: Sweep, process: subprocess.Popen[str], draw: random.Random, seen: Seen) -> None:
    """A process that trains, at a random moment after an epoch was done."""
    before = sweep.num_epochs()
    wait_until(lambda: process.poll() is not None or sweep.num_epochs() > before, "no epoch was trained")
    time.sleep(draw.uniform(0, 0.5))
    for pid in draw.sample(sweep.workers(), min(1, len(sweep.workers()))):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            seen.kills += 1


def disturbed(sweep: Sweep, kill: Callable[..., None], number: int, draw: random.Random, seen: Seen) -> None:
    """One sweep with so many kills at most, its command started again and again until it is done."""
    results: dict[Path, bytes] = {}
    while True:
        process = sweep.start("--max-concurrent", str(NUM_JOBS))
        seen.commands += 1
        assert seen.commands < 10 * number + 10, sweep.said()[-3000:]
        while process.poll() is None and seen.kills < number:
            kill(sweep, process, draw, seen)
            results |= {file: content for file, content in sweep.results().items() if file not in results}
        code = process.wait(SECONDS)
        if code == 0:
            break
    wait_until(lambda: not any(map(is_alive, seen.relatives)), "an agent of Ray")
    final = sweep.results()
    seen.lost += sum(final.get(file) != content for file, content in results.items())
    seen.said += sweep.said()


@pytest.mark.parametrize("kill", [kill_driver, kill_worker])
def test_kills_at_random_moments_lose_nothing_and_repeat_little(
    kill: Callable[..., None], sweeps: Any, whole: Any, sameness: Any, is_full: bool, inject: Callable[..., None]
) -> None:
    few = 1 if kill is kill_driver else 2  # a new Ray for each driver
    number, draw, total = 50 if is_full else few, random.Random(kill.__name__), Seen()
    expected, num_epochs = whole
    for sweep_number in range(100):
        seen, sweep = Seen(), sweeps(sweep_number)
        disturbed(sweep, kill, min(5, number - total.kills), draw, seen)
        found = sameness.summary(sweep.store)
        assert [key for key in expected if json.dumps(found.get(key)) != json.dumps(expected[key])] == []
        total.kills, total.lost = total.kills + seen.kills, total.lost + seen.lost
        total.repeated += max(0, sweep.num_epochs() - num_epochs)
        total.said += seen.said
        total.seconds_left_running += seen.seconds_left_running
        if total.kills >= number:
            break
    left = f"; trials went on for {max(total.seconds_left_running):.0f} s at most" if total.seconds_left_running else ""
    inject(
        fault=f"random SIGKILL of a {kill.__name__.removeprefix('kill_')} under Ray",
        times=total.kills,
        finished_lost=total.lost,
        repeated=f"{total.repeated} epochs in all",
        outcome=f"all equal the undisturbed sweep{left}",
    )
    assert total.kills >= number
    assert total.lost == 0
    assert total.repeated <= total.kills * NUM_JOBS
    assert "Traceback" not in total.said
