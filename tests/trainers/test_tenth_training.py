"""A process that has trained much else gives the same numbers as a fresh one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec

from trainers.spec import run_id
from trainers.storage import PREDICTIONS, WEIGHTS, Store

SCRIPT = Path(__file__).parent / "tenth.py"
TIMES = ("images_per_second", "epoch_seconds")


def numbers(store: Path) -> tuple[str, str, list[dict[str, object]]]:
    """SHA-256 of weights and of predictions, and the curve, of the training that was made last."""
    opened = Store(store)
    results = [result for run in opened.run_ids() if (result := opened.result(run)) is not None]
    last = max(results, key=lambda result: result.finished_at)
    curve = opened.attempt(last.run_id, last.attempt).curves()
    plain = [{name: value for name, value in msgspec.to_builtins(one).items() if name not in TIMES} for one in curve]
    assert last.run_id == run_id(opened.spec(last.run_id))
    return last.files[WEIGHTS].sha256, last.files[PREDICTIONS].sha256, plain


def test_a_training_is_the_same_first_in_its_process_and_after_nine_others(tmp_path: Path) -> None:
    folders = (SCRIPT.parent, SCRIPT.parents[2])
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders))}
    stores = {}
    for place in ("first", "tenth"):
        stores[place] = tmp_path / place / "store"
        stores[place].parent.mkdir()
        command = [sys.executable, str(SCRIPT), str(stores[place]), place]
        done = subprocess.run(command, capture_output=True, text=True, timeout=200, env=variables)
        assert done.returncode == 0, done.stdout + done.stderr
    assert len(Store(stores["first"]).run_ids()) == 1
    assert len(Store(stores["tenth"]).run_ids()) > 10
    first, tenth = (numbers(store) for store in stores.values())
    assert first == tenth
