"""What is lost while a sweep runs: machines that something still waits for, and the cluster's head.

Ray would wait for ever for the one; of the other it tells in its own words, a minute later, and ends the process.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from ray import tune
from ray.tune.experiment import Trial

from sweeps.resources import Resources
from trainers.errors import ResourceError

CHECK_SECONDS = 5.0
"""Between two looks at what machines there are."""

PATIENCE_SECONDS = 60.0
"""With nothing running and no machine for what waits. A node's Ray that was restarted is back within half of that."""

HEAD_CHECK_SECONDS = 2.0
HEAD_LOST_SECONDS = 50.0
"""Longer than a cable is out for a moment, and less than the 60 s after which Ray ends the process."""


class EndWithoutMachines(tune.Callback):  # type: ignore[misc]  # ray ships no types for it
    """Ends a pass by ResourceError once nothing runs and no machine is left for what waits."""

    def __init__(
        self, machines: Callable[[], Sequence[Resources]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._machines, self._clock = machines, clock
        self._next_look, self._stuck_since = 0.0, float("inf")

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Asked after every event, and several times a second while there is none."""
        now = self._clock()
        if now < self._next_look:
            return
        self._next_look = now + CHECK_SECONDS
        waiting = [trial for trial in trials if trial.status == Trial.PENDING]
        is_idle = bool(waiting) and not any(trial.status == Trial.RUNNING for trial in trials)
        self._stuck_since = min(self._stuck_since, now) if is_idle and not self._fits_any(waiting) else float("inf")
        if now - self._stuck_since >= PATIENCE_SECONDS:
            request = _request(waiting[0])
            raise ResourceError(
                f"the cluster has lost its machines: none is left for a job of {request.cpus:g} CPUs and "
                f"{request.gpus:g} GPUs; what is done is kept: start Ray there again, and the same command goes on"
            )

    def _fits_any(self, waiting: list[Any]) -> bool:
        machines = self._machines()
        return any(
            request.cpus <= machine.cpus and request.gpus <= machine.gpus
            for request in map(_request, waiting)
            for machine in machines
        )


def _request(trial: Any) -> Resources:
    wanted = trial.placement_group_factory.required_resources
    return Resources(cpus=wanted.get("CPU", 0.0), gpus=wanted.get("GPU", 0.0))


@contextmanager
def ending_with_head(address: str) -> Iterator[None]:
    """Meanwhile this process ends in one line, with exit code 2, when nobody has answered at HOST:PORT for a while."""
    is_over = threading.Event()

    def watch() -> None:
        if is_lost(lambda: is_listening(address), is_over.wait):
            print(
                f"error: the Ray cluster at {address} is gone: its head has not answered for {HEAD_LOST_SECONDS:g} s; "
                "what is done is kept: start a new one, and the same command goes on",
                file=sys.stderr,
                flush=True,
            )
            os._exit(2)  # nothing of Ray ends in order any more

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        is_over.set()


def is_lost(
    is_there: Callable[[], bool],
    wait: Callable[[float], bool],
    clock: Callable[[], float] = time.monotonic,
) -> bool:
    """Look again and again: True once it was not there for too long, False once `wait` says that all is over."""
    last_seen = clock()
    while not wait(HEAD_CHECK_SECONDS):
        if is_there():
            last_seen = clock()
        elif clock() - last_seen >= HEAD_LOST_SECONDS:
            return True
    return False


def is_listening(address: str) -> bool:
    """Whether somebody accepts connections at HOST:PORT."""
    host, _, port = address.rpartition(":")
    with suppress(OSError):
        socket.create_connection((host.strip("[]"), int(port)), timeout=HEAD_CHECK_SECONDS).close()
        return True
    return False
