"""What the driver costs: sweeps of trivial jobs through the real command, under Ray and, for a run's record, without.

    python tests/benchmarks/scale.py [--jobs 40,200,1000] [--pass-size 2000] [--slots 2] [--records 100] [--out FOLDER]

A job trains a network of 19 parameters for an epoch over eight 8x8 pictures; all write and read what any run does.
Every sweep is a process of its own with an empty store. `wall` is that process from its start to its end: imports,
planning, Ray's start and end, and the tables. `passes` is Tune alone. A job's own time is from the record that its
attempt began until its result: what it would cost in a loop. Memory is the driver's resident memory.
"""

from __future__ import annotations

import argparse
import functools
import gc
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
import tables

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

PLUGINS = {
    "models/dot.py": '''"""One convolution and a classifier."""
from torch import nn


def build(*, num_classes: int, image_size: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, num_classes))
''',
    "data/spots.py": '''"""Dark and bright pictures."""
import numpy as np
from PIL import Image

from trainers.images import RawData
from trainers.result import Split

PRETRAINED, SOURCE_DATA = "imagenet", None


def identity(path):
    return {"version": 1}


def read(path):
    labels = {split: np.arange(8) % 2 for split in Split}

    def decode(split, index):
        return Image.new("RGB", (8, 8), (40 + 150 * (index % 2), 9 * index, 30 * len(split)))

    return RawData(class_names=("dark", "bright"), labels=labels, decode=decode, origin="spots")
''',
    "sweeps/trivial.py": '''"""One job per seed."""
from trainers.spec import Choice, Role


def jobs(context):
    dot = Choice(name="dot")
    return tuple(context.job("dot", role=Role.STUDENT, model=dot, seed=seed) for seed in context.seeds)
''',
}
MIB = 2**20
POLL_SECONDS = 0.25
WARM_UP = 5
"""Runs that are not timed: the first ones import and allocate."""


