"""The jobs that a sweep's file makes; what is wrong with the file is one line that names it."""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from pathlib import Path

from sweeps.context import Context
from sweeps.plan import Job
from trainers import plugins
from trainers.errors import PluginError, SweepError
from trainers.plugins import Kind

MISTAKES = (
    *(TypeError, AttributeError, NameError, LookupError, ValueError),
    *(ArithmeticError, AssertionError, ImportError, RuntimeError),
)
"""What a mistake in Python raises."""


def make_jobs(sweep: str, context: Context) -> tuple[Job, ...]:
    """What the file makes of a context; PluginError that names the file for a mistake in it."""
    file, module = plugins.source_file(Kind.SWEEP, sweep), plugins.load(Kind.SWEEP, sweep)
    try:
        returned = module.jobs(context)
        made = tuple(returned) if isinstance(returned, Iterable) else None
    except SweepError:
        raise
    except MISTAKES as error:
        raise PluginError(f"{_place(file, error)}: {type(error).__name__}: {error}") from error
    wrong = [one for one in made or () if not isinstance(one, Job)]
    if made is None or wrong:
        what = type(returned).__name__ + (f" that holds {wrong[0]!r}" if wrong else "")
        raise PluginError(f"{file}: jobs() returned a {what}; allowed: a tuple of what context.job(...) gives")
    return made


def _place(file: Path, error: Exception) -> str:
    """The file, with the last of its lines that was at work."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == file]
    return f"{file}, line {lines[-1]}" if lines else str(file)
