"""How fast pictures become prepared arrays, against one thread that opens and resizes them with PIL.

    python tests/benchmarks/decode.py [--photos FOLDER] [--rounds 3] [--out FOLDER] [--quick]

FOLDER has class folders of pictures; without it, painted plates are written as JPEG of 256 and 512 pixels.
Every figure is taken beside its peer in the same round. Preparation also compares contents, writes the arrays
and syncs them, which the loop does not; the loop's pictures are gone afterwards.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tables
from PIL import Image, ImageOps

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from trainers.data import plates
from trainers.decoding import PICTURES_PER_CHUNK
from trainers.prepare import DataRequest, prepare
from trainers.processes import num_cpus
from trainers.result import Split
from trainers.storage import Store

MIN_PAINTED = 1000
PAINTED_SIZES = (256, 512)
"""Pixels per side of the painted pictures."""
PREPARED_SIZES = (64, 128, 256)
"""Pixels per side that they are prepared at."""


def main() -> None:
    """Print and write a row per size of the pictures and of what they are made into."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--photos", type=Path, help="a folder of class folders (default: painted plates)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="folder of the Parquet file")
    parser.add_argument("--quick", action="store_true", help="tiny, to see that it works")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds = 1
    with tempfile.TemporaryDirectory() as temporary:
        trees = _trees(arguments.photos, Path(temporary), 40 if arguments.quick else MIN_PAINTED)
        rows = [_row(name, folder, size, arguments.rounds) for name, folder in trees for size in PREPARED_SIZES]
    tables.write_table("decode", rows, arguments.out)


def _trees(photos: Path | None, temporary: Path, min_painted: int) -> Iterator[tuple[str, Path]]:
    if photos is not None:
        yield str(photos), photos
        return
    num_painted = max(min_painted, PICTURES_PER_CHUNK * num_cpus())  # a chunk for every worker
    for pixels in PAINTED_SIZES:
        folder = temporary / f"painted-{pixels}"
        for index in range(num_painted):
            file = folder / f"class {index % 10}" / f"{index}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            plates.render("target", Split.TRAIN, index).resize((pixels, pixels)).save(file, quality=90)
        yield f"{num_painted} painted JPEG of {pixels} pixels", folder


def _row(name: str, folder: Path, size: int, num_rounds: int) -> dict[str, tables.Cell]:
    for file in _files(folder):
        file.read_bytes()  # so that nobody is the first to fetch them from the disk
    pairs = [(_pil_speed(folder, size), _prepared_speed(folder, size)) for _ in range(num_rounds)]
    row: dict[str, tables.Cell] = {"pictures": name, "prepared at": size}
    row["PIL loop, images/s"] = statistics.median(loop for loop, _ in pairs)
    row[f"{num_cpus()} workers, images/s"] = statistics.median(ours for _, ours in pairs)
    return row | tables.spread("ratio", [ours / loop for loop, ours in pairs])


def _pil_speed(folder: Path, size: int) -> float:
    """Images per second of the loop that people write."""
    files = _files(folder)
    start = time.perf_counter()
    for file in files:
        np.asarray(ImageOps.fit(Image.open(file).convert("RGB"), (size, size), method=Image.Resampling.BICUBIC))
    return len(files) / (time.perf_counter() - start)


def _files(folder: Path) -> list[Path]:
    return [file for file in sorted(folder.rglob("*")) if file.is_file()]


def _prepared_speed(folder: Path, size: int) -> float:
    """Images per second from files to arrays that a trial can map."""
    with tempfile.TemporaryDirectory() as store:
        request = DataRequest(name="images", path=str(folder), image_size=size)
        start = time.perf_counter()
        manifest = prepare(Store(store).open(), request, lambda done, total: None)
        return sum(manifest.num_images.values()) / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
