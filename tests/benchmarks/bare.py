"""How fast the real loop trains, against bare forward, backward and optimizer step on random tensors.

    python tests/benchmarks/bare.py [--model student] [--size 32] [--batch 32] [--steps 20] [--rounds 5]

Both in one process, on the same device, in turns of `--steps` steps. The loop reads mapped pictures, draws and
applies their views, moves the learning rate and keeps its figures; the bare one has a batch of floats in memory. On a
CPU seconds are those of the processor, so that what else runs on the machine counts less.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sweeps.allocator import restart_with_it
from trainers.environment import describe_environment
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
from trainers.training import Training

NUM_CLASSES = 11
VIEWS = {
    "flip and crop": Augment(crop_padding=4, horizontal_flip=True),
    "and rotation": Augment(crop_padding=4, horizontal_flip=True, rotation_degrees=15.0),
    "none": Augment(),
}


def main() -> None:
    """Print a Markdown table, a row per kind of views, and write it as Parquet."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", default="student")
    parser.add_argument("--size", type=int, default=32, help="pixels per side")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=20, help="in one turn, which is an epoch of the loop")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="a folder for the Parquet file (default: a temporary one)")
    arguments = parser.parse_args()
    restart_with_it()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with own_settings(1):
        rows = [_row(arguments, name, device) for name in VIEWS]
    out = arguments.out or Path(tempfile.mkdtemp(prefix="petite-bare-"))
    out.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), out / "bare.parquet")
    print("| model | pixels | batch | views | bare, images/s | the loop, images/s | ratio, median (least to most) |")
    print("|---|---:|---:|---|---:|---:|---:|")
    for row in rows:
        print(
            f"| {row['model']} | {row['size']} | {row['batch']} | {row['views']} | {row['bare']:.0f} "
            f"| {row['loop']:.0f} | {row['ratio']:.3f} ({row['least']:.3f} to {row['most']:.3f}) |"
        )
    print(f"\n{arguments.rounds} rounds on {device.type}; also in {out / 'bare.parquet'}")


def _row(arguments: argparse.Namespace, views: str, device: torch.device) -> dict[str, str | int | float]:
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder).open()
        spec = _spec(_prepare(store, arguments), arguments, VIEWS[views])
        training = Training(spec, store, device, describe_environment(spec, device, 1, ("", False)))
        bare = _bare_epoch(spec, arguments.steps, device)
        training._train(1)
        bare()
        epochs = iter(range(2, arguments.rounds + 2))
        pairs = [
            (_seconds(bare, device), _seconds(lambda: training._train(next(epochs)), device))
            for _ in range(arguments.rounds)
        ]
    ratios = [bare_seconds / loop_seconds for bare_seconds, loop_seconds in pairs]
    num_images = arguments.steps * arguments.batch
    return {
        "model": arguments.model,
        "size": arguments.size,
        "batch": arguments.batch,
        "views": views,
        "device": device.type,
        "bare": num_images / statistics.median(bare_seconds for bare_seconds, _ in pairs),
        "loop": num_images / statistics.median(loop_seconds for _, loop_seconds in pairs),
        "ratio": statistics.median(ratios),
        "least": min(ratios),
        "most": max(ratios),
    }


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


if __name__ == "__main__":
    main()
