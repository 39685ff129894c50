"""The page of a store of many runs: how large it is, how long building and opening it take, and whether it answers.

    python tests/benchmarks/report.py [--runs 100,1000] [--epochs 200] [--store FOLDER] [--out FOLDER] [--quick]

The runs are made up (synthetic.py), in the format of real ones and with all their files, predictions included.
Building is `python -m analysis.report` in a process of its own, imports included, with nothing gathered before. In
chromium: from the navigation until every chart is drawn, and from a move of the slider until another answer is painted
(median of the moves); without a chromium these stay empty.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import product  # makes the project importable
import tables

MAX_MEGABYTES = {100: 5.0}
MAX_SECONDS = {1_000: 30.0}
"""Targets, by runs: of the page's size, and of building it."""
NUM_CLASSES, NUM_IMAGES, NUM_FILES = 11, 1_000, 16
"""Predictions: images per split, and how many different files there are."""
MEGA = 10**6
MOVE = """async (value) => {
  const slider = document.getElementById("budget"), answer = document.getElementById("answer");
  const before = answer.textContent, start = performance.now();
  slider.value = value;
  slider.dispatchEvent(new Event("input"));
  await new Promise((painted) => requestAnimationFrame(() => setTimeout(painted)));
  return [performance.now() - start, answer.textContent !== before];
}"""


def main() -> None:
    """Print and write a row per number of runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", default="100,1000")
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--store", type=Path, help="where the made-up stores are, or are to be, one per number")
    parser.add_argument("--out", type=Path, help="folder of the Parquet file")
    parser.add_argument("--quick", action="store_true", help="tiny, to see that it works")
    options = parser.parse_args()
    if options.quick:
        options.runs, options.epochs = "12", 5
    with tempfile.TemporaryDirectory() as folder:
        stores = options.store or Path(folder)
        rows = [_row(stores / f"{number}", int(number), options.epochs) for number in options.runs.split(",")]
    tables.write_table("report", rows, options.out)


def _row(folder: Path, num_runs: int, num_epochs: int) -> dict[str, tables.Cell]:
    from synthetic import make_store

    if not folder.exists():
        make_store(folder, num_runs, num_epochs=num_epochs, predictions=_predictions())
        print(f"{num_runs} runs made up in {folder}", file=sys.stderr, flush=True)
    shutil.rmtree(folder / "tables", ignore_errors=True)
    row: dict[str, tables.Cell] = {"runs": num_runs, "epochs": num_epochs}
    row["build, s"], row["peak, MB"] = _built(folder)
    row["at most, s"] = MAX_SECONDS.get(num_runs)
    row["build again, s"], _ = _built(folder)
    page = folder / "report" / "index.html"
    row["page, MB"] = page.stat().st_size / MEGA
    row["at most, MB"] = MAX_MEGABYTES.get(num_runs)
    return row | _opened(page)


def _built(store: Path) -> tuple[float, float]:
    """Seconds, and the largest resident memory in MB, of the command."""
    start = time.perf_counter()
    with subprocess.Popen([sys.executable, "-m", "analysis.report", str(store)], cwd=product.ROOT) as process:
        _, code, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(code)
    if process.returncode:
        raise RuntimeError(f"analysis.report {store}: exit code {process.returncode}")
    return time.perf_counter() - start, usage.ru_maxrss * 1024 / MEGA


def _predictions() -> list[bytes]:
    """Files of the format of real ones, right more often than not."""
    from trainers.result import Split, encode_predictions

    draw = np.random.default_rng(0)
    files = []
    for _ in range(NUM_FILES):
        splits = {}
        for split in (Split.VALIDATION, Split.TEST):
            labels = np.arange(NUM_IMAGES) % NUM_CLASSES
            logits = draw.normal(0, 1, (NUM_IMAGES, NUM_CLASSES)).astype(np.float32)
            logits[np.arange(NUM_IMAGES), labels] += 2
            splits[split] = (labels, logits)
        files.append(encode_predictions(splits))
    return files


def _opened(page: Path) -> dict[str, tables.Cell]:
    """Seconds until the page is ready, and milliseconds that a move of the slider takes."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        return {"ready, s": None, "slider, ms": None}
    from playwright.sync_api import sync_playwright

    options = ["--no-sandbox"] if os.geteuid() == 0 else []  # its sandbox is not for root
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=options)
        tab = browser.new_page()
        tab.set_default_timeout(600_000)
        start = time.perf_counter()
        tab.goto(page.as_uri())
        tab.locator("html[data-ready=true]").wait_for()
        found: dict[str, tables.Cell] = {"ready, s": time.perf_counter() - start, "slider, ms": _moved(tab)}
        browser.close()
    return found


def _moved(tab: Any) -> float:
    """Between the ends of the slider, to and fro; only moves that changed the answer count."""
    ends = [float(tab.get_attribute("#budget", name)) for name in ("max", "min")]
    moves = [tab.evaluate(MOVE, end) for end in ends * 5]
    return statistics.median(milliseconds for milliseconds, has_changed in moves if has_changed)


if __name__ == "__main__":
    main()
