"""A pass under Ray Tune: one trial per job, each with its own placement group, all in one `Tuner.fit()`."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any

from ray import tune
from ray.exceptions import RayError

from sweeps.losses import EndWithoutMachines
from sweeps.memory import Deaths
from sweeps.nodes import machines
from sweeps.passes import Pass
from sweeps.plan import Task
from sweeps.resources import Resources
from sweeps.searcher import EndPass, PassOver, PlanSearcher
from sweeps.step import Step, step_of
from sweeps.trial import run_task
from trainers.errors import StoreError
from trainers.execution import Execution
from trainers.space import disk_full, is_full, room_bytes
from trainers.storage import Store

MAX_RETRIES = 2
"""Of a trial within a pass, after a fault of its machine; a job's own fault is not retried."""


class RunTrial(tune.Trainable):  # type: ignore[misc]  # ray ships no types for it
    """One job: an epoch per step. `setup` may run twice for one trial, so that all work begins in `step`."""

    ROOT: str
    EXECUTIONS: Mapping[str, Execution]
    """By shape; both are given by `bound`."""

    def setup(self, config: dict[str, Any]) -> None:
        """Remember what to do; nothing more."""
        self._store = Store(self.ROOT)
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take over another job in the same process."""
        self._run: str = new_config["run_id"]
        self._gives_up = "gives_up" in new_config
        self._execution = self.EXECUTIONS[new_config["shape"]]
        self._steps: Iterator[Step] | None = None
        return True

    def step(self) -> dict[str, Any]:
        """One epoch; after the last one the result is in the store, or the failure."""
        if self._gives_up:
            return {"done": True}
        if self._steps is None:
            self._steps = run_task(self._store, self._run, self._execution)
        step = next(self._steps, None)
        if step is None:
            return {"done": True}
        if step.is_last:
            next(self._steps, None)
        return asdict(step) | {"done": step.is_last}

    def cleanup(self) -> None:
        """Close an unfinished training."""
        self._steps = None


def bound(root: str, executions: Mapping[str, Execution], requests: Mapping[str, Resources]) -> type[RunTrial]:
    """RunTrial with what it needs to know of the store and of each shape of job.

    Tune unpickles it for every trial, so that it must not hold anything per job (as a closure over the plan would).
    """

    class BoundTrial(RunTrial):
        ROOT, EXECUTIONS = root, executions

        @classmethod
        def default_resource_request(cls, config: dict[str, Any]) -> tune.PlacementGroupFactory:
            """What jobs of this shape ask for."""
            request = requests[config["shape"]]
            return tune.PlacementGroupFactory([{"CPU": request.cpus} | ({"GPU": request.gpus} if request.gpus else {})])

    BoundTrial.__name__ = RunTrial.__name__
    return BoundTrial


def run_with_tune(work: Pass) -> None:
    """Run a pass; afterwards the store knows what became of every job."""
    num_slots = work.setup.num_slots(work.plan)
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(num_slots + 1)
    searcher = PlanSearcher(
        work.frontier(),
        work.on_start,
        lambda run, result: work.on_epoch(run, step_of(result)),
        work.on_end,
        lambda run: work.plan.tasks[run].shape,
    )
    deaths = Deaths()
    folder = work.store.log_folder() / f"tune-{uuid.uuid4().hex[:12]}"
    tuner = tune.Tuner(
        _trainable(work),
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            num_samples=-1,
            max_concurrent_trials=num_slots + 1,
            reuse_actors=True,
            trial_name_creator=_name,
            trial_dirname_creator=_name,
        ),
        run_config=tune.RunConfig(
            name="pass",
            storage_path=str(folder),
            verbose=0,
            callbacks=[
                EndPass(searcher, lambda run, told: work.on_death(run, deaths.cause(told))),
                EndWithoutMachines(machines),
            ],
            progress_reporter=tune.CLIReporter(),  # silent at verbose=0; Tune's own for notebooks clears what we said
            failure_config=tune.FailureConfig(max_failures=MAX_RETRIES),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),  # True makes Tune call `save`
        ),
    )
    try:
        with suppress(PassOver):
            tuner.fit()
    except (tune.TuneError, RayError, EOFError, OSError) as error:
        if is_full(error) or room_bytes(folder) <= 0:
            raise disk_full(folder) from error
        raise StoreError(
            f"the pass broke off ({error}); see {work.store.log_folder() / 'ray.log'}, run again"
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if searcher.error is not None:
        raise searcher.error


def _trainable(work: Pass) -> type[RunTrial]:
    one_of_each = {work.plan.tasks[run].shape: work.plan.tasks[run] for run in work.to_run}
    return bound(
        str(work.store.root),
        {shape: _execution(work, job) for shape, job in one_of_each.items()},
        {shape: work.setup.request(job) for shape, job in one_of_each.items()},
    )


def _execution(work: Pass, job: Task) -> Execution:
    """That of all jobs of one shape."""
    alike = (work.plan.tasks[run] for run in work.to_run)
    longest = max(work.setup.epoch_seconds(other) for other in alike if other.shape == job.shape)
    return replace(work.setup.execution(job), epoch_seconds=longest, is_own_process=True)


def _name(trial: Any) -> str:
    return str(trial.config["run_id"])
