"""The names that a person has for a run: its id, the beginning of it, or LABEL@SEED."""

from __future__ import annotations

from collections.abc import Mapping

from trainers.errors import CorruptFileError, UnknownRunError
from trainers.storage import Store
from trainers.titles import data_title, model_title

MOST_NAMED = 8
"""Runs of one label that a message names."""


def find_run(store: Store, text: str) -> str:
    """The id of a run; UnknownRunError lists the candidates where none, or more than one, goes by this name."""
    runs = store.run_ids()
    if text in runs:
        return text
    names = planned_runs(store)
    if text in names:
        return _only_one(store, text, names[text])
    alike = [run for run in runs if text and run.startswith(text)]
    if len(alike) == 1:
        return alike[0]
    if alike:
        raise UnknownRunError(f"{text!r} begins {len(alike)} run ids: {', '.join(alike)}; give more of one")
    label = text.partition("@")[0]
    candidates = sorted(name for name in names if label and label in name) or sorted(names) or list(runs)
    raise UnknownRunError(
        f"no run {text!r} in {store.root}; have: {', '.join(candidates) or 'none'} "
        "(give a run id, the beginning of one, or LABEL@SEED)"
    )


def planned_runs(store: Store) -> dict[str, dict[str, str]]:
    """LABEL@SEED -> run id -> when it was planned last, the newest first."""
    found: dict[str, dict[str, str]] = {}
    for plan in reversed(store.plans()):
        for job in plan.jobs:
            found.setdefault(f"{job.label}@{job.seed}", {}).setdefault(job.run_id, plan.planned_at)
    return found


def _only_one(store: Store, name: str, planned: Mapping[str, str]) -> str:
    """The one run of a name; those that were never begun, or are removed, count only where there is no other."""
    runs = [run for run in planned if store.attempts(run)] or list(planned)
    if len(runs) == 1:
        return runs[0]
    named = [
        f"{run} ({_described(store, run)}, planned {planned[run][:16].replace('T', ' ')})" for run in runs[:MOST_NAMED]
    ]
    older = [f"and {len(runs) - MOST_NAMED} older"] if len(runs) > MOST_NAMED else []
    listed = "; ".join([*named, *older])
    raise UnknownRunError(f"{name!r} names {len(runs)} runs: {listed}; give the id of one")


def _described(store: Store, run: str) -> str:
    try:
        spec = store.spec(run)
    except CorruptFileError:
        return "no readable spec"
    return f"{model_title(spec.model)}, {spec.epochs} epoch{'s' * (spec.epochs != 1)}, {data_title(store, spec.data)}"
