"""The main command: plan a sweep, run what is left of it, gather the results and rank them."""

from __future__ import annotations

import os
import sys

sys.path[:] = [
    entry for entry in sys.path if os.path.abspath(entry or ".") != os.path.dirname(os.path.abspath(__file__))
]
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import argparse  # noqa: E402
import shlex  # noqa: E402
import signal  # noqa: E402
from collections.abc import Callable  # noqa: E402
from contextlib import ExitStack, nullcontext  # noqa: E402
from pathlib import Path  # noqa: E402
from types import FrameType  # noqa: E402
from typing import TYPE_CHECKING  # noqa: E402

from sweeps.arguments import make_parser  # noqa: E402
from trainers.errors import SweepError  # noqa: E402

if TYPE_CHECKING:
    from rich.console import Console

    from sweeps.passes import Pass
    from sweeps.plan import Decision
    from sweeps.resources import Resources
    from sweeps.sweep import Sweep, SweepRequest
    from trainers.result import Manifest
    from trainers.spec import Role
    from trainers.storage import Store


WIDTH_OF_A_FILE = 1000
"""Columns for a table that goes to no terminal."""


def main(argv: list[str] | None = None) -> int:
    """Run the command; gives its exit code. Wrong input ends in one line."""
    args = make_parser().parse_args(argv)
    received: list[int] = []

    def terminate(number: int, frame: FrameType | None) -> None:
        """SIGTERM stops like Ctrl-C; Ray raises a new interrupt, hence the note of which signal it was."""
        received.append(number)
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, terminate)
    try:
        return _list() if args.list else _run(args)
    except (SweepError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; what is done is kept, and the same command goes on from here", file=sys.stderr)
        return 128 + (received[0] if received else signal.SIGINT)


def _run(args: argparse.Namespace) -> int:
    """Plan, and unless only a plan is wanted, run, gather and rank."""
    from rich.console import Console

    from sweeps.sweep import data_or_placeholder, data_prepared_first, make_sweep
    from trainers.storage import Store

    _resources(args, has_gpu=False)  # said before anything is prepared or started
    console, request, store = Console(), _request(args), Store(args.store)
    if args.plan:
        store.check_version()
        _show_plan(make_sweep(store, request, data_or_placeholder(store)), store, console)
        return 0
    store.open()
    say = _silent if args.quiet else _say
    sweep = make_sweep(store, request, data_prepared_first(store, _preparation_line(say)))
    _introduce(sweep, store, say)
    _execute(args, sweep, store, console, say)
    return _report(sweep, store, console)


def _resources(args: argparse.Namespace, *, has_gpu: bool) -> dict[Role, Resources]:
    """What a job of each role asks for; ResourceError for a wish that makes no sense on any machine."""
    from sweeps.resources import parse_per_role, resources_per_role
    from trainers.errors import ResourceError

    if args.max_concurrent is not None and args.max_concurrent < 1:
        raise ResourceError(f"--max-concurrent is {args.max_concurrent}; allowed: 1 or more")
    cpus = parse_per_role("--cpus-per-trial", args.cpus_per_trial)
    gpus = parse_per_role("--gpus-per-trial", args.gpus_per_trial)
    return resources_per_role(has_gpu=has_gpu, cpus=cpus, gpus=gpus)


def _request(args: argparse.Namespace) -> SweepRequest:
    """The arguments as a request; SpecError for what argparse could not check."""
    from sweeps.recipes import Setting, parse_setting
    from sweeps.sweep import SweepRequest, parse_seeds

    given = [("epochs", args.epochs), ("batch_size", args.batch_size)]
    shorthand = [Setting(key=key, value=value) for key, value in given if value is not None]
    return SweepRequest(
        sweep=args.sweep,
        data=args.data,
        image_size=args.image_size,
        limit=args.limit,
        resize=args.resize,
        skip_bad_images=args.skip_bad_images,
        allow_leak=args.allow_leak,
        pretrained=args.pretrained,
        source_data=args.source_data,
        recipe=args.recipe,
        settings=(*shorthand, *(parse_setting(text) for text in args.settings)),
        seeds=parse_seeds(args.seeds),
        only=tuple(args.only),
        exclude=tuple(args.exclude),
        force=tuple(args.force),
        rerun_changed=args.rerun_changed,
    )


def _introduce(sweep: Sweep, store: Store, say: Callable[[str], None]) -> None:
    """Record the plan, and say what data and what pretraining it rests on."""
    for job in sweep.plan.jobs:
        store.write_spec(job.spec)
    store.write_plan(sweep.record(shlex.join(sys.argv)))
    counts = ", ".join(f"{number} {split}" for split, number in sweep.data.num_images.items())
    say(f"data: {sweep.data.origin} ({counts}; {sweep.data.num_classes} classes, {sweep.data.image_size} pixels)")
    weights, source = sweep.pretraining.weights, sweep.source
    for manifest in (sweep.data, source):
        _say_what_is_wrong(manifest, store, say)
    if source is not None:
        say(f"pretraining: a job on {source.origin} ({source.num_images['train']} train; {source.num_classes} classes)")
    elif weights is not None:
        say(f"pretraining: {weights.name} ({sweep.pretraining.path or 'torch hub cache or download'})")
    say(f"store: {store.root} (runs, tables, logs)")


def _say_what_is_wrong(data: Manifest | None, store: Store, say: Callable[[str], None]) -> None:
    """What the user allowed the data to be."""
    if data is not None and data.skipped:
        where = store.data_folder(data.fingerprint) / "manifest.json"
        say(f"data: {len(data.skipped)} unreadable pictures were left out: {data.skipped[0]}, ...; all are in {where}")
    if data is not None and data.num_leaked:
        say(f"data: {data.num_leaked} pictures are in two splits: accuracies are higher than they should be")


def _execute(
    args: argparse.Namespace, sweep: Sweep, store: Store, console: Console, say: Callable[[str], None]
) -> None:
    """Run what is left; imports neither torch nor ray when nothing is."""
    from sweeps.sweep import keep_weights, left_to_run

    to_run = left_to_run(sweep, store, say)
    say(f"jobs: {len(sweep.plan.jobs)} planned, {len(sweep.plan.jobs) - len(to_run)} done, {len(to_run)} to run")
    if not to_run:
        return
    keep_weights(store, sweep)
    with ExitStack() as stack:
        machines, execute = _executor(args, store, stack, say)
        _run_passes(args, sweep, store, console, machines, execute, to_run)


def _executor(
    args: argparse.Namespace, store: Store, stack: ExitStack, say: Callable[[str], None]
) -> tuple[tuple[Resources, ...], Callable[[Pass], None]]:
    """The machines there are, and the function that runs a pass on them."""
    if args.serial:
        from sweeps.serial import run_serially, this_machine

        return (this_machine(),), run_serially
    say(f"starting Ray (its messages: {store.log_folder() / 'ray.log'})")
    from sweeps.execute import connected, run_with_tune

    return stack.enter_context(connected(args.address, store.log_folder())), run_with_tune


def _run_passes(
    args: argparse.Namespace,
    sweep: Sweep,
    store: Store,
    console: Console,
    machines: tuple[Resources, ...],
    execute: Callable[[Pass], None],
    to_run: dict[str, Decision],
) -> None:
    """Run passes on these machines, with the progress that fits the console."""
    from sweeps.passes import Setup
    from sweeps.progress import Board, BoardProgress, LiveTable
    from sweeps.sweep import git_state, run_passes, set_aside_stale

    setup = Setup(
        resources=_resources(args, has_gpu=any(machine.gpus for machine in machines)),
        machines=machines,
        num_images=sweep.num_images,
        max_concurrent=1 if args.serial else args.max_concurrent,
        allow_weak_teacher=args.allow_weak_teacher,
        git=git_state(Path(__file__).parent),
    )
    setup.check_feasible(decision.job for decision in to_run.values())
    board = Board(sweep.plan, set(sweep.plan.by_id) - set(to_run), setup.num_slots(sweep.plan), setup.epoch_cost)
    set_aside_stale(store, to_run)
    is_live = console.is_terminal and not args.quiet
    with LiveTable(board, console) if is_live else nullcontext():
        show = _silent if is_live or args.quiet else _say
        run_passes(sweep, store, set(to_run), setup, BoardProgress(board, show), execute)


def _report(sweep: Sweep, store: Store, console: Console) -> int:
    """Gather and rank; 0 if every job of the plan is done, else 1."""
    from analysis.rank import write_ranking
    from analysis.report import render

    written = write_ranking(store, plan_id=sweep.plan.plan_id)
    render(written.ranking, written.gains, written.runs, console)
    console.print(f"tables: {store.table_file('ranking').parent}", soft_wrap=True, highlight=False, markup=False)
    return 0 if (written.runs["status"] == "ok").all() else 1


def _show_plan(sweep: Sweep, store: Store, console: Console) -> None:
    """Every job, what it waits for, whether it would run, and why."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 1))
    for title in ("job", "role", "waits for", "runs", "why"):
        table.add_column(title, no_wrap=title in ("job", "role"), overflow="fold")
    decisions = sweep.decisions(store)
    for decision in decisions.values():
        job = decision.job
        parents = ", ".join(sweep.plan.by_id[parent].name for parent in job.parents)
        verdict = Text("yes", style="bold") if decision.will_run else Text("no", style="dim")
        table.add_row(Text(job.name), job.role.value, Text(parents), verdict, Text(decision.reason))
    # A file or a pipe has no width: one line per job.
    (console if console.is_terminal else Console(width=WIDTH_OF_A_FILE)).print(table)
    num_runs = sum(decision.will_run for decision in decisions.values())
    _say(f"{len(decisions)} jobs, {num_runs} would run, {len(decisions) - num_runs} are done; store {store.root}")
    if not sweep.is_prepared:
        _say("the data is not prepared yet: a run prepares it first, and only then is it known what is done already")


def _list() -> int:
    """All plug-ins and recipes, each with the first line of what it says of itself."""
    from sweeps.recipes import RECIPES
    from trainers import plugins

    for kind in plugins.Kind:
        print(f"{kind.noun}s ({kind.value.replace('.', '/')}/):")
        for name in plugins.names(kind):
            print(f"  {name:16} {(plugins.docstring(kind, name).splitlines() or [''])[0]}")
    print("recipes (sweeps/recipes.py):")
    for name, recipe in RECIPES.items():
        print(f"  {name:16} {recipe.about}")
    return 0


def _preparation_line(say: Callable[[str], None]) -> Callable[[str, int, int], None]:
    """Says how far the preparation of a data set is, at its start and every 5,000 pictures."""

    def on_image(name: str, done: int, total: int) -> None:
        if done == 1 or done % 5000 == 0 or done == total:
            say(f"preparing {name}: {done}/{total} pictures")

    return on_image


def _say(message: str) -> None:
    print(message, flush=True)


def _silent(message: str) -> None:
    return


if __name__ == "__main__":
    sys.exit(main())
