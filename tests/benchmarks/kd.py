"""Distilled pictures per second on one core: a notebook's loop, torchdistill, ours with a live and a cached teacher.

    python tests/benchmarks/kd.py [--sizes 32,128] [--batch-sizes 32,128] [--rounds 3] [--out FOLDER] [--quick]

The student with its default strides learns from a ResNet18, with the views of the recipe `quick`. Every figure is a
process of its own on one core, one after the other in every round; it is the median over epochs after the first,
validation apart. Ours is `run_all.py --serial`. Cached logits were written by an earlier round, outside the figure:
tests/benchmarks/sweep.py has them inside. Peers have batches of 32. Without `--teacher-epochs` the teacher is
untrained, which changes accuracies and no speed. Rows of larger batches show what accuracy they reach in equal epochs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import product
import tables

STUDENT = "student_kd_given"
PEER_BATCH = 32
MIN_GAIN = {32: 3.8, 128: 2.5}
"""Targets by pixels: cached logits over the faster peer at equal batch."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One size of the pictures: the prepared folder, the teacher's file, and the options of our command."""

    size: int
    store: Path
    pictures: Path
    teacher: Path
    options: dict[str, object]
    epochs: int
    model_args: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """Images per second of each epoch after the first, and the best validation accuracy in 0..1."""

    speeds: tuple[float, ...]
    accuracy: float


Measure = Callable[[Case], Figure]


def main() -> None:
    """Print and write a row per size and way of training."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="plates", help="as run_all.py takes it, for example parquet:FILE")
    parser.add_argument("--limit", type=int, default=2000, help="pictures at 32 pixels; fewer of larger ones")
    parser.add_argument("--sizes", default="32,128", help="pixels per side")
    parser.add_argument("--batch-sizes", default="32,128", help="of ours")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--teacher-epochs", type=int, default=0)
    parser.add_argument("--stem-stride", type=int, default=2, help="of the student's first convolution")
    parser.add_argument("--only", default="", help="ways that contain one of these words: notebook,cached")
    parser.add_argument("--out", type=Path, help="folder of the Parquet file")
    parser.add_argument("--quick", action="store_true", help="tiny, to see that it works")
    options = parser.parse_args()
    if options.quick:
        options.sizes, options.batch_sizes, options.epochs, options.rounds, options.limit = "32", "32", 2, 1, 400
    _pin_to_one_core()
    with tempfile.TemporaryDirectory() as folder:
        rows = [
            row for size in _numbers(options.sizes) for row in _rows(make_case(options, size, Path(folder)), options)
        ]
    tables.write_table("kd", rows, options.out)


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def _pin_to_one_core() -> None:
    """This process and all that it starts; the last core, since the first has more of the system's work."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def make_case(options: argparse.Namespace, size: int, folder: Path) -> Case:
    """Prepare the pictures of one size, and a teacher."""
    from trainers.prepare import DataRequest, parse_data, prepare
    from trainers.storage import Store

    store, teacher = folder / f"store-{size}", folder / f"teacher-{size}.pt"
    name, path = parse_data(options.data)
    limit = options.limit * 32 // size if size > 32 else options.limit
    request = DataRequest(name=name, path=path, image_size=size, limit=limit)
    manifest = prepare(Store(store).open(), request, lambda done, total: None)
    pictures = Store(store).data_folder(manifest.fingerprint)
    shape = {"num_classes": manifest.num_classes, "image_size": size}
    product.run(_notebook(pictures, "resnet18", shape, teacher, "--epochs", options.teacher_epochs))
    ours = {"data": options.data, "image_size": size, "limit": limit, "teacher": teacher, "only": STUDENT}
    ours |= {"force": STUDENT, "serial": True, "allow_weak_teacher": True, "epochs": options.epochs}
    ours["set"] = f"student:model.stem_stride={options.stem_stride}"
    return Case(
        size=size,
        store=store,
        pictures=pictures,
        teacher=teacher,
        options=ours,
        epochs=options.epochs,
        model_args={**shape, "stem_stride": options.stem_stride},
    )


def _notebook(
    pictures: Path, model: str, model_args: dict[str, int], out: Path, *more: object, loop: str = "notebook_loop"
) -> list[str]:
    what = ("--data", pictures, "--model", model, "--model-args", json.dumps(model_args), "--out", out)
    return product.peer(loop, *what, *more)


