"""Small specs and jobs by hand, a tiny data set in Parquet, and the command in this process or in a fresh one."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from sweeps.admission import Ledger
from sweeps.context import Context
from sweeps.frontier import Frontier
from sweeps.plan import Job, Plan
from sweeps.recipes import parse_setting, recipe
from sweeps.resources import Resources
from sweeps.time_limit import always
from trainers.result import Environment, FileRecord, Manifest, Result
from trainers.spec import (
    Augment,
    Choice,
    Normalization,
    Optimizer,
    OptimizerName,
    Precision,
    Role,
    RunSpec,
    Schedule,
    ScheduleName,
    group_id,
    run_id,
)
from trainers.storage import WEIGHTS, Store

ROOT = Path(__file__).resolve().parents[2]
CLASS_COLOURS = {"red": (220, 40, 40), "green": (40, 200, 60), "blue": (50, 70, 220)}
SOURCE_COLOURS = {"cyan": (40, 200, 200), "yellow": (200, 200, 50), "violet": (180, 40, 180), "grey": (128, 128, 128)}
DEADLINE_SECONDS = 180


def make_spec(*, seed: int = 0, lr: float = 1e-3, **changes: Any) -> RunSpec:
    """A small, valid spec."""
    spec = RunSpec(
        data="f00d",
        model=Choice(name="student", args={"num_classes": 3, "image_size": 16}),
        objective=Choice(name="cross_entropy", args={"label_smoothing": 0.0}),
        optimizer=Optimizer(name=OptimizerName.ADAMW, lr=lr, weight_decay=0.01),
        schedule=Schedule(name=ScheduleName.CONSTANT),
        augment=Augment(),
        normalize=Normalization.NONE,
        epochs=3,
        batch_size=8,
        precision=Precision.FLOAT32,
        seed=seed,
        view_seed=seed,
    )
    return dataclasses.replace(spec, **changes)


def make_job(label: str, *, role: Role = Role.STUDENT, **changes: Any) -> Job:
    """A job with a small spec; parents are given as `teacher=` and `init_run=` specs."""
    return Job(label=label, role=role, spec=make_spec(**changes))


def make_result(spec: RunSpec, **changes: Any) -> Result:
    """A finished run's result, as far as planning looks at it."""
    environment = Environment(
        host="box",
        device="cpu",
        hardware="cpu",
        num_threads=1,
        python="3",
        torch="2",
        torchvision="0",
        git_commit="",
        git_is_dirty=False,
        source_digests={"trainers.models.student": "same"},
    )
    result = Result(
        run_id=run_id(spec),
        group_id=group_id(spec),
        attempt="0001",
        data_name="tiny",
        initialized_from="scratch",
        best_epoch=1,
        best_validation_accuracy=0.9,
        last_validation_accuracy=0.9,
        test_accuracy=0.9,
        train_accuracy=0.9,
        num_params=1,
        num_macs=1,
        size_bytes=1,
        num_train_images=1,
        num_validation_images=1,
        num_test_images=1,
        train_seconds=1.0,
        images_per_second=1.0,
        started_at="",
        finished_at="",
        environment=environment,
        files={WEIGHTS: FileRecord(size_bytes=1, sha256="weights of " + run_id(spec))},
        parent_weights={run_id(parent): "weights of " + run_id(parent) for parent in spec.parents},
    )
    return dataclasses.replace(result, **changes)


def make_manifest(fingerprint: str = "f00d", **changes: Any) -> Manifest:
    """A described data set with 11 classes of 32 pixels that is nowhere on disk."""
    manifest = Manifest(
        fingerprint=fingerprint,
        name="fake",
        origin="nowhere",
        class_names=tuple("abcdefghijk"),
        image_size=32,
        num_images={"train": 80, "validation": 10, "test": 10},
        has_test_labels=True,
    )
    return dataclasses.replace(manifest, **changes)


