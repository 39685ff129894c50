"""Every file of a store is cut short and has bits flipped: who reads it notices, and no table has a wrong number."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.faults


def test_damage_to_any_file_is_noticed_and_mended(
    tiny: Any, tool: Path, tmp_path: Path, is_full: bool, inject: Callable[..., None]
) -> None:
    size = ["all", "100", "80"] if is_full else ["some", "2", "4"]
    command = [sys.executable, str(tool / "damaging.py"), str(tmp_path / "stores"), *size, *tiny.arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=7200 if is_full else 300)
    assert done.returncode == 0, done.stderr[-3000:]
    first, *rest = map(json.loads, done.stdout.splitlines())
    assert first["code"] == 1  # the one that must fail does
    read, mended = [one for one in rest if "verdicts" in one], [one for one in rest if "mended" in one]
    verdicts = sum((Counter(one["verdicts"]) for one in read), Counter[str]())
    said = ", ".join(f"{number} {word}" for word, number in sorted(verdicts.items()))
    add(inject, f"cut or flipped, {len(read)} files read", verdicts.total(), "0", said, read)
    add(inject, "cut or flipped, and the same command", len(mended), "what was damaged", "all mended", mended)
    assert [one for one in rest if one["wrong"]] == []
    assert verdicts["noticed"] > verdicts["harmless"] > 0
    assert len(mended) == int(size[2])


def add(
    inject: Callable[..., None], fault: str, times: int, repeated: str, outcome: str, trials: list[dict[str, Any]]
) -> None:
    """A row of the table, which says what went wrong if anything did."""
    wrong = sum(bool(one["wrong"]) for one in trials)
    said = outcome if not wrong else f"{wrong} of {len(trials)} went wrong"
    inject(fault=fault, times=times, finished_lost=0, repeated=repeated, outcome=said)
