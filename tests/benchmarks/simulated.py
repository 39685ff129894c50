"""A large sweep on a large cluster, simulated: what each policy's makespan is against the lower bounds.

    python tests/benchmarks/simulated.py [--durations STORE] [--seeds 1250] [--nodes 128] [--gpus 8] [--out FOLDER]

`report`, whose durations are those of a store's runs, or estimated by role; without failures, and with one a day of
every machine. Planning is what a run does before it starts: all specs, ids, the plan and its record.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sweeps.simulate import Workload, make_parser, planned, world_of
from sweeps.simulation import Policy, World, lower_bound, simulate, tail_bound

FAILURES_PER_DAY = (0.0, 1.0)
STARTUP_SECONDS = 4.0
"""Of a new worker process: most of it is the import of torch."""


def main() -> None:
    """Print a Markdown table with a row per failure rate and policy, and write it as Parquet."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--durations", default="estimates")
    parser.add_argument("--seeds", default="1250")
    parser.add_argument("--nodes", default="128")
    parser.add_argument("--gpus", default="8")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    given = [f"--{name}={getattr(arguments, name)}" for name in ("durations", "seeds", "nodes", "gpus")]
    options = make_parser().parse_args(given)
    workload, world = planned(options, world_of(options)), world_of(options)
    print(f"{len(workload.tasks)} jobs: {workload.words}; planned in {workload.planning_seconds:.1f} s\n")
    print("| failures a day | policy | makespan, s | over the bound | over the tighter bound | lost, s | restarts |")
    print("|---:|---|---:|---:|---:|---:|---:|")
    rows = [_row(workload, world, policy, rate) for rate in FAILURES_PER_DAY for policy in Policy]
    out = arguments.out or Path(tempfile.mkdtemp(prefix="simulated-"))
    out.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), out / "simulated.parquet")
    print(f"\nwritten to {out / 'simulated.parquet'}")


def _row(workload: Workload, world: World, policy: Policy, rate: float) -> dict[str, Any]:
    """Simulated and printed."""
    failing = replace(world, failures_per_day=rate, startup_seconds=STARTUP_SECONDS if rate else 0.0)
    result = simulate(workload.tasks, failing, policy)
    row = {
        "failures_per_day": rate,
        "policy": policy.value,
        "makespan_seconds": result.makespan_seconds,
        "over_bound": result.makespan_seconds / lower_bound(workload.tasks, world.machines),
        "over_tighter_bound": result.makespan_seconds / tail_bound(workload.tasks, world.machines),
        "lost_seconds": result.lost_seconds,
        "num_restarts": result.num_restarts,
        "planning_seconds": workload.planning_seconds,
    }
    figures = f"{row['makespan_seconds']:.0f} | {row['over_bound']:.3f} | {row['over_tighter_bound']:.3f}"
    print(f"| {rate:g} | {policy.value} | {figures} | {result.lost_seconds:.0f} | {result.num_restarts} |", flush=True)
    return row


if __name__ == "__main__":
    main()
