"""Stores, whole and damaged -> tables."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow.parquet as pq
import pytest

from analysis.gather import CURVES_SCHEMA, RUNS_SCHEMA, gather, main
from trainers.spec import RunSpec, from_dict, group_id, run_id


def row_of(lab: Any, spec: RunSpec) -> dict[str, Any]:
    rows = {row["run_id"]: row for row in gather(lab.store).runs.to_pylist()}
    return rows[run_id(spec)]


def curves_of(lab: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = gather(lab.store).curves.to_pylist()
    return rows


def test_a_finished_run_carries_plan_spec_result_and_environment(lab: Any, make_spec: Any) -> None:
    spec = make_spec(seed=3)
    lab.finish(spec, 0.81)
    lab.plan(("student_scratch", spec))
    row = row_of(lab, spec)
    expected = {
        "plan_id": "plan1", "sweep": "report", "label": "student_scratch", "role": "student", "seed": 3,
        "status": "ok", "reason": None, "blocked_by": None, "model": "student", "objective": "cross_entropy",
        "data_name": "food11", "data_fingerprint": "f00d", "lr": 1e-3, "optimizer": "adamw", "precision": "float32",
        "best_validation_accuracy": 0.81, "test_accuracy": 0.78, "num_params": 152_075, "num_attempts": 1,
        "torch_version": "2.6.0", "git_is_dirty": False, "teacher_run_id": None, "num_test_images": 3_347,
    }  # fmt: skip
    assert {name: row[name] for name in expected} == expected
    assert from_dict(RunSpec, json.loads(row["spec_json"])) == spec
    assert row["group_id"] == group_id(spec)
    assert len(row["weights_sha256"]) == 64


def test_a_student_names_its_teacher(lab: Any, make_spec: Any) -> None:
    teacher = make_spec(model="resnet18")
    student = make_spec(teacher=teacher)
    lab.finish(teacher)
    lab.finish(student)
    lab.plan(("teacher_scratch", teacher), ("student_kd_scratch", student))
    row = row_of(lab, student)
    assert row["teacher_run_id"] == run_id(teacher)
    assert (row["teacher_group_id"], row["teacher_label"]) == (group_id(teacher), "teacher_scratch")


def test_a_failed_run_gives_its_reason_and_log(lab: Any, make_spec: Any) -> None:
    lab.fail(make_spec(), "out of memory")
    row = row_of(lab, make_spec())
    assert (row["status"], row["reason"]) == ("failed", "out of memory")
    assert row["log_path"].endswith("log.txt")
    assert row["best_validation_accuracy"] is None


def test_a_student_that_failed_earlier_is_blocked_by_the_teacher_that_fails_now(lab: Any, make_spec: Any) -> None:
    teacher = make_spec(model="resnet18")
    student = make_spec(teacher=teacher)
    lab.fail(student, "the disk was full")
    lab.fail(teacher, "loss is nan")
    lab.plan(("teacher_scratch", teacher), ("student_kd_scratch", student))
    row = row_of(lab, student)
    assert (row["status"], row["blocked_by"], row["reason"]) == ("blocked", "teacher_scratch", "teacher_scratch failed")


def test_a_failed_teacher_blocks_all_descendants_and_the_nearest_failure_is_named(lab: Any, make_spec: Any) -> None:
    grandparent = make_spec(model="resnet18")
    parent = make_spec(model="resnet18", seed=1, init_run=grandparent)
    child = make_spec(teacher=parent)
    lab.fail(grandparent)
    lab.plan(("pretrain", grandparent), ("teacher_a", parent), ("student_a", child))
    assert [row_of(lab, spec)["blocked_by"] for spec in (grandparent, parent, child)] == [None, "pretrain", "pretrain"]
    assert row_of(lab, child)["status"] == "blocked"
    lab.fail(parent)
    assert row_of(lab, parent)["status"] == "blocked"  # its own failure is an earlier one
    assert row_of(lab, child)["blocked_by"] == "pretrain"
    lab.finish(grandparent)
    assert row_of(lab, parent)["status"] == "failed"
    assert row_of(lab, child)["blocked_by"] == "teacher_a"


def test_a_finished_teacher_hides_what_failed_above_it(lab: Any, make_spec: Any) -> None:
    grandparent = make_spec(model="resnet18")
    parent = make_spec(model="resnet18", seed=1, init_run=grandparent)
    child = make_spec(teacher=parent)
    lab.fail(grandparent)
    lab.finish(parent)
    lab.plan(("pretrain", grandparent), ("teacher_a", parent), ("student_a", child))
    assert row_of(lab, child)["status"] == "unfinished"


def test_a_job_that_waits_is_unfinished_even_when_nothing_of_it_is_on_disk(lab: Any, make_spec: Any) -> None:
    spec = make_spec(seed=5)
    lab.plan(("student_scratch", spec))
    row = row_of(lab, spec)
    assert (row["status"], row["reason"], row["seed"]) == ("unfinished", "not started", 5)
    assert (row["group_id"], row["model"]) == (group_id(spec), None)


def test_a_run_without_a_plan_is_in_the_table_without_a_label(lab: Any, make_spec: Any) -> None:
    lab.finish(make_spec())
    row = row_of(lab, make_spec())
    assert (row["status"], row["plan_id"], row["label"]) == ("ok", None, None)


def test_the_latest_plan_that_names_a_run_gives_its_label(lab: Any, make_spec: Any) -> None:
    lab.plan(("new", make_spec()), plan_id="later", at="2026-02-01")
    lab.plan(("old", make_spec()), plan_id="earlier", at="2026-01-01")
    assert row_of(lab, make_spec())["label"] == "new"
    assert row_of(lab, make_spec())["plan_id"] == "later"


def test_curves_of_an_unfinished_run_come_from_its_newest_readable_attempt(lab: Any, make_spec: Any) -> None:
    spec = make_spec(epochs=9)
    lab.begin(spec, num_epochs=3)
    lab.begin(spec, num_epochs=1)
    broken = lab.begin(spec, num_epochs=2)
    (broken.folder / "curves.jsonl").write_bytes(b'{"epoch": 1, "tra')
    assert [row["epoch"] for row in curves_of(lab)] == [1]
    assert "curves.jsonl cannot be read" in row_of(lab, spec)["reason"]
    assert row_of(lab, spec)["status"] == "unfinished"


def test_curves_keep_the_parts_of_the_loss(lab: Any, make_spec: Any) -> None:
    lab.finish(make_spec(), 0.625)
    first, second = curves_of(lab)
    assert dict(first["loss_parts"]) == {"hard": 0.25, "soft": 0.75}
    assert (second["epoch"], second["validation_accuracy"], second["train_loss"]) == (2, 0.625, 0.5)


@pytest.mark.parametrize("name", ["result.json", "spec.json", "attempts/*/curves.jsonl", "attempts/*/weights*"])
@pytest.mark.parametrize("damage", ["truncated", "garbage", "removed"])
def test_a_damaged_file_makes_its_run_unfinished_with_a_reason(
    lab: Any, make_spec: Any, name: str, damage: str
) -> None:
    spec, healthy = make_spec(), make_spec(seed=1)
    lab.finish(spec)
    lab.finish(healthy)
    (file,) = lab.store.run_folder(run_id(spec)).glob(name)
    _damage(file, damage)
    row = row_of(lab, spec)
    assert row_of(lab, healthy)["status"] == "ok"
    assert row["status"] == "unfinished"
    is_named = name == "result.json" and damage == "removed"
    assert row["reason"] == "2 of 2 epochs done" if is_named else file.name in row["reason"]
    assert row["best_validation_accuracy"] is None


def _damage(file: Path, damage: str) -> None:
    if damage == "removed":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-3] if damage == "truncated" else b"\xff\x00[1, 2" * 9)


@pytest.mark.parametrize("name", ["started.json", "failure.json"])
def test_a_damaged_record_of_an_attempt_never_stops_gathering(lab: Any, make_spec: Any, name: str) -> None:
    lab.fail(make_spec())
    (file,) = lab.store.run_folder(run_id(make_spec())).glob(f"attempts/*/{name}")
    file.write_bytes(b"{")
    assert row_of(lab, make_spec())["status"] == ("unfinished" if name == "failure.json" else "failed")


def test_alien_files_under_the_store_never_stop_gathering(lab: Any, make_spec: Any) -> None:
    run = lab.finish(make_spec())
    (lab.store.root / "runs" / ".DS_Store").write_bytes(b"x")
    (lab.store.run_folder(run) / "attempts" / "notes.txt").write_bytes(b"x")
    (lab.store.run_folder("cafe") / "attempts" / "0001-a").mkdir(parents=True)
    (lab.store.run_folder("cafe") / "attempts" / "0001-a" / "checkpoint-latest.pt").write_bytes(b"x")
    (lab.store.root / "plans").mkdir()
    (lab.store.root / "plans" / "broken.json").write_bytes(b"[")
    rows = {row["run_id"]: row["status"] for row in gather(lab.store).runs.to_pylist()}
    assert rows == {run: "ok", "cafe": "unfinished"}


def test_a_result_copied_from_another_run_does_not_count(lab: Any, make_spec: Any) -> None:
    lab.finish(make_spec())
    stolen = make_spec(seed=1)
    attempt = lab.begin(stolen, num_epochs=1)
    result = lab.store.result(run_id(make_spec()))
    assert lab.store.finish(attempt, replace(result, attempt=attempt.token, files={}))
    row = row_of(lab, stolen)
    assert row["status"] == "unfinished"
    assert run_id(make_spec()) in row["reason"]


def test_a_message_that_is_not_utf8_is_kept_readable(lab: Any, make_spec: Any) -> None:
    lab.fail(make_spec(), "cannot read caf\udce9.jpg")
    assert row_of(lab, make_spec())["reason"] == r"cannot read caf\udce9.jpg"


def test_tables_have_the_declared_schemas_and_open_in_pandas_pyarrow_and_duckdb(lab: Any, make_spec: Any) -> None:
    lab.finish(make_spec(), test_accuracy=None)
    lab.begin(make_spec(seed=1), num_epochs=1)
    gather(lab.store)
    for name, schema, num_rows in (("runs", RUNS_SCHEMA, 2), ("curves", CURVES_SCHEMA, 3)):
        file = lab.store.table_file(name)
        assert pq.read_table(file).schema.equals(schema)
        assert len(pd.read_parquet(file)) == num_rows
        assert duckdb.sql(f"SELECT count(*) FROM '{file}'").fetchall() == [(num_rows,)]
    null = duckdb.sql(f"SELECT test_accuracy FROM '{lab.store.table_file('runs')}' WHERE status = 'ok'").fetchall()
    assert null == [(None,)]
    soft = duckdb.sql(f"SELECT loss_parts['soft'] FROM '{lab.store.table_file('curves')}' LIMIT 1").fetchall()
    assert soft[0][0] in (0.75, [0.75])


def test_an_empty_table_keeps_its_schema(lab: Any, make_spec: Any) -> None:
    lab.plan(("a", make_spec()))
    gather(lab.store)
    assert pq.read_table(lab.store.table_file("curves")).schema.equals(CURVES_SCHEMA)


def test_gathering_again_replaces_the_tables_and_leaves_nothing_aside(lab: Any, make_spec: Any) -> None:
    lab.finish(make_spec())
    gather(lab.store)
    lab.finish(make_spec(seed=1))
    assert gather(lab.store).runs.num_rows == 2
    names = sorted(file.name for file in (lab.store.root / "tables").iterdir())
    assert names == ["curves.parquet", "runs.parquet", "seen.parquet"]


def test_the_command_prints_the_tables_and_one_line_of_counts(lab: Any, make_spec: Any, capsys: Any) -> None:
    teacher = make_spec(model="resnet18")
    lab.fail(teacher)
    lab.finish(make_spec())
    lab.plan(("teacher_scratch", teacher), ("a", make_spec(teacher=teacher)), ("b", make_spec()))
    assert main([str(lab.store.root)]) == 0
    where, counts = capsys.readouterr().out.splitlines()
    assert str(lab.store.table_file("runs")) in where
    assert counts == "1 ok, 1 failed, 1 blocked, 0 unfinished"


@pytest.mark.parametrize("module", ["analysis.gather", "analysis.rank"])
def test_a_missing_store_is_one_line_on_stderr_and_exit_code_2(tmp_path: Path, module: str) -> None:
    command = [sys.executable, "-m", module, str(tmp_path / "nowhere")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    assert f"no store at {tmp_path / 'nowhere'}" in ended.stderr
    assert not (tmp_path / "nowhere").exists()


def test_a_folder_that_is_no_store_is_refused_and_left_alone(tmp_path: Path, capsys: Any) -> None:
    assert main([str(tmp_path)]) == 2
    assert "holds no runs and no plans" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_analysis_needs_neither_torch_nor_ray() -> None:
    code = (
        "import analysis.gather, analysis.rank, analysis.terminal, sys; "
        "assert not {'torch', 'ray', 'sweeps'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
