"""A second gathering reads only what changed, and its tables are those of a gathering from scratch."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analysis import facts, seen, signature, workers
from analysis.gather import gather, main
from analysis.tables import RUNS_SCHEMA, to_list, to_table
from trainers.errors import StoreError
from trainers.spec import run_id
from trainers.storage import CURVES, WEIGHTS, Store

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files count as settled at once, so that no test has to wait."""
    monkeypatch.setattr(signature, "SETTLED_SECONDS", 0.0)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The runs that are read, in their order."""
    found: list[str] = []
    real = facts.read_run
    monkeypatch.setattr(facts, "read_run", lambda store, run: (found.append(run), real(store, run))[1])
    return found


@pytest.fixture
def family(lab: Any, make_spec: Any) -> dict[str, Any]:
    """A teacher, its student, a failed one and an unfinished one, all of a plan; gathered once."""
    teacher = make_spec(model="resnet18", seed=7)
    specs = {
        "teacher": teacher,
        "student_kd": make_spec(teacher=teacher),
        "student_failed": make_spec(seed=1),
        "student_waiting": make_spec(seed=2),
    }
    lab.plan(*specs.items())
    lab.finish(specs["teacher"], validation=0.7)
    lab.finish(specs["student_kd"], validation=0.7)
    lab.fail(specs["student_failed"])
    lab.begin(specs["student_waiting"], num_epochs=1)
    gather(lab.store)
    return specs


def tables_of(store: Store) -> tuple[pa.Table, pa.Table]:
    gathered = gather(store)
    return gathered.runs, gathered.curves


def assert_as_from_scratch(store: Store) -> tuple[pa.Table, pa.Table]:
    """The tables, which a gathering without any memory makes as well."""
    found = tables_of(store)
    shutil.rmtree(store.root / "tables")
    for one, other in zip(found, tables_of(store), strict=True):
        assert one.equals(other)
    assert found[0].equals(pq.read_table(store.table_file("runs")))
    return found


def attempt_folder(lab: Any, spec: Any) -> Path:
    folder: Path = lab.store.attempts(run_id(spec))[-1].folder
    return folder


def test_what_did_not_change_is_not_read_again(lab: Any, family: dict[str, Any], read: list[str]) -> None:
    before = tables_of(lab.store)
    assert set(read) == {run_id(family["student_failed"]), run_id(family["student_waiting"])}
    read.clear()
    lab.finish(family["student_waiting"])
    after = tables_of(lab.store)
    assert set(read) == {run_id(family["student_failed"]), run_id(family["student_waiting"])}
    assert not before[0].equals(after[0])
    assert_as_from_scratch(lab.store)


CHANGES: dict[str, Callable[[Any, Path, Path], object]] = {
    "result cut": lambda lab, run, attempt: _cut(run / "result.json"),
    "result gone": lambda lab, run, attempt: (run / "result.json").unlink(),
    "result altered": lambda lab, run, attempt: _swap(run / "result.json", b"0.7", b"0.9"),
    "spec cut": lambda lab, run, attempt: _cut(run / "spec.json"),
    "spec gone": lambda lab, run, attempt: (run / "spec.json").unlink(),
    "curves cut": lambda lab, run, attempt: _cut(attempt / CURVES),
    "curves gone": lambda lab, run, attempt: (attempt / CURVES).unlink(),
    "curves altered": lambda lab, run, attempt: _swap(attempt / CURVES, b"0.7", b"0.9"),
    "curves replaced": lambda lab, run, attempt: _replace(attempt / CURVES, b"x"),
    "weights cut": lambda lab, run, attempt: _cut(attempt / WEIGHTS),
    "weights gone": lambda lab, run, attempt: (attempt / WEIGHTS).unlink(),
    "another attempt": lambda lab, run, attempt: lab.store.begin_attempt(run.name),
    "set aside": lambda lab, run, attempt: lab.store.set_aside(run.name),
    "attempt gone": lambda lab, run, attempt: shutil.rmtree(attempt),
    "run gone": lambda lab, run, attempt: shutil.rmtree(run),
}


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-2])


def _swap(file: Path, old: bytes, new: bytes) -> None:
    """The same size, as a hand with an editor would do it."""
    content = file.read_bytes()
    assert old in content
    file.write_bytes(content.replace(old, new, 1))


def _replace(file: Path, content: bytes) -> None:
    """Another file of that name, as a copy that keeps times would make it."""
    stat = file.stat()
    other = file.with_name("other")
    other.write_bytes(content * stat.st_size)
    os.utime(other, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    os.replace(other, file)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("label", ["student_kd", "teacher"])
def test_a_change_of_any_file_of_a_finished_run_is_seen(
    lab: Any, family: dict[str, Any], label: str, change: str
) -> None:
    run = lab.store.run_folder(run_id(family[label]))
    CHANGES[change](lab, run, attempt_folder(lab, family[label]))
    assert_as_from_scratch(lab.store)


def test_a_run_that_is_trained_again_shows_its_new_result(lab: Any, family: dict[str, Any]) -> None:
    lab.store.set_aside(run_id(family["student_kd"]))
    lab.finish(family["student_kd"], validation=0.91)
    runs, curves = assert_as_from_scratch(lab.store)
    rows = {row["label"]: row for row in runs.to_pylist()}
    assert rows["student_kd"]["best_validation_accuracy"] == 0.91 and rows["student_kd"]["num_attempts"] == 2
    assert 0.91 in curves["validation_accuracy"].to_pylist()


def test_labels_and_status_follow_plans_and_parents_without_reading_the_run(
    lab: Any, family: dict[str, Any], read: list[str]
) -> None:
    lab.plan(*((f"new_{label}", spec) for label, spec in family.items()), plan_id="plan2", at="2026-02-01")
    runs, curves = tables_of(lab.store)
    assert run_id(family["student_kd"]) not in read
    rows = {row["run_id"]: row for row in runs.to_pylist()}
    student = rows[run_id(family["student_kd"])]
    assert (student["label"], student["teacher_label"], student["plan_id"]) == (
        "new_student_kd",
        "new_teacher",
        "plan2",
    )
    assert set(curves["label"].to_pylist()) == {"new_teacher", "new_student_kd", "new_student_waiting"}
    assert_as_from_scratch(lab.store)
    lab.store.plan_file("plan2").unlink()
    runs, _ = assert_as_from_scratch(lab.store)
    assert set(runs["label"].to_pylist()) == set(family)


def test_a_file_that_changed_a_moment_before_it_was_read_is_read_again(
    lab: Any, family: dict[str, Any], read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signature, "SETTLED_SECONDS", 60.0)
    shutil.rmtree(lab.store.root / "tables")
    gather(lab.store)
    read.clear()
    gather(lab.store)
    assert set(read) == {run_id(spec) for spec in family.values()}


DAMAGE: dict[str, Callable[[Path], object]] = {
    "notes gone": lambda folder: (folder / "seen.parquet").unlink(),
    "notes cut": lambda folder: _cut(folder / "seen.parquet"),
    "notes alien": lambda folder: (folder / "seen.parquet").write_bytes(b"no table"),
    "notes of other tables": lambda folder: shutil.copy(folder / "curves.parquet", folder / "seen.parquet"),
    "runs gone": lambda folder: (folder / "runs.parquet").unlink(),
    "runs cut": lambda folder: _cut(folder / "runs.parquet"),
    "runs altered": lambda folder: pq.write_table(
        pq.read_table(folder / "runs.parquet").slice(1), folder / "runs.parquet"
    ),
    "curves gone": lambda folder: (folder / "curves.parquet").unlink(),
    "curves alien": lambda folder: (folder / "curves.parquet").write_bytes(b"no table"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_whatever_is_wrong_with_the_tables_all_is_read_again(
    lab: Any, family: dict[str, Any], read: list[str], damage: str
) -> None:
    sound = tables_of(lab.store)
    read.clear()
    DAMAGE[damage](lab.store.root / "tables")
    for one, other in zip(tables_of(lab.store), sound, strict=True):
        assert one.equals(other)
    assert set(read) == {run_id(spec) for spec in family.values()}


def test_other_code_reads_all_again(
    lab: Any, family: dict[str, Any], read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seen, "code_digest", lambda: "another")
    gather(lab.store)
    assert set(read) == {run_id(spec) for spec in family.values()}


def test_a_copied_store_has_paths_of_its_own(lab: Any, family: dict[str, Any], tmp_path: Path) -> None:
    shutil.copytree(lab.store.root, tmp_path / "copy")
    runs, _ = assert_as_from_scratch(Store(tmp_path / "copy"))
    logs = [row["log_path"] for row in runs.to_pylist() if row["status"] != "failed"]
    assert len(logs) == 3 and all(log.startswith(str(tmp_path / "copy")) for log in logs)


def test_a_moved_store_has_paths_of_its_own(lab: Any, family: dict[str, Any]) -> None:
    moved = lab.store.root.rename(lab.store.root.with_name("moved"))  # every inode and time stays
    runs, _ = assert_as_from_scratch(Store(moved))
    assert all(str(moved) in row["log_path"] for row in runs.to_pylist() if row["status"] != "failed")


def test_a_change_that_hides_its_time_is_seen(lab: Any, family: dict[str, Any]) -> None:
    file = lab.store.run_folder(run_id(family["student_kd"])) / "result.json"
    before = file.stat()
    _swap(file, b"0.7", b"0.9")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert_as_from_scratch(lab.store)


@pytest.mark.parametrize("name", ["seen", "runs", "curves"])
def test_a_table_that_cannot_be_written_is_one_line(lab: Any, family: dict[str, Any], name: str, capsys: Any) -> None:
    lab.store.table_file(name).unlink()
    lab.store.table_file(name).mkdir()
    assert main([str(lab.store.root)]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


EVENTS = ("finish", "fail", "begin", "set aside", "cut", "plan", "remove")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=st.lists(st.tuples(st.sampled_from(EVENTS), st.integers(0, 2)), max_size=8))
def test_after_any_events_the_tables_are_those_from_scratch(
    lab: Any, make_spec: Any, events: list[tuple[str, int]]
) -> None:
    shutil.rmtree(lab.store.root)
    lab.store.open()
    teacher = make_spec(model="resnet18", seed=7)
    specs = (teacher, make_spec(teacher=teacher), make_spec(seed=1))
    for number, (event, index) in enumerate(events):
        spec = specs[index]
        folder = lab.store.run_folder(run_id(spec))
        if event == "finish" and not (folder / "result.json").exists():
            lab.finish(spec, validation=0.5 + number / 100)
        elif event == "fail":
            lab.fail(spec, f"reason {number}")
        elif event == "begin":
            lab.begin(spec, num_epochs=index)
        elif event == "set aside":
            lab.store.set_aside(run_id(spec))
        elif event == "cut" and (folder / "result.json").exists():
            _cut(folder / "result.json")
        elif event == "plan":
            lab.plan(
                *((f"s{number}_{place}", one) for place, one in enumerate(specs[: index + 1])), plan_id=f"p{index}"
            )
        elif event == "remove":
            shutil.rmtree(folder, ignore_errors=True)
        gather(lab.store)
    assert_as_from_scratch(lab.store)


def test_several_processes_make_the_same_tables(
    lab: Any, family: dict[str, Any], make_spec: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(10, 16):
        lab.finish(make_spec(seed=seed), validation=seed / 100)
    alone = assert_as_from_scratch(lab.store)
    shutil.rmtree(lab.store.root / "tables")
    monkeypatch.setattr(workers, "FEW_RUNS", 2)
    monkeypatch.setattr(workers, "RUNS_PER_CHUNK", 3)
    monkeypatch.setattr(workers, "num_cpus", lambda: 2)
    for one, other in zip(tables_of(lab.store), alone, strict=True):
        assert one.equals(other)


def test_a_process_that_dies_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "FEW_RUNS", 0)
    monkeypatch.setattr(workers, "num_cpus", lambda: 2)
    with pytest.raises(StoreError, match=r"was killed .*; gather again"), workers.workers(2) as pool:
        list(workers.in_chunks(pool, die, "root", ["a", "b"]))


def die(root: str, runs: Any) -> None:
    os._exit(9)


def test_ranking_imports_neither_torch_nor_ray(lab: Any, family: dict[str, Any]) -> None:
    code = (
        "import sys; from analysis.rank import main; main(sys.argv[1:]);"
        "print([name for name in ('torch', 'ray') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(lab.store.root)], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["[]"]), done.stdout + done.stderr


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "run_id": st.text(st.characters(codec="utf-8"), min_size=1),
                "status": st.just("ok"),
                "label": st.none() | st.text(st.characters(codec="utf-8")),
                "seed": st.none() | st.integers(-(2**63), 2**63 - 1),
                "lr": st.none() | st.floats(allow_nan=False),
                "has_mixed_environment": st.none() | st.booleans(),
            }
        )
    )
)
def test_columns_become_the_values_that_arrow_says(rows: list[dict[str, Any]]) -> None:
    table = to_table(rows, RUNS_SCHEMA)
    for name in RUNS_SCHEMA.names:
        assert to_list(table[name]) == table[name].to_pylist()