def main() -> None:
    """Print two Markdown tables: sweeps under Ray, and a run's record in one process."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--jobs", default="40,200", help="sizes of sweeps (default: 40,200)")
    parser.add_argument("--pass-size", type=int, help="jobs per pass (default: the product's)")
    parser.add_argument("--slots", type=int, default=2, help="jobs at a time (default: 2)")
    parser.add_argument("--records", type=int, default=100, help="runs whose record is timed (default: 100)")
    parser.add_argument("--out", type=Path, help="folder of the Parquet files")
    parser.add_argument("--quick", action="store_true", help="tiny, to see that it works")
    parser.add_argument("--drive", metavar="JSON", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.drive:
        drive(**json.loads(arguments.drive))
        return
    if arguments.quick:
        arguments.jobs, arguments.records = "4", 4
    rows = [sweep(int(number), arguments.slots, arguments.pass_size) for number in arguments.jobs.split(",") if number]
    if rows:
        tables.write_table("scale", rows, arguments.out)
    if arguments.records:
        tables.write_table("records", [records(arguments.records)], arguments.out)


def sweep(num_jobs: int, num_slots: int, pass_size: int | None) -> dict[str, Any]:
    """One sweep in a process of its own: seconds, memory and processes."""
    with tempfile.TemporaryDirectory(prefix="petite-scale-") as folder:
        log = Path(folder) / "passes.json"
        call = {"folder": folder, "num_jobs": num_jobs, "num_slots": num_slots, "pass_size": pass_size}
        command = [sys.executable, __file__, "--drive", json.dumps(call)]
        start = time.perf_counter()
        with (Path(folder) / "out.txt").open("w") as output, subprocess.Popen(command, stdout=output) as process:
            memory = list(_resident_memory(process))
        wall = time.perf_counter() - start
        if process.returncode:
            sys.exit(f"the sweep of {num_jobs} jobs failed: {(Path(folder) / 'out.txt').read_text()[-2000:]}")
        return _row(num_jobs, num_slots, wall, memory, json.loads(log.read_text()), Path(folder) / "store")


def _resident_memory(process: subprocess.Popen[bytes]) -> Iterator[float]:
    """MiB, a few times a second until the process ends."""
    known = psutil.Process(process.pid)
    while process.poll() is None:
        try:
            yield known.memory_info().rss / MIB
        except psutil.NoSuchProcess:
            return
        time.sleep(POLL_SECONDS)


def _row(
    num_jobs: int, num_slots: int, wall: float, memory: list[float], passes: list[dict[str, float]], store: Path
) -> dict[str, Any]:
    own, training, pids = _own_seconds(store)
    in_passes = sum(one["seconds"] for one in passes)
    first, last = passes[0], passes[-1]
    return {
        "jobs": num_jobs,
        "slots": num_slots,
        "passes": len(passes),
        "processes": len(pids),
        "wall s": wall,
        "passes s": in_passes,
        "own ms/job": own / num_jobs * 1e3,
        "of it training ms": training / num_jobs * 1e3,
        "wall/jobs s": wall / num_jobs,
        "wall/jobs over own s": wall / num_jobs - own / num_slots / num_jobs,
        "passes/jobs over own s": in_passes / num_jobs - own / num_slots / num_jobs,
        "slot-seconds/job over own": (wall * num_slots - own) / num_jobs,
        "growth in a pass, MiB/1000 jobs": (first["end MiB"] - first["base MiB"]) / first["jobs"] * 1e3,
        "growth in the last": (last["end MiB"] - last["base MiB"]) / last["jobs"] * 1e3,
        "base of second pass MiB": passes[1]["base MiB"] if len(passes) > 1 else None,
        "base of last pass MiB": last["base MiB"],
        "base after the last MiB": last["after MiB"],
        "peak MiB": max(memory),
    }


def _own_seconds(store: Path) -> tuple[float, float, set[int]]:
    """Of all runs: seconds from their beginning to their result, seconds of training, and the processes used."""
    from trainers.storage import Store

    place, own, training, pids = Store(store), 0.0, 0.0, set[int]()
    for run in place.run_ids():
        (attempt,), result = place.attempts(run), place.result(run)
        started = attempt.started()
        assert result is not None and started is not None, f"run {run} is not done"
        took = datetime.fromisoformat(result.finished_at) - datetime.fromisoformat(started.started_at)
        own, training = own + took.total_seconds(), training + result.train_seconds
        pids.add(started.pid)
    return own, training, pids


def drive(folder: str, num_jobs: int, num_slots: int, pass_size: int | None) -> None:
    """In a process of its own: the sweep, and what every pass took and left in memory."""
    from sweeps import api, driver, execute

    write_plugins(folder)
    passes: list[dict[str, float]] = []
    execute.run_with_tune = _measured(execute.run_with_tune, passes)
    if pass_size:
        driver.run_passes = functools.partial(driver.run_passes, most=pass_size)
    api.run(**_options(folder), seeds=list(range(num_jobs)), max_concurrent=num_slots)
    (Path(folder) / "passes.json").write_text(json.dumps(passes))


def write_plugins(folder: str) -> None:
    """A model, a data set and a sweep that cost next to nothing."""
    for name, content in PLUGINS.items():
        file = Path(folder) / "plugins" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)


def _options(folder: str) -> dict[str, Any]:
    training = {"epochs": 1, "batch_size": 8}
    return {"store": f"{folder}/store", "plugins": f"{folder}/plugins", "sweep": "trivial", "data": "spots", **training}


def _measured(execute: Any, passes: list[dict[str, float]]) -> Any:
    def run_pass(work: Any) -> None:
        gc.collect()
        record = {"jobs": len(work.to_run), "base MiB": psutil.Process().memory_info().rss / MIB}
        start = time.perf_counter()
        execute(work)
        record["seconds"] = time.perf_counter() - start
        record["end MiB"] = psutil.Process().memory_info().rss / MIB
        gc.collect()
        record["after MiB"] = psutil.Process().memory_info().rss / MIB
        passes.append(record)

    return run_pass


def records(num_runs: int) -> dict[str, Any]:
    """Milliseconds of a run besides its training, in this process, one after the other."""
    from sweeps.passes import Setup
    from sweeps.request import read_options
    from sweeps.resources import default_resources
    from sweeps.sweep import prepared_sweep, with_plugins
    from sweeps.trial import train
    from trainers.storage import Store

    with tempfile.TemporaryDirectory(prefix="petite-scale-") as folder:
        write_plugins(folder)
        options = _options(folder)
        store = Store(options.pop("store")).open()
        request, _ = read_options({**options, "seeds": list(range(num_runs + WARM_UP))})
        made = prepared_sweep(store, with_plugins(request, store), lambda name, done, total: None)
        setup = Setup(resources=default_resources(has_gpu=False), machines=(), plugins=made.request.plugins)
        took, phases, cpu = [], [], 0.0
        for job in made.plan.jobs:
            store.write_spec(job.spec)
            start, cpu_start = time.perf_counter(), time.process_time()
            (record,) = train(store, job.id, setup.execution(job))
            took.append((time.perf_counter() - start) * 1e3)
            cpu += time.process_time() - cpu_start if len(took) > WARM_UP else 0.0
            phases.append(record.epoch_seconds * 1e3)
        own, training = took[WARM_UP:], phases[WARM_UP:]
        besides = sorted(whole - part for whole, part in zip(own, training, strict=True))
        return {
            "runs": num_runs,
            "own ms/job": sum(own) / num_runs,
            "CPU ms/job": cpu / num_runs * 1e3,
            "of it training ms": sum(training) / num_runs,
            "record ms, mean": sum(besides) / num_runs,
            "record ms, median": besides[num_runs // 2],
            "record ms, 90 %": besides[int(num_runs * 0.9)],
        }


if __name__ == "__main__":
    main()
