"""What a bucket does to a night's work: requests that fail, writes that are cut off, machines that vanish."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from sweeps.run_all import main
from trainers import bucket as requests
from trainers.cache import cache_folder
from trainers.errors import UnreachableError
from trainers.files import read
from trainers.spec import run_id
from trainers.storage import PREDICTIONS, WEIGHTS, Store

pytestmark = pytest.mark.faults

ROOT = Path(__file__).resolve().parents[2]
WRITES = ("PUT", "DELETE", "POST")
DIFFERS = ("host", "attempt", "log_path", "started_at", "finished_at", "num_attempts", "plan_id", "git_is_dirty")
DEADLINE_SECONDS = 240


def is_of_time(name: str) -> bool:
    return name in DIFFERS or "seconds" in name or "per_second" in name


def content(store: Store) -> dict[str, dict[str, bytes]]:
    """Weights and predictions of all runs, every one of which is finished."""
    return {
        run: {name: store.verified_file(run, name).read_bytes() for name in (WEIGHTS, PREDICTIONS)}
        for run in store.run_ids()
    }


def numbers(store: Store) -> dict[str, list[dict[str, Any]]]:
    """The rows of all tables, without what tells of times, hosts and attempts."""
    tables = {name: pq.read_table(io.BytesIO(read(store.table_file(name)))) for name in ("runs", "curves", "ranking")}
    return {
        name: sorted(
            ({key: value for key, value in row.items() if not is_of_time(key)} for row in table.to_pylist()), key=str
        )
        for name, table in tables.items()
    }


def write_pictures(folder: Path, seed: int) -> Path:
    """Class folders of pictures in two colours."""
    draw = np.random.default_rng(seed)
    for split, number in (("train", 16), ("val", 8), ("test", 4)):
        for name, colour in (("red", (220, 40, 40)), ("blue", (50, 70, 220))):
            (folder / split / name).mkdir(parents=True)
            for index in range(number):
                noise = draw.normal(0, 20, size=(16, 16, 3))
                pixels = np.clip(np.asarray(colour) + noise, 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / split / name / f"{index}.png")
    return folder


@pytest.fixture
def arguments(tmp_path: Path) -> Iterator[list[str]]:
    """A sweep of all kinds of job that takes seconds; signal handlers are put back."""
    before = signal.getsignal(signal.SIGTERM)
    pictures, source = write_pictures(tmp_path / "pictures", 0), write_pictures(tmp_path / "source", 1)
    data = ["--data", f"images:{pictures}", "--pretrained", "source", "--source-data", f"images:{source}"]
    quiet = ["--serial", "--quiet", "--no-report"]
    yield ["--sweep", "smoke", *data, *quiet, "--allow-weak-teacher", "--teacher-logits", "always"]
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("patient")
def test_a_sweep_whose_requests_keep_failing_ends_with_the_tables_of_a_quiet_one(
    bucket: str, arguments: list[str], make_proxy: Any, tmp_path: Path, is_full: bool, inject: Any, monkeypatch: Any
) -> None:
    quiet = Store(tmp_path / "quiet")
    assert main([*arguments, "--store", str(quiet.root)]) == 0
    kinds = ("500", "503", "reset", "lost", "slow")
    for every in (3, 4, 5, 7, 11) if is_full else (7,):
        store = Store(f"{bucket}/every-{every}")
        monkeypatch.setenv("PETITE_CACHE", str(tmp_path / f"cache-{every}"))
        proxy = make_proxy(
            lambda number, every=every: kinds[number // every % len(kinds)] if number % every == 0 else None,
            slow_seconds=0.7,
        )
        assert main([*arguments, "--store", str(store.root)]) == 0
        assert content(store) == content(quiet)
        assert numbers(store) == numbers(quiet)
        assert set(proxy.injected) == set(kinds)
        inject(
            fault=f"S3: every {every}th request of {len(proxy.requests)} fails (5xx, reset, lost answer, delay)",
            times=len(proxy.injected),
            finished_lost=0,
            repeated="none",
            outcome="tables and weights as undisturbed",
        )


def cut_at(write: int, is_carried_out: bool) -> Callable[[str], str | None]:
    """From the `write`-th request that changes something on nothing gets through; that one may still do so."""
    number = 0

    def fault(request: str) -> str | None:
        nonlocal number
        number += request.startswith(WRITES)
        if number < write:
            return None
        return "lost" if number == write and is_carried_out else "reset"

    return fault


def test_a_run_that_is_cut_off_at_any_write_is_finished_or_not_and_ends_the_same(
    lab: Any, local: Any, make_proxy: Any, bucket: str, is_full: bool, inject: Any, monkeypatch: Any
) -> None:
    """The death of a machine, as the bucket sees it: before a write, or after it, and nothing comes any more."""
    monkeypatch.setattr(
        requests, "WORKING", requests.Patience(request_seconds=5, num_retries=0, retry_seconds=1, pauses=())
    )
    for one in (lab, local):
        one.data()
    spec = lab.spec()
    local.train(spec)
    expected, times, kept = local.content(spec), 0, 0
    num_writes = count_writes(lab, bucket, spec, make_proxy)
    for write in range(1, num_writes + 1):
        for is_carried_out in (False, True):
            if not is_full and (write + is_carried_out) % 5:
                continue
            again = of_own(lab, bucket, f"{write}-{is_carried_out}")
            make_proxy(by_request=cut_at(write, is_carried_out))
            with pytest.raises(UnreachableError):
                again.train(spec)
            make_proxy()
            found = again.content(spec)
            assert found in (None, expected)
            kept += found is not None
            before = len(again.store.attempts(run_id(spec)))
            again.train(spec)
            assert again.content(spec) == expected
            assert len(again.store.attempts(run_id(spec))) == before + (found is None)
            times += 1
    inject(
        fault=f"S3: machine gone before or after one of {num_writes} writes of a run",
        times=times,
        finished_lost=0,
        repeated="at most an epoch",
        outcome=f"{kept} were finished by then, all ended with the same bytes",
    )


def of_own(lab: Any, bucket: str, name: str) -> Any:
    """A store of its own in the same bucket, with the same data."""
    found = type(lab)(Store(f"{bucket}/{name}").open())
    found.data()
    return found


def count_writes(lab: Any, bucket: str, spec: Any, make_proxy: Any) -> int:
    counted = of_own(lab, bucket, "counted")
    proxy = make_proxy()
    counted.train(spec)
    return sum(request.startswith(WRITES) for request in proxy.requests)


KILLED = """
import os, signal, sys
from trainers.attempt import Attempt
write = Attempt.write_checkpoint
def write_and_die(self, epoch, payload, **more):
    write(self, epoch, payload, **more)
    if epoch == 2:
        os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[1] == "die":
    Attempt.write_checkpoint = write_and_die
