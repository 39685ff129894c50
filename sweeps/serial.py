"""A pass in this process, without Ray: for a debugger, and to compare with."""

from __future__ import annotations

from sweeps.passes import Pass
from sweeps.resources import Resources
from sweeps.trial import run_task


def this_machine() -> Resources:
    """CPUs without end, since jobs run one after the other; a GPU where torch sees one."""
    import torch

    return Resources(cpus=float("inf"), gpus=1.0 if torch.cuda.is_available() else 0.0)


def run_serially(work: Pass) -> None:
    """Every job, one after the other, in an order that respects the graph."""
    frontier = work.frontier()
    while (run := frontier.start_next()) is not None:
        job = work.plan.tasks[run]
        work.on_start(run)
        try:
            for step in run_task(work.store, run, work.setup.execution(job)):
                work.on_epoch(run, step)
        except (OSError, MemoryError, RuntimeError):  # recorded already; nobody else would try again
            pass
        frontier.end(run, is_ok=work.on_end(run))
