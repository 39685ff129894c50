"""How fast networks train with the memory allocator's settings, against none.

    python tests/benchmarks/allocator.py [--cases student:128:32 student:128:128 ...] [--images 256] [--rounds 3]
        [--out FOLDER] [--quick]

A case is MODEL:PIXELS:BATCH: forward, backward and optimizer step on random tensors, one thread. Every figure is of a
fresh process, the settings in turns; seconds are those of its processor, so that what else runs counts less. Memory is
the most that the process had.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import tables

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sweeps.allocator import VARIABLE, environment

CASES = ["student:32:32", "student:32:128", "student:128:32", "student:128:128", "resnet18:32:32", "resnet18:32:128"]
NUM_CLASSES = 11
NUM_WARM_UP = 2
SETTINGS = {"default": "", "set": environment({}).get(VARIABLE, "")}


def main() -> None:
    """Print and write a row per case."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cases", nargs="+", default=CASES, metavar="MODEL:PIXELS:BATCH")
    parser.add_argument("--images", type=int, default=256, help="trained on in one process, at least one batch")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="folder of the Parquet file")
    parser.add_argument("--quick", action="store_true", help="tiny, to see that it works")
    parser.add_argument("--one", metavar="CASE", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(_train(arguments.one, arguments.images)))
        return
    if arguments.quick:
        arguments.cases, arguments.images, arguments.rounds = CASES[:1], 32, 1
    rows = [_row(case, arguments.images, arguments.rounds) for case in arguments.cases]
    tables.write_table("allocator", rows, arguments.out)


def _row(case: str, num_images: int, num_rounds: int) -> dict[str, tables.Cell]:
    figures: dict[str, list[dict[str, float]]] = {name: [] for name in SETTINGS}
    for _ in range(num_rounds):
        for name, value in SETTINGS.items():
            variables = {**os.environ, "OMP_NUM_THREADS": "1", VARIABLE: value}
            command = [sys.executable, __file__, "--one", case, "--images", str(num_images)]
            figures[name].append(json.loads(subprocess.check_output(command, env=variables, text=True)))
    speeds = {name: [one["images_per_second"] for one in ones] for name, ones in figures.items()}
    row: dict[str, tables.Cell] = {"case": case}
    for name, values in speeds.items():
        row[f"images/s, {name}"] = statistics.median(values)
    row |= tables.spread("ratio", [ours / default for default, ours in zip(*speeds.values(), strict=True)])
    return row | {f"MB, {name}": max(one["peak_mb"] for one in ones) for name, ones in figures.items()}


def _train(case: str, num_images: int) -> dict[str, float]:
    import torch

    from trainers.network import Network, build_body
    from trainers.spec import Choice, Normalization

    model, size, batch = case.split(":")[0], *map(int, case.split(":")[1:])
    torch.set_num_threads(1)
    body = build_body(Choice(name=model, args={"num_classes": NUM_CLASSES, "image_size": size}))
    network = Network(body, Normalization.IMAGENET).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), fused=True)
    images_BCHW = torch.rand(batch, 3, size, size).contiguous(memory_format=torch.channels_last)
    labels_B = torch.randint(NUM_CLASSES, (batch,))
    num_steps, start = max(1, num_images // batch), 0.0
    for step in range(NUM_WARM_UP + num_steps):
        if step == NUM_WARM_UP:
            start = time.process_time()
        loss = torch.nn.functional.cross_entropy(network(images_BCHW), labels_B)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    seconds = time.process_time() - start
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"images_per_second": num_steps * batch / seconds, "peak_mb": peak_mb}


if __name__ == "__main__":
    main()