from sweeps.trial import train
from trainers.execution import Execution
from trainers.storage import Store
for step in train(Store(sys.argv[2]), sys.argv[3], Execution()):
    print(step.epoch, flush=True)
"""


def test_a_machine_that_vanishes_leaves_a_checkpoint_from_which_another_goes_on(
    lab: Any, local: Any, is_full: bool, inject: Any, monkeypatch: Any, tmp_path: Path
) -> None:
    for one in (lab, local):
        one.data()
    times = 10 if is_full else 1
    for seed in range(times):
        spec = lab.spec(epochs=4, seed=seed, view_seed=seed)
        local.train(spec)
        lab.store.write_spec(spec)
        first = worker("die", lab.store, spec, tmp_path / f"machine-{seed}-1")
        assert first.returncode == -signal.SIGKILL
        saved = lab.store.state(run_id(spec)).num_epochs_saved
        second = worker("live", lab.store, spec, tmp_path / f"machine-{seed}-2")
        assert second.returncode == 0, second.stderr
        assert second.stdout.split() == [str(epoch) for epoch in range(saved + 1, 5)] and saved == 2
        assert lab.content(spec) == local.content(spec)
        result = lab.store.result(run_id(spec))
        assert result is not None and result.resumed_from_epochs == (2,)
        assert lab.store.checkpoints(run_id(spec)) == ()
    inject(
        fault="S3: machine lost (SIGKILL, its cache gone) while training",
        times=times,
        finished_lost=0,
        repeated="0 epochs (killed right after a checkpoint)",
        outcome="resumed from the bucket, same bytes",
    )


def worker(how: str, store: Store, spec: Any, cache: Path) -> subprocess.CompletedProcess[str]:
    """A process on a machine with an empty cache."""
    environment = os.environ | {"PETITE_CACHE": str(cache), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", KILLED, how, str(store.root), run_id(spec)]
    return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_SECONDS, env=environment)


@pytest.mark.ray
def test_a_sweep_under_ray_in_a_bucket_goes_on_elsewhere_after_its_machine_was_lost(
    bucket: str, arguments: list[str], tmp_path: Path, inject: Any, is_full: bool
) -> None:
    if not is_full:
        pytest.skip("starts Ray in a bucket: with --full; a vanishing process without Ray is tried above")
    quiet, store = Store(tmp_path / "quiet"), Store(f"{bucket}/ray")
    assert main([*arguments, "--store", str(quiet.root)]) == 0
    under_ray = [argument for argument in arguments if argument not in ("--serial", "--quiet")]
    command = [sys.executable, str(ROOT / "sweeps/run_all.py"), "--store", str(store.root), *under_ray]
    done = killed_when_a_run_is_done(command, store, tmp_path / "out.txt")
    shutil.rmtree(cache_folder())
    attempts = {run: len(store.attempts(run)) for run in done}
    assert main([*arguments, "--store", str(store.root)]) == 0
    assert done and {run: len(store.attempts(run)) for run in done} == attempts
    assert content(store) == content(quiet) and numbers(store)["ranking"] == numbers(quiet)["ranking"]
    inject(
        fault="S3: a machine with its driver, Ray and workers lost during a sweep",
        times=1,
        finished_lost=0,
        repeated="what was in training",
        outcome="same command goes on elsewhere, same bytes",
    )


def killed_when_a_run_is_done(command: list[str], store: Store, out: Path) -> list[str]:
    """Start a sweep, and kill it as soon as a run is finished; gives those that are."""
    with out.open("w") as stream:
        sweep = subprocess.Popen(command, start_new_session=True, stdout=stream, stderr=stream)
    end = time.monotonic() + DEADLINE_SECONDS
    try:
        while not any(store.state(run).result for run in store.run_ids()):
            assert time.monotonic() < end and sweep.poll() is None, out.read_text()
            time.sleep(0.2)
    finally:
        os.killpg(sweep.pid, signal.SIGKILL)
        sweep.wait()
    return [run for run in store.run_ids() if store.state(run).result]
