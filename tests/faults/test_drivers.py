"""Several drivers on one store: nothing is lost or mixed, little is done twice, and a dead one's jobs go on."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from trainers.heartbeat import driving
from trainers.storage import CURVES, PREDICTIONS, WEIGHTS, Store
from trainers.whereabouts import this_machine

pytestmark = pytest.mark.faults

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_SECONDS = 300
OF_THE_WAY = ("seconds", "_at", "num_attempts", "log_path", "host", "images_per_second", "git", "reads_logits")
"""In the names of columns that tell how a result came about."""

SWEEP = '''"""A teacher, two students that share its logits, and a run alone."""
from trainers.spec import Choice, Role

SMALL = Choice(name="conv_plain", args={"channels": (4, 6), "final_size": 2})


def jobs(context):
    return context.of_every_seed(_of_seed)


def _of_seed(context, seed):
    def job(label, role, **more):
        return context.job(label, role=role, model=SMALL, seed=seed, **more)

    teacher = job("teacher", Role.TEACHER)
    taught = {"objective": "kd", "teacher": teacher}
    warm = job("warm", Role.STUDENT, **taught)
    cold = job("cold", Role.STUDENT, **taught, settings={"objective.temperature": 1.0})
    return (teacher, warm, cold, job("plain", Role.VARIANT))
'''
NUM_JOBS = 12


@dataclass
class Drivers:
    """Commands on one store, each a process in a group of its own."""

    arguments: list[str]
    store: Store
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, *more: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(ROOT / "sweeps" / "run_all.py"), "--store", str(self.store.root)]
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen([*command, *self.arguments, *more], start_new_session=True, env=environment, **pipes)
        self.processes.append(process)
        return process

    def wait(self) -> list[str]:
        """What each of them said; all must have ended well."""
        said = [process.communicate(timeout=DEADLINE_SECONDS)[0] for process in self.processes]
        for process, text in zip(self.processes, said, strict=True):
            assert process.returncode in (0, -signal.SIGKILL), text
            assert "Traceback" not in text
        return said

    def kill_all(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


@pytest.fixture(scope="module")
def arguments(tmp_path_factory: pytest.TempPathFactory, specks: str) -> list[str]:
    """The options of a sweep of twelve jobs of a fraction of a second each."""
    folder = tmp_path_factory.mktemp("plugins")
    for name, text in {"data/specks.py": specks, "sweeps/tiny.py": SWEEP}.items():
        (folder / name).parent.mkdir()
        (folder / name).write_text(text)
    options = ["--plugins", str(folder), "--data", "specks", "--sweep", "tiny", "--seeds", "0,1,2"]
    return [*options, "--epochs", "15", "--batch-size", "8", "--allow-weak-teacher", "--teacher-logits", "always"]


@pytest.fixture
def make_drivers(arguments: list[str], tmp_path: Path) -> Iterator[Callable[[], Drivers]]:
    """A new store for drivers; whatever of them still runs is killed in the end."""
    made: list[Drivers] = []

    def make() -> Drivers:
        made.append(Drivers(arguments, Store(tmp_path / f"store{len(made)}")))
        return made[-1]

    yield make
    for drivers in made:
        drivers.kill_all()


@pytest.fixture(scope="module")
def undisturbed(arguments: list[str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What one driver alone makes."""
    alone = Drivers(arguments, Store(tmp_path_factory.mktemp("undisturbed") / "store"))
    alone.start("--serial")
    alone.wait()
    found = contents(alone.store)
    assert len(found) == NUM_JOBS + 2
    return found


def contents(store: Store) -> dict[str, Any]:
    """Bytes of every run, curves without their times, and two tables without what tells of the way."""
    found: dict[str, Any] = {}
    for run in store.run_ids():
        result = store.result(run)
        assert result is not None
        folder = Path(str(store.attempt(run, result.attempt).folder))
        files = [hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in (WEIGHTS, PREDICTIONS)]
        lines = [json.loads(line) for line in (folder / CURVES).read_text().splitlines()]
        found[run] = files, [{key: row[key] for key in sorted(row) if is_result(key)} for row in lines]
    for name in ("runs", "ranking"):
        table = pq.read_table(store.table_file(name))
        found[name] = table.select([column for column in table.column_names if is_result(column)]).to_pylist()
    return found


def is_result(column: str) -> bool:
    return not any(part in column for part in OF_THE_WAY)


def num_repeated(store: Store) -> int:
    """Trainings that were begun beyond the first of their run."""
    return sum(len(store.attempts(run)) - 1 for run in store.run_ids())


def assert_nothing_is_left(store: Store) -> None:
    assert (store.driver_tokens(), store.lease_ids()) == ((), ())
    assert not any(store.checkpoints(run) for run in store.run_ids())


