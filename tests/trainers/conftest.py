"""Tiny specs, stores, pictures and Parquet files; every record is written by the store itself."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from trainers.execution import Execution
from trainers.loop import epochs
from trainers.result import Environment, EpochRecord, Manifest, Result, Split
from trainers.spec import (
    Augment,
    Choice,
    Normalization,
    Optimizer,
    OptimizerName,
    Precision,
    RunSpec,
    Schedule,
    ScheduleName,
    digest_of,
    run_id,
)
from trainers.storage import Attempt, Store
from trainers.teaching import Lessons
from trainers.training import Training

MODEL = Choice(name="conv_plain", args={"num_classes": 2, "image_size": 8, "channels": (4, 6), "final_size": 2})


def make_spec(*, seed: int = 0, **changes: Any) -> RunSpec:
    """Two classes, 8 pixels, a network of a few hundred parameters; `teacher=` makes it a distillation."""
    objective = Choice(name="kd", args={"temperature": 4.0}) if "teacher" in changes else Choice(name="cross_entropy")
    spec = RunSpec(
        data="f00d",
        model=MODEL,
        objective=objective,
        optimizer=Optimizer(name=OptimizerName.ADAMW, lr=1e-2, weight_decay=0.01),
        schedule=Schedule(name=ScheduleName.COSINE),
        augment=Augment(crop_padding=1, horizontal_flip=True, rotation_degrees=10.0),
        normalize=Normalization.NONE,
        epochs=3,
        batch_size=8,
        precision=Precision.FLOAT32,
        seed=seed,
        view_seed=seed,
    )
    return replace(spec, **changes)


def png(pixels_HWC: Any, file_format: str = "PNG") -> bytes:
    """An array of pixels as the bytes of a picture file."""
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(pixels_HWC, dtype=np.uint8)).save(buffer, file_format)
    return buffer.getvalue()


def pixels_of(index: int, size: int = 8) -> np.ndarray[Any, Any]:
    """A picture that no other index has."""
    return np.random.default_rng(index).integers(0, 256, (size, size, 3), dtype=np.uint8)


def write_parquet(
    file: Path,
    pictures: Sequence[bytes | None],
    labels: Any,
    *,
    column: str = "image",
    names: Sequence[str] | None = None,
) -> Path:
    """A shard as Hugging Face's library writes it; `names` go into the schema's metadata."""
    file.parent.mkdir(parents=True, exist_ok=True)
    structs = [{"bytes": content, "path": f"{index}.png"} for index, content in enumerate(pictures)]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    label_array = labels if isinstance(labels, pa.Array) else pa.array(labels, pa.int64())
    table = pa.table({column: pa.array(structs, kind), "label": label_array})
    if names is not None:
        described = {"info": {"features": {"label": {"names": list(names), "_type": "ClassLabel"}}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(described)})
    pq.write_table(table, file)
    return file


@dataclass(frozen=True)
class Lab:
    """A store with the means to put data into it and to train in it."""

    store: Store

    def data(self, *, sizes: tuple[int, int, int] = (24, 10, 6), num_classes: int = 2, seed: int = 0) -> str:
        """Prepared pictures whose mean brightness tells the class, with noise on top; gives the fingerprint."""
        draw, fingerprint = np.random.default_rng(seed), digest_of([list(sizes), num_classes, seed])
        with self.store.preparation(fingerprint) as folder:
            whole = folder / "whole"
            whole.mkdir()
            for split, size in zip(Split, sizes, strict=True):
                labels = np.arange(size) % num_classes
                levels = 40 + labels[:, None, None, None] * 150 // max(1, num_classes - 1)
                noise = draw.integers(0, 60, (size, 8, 8, 3))
                np.save(whole / f"{split.value}_images.npy", (levels + noise).astype(np.uint8))
                np.save(whole / f"{split.value}_labels.npy", labels)
            manifest = Manifest(
                fingerprint=fingerprint,
                name="bright",
                origin="painted for a test",
                class_names=tuple("abcdefgh"[:num_classes]),
                image_size=8,
                num_images={split.value: size for split, size in zip(Split, sizes, strict=True)},
                has_test_labels=sizes[2] > 0,
            )
            self.store.publish_data(whole, manifest, request=fingerprint)
        return fingerprint

    def begin(self, spec: RunSpec) -> Attempt:
        self.store.write_spec(spec)
        return self.store.begin_attempt(run_id(spec))

    def steps(self, spec: RunSpec, **execution: Any) -> Iterator[EpochRecord]:
        """A new attempt, epoch by epoch; abandoning it is an interruption."""
        return epochs(spec, self.store, self.begin(spec), Execution(**execution))

    def train(self, spec: RunSpec, **execution: Any) -> Result:
        """A new attempt to its end."""
        list(self.steps(spec, **execution))
        result = self.store.result(run_id(spec))
        assert result is not None
        return result

    def training(self, spec: RunSpec, environment: Environment, **execution: Any) -> Training:
        """A training that has not begun, whose parts a test may look at."""
        lessons = Lessons(spec, self.store, torch.device("cpu"), Execution(**execution), lambda message: None)
        return Training(spec, self.store, torch.device("cpu"), environment, lessons, lambda: None)

    def train_until(self, spec: RunSpec, epoch: int) -> Attempt:
        """An attempt that is interrupted right after an epoch."""
        steps = self.steps(spec)
        for _ in range(epoch):
            next(steps)
        steps.close()  # type: ignore[attr-defined]
        return self.store.attempts(run_id(spec))[-1]

    def file(self, spec: RunSpec, name: str) -> Path:
        """A file of a finished run."""
        return self.store.verified_file(run_id(spec), name)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A new, empty store."""
    return Store(tmp_path / "store").open()


@pytest.fixture
def lab(store: Store) -> Lab:
    """The store with its tools."""
    return Lab(store)


@pytest.fixture
def make_lab(tmp_path: Path) -> Any:
    """More stores, by name, to compare."""
    return lambda name: Lab(Store(tmp_path / name).open())


@pytest.fixture(name="make_spec")
def make_spec_fixture() -> Any:
    """The spec factory, for test files."""
    return make_spec


@pytest.fixture(name="png")
def png_fixture() -> Any:
    """Pixels -> bytes of a picture file."""
    return png


@pytest.fixture(name="pixels_of")
def pixels_of_fixture() -> Any:
    """Index -> pixels."""
    return pixels_of


@pytest.fixture(name="write_parquet")
def write_parquet_fixture() -> Any:
    """The writer of Parquet shards."""
    return write_parquet


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Other people use this machine, and two threads are slower than one for networks this small."""
    torch.set_num_threads(1)
