"""How good the estimated remaining time of a sweep is, as its own output says it, at 10, 25 and 50 % of the sweep.

    python tests/benchmarks/eta.py [--sweep smoke] [--seeds 3] [--limit N] [--epochs N] [--rounds 1] [--out FOLDER]

The sweep runs under Ray. The first round has no history, each later one (with other seeds) has the rounds before it.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import tables

ROOT = Path(__file__).resolve().parents[2]
SHARES = (0.0, 0.10, 0.25, 0.50)
LEFT = re.compile(r"^\[[\d:]+\] .*sweep ([\d:]+) left\)$")


def main() -> None:
    """Print and write a row per round and share of the sweep."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sweep", default="smoke")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--out", type=Path, help="folder of the Parquet file")
    parser.add_argument("--quick", action="store_true", help="tiny, to see that it works")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.seeds, arguments.limit, arguments.epochs = 1, 330, 1
    with tempfile.TemporaryDirectory() as store:
        rows = [row for number in range(arguments.rounds) for row in _round(arguments, number, Path(store))]
    tables.write_table("eta", rows, arguments.out)


def _round(arguments: argparse.Namespace, number: int, store: Path) -> list[dict[str, tables.Cell]]:
    """The totals that a run expected, against what it took from its first job to its last line about one."""
    seeds = range(number * arguments.seeds, (number + 1) * arguments.seeds)
    command = [sys.executable, str(ROOT / "sweeps" / "run_all.py"), "--store", str(store), "--sweep", arguments.sweep]
    command += ["--seeds", ",".join(map(str, seeds))]
    for option in ("limit", "epochs"):
        value = getattr(arguments, option)
        command += [] if value is None else [f"--{option}", str(value)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        seen = [(time.perf_counter(), _seconds(found[1])) for line in process.stdout if (found := LEFT.match(line))]
    if process.returncode:
        raise SystemExit(f"{command} ended with {process.returncode}")
    start, took = seen[0][0], seen[-1][0] - seen[0][0]
    totals = [(at - start, at - start + left) for at, left in seen]
    known = ((share, [total for at, total in totals if at <= share * took][-1]) for share in SHARES)
    return [
        {
            "round": number + 1,
            "at %": 100 * share,
            "estimated, s": total,
            "took, s": took,
            "error %": _error(total, took),
        }
        for share, total in known
    ]


def _error(estimated: float, took: float) -> float:
    return 100 * (estimated / took - 1)


def _seconds(clock: str) -> int:
    """`1:05:09` -> 3909."""
    seconds = 0
    for part in clock.split(":"):
        seconds = 60 * seconds + int(part)
    return seconds


if __name__ == "__main__":
    main()
