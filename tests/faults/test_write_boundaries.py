"""A sweep is killed at every operation on its files; whoever reads the store then is right, and the same command ends.

Full size kills at all boundaries (about 540): python -m pytest tests/faults/test_write_boundaries.py --full
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.faults

NUM_SMALL = 24
"""Boundaries in CI: one per kind of file, and a few more."""


def test_a_kill_at_any_boundary_of_any_file_loses_nothing(
    tiny: Any, tool: Path, tmp_path: Path, is_full: bool, inject: Callable[..., None]
) -> None:
    number = "0" if is_full else str(NUM_SMALL)
    command = [sys.executable, str(tool / "killing.py"), str(tmp_path / "stores"), number, *tiny.arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=7200 if is_full else 300)
    assert done.returncode == 0, done.stderr[-3000:]
    first, *trials = map(json.loads, done.stdout.splitlines())
    assert first["code"] == 1  # the one that must fail does
    killed = [one for one in trials if one["was_killed"]]
    inject(
        fault=f"SIGKILL at a file operation ({len({one['at'] for one in killed})} kinds)",
        times=len(killed),
        finished_lost=sum(one["lost"] for one in trials),
        repeated=f"at most {max(one['repeated'] for one in trials)} epochs a kill",
        outcome=outcome(trials),
    )
    assert [one for one in trials if one["wrong"] or one["lost"] or one["hung"]] == []
    assert len(killed) >= 0.95 * len(trials) > 0  # threads may shift the last ones beyond the end
    assert max(one["repeated"] for one in trials) <= 1


def outcome(trials: list[dict[str, Any]]) -> str:
    wrong = sum(bool(one["wrong"] or one["hung"]) for one in trials)
    return "all equal the undisturbed sweep" if not wrong else f"{wrong} of {len(trials)} went wrong"
