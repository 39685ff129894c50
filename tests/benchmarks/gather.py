"""Gather and rank a store of many runs: at first, with nothing new, with a few new ones; and list it.

    python tests/benchmarks/gather.py [--runs 100000] [--new 10] [--store FOLDER] [--out FOLDER] [--quick]

The runs are made up (synthetic.py), in the format of real ones and with all their files. Every figure is a command of
its own, imports included. `--store` keeps the store, and uses it again if it is there.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import product
import tables

MAX_SECONDS = {"gather and rank": 60.0, "again, with new runs": 3.0}
"""Targets, at 100,000 runs and 10 new ones."""


def main() -> None:
    """Print and write a row per command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--new", type=int, default=10)
    parser.add_argument("--store", type=Path, help="where the made-up store is, or is to be")
    parser.add_argument("--out", type=Path, help="folder of the Parquet file")
    parser.add_argument("--quick", action="store_true", help="tiny, to see that it works")
    options = parser.parse_args()
    if options.quick:
        options.runs = 300
    with tempfile.TemporaryDirectory() as folder:
        store = options.store or Path(folder) / "store"
        tables.write_table("gather", _rows(store, options.runs, options.new), options.out)


def _rows(folder: Path, num_runs: int, num_new: int) -> list[dict[str, tables.Cell]]:
    from synthetic import add_runs, make_store

    from trainers.storage import Store

    if not folder.exists():
        make_store(folder, num_runs)
        print(f"{num_runs} runs made up in {folder}", file=sys.stderr, flush=True)
    store = Store(folder)
    shutil.rmtree(folder / "tables", ignore_errors=True)
    rank = [sys.executable, "-m", "analysis.rank", str(folder), "--all"]
    rows = [_row(store, "gather and rank", rank), _row(store, "again, with nothing new", rank)]
    add_runs(store, num_new, first_seed=len(store.run_ids()) + 2_000_000)
    rows.append(_row(store, "again, with new runs", rank))
    return [*rows, _row(store, "list", [sys.executable, "-m", "analysis.store", str(folder), "list"])]


def _row(store: object, name: str, words: list[str]) -> dict[str, tables.Cell]:
    row: dict[str, tables.Cell] = {"command": name, "runs": len(store.run_ids())}  # type: ignore[attr-defined]
    row["seconds"] = product.run(words)
    return {**row, "target": MAX_SECONDS[name]} if name in MAX_SECONDS else row


if __name__ == "__main__":
    main()