def make_context(*settings: str, recipe_name: str = "quick", seeds: tuple[int, ...] = (0,), **changes: Any) -> Context:
    """What a sweep file is given, with the user's `--set` texts after the recipe's."""
    context = Context(
        data=make_manifest(),
        seeds=seeds,
        recipe=recipe(recipe_name).settings(),
        settings=tuple(map(parse_setting, settings)),
        source=make_manifest("50ce", class_names=tuple("lmnopqrs")),
    )
    return dataclasses.replace(context, **changes)


def make_frontier(
    plan: Plan,
    to_run: Iterable[str],
    requests: Callable[[Job], Resources],
    ledger: Ledger,
    cost: Callable[[Job], float],
    may_start: Callable[[Job], bool] = always,
    **more: Any,
) -> Frontier:
    """The frontier over some jobs of a plan."""
    return Frontier(
        [job.id for job in plan.jobs if job.id in set(to_run)],
        {job.id: job.parents for job in plan.jobs},
        lambda run: requests(plan.by_id[run]),
        ledger,
        lambda run: cost(plan.by_id[run]),
        may_start=lambda run: may_start(plan.by_id[run]),
        **more,
    )


@pytest.fixture(scope="session", name="make_frontier")
def make_frontier_fixture() -> Any:
    return make_frontier


@pytest.fixture(scope="session", name="make_spec")
def make_spec_fixture() -> Any:
    return make_spec


@pytest.fixture(scope="session", name="make_job")
def make_job_fixture() -> Any:
    return make_job


@pytest.fixture(scope="session", name="make_result")
def make_result_fixture() -> Any:
    return make_result


@pytest.fixture(scope="session", name="make_manifest")
def make_manifest_fixture() -> Any:
    return make_manifest


@pytest.fixture(scope="session", name="make_context")
def make_context_fixture() -> Any:
    return make_context


