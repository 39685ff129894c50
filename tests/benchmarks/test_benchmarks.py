"""Benchmarks write what they print, say how they are used, and run at a tiny size; nothing here looks at a speed."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pyarrow.parquet as pq
import pytest

FOLDER = Path(__file__).resolve().parent
ALL = FOLDER / "all.py"
PROBE = """
import runpy, sys
sys.argv = sys.argv[1:]
sys.path.insert(0, sys.argv[0].rpartition("/")[0])
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
except SystemExit as stop:
    assert not stop.code
print([name for name in ("torch", "ray") if name in sys.modules])
"""
BENCHMARKS = sorted(file for file in FOLDER.glob("*.py") if "\ndef main(" in file.read_text())


def loaded(name: str) -> ModuleType:
    """A file of this folder, which is no package."""
    spec = importlib.util.spec_from_file_location(f"benchmark {name}", FOLDER / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # dataclasses look there
    spec.loader.exec_module(module)
    return module


tables = loaded("tables")


def test_a_table_on_the_screen_and_in_the_file_has_the_same_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"way": "one", "seconds": 1.23456}, {"way": "other", "images": 1234.5, "note": "none"}]
    file = tables.write_table("speeds", rows, tmp_path / "new")
    table = pq.read_table(file)
    assert file == tmp_path / "new" / "speeds.parquet"
    assert table.to_pylist() == [{"images": None, "note": None, **rows[0]}, {"seconds": None, **rows[1]}]
    assert table.schema.metadata[b"machine"].decode() == tables.machine_line()
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:5] == [
        "| way | seconds | images | note |",
        "| --- | ---: | ---: | --- |",
        "| one | 1.23 |  |  |",
        "| other |  | 1234 | none |",
    ]
    assert tables.machine_line() in lines and f"written: {file}" in lines


def test_rounds_become_their_median_and_ends_and_one_round_itself() -> None:
    assert tables.spread("s", [3.0, 1.0, 8.0]) == {"s": 3.0, "s, min": 1.0, "s, max": 8.0}
    assert tables.spread("s", [3.0]) == {"s": 3.0}


def test_the_machine_is_told_by_its_cores_and_versions() -> None:
    assert re.search(r"\d+ cores, .*torch \d+\.\d+.*, ray \d+\.\d+", tables.machine_line())


@pytest.mark.parametrize("file", BENCHMARKS, ids=lambda file: file.stem)
def test_a_benchmark_says_how_it_is_used_and_starts_neither_torch_nor_ray_for_that(file: Path) -> None:
    done = subprocess.run([sys.executable, "-c", PROBE, str(file), "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and "usage:" in done.stdout, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
    assert f"python tests/benchmarks/{file.name}" in file.read_text().split('"""')[1]


def test_no_schedule_beats_all_work_over_the_slots_nor_the_longest_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    family = [("teacher", ()), ("student", ("teacher",)), ("other", ())]
    plan = SimpleNamespace(jobs=[SimpleNamespace(id=name, parents=parents) for name, parents in family])
    sweep = loaded("sweep")
    assert sweep.lower_bound(plan, {"teacher": 5.0, "student": 2.0, "other": 1.0}, 2, 0.0) == 7.0
    assert sweep.lower_bound(plan, {"teacher": 5.0, "student": 2.0, "other": 8.0}, 2, 3.0) == 9.0
    assert [[job.id for job in stage] for stage in sweep.stages(plan)] == [["teacher", "other"], ["student"]]


def test_a_command_repeats_lists_and_leaves_out_what_is_not_asked_for() -> None:
    product = loaded("product")
    words = product.command(Path("s"), {"batch_size": 32, "serial": True, "limit": None, "set": ["a=1", "b=2"]})
    assert words[2:] == [
        "--store",
        "s",
        "--no-report",
        "--batch-size",
        "32",
        "--serial",
        "--set",
        "a=1",
        "--set",
        "b=2",
    ]


@pytest.mark.benchmark
def test_benchmarks_of_speed_and_memory_run_at_a_tiny_size(tmp_path: Path) -> None:
    words = [sys.executable, str(ALL), "--quick", "--only", "kd,memory", "--out", str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    ways = {row["way"]: row for row in pq.read_table(tmp_path / "kd.parquet").to_pylist()}
    measured = {way for way, row in ways.items() if row["images/s"]}
    assert {"notebook loop, batch 32", "ours, live teacher, batch 32", "ours, cached logits, batch 32"} <= measured
    one, two = pq.read_table(tmp_path / "memory.parquet").to_pylist()
    assert one["% of the data set"] is None and two["% of the data set"] is not None
    assert two["own, MB"] > one["own, MB"] and one["mapped, MB"] > 0
