"""A large sweep on a large cluster, simulated: what each policy's makespan is against the lower bounds.

    python tests/benchmarks/simulated.py [--durations STORE] [--seeds 1250] [--nodes 128] [--gpus 8] [--out FOLDER]

`report`, whose durations are those of a store's runs, or estimated by role; without failures, and with one a day of
every machine. Planning is what a run does before it starts: all specs, ids, the plan and its record.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import tables

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sweeps.simulate import Workload, make_parser, planned, world_of
from sweeps.simulation import Policy, World, lower_bound, simulate, tail_bound

FAILURES_PER_DAY = (0.0, 1.0)
STARTUP_SECONDS = 4.0
"""Of a new worker process: most of it is the import of torch."""


def main() -> None:
    """Print and write a row per failure rate and policy."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--durations", default="estimates")
    parser.add_argument("--seeds", default="1250")
    parser.add_argument("--nodes", default="128")
    parser.add_argument("--gpus", default="8")
    parser.add_argument("--out", type=Path, help="folder of the Parquet file")
    parser.add_argument("--quick", action="store_true", help="tiny, to see that it works")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.seeds, arguments.nodes = "4", "1"
    given = [f"--{name}={getattr(arguments, name)}" for name in ("durations", "seeds", "nodes", "gpus")]
    options = make_parser().parse_args(given)
    workload, world = planned(options, world_of(options)), world_of(options)
    print(f"{len(workload.tasks)} jobs: {workload.words}; planned in {workload.planning_seconds:.1f} s")
    rows = [_row(workload, world, policy, rate) for rate in FAILURES_PER_DAY for policy in Policy]
    tables.write_table("simulated", rows, arguments.out)


def _row(workload: Workload, world: World, policy: Policy, rate: float) -> dict[str, tables.Cell]:
    failing = replace(world, failures_per_day=rate, startup_seconds=STARTUP_SECONDS if rate else 0.0)
    result = simulate(workload.tasks, failing, policy)
    return {
        "failures a day": rate,
        "policy": policy.value,
        "makespan, s": result.makespan_seconds,
        "over the bound": result.makespan_seconds / lower_bound(workload.tasks, world.machines),
        "over the tighter bound": result.makespan_seconds / tail_bound(workload.tasks, world.machines),
        "lost, s": result.lost_seconds,
        "restarts": result.num_restarts,
        "planning, s": workload.planning_seconds,
    }


if __name__ == "__main__":
    main()
