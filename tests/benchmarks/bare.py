"""How fast the real loop trains, against bare forward, backward and optimizer step on random tensors.

    python tests/benchmarks/bare.py [--model student] [--size 32] [--batch 32] [--steps 20] [--rounds 5] [--out FOLDER]

Both in one process, on the same device, in turns of `--steps` steps. The loop reads mapped pictures, draws and
applies their views, moves the learning rate and keeps its figures; the bare one has a batch of floats in memory. On a
CPU seconds are those of the processor, so that what else runs on the machine counts less.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import tables

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sweeps.allocator import restart_with_it


def main() -> None:
    """Print and write a row per kind of views."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", default="student")
    parser.add_argument("--size", type=int, default=32, help="pixels per side")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=20, help="in one turn, which is an epoch of the loop")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="folder of the Parquet file")
    parser.add_argument("--quick", action="store_true", help="tiny, to see that it works")
    arguments = parser.parse_args()
    restart_with_it()
    if arguments.quick:
        arguments.steps, arguments.rounds = 2, 1
    import bare_loop

    tables.write_table("bare", bare_loop.rows(arguments), arguments.out)


if __name__ == "__main__":
    main()
