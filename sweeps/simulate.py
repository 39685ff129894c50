"""Simulate a sweep on machines that are not there: `python -m sweeps.simulate --sweep report --seeds 1250 --nodes 128`.

The same plan, requests, frontier and ledger as a run, on a clock of its own. Or replay a finished sweep (`--replay
STORE`) and hold its makespan against the simulated one.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from analysis.words import format_seconds
from sweeps.estimates import Estimates, History
from sweeps.history import read_history
from sweeps.outlook import tasks_of
from sweeps.passes import Setup
from sweeps.replay import read_recording
from sweeps.request import read_options
from sweeps.resources import Resources, default_resources
from sweeps.share_logits import TeacherLogits, share_logits
from sweeps.simulation import Policy, Simulated, Task, World, lower_bound, shared_work, simulate, tail_bound
from sweeps.sweep import GetData, data_or_placeholder, make_sweep
from trainers.errors import ResourceError, SweepError
from trainers.prepare import DataRequest
from trainers.result import Manifest, Split
from trainers.shown import Parser, error_line
from trainers.space import explained
from trainers.storage import Store

CPUS_PER_GPU = 4
"""Enough for four jobs that share a GPU."""

NAMES = {Policy.LONGEST_PATH: "longest path first", Policy.FIFO: "plan order", Policy.STAGES: "stage barriers"}


@dataclass(frozen=True, kw_only=True)
class Workload:
    """What to simulate, in what words, how long it took to plan, and how long it really took if it was recorded."""

    tasks: tuple[Task, ...]
    words: str
    planning_seconds: float = 0.0
    measured_seconds: float | None = None


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: exit code 0, or 2 with one line on stderr."""
    options = make_parser().parse_args(arguments)
    try:
        world = world_of(options)
        workload = _replayed(options) if options.replay else planned(options, world)
        _show(workload, world, [Policy(name) for name in options.policy or Policy])
    except (SweepError, OSError) as error:
        print(error_line(explained(error)), file=sys.stderr)
        return 2
    return 0


def make_parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = Parser(
        prog="python -m sweeps.simulate", description=(__doc__ or "").partition("\n")[0], allow_abbrev=False
    )
    parser.add_argument("--sweep", default="report", metavar="NAME", help="a file of sweeps/catalog (default: report)")
    parser.add_argument("--seeds", type=_count, default=1, metavar="N", help="so many seeds, from 0 (default: 1)")
    parser.add_argument("--recipe", default="quick", metavar="NAME", help="as of run_all.py (default: quick)")
    parser.add_argument("--data", default="plates", metavar="NAME[:PATH]", help="as of run_all.py; need not be there")
    parser.add_argument(
        "--images", type=_count, default=10_000, metavar="N", help="training pictures if it is not (default: 10000)"
    )
    parser.add_argument("--nodes", type=_count, default=1, metavar="N", help="machines (default: 1)")
    parser.add_argument("--gpus", type=int, default=0, metavar="N", help="GPUs of each (default: 0)")
    parser.add_argument(
        "--cpus", type=_count, metavar="N", help=f"CPUs of each (default: {CPUS_PER_GPU} per GPU, or this machine's)"
    )
    parser.add_argument("--failures-per-day", type=float, default=0.0, metavar="X", help="of each machine (default: 0)")
    parser.add_argument(
        "--startup-seconds", type=float, default=0.0, metavar="S", help="of a new worker process (default: 0)"
    )
    parser.add_argument("--random-seed", type=int, default=0, metavar="N", help="of the failures (default: 0)")
    parser.add_argument(
        "--durations", default="estimates", metavar="STORE", help="a store whose runs say how long jobs take"
    )
    parser.add_argument("--replay", metavar="STORE", help="the latest sweep of a store, with the durations it had")
    parser.add_argument(
        "--policy", action="append", choices=[policy.value for policy in Policy], help="repeatable (default: all)"
    )
    return parser


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number}; allowed: 1 or more")
    return number


