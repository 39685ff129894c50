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
from contextlib import suppress  # noqa: E402
from types import FrameType  # noqa: E402
from typing import TYPE_CHECKING  # noqa: E402

from sweeps.allocator import restart_with_it  # noqa: E402
from sweeps.arguments import make_parser  # noqa: E402
from trainers.errors import SweepError  # noqa: E402
from trainers.shown import error_line, one_line  # noqa: E402
from trainers.space import explained  # noqa: E402

if TYPE_CHECKING:
    from rich.console import Console

    from sweeps.api import Outcome


def main(argv: list[str] | None = None, *, may_restart: bool = False) -> int:
    """Run the command; gives its exit code. Wrong input ends in one line.

    With `may_restart`, for a process that is nothing but this command, a serial run begins again with its allocator.
    """
    args = make_parser().parse_args(argv)
    if may_restart and args.serial and not (args.list or args.plan):
        restart_with_it()
    received: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        """A signal ends the command like Ctrl-C; the note of which is for what Ray and torch raise in its stead."""
        received.append(number)
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as SIGHUP is under nohup
            signal.signal(number, stop)
    try:
        return _act(args)
    except (SweepError, OSError, KeyboardInterrupt) as error:
        if not received and not isinstance(error, KeyboardInterrupt):
            print(error_line(explained(error)), file=sys.stderr)
            return 2
        with suppress(OSError):  # the terminal may be gone
            print("stopped; what is done is kept, and the same command goes on from here", file=sys.stderr)
        return 128 + (received[0] if received else signal.SIGINT)


def _act(args: argparse.Namespace) -> int:
    """List, plan or run; 1 if a job of the plan is not done in the end."""
    from rich.console import Console

    from sweeps import api
    from sweeps.labels import num_jobs
    from sweeps.show import show_list, show_plan

    options = {name: value for name, value in vars(args).items() if name not in ("list", "plan")}
    if args.list:
        show_list(args.plugins)
        return 0
    if args.plan:
        show_plan(api.plan(**options), Console())
        return 0
    outcome = api.run(**options, command=shlex.join(["python", *sys.argv]))
    with suppress(BrokenPipeError, SystemExit):  # nobody reads any more, for which rich would leave with code 1
        _report(outcome, Console())
    if outcome.num_not_started:
        hours = f"--max-hours {args.max_hours}"
        were = "was" if outcome.num_not_started == 1 else "were"
        print(f"{num_jobs(outcome.num_not_started)} {were} not started because of {hours}; the same command goes on")
    return 0 if outcome.is_complete else 1


def _report(outcome: Outcome, console: Console) -> None:
    """The ranking, the gains, and what failed."""
    from analysis.terminal import render

    render(outcome.ranking, outcome.gains, outcome.runs, console)
    tables = outcome.store.table_file("ranking").parent
    for line in filter(None, (f"tables: {tables}", one_line(outcome.report))):
        console.print(line, soft_wrap=True, highlight=False, markup=False)


if __name__ == "__main__":
    sys.exit(main(may_restart=True))
