"""A sweep on three hosts with addresses of their own, set up by `ray up` with our file: undisturbed, then not."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from trainers.result import Started
from trainers.storage import Store

pytestmark = pytest.mark.cluster

SWEEP = ("--sweep", "smoke", "--limit", "220", "--seeds", "0,1", "--epochs", "4", "--batch-size", "16")
OPTIONS = (*SWEEP, "--allow-weak-teacher")
NUM_JOBS = 10
SWEEP_SECONDS = 400
CUT_SECONDS = 30
KILLS, KILLS_PER_SWEEP = 20, 4


def attempts(store: Store) -> Iterator[tuple[str, Started]]:
    """Every attempt that has begun, by its run."""
    for run in store.run_ids():
        for attempt in store.attempts(run):
            started = attempt.started()
            if started is not None:
                yield run, started


def finished(store: Store) -> set[str]:
    return {run for run in store.run_ids() if store.result(run) is not None}


def works_on(store: Store, host: str) -> bool:
    """Whether a host has begun a run that is not finished."""
    done = finished(store)
    return any(started.host == host and run not in done for run, started in attempts(store))


@dataclass
class Watched:
    """A sweep and what was done when a fault struck it."""

    store: Store
    num_attempts: dict[str, int] = field(default_factory=dict)
    """Of the runs that were finished at a fault."""

    def strike(self, fault: Callable[[], Any]) -> None:
        for run in finished(self.store):
            self.num_attempts.setdefault(run, len(self.store.attempts(run)))
        fault()

    def lost(self) -> set[str]:
        """Runs that were finished at a fault and are not any more, or were begun anew since."""
        again = {run for run, number in self.num_attempts.items() if len(self.store.attempts(run)) > number}
        return (self.num_attempts.keys() - finished(self.store)) | again

    def num_repeated(self) -> int:
        """Attempts beyond the first of each run."""
        return sum(len(self.store.attempts(run)) for run in self.store.run_ids()) - NUM_JOBS


def in_words(num_repeated: int) -> str:
    """What a fault cost."""
    return f"{num_repeated} attempts, each from its last epoch"


@pytest.fixture(scope="module")
def undisturbed(cluster: Any) -> Path:
    """The sweep's store after a run without a fault."""
    store = cluster.work / "undisturbed"
    done = cluster.head.run(*cluster.words("--store", str(store), *OPTIONS), timeout=SWEEP_SECONDS, **cluster.RAY)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning" not in done.stdout + done.stderr
    return Path(store)


@pytest.fixture
def ends_well(summary: Any, undisturbed: Path) -> Callable[..., None]:
    """A disturbed sweep finishes without a traceback, loses nothing and comes to the undisturbed one's results."""

    def check(sweep: Watched, process: Any) -> None:
        out, err = process.communicate(timeout=SWEEP_SECONDS)
        assert process.returncode == 0, out + err
        assert "Traceback" not in out + err
        assert sweep.lost() == set()
        assert summary(sweep.store.root) == summary(undisturbed)

    return check


def test_a_sweep_spans_all_hosts_with_the_code_that_the_launcher_copied(cluster: Any, undisturbed: Path) -> None:
    store = Store(undisturbed)
    assert len(finished(store)) == NUM_JOBS
    assert {started.host for _, started in attempts(store)} == {"head", "one", "two"}
    results = [store.result(run) for run in store.run_ids()]
    assert {result.environment.host for result in results if result is not None} == {"head", "one", "two"}
    for host in (cluster.head, *cluster.workers):
        host.check("test", "-f", "/tmp/home/petite/sweeps/run_all.py")


def test_a_store_that_is_another_folder_on_another_host_is_refused_before_anything_is_trained(cluster: Any) -> None:
    """/mnt is each host's own."""
    done = cluster.head.run(*cluster.words("--store", "/mnt/store", *OPTIONS), timeout=120, **cluster.RAY)
    assert done.returncode == 2, done.stdout + done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: node 10.77.0.")
    assert "has no store at /mnt/store, or another one than this machine" in line
    assert cluster.head.run("sh", "-c", "ls -d /mnt/store/runs/*/attempts").returncode != 0