def world_of(options: argparse.Namespace) -> World:
    """ResourceError for numbers that make no machine."""
    for name in ("gpus", "failures_per_day", "startup_seconds"):
        if not 0 <= getattr(options, name) < float("inf"):
            raise ResourceError(f"--{name.replace('_', '-')} is {getattr(options, name)}; allowed: 0 or more")
    cpus = options.cpus or CPUS_PER_GPU * options.gpus or os.cpu_count() or 1
    return World(
        machines=(Resources(cpus=cpus, gpus=options.gpus),) * options.nodes,
        failures_per_day=options.failures_per_day,
        startup_seconds=options.startup_seconds,
        seed=options.random_seed,
    )


def _replayed(options: argparse.Namespace) -> Workload:
    recording = read_recording(_existing(options.replay))
    return Workload(
        tasks=recording.tasks,
        words=f"the latest sweep of {options.replay}, {recording.handover_seconds:.2f} s from one job to the next",
        measured_seconds=recording.makespan_seconds,
    )


def planned(options: argparse.Namespace, world: World) -> Workload:
    """A sweep as it would be planned; its data may be a number of pictures alone."""
    start = time.perf_counter()
    is_known = options.durations != "estimates"
    store = _existing(options.durations) if is_known else Store("petite-store")
    history = read_history(store) if is_known else History()
    request, _ = read_options(
        {"sweep": options.sweep, "seeds": list(range(options.seeds)), "recipe": options.recipe, "data": options.data}
    )
    sweep = make_sweep(store, request, _counted(data_or_placeholder(store), options.images))
    plan = share_logits(sweep.plan, sweep.plan.by_id, TeacherLogits.AUTO, sweep.num_images)
    setup = Setup(
        resources=default_resources(has_gpu=options.gpus > 0),
        machines=world.machines,
        estimates=Estimates(history=history, num_images=sweep.num_images),
        readers=plan.wishes.keys(),
    )
    setup.check_feasible(plan.tasks.values())
    tasks = tasks_of(plan, plan.tasks, setup)
    sweep.record("")
    how = f"from {len(history.runs)} runs of {options.durations}" if history.runs else "estimated by role"
    return Workload(
        tasks=tasks,
        words=f"{options.sweep} x {options.seeds} seeds, durations {how}",
        planning_seconds=time.perf_counter() - start,
    )


def _existing(folder: str) -> Store:
    if not Path(folder).is_dir():
        raise ResourceError(f"{folder} is no store; give the folder that run_all.py --store was given")
    return Store(folder)


def _counted(get_data: GetData, num_images: int) -> GetData:
    """Data that is not prepared gets a number of training pictures."""

    def counted(request: DataRequest) -> Manifest:
        manifest = get_data(request)
        return manifest if manifest.num_images else replace(manifest, num_images={Split.TRAIN.value: num_images})

    return counted


def _show(workload: Workload, world: World, policies: Sequence[Policy]) -> None:
    """What is simulated, in words, then a table with a row for each policy."""
    tasks, machine = workload.tasks, world.machines[0]
    bound, busy = lower_bound(tasks, world.machines), shared_work(tasks, world.machines)
    print(f"{len(tasks)} jobs: {workload.words}; planned in {workload.planning_seconds:.1f} s")
    print(f"{len(world.machines)} machines of {machine.cpus:g} CPUs and {machine.gpus:g} GPUs")
    print(f"lower bound {format_seconds(bound)}: the longer of the longest chain and all work over all devices")
    tails = format_seconds(tail_bound(tasks, world.machines))
    print(f"a tighter one {tails}: what a chain waits for must be done that much earlier")
    if workload.measured_seconds is not None:
        print(f"measured makespan {workload.measured_seconds:.1f} s")
    print("\n| policy | makespan | over the bound | utilisation | lost work | restarts | simulated in |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for policy in policies:
        start = time.perf_counter()
        result = simulate(tasks, world, policy)
        print(_row(policy, result, bound, busy, time.perf_counter() - start, workload.measured_seconds))


def _row(policy: Policy, result: Simulated, bound: float, busy: float, seconds: float, measured: float | None) -> str:
    makespan = result.makespan_seconds
    against = f" ({makespan / measured - 1:+.1%} of measured)" if measured else ""
    return (
        f"| {NAMES[policy]} | {format_seconds(makespan)}{against} | {makespan / bound:.3f} | {busy / makespan:.1%} "
        f"| {format_seconds(result.lost_seconds)} | {result.num_restarts} | {seconds:.1f} s |"
    )


if __name__ == "__main__":
    raise SystemExit(main())
