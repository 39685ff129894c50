"""Ray, started here or joined: what workers are given of ours, and the machines there are."""

from __future__ import annotations

import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import ray
from ray._private import ray_constants, worker
from ray.exceptions import RayError

from sweeps import allocator
from sweeps.losses import ending_with_head
from sweeps.nodes import OPEN, check_nodes, check_token, head_of, is_open, machines, say_what_may_come
from sweeps.resources import Resources
from sweeps.trial import run_task
from trainers.errors import ResourceError
from trainers.storage import Store

NO_SECRETS = ("AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION")

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


@contextmanager
def connected(address: str | None, store: Store, say: Callable[[str], None]) -> Iterator[tuple[Resources, ...]]:
    """Ray, started here or joined, with our code shipped to its workers; gives the machines it has.

    Each node of a cluster is asked first whether it can do our work. Ray's messages go to the store's logs.

    A Ray that this process is already connected to is used as it is and left running; ResourceError if its workers
    do not find our code, which can only be shipped when a connection begins.
    """
    os.environ.update(TUNE_SETTINGS)
    log_folder = store.log_folder()
    with _logging_to(log_folder / "ray.log") as attach:
        if ray.is_initialized():
            _check_workers_have_our_code()
            check_nodes(store, say)
            yield machines()
            return
        _start(address, log_folder)
        attach()
        if allocator.environment(os.environ):
            say(allocator.SAYING)
        try:
            with ExitStack() as stack:
                if address is not None:
                    _inspect(address, store, say)
                    stack.enter_context(ending_with_head(head_of(address)))
                yield machines()
        finally:
            ray.shutdown()


def _inspect(address: str, store: Store, say: Callable[[str], None]) -> None:
    """Of a cluster that was joined: whether it is open to all, and what its nodes lack."""
    if is_open(head_of(address)):
        say(OPEN)
    check_nodes(store, say)
    say_what_may_come(say)


def _start(address: str | None, log_folder: Path) -> None:
    """Start or join; ResourceError if that cannot be done."""
    root = Path(__file__).resolve().parents[1]
    runtime_env = {
        "py_modules": [str(root / name) for name in ("sweeps", "trainers", "analysis")],
        "env_vars": allocator.environment(os.environ) | whereabouts_of_bucket(os.environ),
    }
    _check_reachable(address)
    on_terminate = signal.getsignal(signal.SIGTERM)
    try:
        with ExitStack() as stack:
            log = stack.enter_context((log_folder / "ray.log").open("a"))
            stack.enter_context(redirect_stdout(log))
            stack.enter_context(redirect_stderr(log))
            if address is None:
                stack.enter_context(_on_loopback())
            ray.init(
                address=address or "local",
                runtime_env=runtime_env,
                log_to_driver=False,
                configure_logging=False,
                include_dashboard=None if address else False,
            )
    except Exception as error:  # Ray raises no less for a node that takes too long to start
        if isinstance(error, OSError) and not isinstance(error, ConnectionError):
            raise
        what = f"cannot reach a Ray cluster at {address}" if address else "cannot start Ray on this machine"
        raise ResourceError(f"{what}: {error}") from error
    signal.signal(signal.SIGTERM, on_terminate)  # ray.init put its own in place, which aborts the process


@contextmanager
def _on_loopback() -> Iterator[None]:
    """Everything that a Ray started meanwhile listens on is of this machine alone.

    On Linux Ray takes the machine's own address, even when it is given 127.0.0.1. This is its switch for systems where
    it must not be reached from outside (RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0), which is read when Ray is imported.
    """
    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


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


def whereabouts_of_bucket(environment: Mapping[str, str]) -> dict[str, str]:
    """Where an object store is, for the workers of a cluster; never its keys.

    Ray keeps these values with the job and shows them to whoever reaches its API. Keys belong into the environment of
    each node, or into its role; which node lacks them is told before the first trial.
    """
    return {name: environment[name] for name in NO_SECRETS if environment.get(name)}


def _check_reachable(address: str | None) -> None:
    """ResourceError if nobody listens at HOST:PORT; Ray itself would try for many minutes."""
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise ResourceError(f"cannot reach a Ray cluster at {address}: {error}") from error
    if not (address or "").startswith("ray://"):
        check_token(f"{host}:{port}")


class _Log(logging.FileHandler):
    """What cannot be written, on a disk that is full, is not told on the screen instead."""

    def handleError(self, record: logging.LogRecord) -> None:  # its name in the standard library
        """Nothing: the store's own writes say that its disk is full."""


@contextmanager
def _logging_to(file: Path) -> Iterator[Callable[[], None]]:
    """Ray's and Tune's own messages go to a file instead of the screen; call what is given once Ray has started."""
    handler = _Log(file)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    loggers = [logging.getLogger(name) for name in ("ray", "ray.tune", "ray.train", "ray.data")]
    printing = worker.print_to_stdstream
    before = [(logger, logger.handlers, logger.propagate) for logger in loggers]

    def attach() -> None:
        """`ray.init` takes the handlers off."""
        for logger in loggers:
            logger.handlers, logger.propagate = [handler], False

    attach()
    worker.print_to_stdstream = lambda data, **how: handler.handle(_warning(data["lines"]))  # of nodes that died
    try:
        yield attach
    finally:
        worker.print_to_stdstream = printing
        for logger, handlers, propagates in before:
            logger.handlers, logger.propagate = handlers, propagates
        handler.close()


def _warning(lines: list[str]) -> logging.LogRecord:
    return logging.LogRecord("ray", logging.WARNING, "", 0, "\n".join(lines), None, None)