def kill_raylets(cluster: Any, sweep: Watched, process: Any, wait_until: Any, most: int) -> int:
    """Kill that of one worker and of the other in turn, whenever a host is at work; each is started again but the last.

    Gives how many were killed before the sweep ended.
    """
    for number in range(most):
        host = cluster.workers[number % 2]
        wait_until(lambda host=host: process.poll() is not None or works_on(sweep.store, host.name))
        if process.poll() is not None:
            return number
        (raylet,) = host.processes("raylet")
        sweep.strike(raylet.kill)
        if most > 1:
            cluster.start(host)
    return most


def test_a_killed_raylet_costs_its_node_and_nothing_that_is_done(
    cluster: Any, begin: Any, ends_well: Any, wait_until: Any, inject: Any, is_full: bool
) -> None:
    kills, repeated = 0, 0
    while kills < (KILLS if is_full else 1):
        sweep = Watched(Store(cluster.work / f"raylet-{kills}"))
        process = begin(sweep.store.root, *OPTIONS)
        kills += kill_raylets(cluster, sweep, process, wait_until, KILLS_PER_SWEEP if is_full else 1)
        ends_well(sweep, process)
        repeated += sweep.num_repeated()
    outcome = "sweeps finished, results equal"
    cost = in_words(repeated)
    inject(fault="raylet of a host killed", times=kills, finished_lost=0, repeated=cost, outcome=outcome)


def test_a_host_without_its_cable_for_a_while_is_done_without(
    cluster: Any, begin: Any, cut: Any, ends_well: Any, wait_until: Any, inject: Any, is_full: bool
) -> None:
    if not is_full:
        pytest.skip(f"cuts a cable for {CUT_SECONDS} s: with --full")
    sweep = Watched(Store(cluster.work / "cable"))
    process = begin(sweep.store.root, *OPTIONS)
    wait_until(lambda: works_on(sweep.store, "one"))
    sweep.strike(lambda: cut("one", is_cut=True))
    time.sleep(CUT_SECONDS)
    cut("one", is_cut=False)
    ends_well(sweep, process)
    cluster.start(cluster.hosts["one"])
    outcome = "sweep finished, results equal"
    cost = in_words(sweep.num_repeated())
    inject(fault=f"cable out for {CUT_SECONDS} s", times=1, finished_lost=0, repeated=cost, outcome=outcome)


def test_a_lost_head_ends_the_command_in_one_line_and_the_same_command_goes_on_with_a_new_one(
    cluster: Any, begin: Any, ends_well: Any, wait_until: Any, inject: Any, is_full: bool
) -> None:
    if not is_full:
        pytest.skip("waits a minute for a head that does not come back: with --full")
    sweep = Watched(Store(cluster.work / "head"))
    process = begin(sweep.store.root, *OPTIONS)
    wait_until(lambda: finished(sweep.store))
    ray = [one for name in ("gcs_server", "raylet") for one in cluster.head.processes(name)]
    sweep.strike(lambda: [one.kill() for one in ray])
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2
    (line,) = err.splitlines()
    assert line.startswith(f"error: the Ray cluster at {cluster.head.address}:6379 is gone")
    for host in (cluster.head, *cluster.workers):
        cluster.start(host)
    ends_well(sweep, begin(sweep.store.root, *OPTIONS))
    outcome = "one line, exit 2; the same command finished"
    cost = in_words(sweep.num_repeated())
    inject(fault="head's Ray killed", times=1, finished_lost=0, repeated=cost, outcome=outcome)


def test_a_host_that_is_gone_for_good_is_done_without(
    cluster: Any, begin: Any, ends_well: Any, wait_until: Any, inject: Any, is_full: bool
) -> None:
    """The last of all: it does not come back."""
    if not is_full:
        pytest.skip("removes a host: with --full")
    sweep = Watched(Store(cluster.work / "host"))
    process = begin(sweep.store.root, *OPTIONS)
    wait_until(lambda: works_on(sweep.store, "two"))
    sweep.strike(cluster.hosts["two"].close)
    ends_well(sweep, process)
    outcome = "sweep finished, results equal"
    cost = in_words(sweep.num_repeated())
    inject(fault="host gone for good", times=1, finished_lost=0, repeated=cost, outcome=outcome)
