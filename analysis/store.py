"""Look into a store, check it, and make room: `python -m analysis.store STORE list | show | log | prune | verify`."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Sequence

from analysis.command import existing_store, exit_code
from analysis.evidence import read_store
from analysis.inventory import Item, make_pruning
from analysis.listing import make_table, print_plans, print_runs, print_table
from analysis.prune import Wishes
from analysis.show import log_lines, show_lines
from analysis.verify import parts
from analysis.words import age_text, counted, parse_age, size_text
from trainers.errors import SpecError
from trainers.find_run import find_run
from trainers.removal import remove
from trainers.shown import Parser, one_line, printable
from trainers.storage import Store


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: exit code 0, 1 for damage that `verify` found, or 2 with one line on stderr."""
    options = _parser().parse_args(arguments)
    num_damaged = 0

    def act() -> None:
        nonlocal num_damaged
        store = existing_store(options.store, may_be_empty=options.command in ("list", "prune", "verify"))
        if options.command == "verify":
            num_damaged = _verify(store)
        else:
            {"list": _list, "show": _show, "log": _log, "prune": _prune}[options.command](store, options)

    return exit_code(act) or (1 if num_damaged else 0)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m analysis.store", description="Look into a store, check it, and make room.")
    parser.add_argument("store", metavar="STORE", help="the folder that run_all.py --store was given")
    commands = parser.add_subparsers(dest="command", required=True, metavar="list | show | log | prune | verify")
    listing = commands.add_parser("list", help="every run, and what takes how much room")
    which = listing.add_mutually_exclusive_group()
    which.add_argument("--plan", metavar="ID", help="only the runs of a plan")
    which.add_argument("--plans", action="store_true", help="the plans instead of the runs")
    for name, text in (("show", "all that is known of a run, and how to load it"), ("log", "its newest log")):
        command = commands.add_parser(name, help=text)
        command.add_argument("run", metavar="RUN", help="a run id, the beginning of one, or LABEL@SEED")
    _add_pruning(commands.add_parser("prune", help="remove what is not needed any more", description=PRUNE_HELP))
    commands.add_parser("verify", help="compare every checksum; exit code 1 if anything is damaged")
    return parser


PRUNE_HELP = (
    "Remove runs that no plan names or needs. Every option spares more: a run goes if it is old enough AND "
    "unreferenced AND not among the best, as far as these are given."
)


def _add_pruning(command: argparse.ArgumentParser) -> None:
    command.add_argument("--older-than", metavar="AGE", help="what is older than 30d, 12h, 90min")
    command.add_argument(
        "--unreferenced",
        action="store_true",
        help="runs that no plan needs; then data, weights and logits that no run needs, and leftovers of a day ago",
    )
    command.add_argument("--keep-best", type=int, metavar="N", help="all but the best N runs of every data set")
    command.add_argument("--force", action="store_true", help="also runs that plans name, and plans left without runs")
    command.add_argument("--dry-run", action="store_true", help="say what would go, and remove nothing")


def _list(store: Store, options: argparse.Namespace) -> None:
    if options.plans:
        print_plans(store)
    else:
        print_runs(store, options.plan, time.time())


def _show(store: Store, options: argparse.Namespace) -> None:
    _print(show_lines(store, find_run(store, options.run), read_store(store)))


def _log(store: Store, options: argparse.Namespace) -> None:
    run = find_run(store, options.run)
    _print(log_lines(run, read_store(store)[run]))


def _print(lines: Iterable[str]) -> None:
    """Lines that may hold anything, as a log does."""
    print("\n".join(map(printable, lines)))


def _prune(store: Store, options: argparse.Namespace) -> None:
    pruning = make_pruning(store, _wishes(options), time.time())
    items = pruning.items
    table = make_table(("what", "name", "size", "age", "why"), ("size", "age"))
    for item in items:
        size, age = size_text(item.size_bytes), age_text(item.age_seconds)
        table.add_row(item.kind, one_line(item.name), size, age, one_line(item.why))
    if items:
        print_table(table)
    if pruning.num_spared_by_plans:
        print(_spared(pruning.num_spared_by_plans, is_unreferenced=options.unreferenced))
    if not options.dry_run:
        _remove(store, items)
    verb = "would be removed (dry run)" if options.dry_run else "removed"
    print(f"{counted(len(items), 'thing')} {verb}: {sum(item.size_bytes for item in items):,} bytes")


def _spared(number: int, *, is_unreferenced: bool) -> str:
    """Why runs stay that were asked for, and how to be rid of them."""
    is_one = number == 1
    why = "is kept because a plan names or needs it" if is_one else "are kept because plans name or need them"
    them = "it" if is_one else "them"
    way = f"--force takes {them} too"
    if is_unreferenced:
        way = f"to remove {them}: prune --force --older-than AGE (or --keep-best N), without --unreferenced"
    return f"{counted(number, 'more run')} {why}; {way}"


def _wishes(options: argparse.Namespace) -> Wishes:
    if options.older_than is None and not options.unreferenced and options.keep_best is None:
        raise SpecError("prune needs to know what; give --older-than AGE, --unreferenced or --keep-best N")
    if options.keep_best is not None and options.keep_best < 1:
        raise SpecError(f"--keep-best is {options.keep_best}; allowed: 1 or more")
    return Wishes(
        older_than_seconds=None if options.older_than is None else parse_age(options.older_than),
        unreferenced=options.unreferenced,
        keep_best=options.keep_best,
        force=options.force,
    )


def _remove(store: Store, items: Sequence[Item]) -> None:
    for item in items:
        for path in item.paths:
            remove(store, path)


def _verify(store: Store) -> int:
    """Print every problem, after a bar of progress on a terminal; gives how many are damage."""
    from rich.console import Console
    from rich.progress import track

    console, everything = Console(stderr=True), parts(store)
    bar = track(everything, "verifying", console=console, transient=True, disable=not console.is_terminal)
    found = [problem for part in bar for problem in part.check()]
    for problem in found:
        note = "note: " if problem.is_note else ""
        print(one_line(f"{note}{problem.about}: {problem.what}; {problem.to_do}"))
    num_damaged = sum(not problem.is_note for problem in found)
    print(f"{counted(len(everything), 'thing')} verified, {counted(num_damaged, 'problem')}")
    return num_damaged


if __name__ == "__main__":
    raise SystemExit(main())
