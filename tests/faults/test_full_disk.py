"""A disk that something else fills while a sweep runs: it ends with one line, and the same command goes on.

Full size: python -m pytest tests/faults/test_full_disk.py --full
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.faults

APART = ["unshare", "--mount"]
"""A mount name space of one's own: what is mounted there is seen by nobody else, and goes with the process."""


@pytest.fixture
def mounting(tmp_path: Path) -> list[str]:
    """The beginning of a command that may mount."""
    probe = f"mount -t tmpfs -o size=1m small {tmp_path}"
    if shutil.which("unshare") is None or subprocess.run([*APART, "sh", "-c", probe], capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    return APART


def test_a_disk_filled_at_any_moment_loses_nothing_and_shows_no_traceback(
    tiny: Any, tool: Path, tmp_path: Path, is_full: bool, inject: Callable[..., None], mounting: list[str]
) -> None:
    number = 10 if is_full else 3
    program = [sys.executable, str(tool / "filling.py"), str(tmp_path / "work"), str(number)]
    done = subprocess.run([*mounting, *program, *tiny.arguments], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    trials = [json.loads(line) for line in done.stdout.splitlines()]
    stopped = [one for one in trials if one["was_stopped"]]
    wrong = [one for one in trials if one["wrong"] or one["hung"] or one["lost"]]
    inject(
        fault=f"disk filled at a random moment ({len(stopped)} met it)",
        times=len(trials),
        finished_lost=sum(one["lost"] for one in trials),
        repeated=f"at most {max(one['repeated'] for one in trials)} epochs each time",
        outcome="one clear line, then all equal" if not wrong else f"{len(wrong)} of {number} went wrong",
    )
    assert not wrong, json.dumps(wrong, indent=1)
    assert len(trials) == number and stopped
    assert max(one["repeated"] for one in trials) <= 1  # the epoch that could not be saved


@pytest.mark.parametrize("way", ["a disk that is mounted read-only", "a file in its way"])
def test_a_store_that_cannot_be_written_is_refused_at_the_start(
    tiny: Any, tool: Path, tmp_path: Path, way: str, request: pytest.FixtureRequest
) -> None:
    place = tmp_path / "place"
    begin: list[str] = []
    if way.startswith("a disk"):
        place.mkdir()
        mount = f'mount -t tmpfs -o ro,size=1m small {place} && exec "$@"'
        begin = [*request.getfixturevalue("mounting"), "sh", "-c", mount, "sh"]
    else:
        place.write_text("no folder")
    command = [sys.executable, str(tool.parents[1] / "sweeps" / "run_all.py"), "--store", str(place / "store")]
    done = subprocess.run([*begin, *command, *tiny.arguments, "--serial"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "cannot be written" in done.stderr and "--store" in done.stderr
