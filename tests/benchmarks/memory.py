"""Resident memory that the data set adds per extra trial, as a share of its size: what is mapped should be shared.

    python tests/benchmarks/memory.py [--megabytes 300] [--processes 1,2,4] [--out FOLDER] [--quick]

N processes of `run_all.py --serial` train at the same time on one prepared data set of generated noise, each with a
store and a seed of its own. `mapped` is the resident part of the pictures' files, a page that k processes share being
1/k in each (Pss of /proc/PID/smaps). `own` is anonymous memory; what the data set adds to it is told by a small data
set, seen as often in as many epochs. Both are sums over the processes, the median of the samples that were taken after
everybody's first epoch, when all pictures had been read, and before anybody's end. Code of libraries is left out.

added per extra trial = [all(large, N) - all(large, 1) - (all(small, N) - all(small, 1))] / (N - 1), all = mapped + own
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import product
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import tables
from PIL import Image

SIZE = 128
"""Pixels per side: 49 kB per picture."""
SMALL_SHARE = 8
"""The small data set is this many times smaller, and seen for as many times more epochs."""
EPOCHS = 2
MAX_SHARE = 0.05
"""Target."""
POLL_SECONDS = 0.1
MEGA = 10**6
NUM_CLASSES = 4


@dataclass(frozen=True, kw_only=True)
class Noise:
    """A data set: its Parquet file, how often it is seen, and the store that it was prepared in."""

    file: Path
    epochs: int
    store: Path
    num_bytes: int


class Resident(NamedTuple):
    """Bytes of some processes together."""

    mapped: float
    own: float

    @property
    def all(self) -> float:
        """Everything but code."""
        return self.mapped + self.own


def main() -> None:
    """Print and write a row per number of processes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=300, help="of the data set, prepared")
    parser.add_argument("--processes", default="1,2,4", help="the first is what the others are compared with: 1")
    parser.add_argument("--out", type=Path, help="folder of the Parquet file")
    parser.add_argument("--quick", action="store_true", help="tiny, to see that it works")
    options = parser.parse_args()
    if options.quick:
        options.megabytes, options.processes = 16, "1,2"
    numbers = [int(number) for number in options.processes.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        epochs = 16 * EPOCHS if options.quick else EPOCHS  # so that such short trainings meet
        large = make_noise(Path(folder) / "large", options.megabytes * MEGA, epochs)
        small = make_noise(Path(folder) / "small", options.megabytes * MEGA // SMALL_SHARE, epochs * SMALL_SHARE)
        found = {number: (measure(large, number), measure(small, number)) for number in numbers}
    tables.write_table("memory", [_row(number, found, large.num_bytes) for number in numbers], options.out)


def make_noise(folder: Path, num_bytes: int, epochs: int) -> Noise:
    """Random pictures as Parquet, prepared in a store."""
    from trainers.prepare import DataRequest, prepare
    from trainers.storage import Store

    folder.mkdir()
    file, store = folder / "noise.parquet", folder / "prepared"
    rng = np.random.default_rng(0)
    num_pictures = num_bytes // (SIZE * SIZE * 3)
    pictures = [{"bytes": _bmp(rng), "path": f"{number}.bmp"} for number in range(num_pictures)]
    labels = np.arange(num_pictures) % NUM_CLASSES
    pq.write_table(pa.table({"image": pictures, "label": labels}), file, row_group_size=100)
    request = DataRequest(name="parquet", path=str(file), image_size=SIZE)
    manifest = prepare(Store(store).open(), request, lambda done, total: None)
    prepared = Store(store).data_folder(manifest.fingerprint)
    num_bytes = sum(array.stat().st_size for array in prepared.glob("*_images.npy"))
    return Noise(file=file, epochs=epochs, store=store, num_bytes=num_bytes)


def _bmp(rng: np.random.Generator) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)).save(stream, format="bmp")
    return stream.getvalue()


def measure(noise: Noise, number: int) -> Resident:
    """Train in so many processes at once, and watch."""
    with tempfile.TemporaryDirectory(dir=noise.store.parent) as folder:
        stores = [Path(folder) / str(seed) for seed in range(number)]
        processes = [_start(noise, store, seed) for seed, store in enumerate(stores)]
        samples: list[Resident] = []
        while any(process.poll() is None for process in processes):
            if all(_is_past_first_epoch(store) for store in stores):
                samples.append(_resident([process.pid for process in processes]))
            time.sleep(POLL_SECONDS)
        for process in processes:
            if process.returncode:
                raise RuntimeError(f"a training failed: {process.communicate()[1].decode()[-2000:]}")
    if not samples:
        raise RuntimeError(f"{number} processes were never at it at the same time; give more --megabytes")
    typical = Resident(*(int(statistics.median(values)) for values in zip(*samples, strict=True)))
    print(
        f"{noise.store.parent.name}, {number} processes: {typical}, {len(samples)} samples", file=sys.stderr, flush=True
    )
    return typical


def _is_past_first_epoch(store: Path) -> bool:
    """Whether a training has written a record of an epoch, and no result yet."""
    (run,) = (store / "runs").glob("*") if (store / "runs").exists() else [store]
    return any(run.glob("attempts/*/curves.jsonl")) and not (run / "result.json").exists()


def _start(noise: Noise, store: Path, seed: int) -> subprocess.Popen[bytes]:
    """A command with a store of its own, in which the prepared pictures are those of the others."""
    from trainers.storage import Store

    Store(store).open()
    shutil.rmtree(store / "data", ignore_errors=True)
    (store / "data").symlink_to(noise.store / "data")
    words = product.command(
        store,
        {
            "data": f"parquet:{noise.file}",
            "image_size": SIZE,
            "only": "student_scratch",
            "seeds": seed,
            "epochs": noise.epochs,
            "batch_size": 32,
            "set": ["model.stem_stride=8", "model.width=0.25"],  # a small network: memory is the pictures'
            "pretrained": "imagenet",
            "serial": True,
        },
    )
    environment = {**os.environ, **product.ONE_THREAD}
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment)


def _resident(pids: list[int]) -> Resident:
    """Of processes and all that they started; those that have ended count nothing."""
    mapped = own = 0
    for pid in pids:
        try:
            one = psutil.Process(pid)
            maps = [each for process in (one, *one.children(recursive=True)) for each in process.memory_maps()]
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        mapped += sum(each.pss for each in maps if each.path.endswith("_images.npy"))
        own += sum(each.pss for each in maps if each.path.startswith("["))
    return Resident(mapped=mapped, own=own)


def _row(number: int, found: dict[int, tuple[Resident, Resident]], num_bytes: int) -> dict[str, tables.Cell]:
    (large, small), (large_1, small_1) = found[number], found[min(found)]
    row: dict[str, tables.Cell] = {"processes": number, "data set, MB": num_bytes / MEGA}
    row |= {
        "mapped, MB": large.mapped / MEGA,
        "own, MB": large.own / MEGA,
        "own with the small one, MB": small.own / MEGA,
    }
    extra = number - min(found)
    if extra:
        mapped = (large.mapped - large_1.mapped) / extra
        added = ((large.all - large_1.all) - (small.all - small_1.all)) / extra
        row |= {"mapped, per extra trial, MB": mapped / MEGA, "added per extra trial, MB": added / MEGA}
        row |= {"% of the data set": 100 * added / num_bytes, "target": f"under {100 * MAX_SHARE:.0f} %"}
    return row


if __name__ == "__main__":
    main()
