"""The command that simulates, the replay of a finished sweep, and what `--plan` expects a sweep to take."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sweeps import api
from sweeps.replay import Span, handover_seconds, read_recording
from sweeps.simulate import main
from trainers.storage import Store

ROOT = Path(__file__).resolve().parents[2]


def rows(text: str) -> dict[str, list[str]]:
    """Policy -> its cells."""
    cells = [[cell.strip() for cell in line.strip("| ").split("|")] for line in text.splitlines() if line[:1] == "|"]
    return {first: rest for first, *rest in cells[2:]}


def test_a_sweep_is_simulated_under_every_policy_without_data(capsys: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["--seeds", "20", "--nodes", "2", "--gpus", "2", "--images", "1000"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("180 jobs: report x 20 seeds, durations estimated by role; planned in ")
    found = rows(out)
    assert list(found) == ["longest path first", "plan order", "stage barriers"]
    assert all(float(cells[1]) >= 1 for cells in found.values())
    assert list(tmp_path.iterdir()) == []


def test_without_failures_one_machine_of_one_cpu_takes_all_the_work(capsys: Any) -> None:
    """smoke per picture: pretraining and teacher 3.5 ms, students 1.2, a forward pass 3.5 / 3, a variant 1.0."""
    assert main(["--sweep", "smoke", "--cpus", "1", "--images", "60000", "--policy", "fifo"]) == 0
    out = capsys.readouterr().out
    seconds = 60 * (3.5 + 3.5 + 1.2 + 1.2 + 3.5 / 3 + 1.0)
    assert f"lower bound {seconds // 60:.0f}:{seconds % 60:02.0f}" in out
    assert rows(out)["plan order"][1:3] == ["1.000", "100.0%"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sweep", "nothing"], "unknown sweep 'nothing'"),
        (["--durations", "/no/such/folder"], "/no/such/folder is no store"),
        (["--replay", "."], "has no plan; give the store of a finished sweep"),
        (["--gpus", "-1"], "--gpus is -1; allowed: 0 or more"),
        (["--failures-per-day", "nan"], "--failures-per-day is nan; allowed: 0 or more"),
    ],
)
def test_wrong_input_is_one_line_and_code_2(
    arguments: list[str], message: str, capsys: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and message in err and err.count("\n") == 1


def test_simulating_imports_neither_torch_nor_ray() -> None:
    code = (
        "import sys, json; from sweeps.simulate import main; code = main(['--seeds', '2']);"
        "print(json.dumps([code, [name for name in ('torch', 'ray') if name in sys.modules]]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert json.loads(done.stdout.splitlines()[-1]) == [0, []]


def test_the_handover_is_the_typical_time_from_an_end_to_the_start_in_its_place() -> None:
    """Slot one: 0-4, 4.5-6, 6.25-9; slot two: 0-5, 5.5-8. Gaps of 0.5, 0.25 and 0.5 s."""
    spans = [(0, 4), (4.5, 6), (6.25, 9), (0, 5), (5.5, 8)]
    assert handover_seconds([Span(begun=begun, ended=ended) for begun, ended in spans]) == 0.5
    assert handover_seconds([Span(begun=0, ended=1)]) == 0.0


def test_a_finished_sweep_is_replayed_with_its_own_durations(finished: Any, capsys: Any) -> None:
    recording = read_recording(Store(finished.store))
    assert len(recording.tasks) == 9
    work = sum(task.epoch_seconds for task in recording.tasks)
    assert work <= recording.makespan_seconds
    assert main(["--replay", str(finished.store), "--cpus", "1"]) == 0
    assert "% of measured)" in capsys.readouterr().out


def test_a_plan_says_what_each_job_would_take_once_the_pictures_are_counted(finished: Any, capsys: Any) -> None:
    outcome = finished.process(*finished.report, "--seeds", "1", "--plan", "--serial")
    assert outcome.code == 0
    lines = [line.split() for line in outcome.out.splitlines() if "@1" in line and " yes " in line]
    assert len(lines) == 9 and all(any(word.startswith("~") for word in line) for line in lines)
    assert "estimated: " in outcome.out and "(from 9 runs of this store)" in outcome.out


def test_what_is_not_counted_yet_is_not_estimated(tmp_path: Path) -> None:
    planned = api.plan(sweep="smoke", store=tmp_path / "store")
    assert planned.outlook.words == "" and planned.jobs["estimated_seconds"].isna().all()
