"""A driver that is told to stop, under real Ray; drivers and workers that are killed: tests/faults."""

from __future__ import annotations

import re
from typing import Any

import psutil
import pytest

from trainers.storage import Store

pytestmark = pytest.mark.ray


def test_a_stopped_driver_ends_in_seconds_and_takes_ray_along(petite: Any, start: Any, wait_for: Any) -> None:
    process = start(*petite.report, "--only", "conv_*", "--epochs", "2000")
    wait_for(lambda: any(Store(petite.store).checkpoints(run) for run in petite.num_attempts))
    parent = psutil.Process(process.pid)
    relatives = [parent, *parent.children(recursive=True)]
    process.terminate()
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 143
    assert errors == "stopped; what is done is kept, and the same command goes on from here\n"
    wait_for(lambda: not any(is_alive(relative) for relative in relatives))
    plan = petite.main(*petite.report, "--only", "conv_*", "--epochs", "2000", "--plan")
    assert re.search(r"unfinished at epoch \d+ of 2000", plan.out)


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