@dataclass(frozen=True)
class Outcome:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Petite:
    """The command with a store and a tiny data set; `report` is the sweep at its smallest."""

    pictures: Path
    source: Path
    store: Path
    capture: Any = field(repr=False, default=None)

    @property
    def report(self) -> list[str]:
        """Options of a sweep that takes seconds."""
        data = ["--data", f"parquet:{self.pictures}", "--pretrained", "source"]
        return [*data, "--source-data", f"parquet:{self.source}", "--epochs", "2", "--batch-size", "16"]

    def command(self, *arguments: str) -> list[str]:
        """The whole command line of a new process."""
        return [
            sys.executable,
            str(ROOT / "sweeps" / "run_all.py"),
            "--store",
            str(self.store),
            "--no-report",
            *arguments,
        ]

    def main(self, *arguments: str) -> Outcome:
        """Run in this process, argparse's own exits included."""
        from sweeps.run_all import main

        self.capture.readouterr()
        try:
            code = main(["--store", str(self.store), "--no-report", *arguments])
        except SystemExit as exit_:
            code = int(str(exit_.code))
        out, err = self.capture.readouterr()
        return Outcome(code, out, err)

    def process(self, *arguments: str, folder: Path | None = None) -> Outcome:
        """Run in a fresh process."""
        done = subprocess.run(
            self.command(*arguments), capture_output=True, text=True, timeout=300, cwd=folder or self.pictures
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    @property
    def labels(self) -> dict[str, str]:
        """`label@seed` -> run id, of all plans in the store, the latest last."""
        plans = Store(self.store).plans()
        return {f"{job.label}@{job.seed}": job.run_id for plan in plans for job in plan.jobs}

    @property
    def weights(self) -> dict[str, str]:
        """Run id -> SHA-256 of the weights' bytes, for every finished run."""
        store = Store(self.store)
        results = {run: store.result(run) for run in store.run_ids()}
        return {
            run: hashlib.sha256((store.attempt(run, result.attempt).folder / WEIGHTS).read_bytes()).hexdigest()
            for run, result in results.items()
            if result is not None
        }

    @property
    def num_attempts(self) -> dict[str, int]:
        """Run id -> how often it was begun."""
        store = Store(self.store)
        return {run: len(store.attempts(run)) for run in store.run_ids()}

    def trained(self, before: dict[str, int]) -> set[str]:
        """Ids of runs that were begun since."""
        return {run for run, number in self.num_attempts.items() if number != before.get(run, 0)}

    def copy(self, to: Path) -> Petite:
        """The same with a copy of the store."""
        shutil.copytree(self.store, to)
        return dataclasses.replace(self, store=to)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in Hugging Face's layout: 3 classes that their colours tell apart, 16 pixels."""
    return _write_pictures(tmp_path_factory.mktemp("pictures"), CLASS_COLOURS)


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four other classes, to pretrain on."""
    return _write_pictures(tmp_path_factory.mktemp("source"), SOURCE_COLOURS)


def _write_pictures(folder: Path, colours: dict[str, tuple[int, int, int]]) -> Path:
    generator = np.random.default_rng(0)
    names = list(colours)
    features = {"info": {"features": {"label": {"names": names}}}}
    for split, per_class in (("train", 16), ("validation", 10), ("test", 4)):
        labels = [label for label in range(len(names)) for _ in range(per_class)]
        rows = [{"bytes": _png(colours[names[label]], generator), "path": f"{split}-{label}.png"} for label in labels]
        table = pa.table({"image": rows, "label": pa.array(labels, pa.int64())})
        table = table.replace_schema_metadata({"huggingface": json.dumps(features)})
        pq.write_table(table, folder / f"{split}-00000-of-00001.parquet")
    return folder


def _png(colour: tuple[int, int, int], generator: np.random.Generator) -> bytes:
    noise = generator.normal(0, 20, size=(16, 16, 3))
    buffer = io.BytesIO()
    Image.fromarray(np.clip(np.asarray(colour) + noise, 0, 255).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def petite(pictures: Path, source: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Petite:
    """The command with an empty store."""
    return Petite(pictures, source, tmp_path / "store", capfd)


@pytest.fixture(scope="session")
def finished(pictures: Path, source: Path, tmp_path_factory: pytest.TempPathFactory) -> Petite:
    """The report sweep, run once in a process of its own, without Ray and without a disturbance."""
    petite = Petite(pictures, source, tmp_path_factory.mktemp("finished") / "store")
    outcome = petite.process(*petite.report, "--serial")
    assert outcome.code == 0, outcome.out + outcome.err
    assert len(petite.weights) == 9
    return petite


@pytest.fixture
def copied(finished: Petite, tmp_path: Path, petite: Petite) -> Petite:
    """A copy of the finished store that a test may change."""
    return dataclasses.replace(petite, store=finished.copy(tmp_path / "copied").store)


@pytest.fixture(scope="session")
def wait_for() -> Callable[[Callable[[], Any]], Any]:
    """Poll until something is there, or fail after a deadline."""

    def wait(probe: Callable[[], Any]) -> Any:
        end = time.monotonic() + DEADLINE_SECONDS
        while time.monotonic() < end:
            found = probe()
            if found:
                return found
            time.sleep(0.02)
        raise AssertionError(f"nothing came within {DEADLINE_SECONDS} s")

    return wait


def _heed_interrupts() -> None:
    """A shell that starts the tests in the background makes its children deaf to SIGINT, nohup to SIGHUP: not here."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture
def start(petite: Petite) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start the command in a process group of its own; whatever is left of it is killed afterwards."""
    processes: list[subprocess.Popen[str]] = []

    def start_(*arguments: str, store: Path | None = None) -> subprocess.Popen[str]:
        command = dataclasses.replace(petite, store=store or petite.store).command(*arguments)
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        pipes["preexec_fn"] = _heed_interrupts
        processes.append(subprocess.Popen(command, start_new_session=True, cwd=petite.pictures, **pipes))
        return processes[-1]

    yield start_
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