def _rows(case: Case, options: argparse.Namespace) -> list[dict[str, tables.Cell]]:
    """Every way in turn, round after round; ratios are within a round, over the faster peer in it."""
    words = options.only.split(",")
    chosen = {name: how for name, how in ways(options).items() if any(word in name for word in words)}
    rounds: list[dict[str, Figure | str]] = []
    for number in range(options.rounds):
        rounds.append({name: how if isinstance(how, str) else how(case) for name, how in chosen.items()})
        print(f"{case.size} pixels: round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
    return [_row(case, name, rounds) for name in chosen]


def ways(options: argparse.Namespace) -> dict[str, Measure | str]:
    """Name -> how its figure is taken, or why there is none."""
    from sweeps.request import Options

    has_torchdistill = find_spec("torchdistill") is not None
    has_cache = "teacher_logits" in Options.__annotations__
    found: dict[str, Measure | str] = {
        f"notebook loop, batch {PEER_BATCH}": partial(measure_peer, loop="notebook_loop"),
        f"torchdistill, batch {PEER_BATCH}": partial(measure_peer, loop="torchdistill_loop")
        if has_torchdistill
        else 'not installed; pip install ".[bench]"',
    }
    for batch_size in _numbers(options.batch_sizes):
        live = {"batch_size": batch_size} | ({"teacher_logits": "never"} if has_cache else {})
        cached = {"batch_size": batch_size, "teacher_logits": "always"}
        found[f"ours, live teacher, batch {batch_size}"] = partial(measure_ours, settings=live)
        found[f"ours, cached logits, batch {batch_size}"] = (
            partial(measure_ours, settings=cached) if has_cache else "not available"
        )
    return found


def measure_peer(case: Case, loop: str) -> Figure:
    """A loop of peers/ in a process of its own."""
    out = case.store.parent / f"{loop}.pt"
    more = ("--teacher", case.teacher, "--epochs", case.epochs, "--batch-size", PEER_BATCH)
    product.run(_notebook(case.pictures, "student", case.model_args, out, *more, loop=loop))
    epochs = json.loads(out.with_suffix(".json").read_text())
    speeds = tuple(epoch["num_images"] / epoch["train_seconds"] for epoch in epochs[1:])
    return Figure(speeds=speeds, accuracy=max(epoch["accuracy"] for epoch in epochs))


def measure_ours(case: Case, settings: dict[str, object]) -> Figure:
    """Our command, which trains the student again; its speeds are those of its curves."""
    from sweeps.api import gather

    product.run(product.command(case.store, {**case.options, **settings}))
    gathered = gather(case.store)
    is_ours = (gathered.runs["label"] == STUDENT) & (gathered.runs["batch_size"] == settings["batch_size"])
    (run,) = gathered.runs.loc[is_ours, "run_id"]
    curve = gathered.curves[gathered.curves["run_id"] == run]
    speeds = tuple(curve.loc[curve["epoch"] > 1, "images_per_second"])
    return Figure(speeds=speeds, accuracy=float(curve["validation_accuracy"].max()))


def _row(case: Case, name: str, rounds: list[dict[str, Figure | str]]) -> dict[str, tables.Cell]:
    row: dict[str, tables.Cell] = {"pixels": case.size, "way": name}
    if isinstance(rounds[0][name], str):
        return {**row, "note": rounds[0][name]}  # type: ignore[dict-item]  # checked in the line above
    speeds = [_speed(one[name]) for one in rounds]
    row |= tables.spread("images/s", speeds)
    peers = [[_speed(figure) for peer, figure in one.items() if "ours" not in peer] for one in rounds]
    if all(any(one) for one in peers):
        row |= tables.spread("over the faster peer", [ours / max(one) for ours, one in zip(speeds, peers, strict=True)])
    accuracies = [one[name].accuracy for one in rounds if isinstance(one[name], Figure)]  # type: ignore[union-attr]
    row["validation %"] = 100 * statistics.median(accuracies)
    is_aim = name == f"ours, cached logits, batch {PEER_BATCH}" and case.size in MIN_GAIN
    return {**row, "target": MIN_GAIN[case.size]} if is_aim else row


def _speed(figure: Figure | str) -> float:
    return 0.0 if isinstance(figure, str) else statistics.median(figure.speeds)


if __name__ == "__main__":
    main()
