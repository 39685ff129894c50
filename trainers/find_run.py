"""The names that a person has for a run: its id, the beginning of it, or LABEL@SEED."""

from __future__ import annotations

from trainers.errors import UnknownRunError
from trainers.storage import Store


def find_run(store: Store, text: str) -> str:
    """The id of a run; LABEL@SEED is that of the latest plan which has it. UnknownRunError lists the candidates."""
    runs = store.run_ids()
    if text in runs:
        return text
    names = planned_names(store)
    if text in names:
        return names[text]
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


def planned_names(store: Store) -> dict[str, str]:
    """LABEL@SEED -> run id, of the latest plan that has such a job."""
    return {f"{job.label}@{job.seed}": job.run_id for plan in store.plans() for job in plan.jobs}
