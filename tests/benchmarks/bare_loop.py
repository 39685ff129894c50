"""What bare.py compares: epochs of the real loop, and as many steps of a network on random tensors."""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable

import numpy as np
import tables
import torch

from trainers.environment import describe_environment
from trainers.execution import Execution
from trainers.network import build_network
from trainers.optim import build_optimizer
from trainers.process import own_settings
from trainers.result import Manifest, Split
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
)
from trainers.storage import Store
from trainers.teaching import Lessons
from trainers.training import Training

NUM_CLASSES = 11
VIEWS = {
    "flip and crop": Augment(crop_padding=4, horizontal_flip=True),
    "and rotation": Augment(crop_padding=4, horizontal_flip=True, rotation_degrees=15.0),
    "none": Augment(),
}


def rows(arguments: argparse.Namespace) -> list[dict[str, tables.Cell]]:
    """A row per kind of views."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with own_settings(1):
        return [row(arguments, name, device) for name in VIEWS]


def row(arguments: argparse.Namespace, views: str, device: torch.device) -> dict[str, tables.Cell]:
    """Both ways in turns, over one kind of views."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder).open()
        spec = _spec(_prepare(store, arguments), arguments, VIEWS[views])
        execution = Execution(uses_gpu=device.type == "cuda")
        lessons = Lessons(spec, store, device, execution, print)
        environment = describe_environment(spec, device, execution)
        training = Training(spec, store, device, environment, lessons, lambda: None)
        bare = _bare_epoch(spec, arguments.steps, device)
        training._train(1)
        bare()
        epochs = iter(range(2, arguments.rounds + 2))
        pairs = [
            (_seconds(bare, device), _seconds(lambda: training._train(next(epochs)), device))
            for _ in range(arguments.rounds)
        ]
    num_images = arguments.steps * arguments.batch
    found: dict[str, tables.Cell] = {"model": arguments.model, "pixels": arguments.size, "batch": arguments.batch}
    found |= {"views": views, "device": device.type}
    found["bare, images/s"] = num_images / statistics.median(bare_seconds for bare_seconds, _ in pairs)
    found["the loop, images/s"] = num_images / statistics.median(loop_seconds for _, loop_seconds in pairs)
    return found | tables.spread("ratio", [bare_seconds / loop_seconds for bare_seconds, loop_seconds in pairs])


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    start = clock()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return clock() - start


def _prepare(store: Store, arguments: argparse.Namespace) -> str:
    """Random pictures, as a data set is prepared; gives its fingerprint."""
    draw, size, fingerprint = np.random.default_rng(0), arguments.size, "bare"
    counts = {Split.TRAIN: arguments.steps * arguments.batch, Split.VALIDATION: NUM_CLASSES, Split.TEST: 0}
    with store.preparation(fingerprint) as folder:
        whole = folder / "whole"
        whole.mkdir()
        for split, count in counts.items():
            np.save(whole / f"{split.value}_images.npy", draw.integers(0, 256, (count, size, size, 3), dtype=np.uint8))
            np.save(whole / f"{split.value}_labels.npy", np.arange(count) % NUM_CLASSES)
        manifest = Manifest(
            fingerprint=fingerprint,
            name="random",
            origin="a benchmark",
            class_names=tuple("abcdefghijk"),
            image_size=size,
            num_images={split.value: count for split, count in counts.items()},
            has_test_labels=False,
        )
        store.publish_data(whole, manifest, request=fingerprint)
    return fingerprint


def _spec(fingerprint: str, arguments: argparse.Namespace, augment: Augment) -> RunSpec:
    return RunSpec(
        data=fingerprint,
        model=Choice(name=arguments.model, args={"num_classes": NUM_CLASSES, "image_size": arguments.size}),
        objective=Choice(name="cross_entropy"),
        optimizer=Optimizer(name=OptimizerName.ADAMW, lr=1e-3, weight_decay=0.01),
        schedule=Schedule(name=ScheduleName.COSINE),
        augment=augment,
        normalize=Normalization.IMAGENET,
        epochs=arguments.rounds + 1,
        batch_size=arguments.batch,
        precision=Precision.FLOAT32,
        seed=0,
        view_seed=0,
    )


def _bare_epoch(spec: RunSpec, num_steps: int, device: torch.device) -> Callable[[], None]:
    """What nobody can leave out, on the same network with the same optimizer."""
    network = build_network(spec).to(device).train()
    optimizer = build_optimizer(spec.optimizer, network.parameters())
    size = spec.model.args["image_size"]
    images_BCHW = torch.rand(spec.batch_size, 3, size, size, device=device)  # type: ignore[arg-type]
    images_BCHW = images_BCHW.contiguous(memory_format=torch.channels_last)
    labels_B = torch.randint(NUM_CLASSES, (spec.batch_size,), device=device)

    def epoch() -> None:
        for _ in range(num_steps):
            loss = torch.nn.functional.cross_entropy(network(images_BCHW), labels_B)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()

    return epoch
