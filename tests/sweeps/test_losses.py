"""What a sweep does when its machines go, by a clock that is turned by hand."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from sweeps import losses
from sweeps.losses import HEAD_LOST_SECONDS, PATIENCE_SECONDS, EndWithoutMachines, is_listening, is_lost
from sweeps.resources import Resources
from trainers.errors import ResourceError

BIG, SMALL = Resources(cpus=4, gpus=1), Resources(cpus=1)


def trial(status: str, *, cpus: float = 2, gpus: float = 0) -> Any:
    wanted = {"CPU": cpus} | ({"GPU": gpus} if gpus else {})
    return SimpleNamespace(status=status, placement_group_factory=SimpleNamespace(required_resources=wanted))


def steps(callback: EndWithoutMachines, time: list[float], trials: list[Any], seconds: float) -> None:
    end = time[0] + seconds
    while time[0] < end:
        callback.on_step_end(0, trials)
        time[0] += 1
    callback.on_step_end(0, trials)


def test_a_pass_whose_last_fitting_machine_is_gone_ends_in_one_line_after_a_while() -> None:
    time = [0.0]
    callback = EndWithoutMachines(lambda: [SMALL], lambda: time[0])
    waiting = [trial("PENDING", cpus=2, gpus=1)]
    steps(callback, time, waiting, PATIENCE_SECONDS - 10)
    with pytest.raises(
        ResourceError, match=r"none is left for a job of 2 CPUs and 1 GPUs; .* the same command goes on"
    ):
        steps(callback, time, waiting, 20)


@pytest.mark.parametrize(
    ("machines", "trials"),
    [
        ([SMALL, BIG], [trial("PENDING", gpus=1)]),
        ([SMALL], [trial("PENDING", gpus=1), trial("RUNNING", cpus=1)]),
        ([SMALL], [trial("PENDING", gpus=1), trial("PENDING", cpus=1)]),
        ([], [trial("TERMINATED")]),
        ([], []),
    ],
)
def test_a_pass_goes_on_while_anything_runs_or_could(machines: list[Resources], trials: list[Any]) -> None:
    time = [0.0]
    steps(EndWithoutMachines(lambda: machines, lambda: time[0]), time, trials, 10 * PATIENCE_SECONDS)


def test_a_machine_that_comes_back_in_time_starts_the_waiting_anew() -> None:
    time, machines = [0.0], list[Resources]()
    callback = EndWithoutMachines(lambda: machines, lambda: time[0])
    for _ in range(3):
        steps(callback, time, [trial("PENDING")], PATIENCE_SECONDS - 10)
        machines.append(BIG)
        steps(callback, time, [trial("PENDING")], 10)
        machines.clear()


def seen(pattern: Iterator[bool], seconds_each: float) -> bool:
    """`is_lost` over looks with the given outcomes, after which all is over."""
    looks, time = list(pattern), [0.0]

    def wait(seconds: float) -> bool:
        time[0] += seconds_each
        return not looks

    return is_lost(lambda: looks.pop(0), wait, lambda: time[0])


def test_a_head_is_lost_after_so_many_seconds_and_not_for_a_moment() -> None:
    absent = int(HEAD_LOST_SECONDS / 10)
    assert seen(iter([True, *[False] * absent]), 10)
    assert not seen(iter([True, *[False] * (absent - 1), True] * 3), 10)
    assert not seen(iter([True] * 100), 10)


def test_who_listens_is_there_and_who_has_stopped_is_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        assert is_listening(address)
    assert not is_listening(address)


def test_patience_with_a_head_ends_before_rays_own() -> None:
    assert losses.HEAD_LOST_SECONDS + 2 * losses.HEAD_CHECK_SECONDS < 60
