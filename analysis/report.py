"""A store as one page that opens anywhere: `python -m analysis.report STORE [--plan ID | --all]`.

It is written to `<store>/report/index.html`, needs no network, and has its numbers in it.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from analysis.command import existing_store, exit_code
from analysis.page.content import collect
from analysis.page.figures import FORMATS, figures, parse_formats
from analysis.page.read import read_tables
from analysis.page.wishes import Wishes
from analysis.rank import ranked
from trainers.files import write
from trainers.remote import Place
from trainers.shown import Parser
from trainers.storage import Store, now

BUDGET_BYTES = 1_000_000
"""The course's "close to 1 MB"."""
LOW_PRIORITY = 10
"""Of the page of a sweep that runs; at the lowest, 19, it had two seconds of a busy machine in 75 and never ended."""


def write_report(
    store: Store,
    *,
    plan_id: str | None = None,
    all_runs: bool = False,
    budget_bytes: int = BUDGET_BYTES,
    is_running: bool = False,
    shows_pictures: bool = False,
    formats: Sequence[str] = (),
) -> Place:
    """Gather and rank a store, and write its page; gives where it is. PlanError if there is no such plan.

    `formats` (of png, svg, pdf) are those that its charts are written in as well, to `<store>/report/figures`.
    """
    from analysis.page.bundle import bundle
    from analysis.page.render import render
    from analysis.page.specifications import specifications

    tables = read_tables(store, ranked(store, plan_id=plan_id, all_runs=all_runs))
    plans = store.plans()
    chosen = None if all_runs else plan_id or plans[-1].plan_id
    wishes = Wishes(
        plan_id=chosen,
        budget_bytes=budget_bytes,
        made_at=now(),
        is_running=is_running,
        shows_pictures=shows_pictures,
    )
    content, data = collect(store, tables, plans, wishes)
    file = store.report_file("index.html")
    page = render(content | {"sections": SECTIONS.items()}, data, specifications(), bundle())
    write(file, page.encode())
    for name, figure in figures(data, specifications(), formats):
        write(store.report_file(f"figures/{name}"), figure)
    return file


SECTIONS = {
    "answer": "Answer",
    "ranking": "Ranking",
    "claims": "Claims",
    "distillation": "Distillation",
    "learning": "Learning",
    "time": "Time",
    "provenance": "Provenance",
    "runs": "Every run",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: exit code 0, or 2 with one line on stderr."""
    parser = Parser(prog="python -m analysis.report", description="Write report/index.html of a store.")
    parser.add_argument("store", metavar="STORE", help="the folder that run_all.py --store was given")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--plan", metavar="ID", help="a plan of the store (default: the latest)")
    which.add_argument("--all", action="store_true", help="every run of the store, in a plan or not")
    parser.add_argument(
        "--budget-bytes", type=int, default=BUDGET_BYTES, metavar="N", help="the budget that the page opens at"
    )
    parser.add_argument(
        "--show-pictures",
        action="store_true",
        help="put small copies of the user's own pictures on the page, those that networks get wrong most",
    )
    parser.add_argument(
        "--figures", metavar="FORMATS", help=f"also write the charts to files: {', '.join(FORMATS)}, with commas"
    )
    parser.add_argument("--running", action="store_true", help="say on the page that the sweep still runs")
    options = parser.parse_args(arguments)
    if options.running:
        os.nice(LOW_PRIORITY)  # the sweep goes first
    return exit_code(lambda: _write(options))


def _write(options: argparse.Namespace) -> None:
    file = write_report(
        existing_store(options.store),
        plan_id=options.plan,
        all_runs=options.all,
        budget_bytes=options.budget_bytes,
        is_running=options.running,
        shows_pictures=options.show_pictures,
        formats=parse_formats(options.figures) if options.figures is not None else (),
    )
    print(file)


if __name__ == "__main__":
    raise SystemExit(main())
