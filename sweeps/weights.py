"""Weights from outside that jobs need: had and checked before any job starts. Imports torch only if some do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sweeps.labels import base_label, num_jobs
from sweeps.plan import Plan
from sweeps.pretraining import Pretraining
from trainers.errors import WeightsError
from trainers.spec import Weights
from trainers.storage import Store


def find_weights(store: Store, plan: Plan, start: Pretraining) -> None:
    """WeightsError if what jobs start from cannot be had; whether it fits them is seen once the data is known."""
    if start.weights is None or all(job.spec.init_weights != start.weights for job in plan.jobs):
        return
    from trainers import pretrained

    with _way_out(plan, start.weights):
        pretrained.find_weights(store, start.weights, start.path)


def keep_weights(store: Store, plan: Plan, start: Pretraining, teacher: str | None) -> None:
    """Have at hand, checked, what jobs start from and the given teacher; WeightsError if that cannot be."""
    planned = [job.spec for job in plan.jobs]
    specs = {(spec.init_weights, spec.epochs == 0): spec for spec in planned if spec.init_weights is not None}
    if not specs:
        return
    from trainers import pretrained

    for (weights, is_complete), spec in specs.items():
        if weights == start.weights:
            with _way_out(plan, weights):
                pretrained.keep_weights(store, weights, spec.model, start.path, is_complete=is_complete)
        else:
            path = Path(str(teacher)).expanduser()
            pretrained.keep_weights(store, weights, spec.model, path, is_complete=is_complete)


@contextmanager
def _way_out(plan: Plan, weights: Weights) -> Iterator[None]:
    """Adds to a WeightsError which jobs can be left out, if others remain."""
    try:
        yield
    except WeightsError as error:
        needing = [job for job in plan.jobs if job.spec.init_weights == weights]
        lost = plan.descendants(job.id for job in needing)
        if len(lost) == len(plan.jobs):
            raise
        labels = " ".join(f"--exclude {label}" for label in dict.fromkeys(base_label(job.label) for job in needing))
        raise WeightsError(f"{error}; or {labels} (leaves out {len(lost)} of {num_jobs(len(plan.jobs))})") from error
