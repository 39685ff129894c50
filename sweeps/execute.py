"""A pass under Ray Tune: one trial per job, each with its own placement group, all in one `Tuner.fit()`."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.exceptions import RayError

from sweeps import allocator
from sweeps.passes import Pass
from sweeps.resources import Resources
from sweeps.searcher import EndPass, PassOver, PlanSearcher
from sweeps.trial import Step, run_task
from trainers.errors import ResourceError, StoreError
from trainers.execution import Execution
from trainers.storage import Store

MAX_RETRIES = 2
"""Of a trial within a pass, after a fault of its machine; a job's own fault is not retried."""

CONNECT_SECONDS = 10
"""To wait for the head of a cluster."""

TUNE_SETTINGS = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
"""The store is the truth and `Progress` the display: Tune's own loggers, snapshots and tables are off."""


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
        self._execution = self.EXECUTIONS[new_config["shape"]]
        self._steps: Iterator[Step] | None = None
        return True

    def step(self) -> dict[str, Any]:
        """One epoch; after the last one the result is in the store, or the failure."""
        if self._steps is None:
            self._steps = run_task(self._store, self._run, self._execution)
        step = next(self._steps, None)
        if step is None:
            return {"done": True}
        if step.is_last:
            next(self._steps, None)
        return {
            "done": step.is_last,
            "epoch": step.epoch,
            "validation_accuracy": step.validation_accuracy,
            "epoch_seconds": step.epoch_seconds,
        }

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


@contextmanager
def connected(address: str | None, log_folder: Path, say: Callable[[str], None]) -> Iterator[tuple[Resources, ...]]:
    """Ray, started here or joined, with our code shipped to its workers; gives the machines it has.

    A Ray that this process is already connected to is used as it is and left running; ResourceError if its workers
    do not find our code, which can only be shipped when a connection begins.
    """
    os.environ.update(TUNE_SETTINGS)
    with _logging_to(log_folder / "ray.log"):
        if ray.is_initialized():
            _check_workers_have_our_code()
            yield _machines()
            return
        _start(address, log_folder)
        if allocator.environment(os.environ):
            say(allocator.SAYING)
        try:
            yield _machines()
        finally:
            ray.shutdown()


def _start(address: str | None, log_folder: Path) -> None:
    """Start or join; ResourceError if that cannot be done."""
    root = Path(__file__).resolve().parents[1]
    runtime_env = {
        "py_modules": [str(root / name) for name in ("sweeps", "trainers", "analysis")],
        "env_vars": allocator.environment(os.environ),
    }
    _check_reachable(address)
    on_terminate = signal.getsignal(signal.SIGTERM)
    try:
        with (log_folder / "ray.log").open("a") as log, redirect_stdout(log), redirect_stderr(log):
            ray.init(
                address=address or "local",
                runtime_env=runtime_env,
                log_to_driver=False,
                configure_logging=False,
                include_dashboard=None if address else False,
            )
    except (ConnectionError, RuntimeError, ValueError, RayError) as error:
        raise ResourceError(f"cannot reach a Ray cluster at {address or 'this machine'}: {error}") from error
    signal.signal(signal.SIGTERM, on_terminate)  # ray.init put its own in place, which aborts the process


def _check_workers_have_our_code() -> None:
    try:
        ray.get(ray.remote(num_cpus=0)(our_code_is_known).remote())
    except RayError as error:
        raise ResourceError(
            "the Ray that this process is connected to does not find Petite's code on its workers; "
            "install Petite for them, or call ray.shutdown() before"
        ) from error


def our_code_is_known() -> bool:
    """True, on a worker that could import this module."""
    return callable(run_task)


def _check_reachable(address: str | None) -> None:
    """ResourceError if nobody listens at HOST:PORT; Ray itself would try for many minutes."""
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise ResourceError(f"cannot reach a Ray cluster at {address}: {error}") from error


def _machines() -> tuple[Resources, ...]:
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return tuple(_resources(node) for node in nodes if node["Alive"])


def _resources(node: dict[str, Any]) -> Resources:
    have = node["Resources"]
    return Resources(cpus=have.get("CPU", 0.0), gpus=have.get("GPU", 0.0))


def run_with_tune(work: Pass) -> None:
    """Run a pass; afterwards the store knows what became of every job."""
    num_slots = work.setup.num_slots(work.plan)
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(num_slots + 1)
    searcher = PlanSearcher(
        work.frontier(),
        work.on_start,
        lambda run, result: work.on_epoch(run, result["epoch"], result["validation_accuracy"], result["epoch_seconds"]),
        work.on_end,
        lambda run: work.plan.tasks[run].shape,
    )
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
            callbacks=[EndPass(searcher)],
            progress_reporter=tune.CLIReporter(),  # silent at verbose=0; Tune's own for notebooks clears what we said
            failure_config=tune.FailureConfig(max_failures=MAX_RETRIES),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),  # True makes Tune call `save`
        ),
    )
    try:
        with suppress(PassOver):
            tuner.fit()
    except (tune.TuneError, RayError, EOFError, OSError) as error:
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
        {shape: work.setup.execution(job) for shape, job in one_of_each.items()},
        {shape: work.setup.request(job) for shape, job in one_of_each.items()},
    )


def _name(trial: Any) -> str:
    return str(trial.config["run_id"])


@contextmanager
def _logging_to(file: Path) -> Iterator[None]:
    """Ray's and Tune's own messages go to a file instead of the screen."""
    handler = logging.FileHandler(file)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    loggers = [logging.getLogger(name) for name in ("ray", "ray.tune", "ray.train", "ray.data")]
    before = [(logger, logger.handlers, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.handlers, logger.propagate = [handler], False
    try:
        yield
    finally:
        for logger, handlers, propagates in before:
            logger.handlers, logger.propagate = handlers, propagates
        handler.close()