@pytest.mark.parametrize("number", [2, 5])
def test_drivers_that_start_at_once_share_the_jobs_and_make_what_one_alone_makes(
    make_drivers: Any, undisturbed: Any, inject: Any, is_full: bool, number: int
) -> None:
    times, repeated, shares = 20 if is_full else 1, 0, set[int]()
    for _ in range(times):
        drivers = make_drivers()
        for _ in range(number):
            drivers.start("--serial")
        said = drivers.wait()
        assert contents(drivers.store) == undisturbed
        assert all(f"{NUM_JOBS} ok, 0 failed, 0 blocked" in text for text in said)
        assert_nothing_is_left(drivers.store)
        repeated += num_repeated(drivers.store)
        makers = {drivers.store.result(run).attempt.split("-")[1] for run in drivers.store.run_ids()}
        shares.add(len(makers))
    assert repeated <= times, "leases are there to save work"
    inject(
        fault=f"{number} drivers on one store",
        times=times,
        finished_lost=0,
        repeated=f"{repeated} of {times * NUM_JOBS} trainings begun twice",
        outcome=f"equal to one driver's; {min(shares)} to {max(shares)} drivers had results",
    )


def test_the_jobs_of_a_driver_that_is_killed_are_taken_over(
    make_drivers: Any, undisturbed: Any, inject: Any, is_full: bool
) -> None:
    draw, times, repeated, lost = random.Random(5), 20 if is_full else 1, 0, 0
    for _ in range(times):
        drivers = make_drivers()
        victim, _ = drivers.start("--serial"), drivers.start("--serial")
        wait_until_both_are_at_work(drivers.store)
        time.sleep(draw.uniform(0.0, 1.0))
        done = [run for run in drivers.store.run_ids() if drivers.store.result(run) is not None]
        before = {run: drivers.store.result(run) for run in done}
        os.killpg(victim.pid, signal.SIGKILL)
        drivers.wait()
        lost += sum(drivers.store.result(run) != result for run, result in before.items())
        assert contents(drivers.store) == undisturbed
        assert_nothing_is_left(drivers.store)
        repeated += num_repeated(drivers.store)
    assert lost == 0 and repeated <= 2 * times
    inject(
        fault="one of two drivers is killed",
        times=times,
        finished_lost=lost,
        repeated=f"{repeated} trainings went on in another attempt",
        outcome="the other finishes; equal to an undisturbed sweep",
    )


def wait_until_both_are_at_work(store: Store) -> None:
    """Each has begun a training."""
    end = time.monotonic() + DEADLINE_SECONDS
    while len({attempt.driver for run in store.run_ids() for attempt in store.attempts(run)}) < 2:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_driver_that_is_killed_at_any_operation_on_its_lease_leaves_the_job_to_the_next_at_once(
    tool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inject: Any
) -> None:
    if not this_machine():
        pytest.skip("this system does not tell its machine, so that a dead driver is known by its beats alone")
    monkeypatch.syspath_prepend(tool)
    boundaries, store, number = importlib.import_module("boundaries"), Store(tmp_path).open(), 1
    while killed_at(boundaries, store, number):
        with driving(store) as leases:
            assert leases.holders(["job"]) == {} and leases.take("job")
        assert_nothing_is_left(store)
        number += 1
    assert number > 10
    inject(
        fault="SIGKILL of a driver at a lease",
        times=number - 1,
        finished_lost=0,
        repeated="0",
        outcome="the next driver takes the job at once",
    )


def killed_at(boundaries: Any, store: Store, number: int) -> bool:
    """Whether a driver that takes and gives back one job met this boundary, and died there."""
    child = os.fork()
    if child == 0:
        try:
            boundaries.Boundaries(store.root, number, lambda operation: None).watch()
            with driving(store) as leases:
                leases.take("job")
                leases.release("job")
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


@pytest.mark.ray
def test_two_drivers_with_a_ray_of_their_own_each_share_the_jobs(
    make_drivers: Any, undisturbed: Any, inject: Any, is_full: bool
) -> None:
    if not is_full:
        pytest.skip("at full size only: two Rays on two cores take a minute to start")
    drivers = make_drivers()
    drivers.start(), drivers.start()
    drivers.wait()
    assert contents(drivers.store) == undisturbed
    assert_nothing_is_left(drivers.store)
    repeated = num_repeated(drivers.store)
    assert repeated <= 1
    inject(
        fault="2 drivers with Ray on one store",
        times=1,
        finished_lost=0,
        repeated=f"{repeated} of {NUM_JOBS} trainings begun twice",
        outcome="equal to one driver's",
    )
