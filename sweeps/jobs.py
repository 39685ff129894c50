"""The jobs that a sweep's file makes; what is wrong with the file is one line that names it."""

from __future__ import annotations

from collections.abc import Iterable

from sweeps.context import Context
from sweeps.plan import Job
from trainers import plugins
from trainers.plugins import Kind


def make_jobs(sweep: str, context: Context) -> tuple[Job, ...]:
    """What the file makes of a context; PluginError that names the file for a mistake in it."""
    module = plugins.load(Kind.SWEEP, sweep)
    with plugins.calling(Kind.SWEEP, sweep, "jobs"):
        returned = module.jobs(context)
        made = tuple(returned) if isinstance(returned, Iterable) else None
        wrong = [one for one in made or () if not isinstance(one, Job)]
        if not made or wrong:
            what = "nothing" if made == () else f"a {type(returned).__name__}"
            what += f" that holds {wrong[0]!r}" if wrong else ""
            raise TypeError(f"it gives {what}; allowed: a tuple of what context.job(...) gives")
    return made
