"""The store command on stores that were really written, whole, damaged, and interrupted in the middle."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.store import main
from trainers.heartbeat import driving, write_record
from trainers.leases import DriverRecord, Leases, Watch
from trainers.records import encode_record
from trainers.result import Failure, Manifest
from trainers.spec import Choice, Weights, run_id
from trainers.storage import CURVES, WEIGHTS, Store
from trainers.teacher_logits import LogitsRequest, logits_id, logits_read_by

ROOT = Path(__file__).resolve().parents[2]
OLD = "2020-01-01T00:00:00.000+00:00"


def age(path: Path, days: float) -> Path:
    """Make a file or folder look as if nobody had touched it since."""
    moment = time.time() - 86_400 * days
    for file in (path, *path.rglob("*")):
        os.utime(file, (moment, moment), follow_symlinks=False)
    return path


def put_data(store: Store, fingerprint: str) -> Path:
    """Prepared data of two small files, a day old."""
    manifest = Manifest(
        fingerprint=fingerprint,
        name="food11",
        origin="a test",
        class_names=("a", "b"),
        image_size=8,
        num_images={"train": 1},
        has_test_labels=False,
    )
    with store.preparation(fingerprint) as folder:
        whole = folder / "whole"
        whole.mkdir()
        (whole / "train_images.npy").write_bytes(b"pictures")
        (whole / "train_labels.npy").write_bytes(b"labels")
        store.publish_data(whole, manifest, request=f"request-{fingerprint}")
    return age(store.data_folder(fingerprint), 2)


@pytest.fixture
def run_command(lab: Any, capsys: pytest.CaptureFixture[str]) -> Any:
    """Arguments -> exit code and what was printed, errors included."""

    def command(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        code = main([str(lab.store.root), *arguments])
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return command


@pytest.fixture
def family(lab: Any, make_spec: Any) -> dict[str, str]:
    """A plan of a teacher and its student, and two runs in no plan; all finished long ago."""
    teacher = make_spec(model="resnet18")
    student = make_spec(teacher=teacher)
    specs = {"teacher": teacher, "student": student, "loose": make_spec(seed=7), "better": make_spec(seed=8)}
    accuracies = {"teacher": 0.9, "student": 0.8, "loose": 0.3, "better": 0.4}
    ids = {name: lab.finish(spec, accuracies[name], finished_at=OLD) for name, spec in specs.items()}
    lab.plan(("teacher", teacher), ("student", student))
    return ids


def runs_left(lab: Any, family: dict[str, str]) -> list[str]:
    return [name for name, run in family.items() if run in lab.store.run_ids()]


# list, show, log


def test_the_list_has_a_row_per_run_and_the_room_that_each_kind_takes(
    lab: Any, family: dict[str, str], run_command: Any
) -> None:
    code, text = run_command("list")
    rows = [line.split() for line in text.splitlines()]
    assert code == 0 and rows[0] == [
        "run",
        "job",
        "role",
        "model",
        "data",
        "status",
        "val.",
        "%",
        "params",
        "size",
        "age",
    ]
    assert rows[1][:6] == [family["teacher"][:6], "teacher@0", "teacher", "resnet18", "data", "f00d"]
    assert rows[1][6:9] == ["ok", "90.00", "152.1"]
    assert rows[2][:2] == [family["student"][:6], "student@0"]
    assert {row[0] for row in rows[3:5]} == {family[name][:6] for name in ("loose", "better")}
    on_disk = sum(file.stat().st_size for file in (lab.store.root / "runs").rglob("*") if file.is_file())
    (total,) = [row for row in rows if row[0] == "runs"]
    assert total == ["runs", "4", "entries", f"{on_disk / 1e3:.0f}", "kB"]


def test_the_list_tells_variants_of_a_model_and_sizes_of_a_data_set_apart(
    lab: Any, make_spec: Any, run_command: Any
) -> None:
    put_data(lab.store, "f00d")
    for architecture in ("resnet18", "resnet50"):
        args = {"architecture": architecture, "num_classes": 11, "image_size": 8}
        lab.finish(replace(make_spec(), model=Choice(name="torchvision", args=args)))
    _, text = run_command("list")
    assert {f"torchvision:{name} food11 8 px ok" for name in ("resnet18", "resnet50")} == {
        " ".join(line.split()[4:9]) for line in text.splitlines()[1:3]
    }


def test_the_list_of_a_plan_has_its_runs_in_its_order_and_an_unknown_plan_is_one_line(
    family: dict[str, str], run_command: Any
) -> None:
    _, text = run_command("list", "--plan", "plan1")
    assert [line.split()[1] for line in text.splitlines()] == ["job", "teacher@0", "student@0"]
    assert run_command("list", "--plan", "p") == (2, "error: unknown plan 'p'; have: plan1\n")
    _, text = run_command("list", "--plans")
    assert text.splitlines()[1].split() == ["plan1", "2026-01-01", "report", "food11", "2", "2", "run_all"]


def test_a_terminal_of_80_columns_shows_every_number_whole(
    family: dict[str, str], run_command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analysis.listing.WIDTH_OF_A_FILE", 80)
    _, text = run_command("list")
    assert max(map(len, text.splitlines()[:5])) <= 80
    assert "90.00" in text and "152.1 k" in text


def test_a_run_is_shown_with_its_parent_files_and_the_lines_that_load_it(
    lab: Any, family: dict[str, str], run_command: Any
) -> None:
    code, text = run_command("show", "student@0")
    assert code == 0 and run_command("show", family["student"][:9]) == (code, text)
    assert text.startswith(f"run {family['student']} student@0 (student): ok, ")
    assert f"  {family['teacher']}  teacher, teacher@0" in text
    for words in ("objective.name  ", "best_validation_accuracy  0.8", "hardware  ", "weights.safetensors  7 B"):
        assert words in text, words
    lines = [line.strip() for line in text.splitlines()[-3:]]
    assert lines[0] == "from trainers.load_run import load_run"
    assert lines[1] == f"run = load_run({str(lab.store.root)!r}, {family['student']!r})"
    assert lines[2].startswith("probabilities = run.predict(pictures)")


def test_the_log_is_that_of_the_newest_attempt_and_ends_with_the_failure(
    lab: Any, make_spec: Any, run_command: Any
) -> None:
    spec = make_spec()
    lab.begin(spec, 0).log("first try")
    newest = lab.begin(spec, 0)
    newest.log("second try")
    newest.write_failure(Failure(reason="loss is nan", is_permanent=True, log_path="", failed_at=OLD))
    _, text = run_command("log", run_id(spec))
    assert "second try" in text and "first try" not in text
    assert text.splitlines()[-1] == "FAILED: loss is nan"


def test_an_unknown_run_is_one_line_with_candidates(family: dict[str, str], run_command: Any) -> None:
    code, text = run_command("show", "stud@0")
    assert code == 2 and text.startswith("error: no run 'stud@0' in ") and "have: student@0 (" in text
    assert text.count("\n") == 1


# prune


def test_a_dry_run_says_what_goes_and_how_many_bytes_and_changes_nothing(
    lab: Any, family: dict[str, str], run_command: Any
) -> None:
    before = sorted(lab.store.root.rglob("*"))
    folders = [lab.store.run_folder(family[name]) for name in ("loose", "better")]
    on_disk = sum(file.stat().st_size for folder in folders for file in folder.rglob("*") if file.is_file())
    code, text = run_command("prune", "--older-than", "30d", "--dry-run")
    assert code == 0 and sorted(lab.store.root.rglob("*")) == before
    assert text.splitlines()[-1] == f"2 things would be removed (dry run): {on_disk:,} bytes"
    assert "2 more runs are kept because plans name or need them" in text


def test_pruning_removes_what_the_dry_run_said(lab: Any, family: dict[str, str], run_command: Any) -> None:
    run_command("prune", "--older-than", "30d", "--keep-best", "3")
    assert runs_left(lab, family) == ["teacher", "student", "better"]
    run_command("prune", "--unreferenced")
    assert runs_left(lab, family) == ["teacher", "student"]
    assert len(lab.store.plans()) == 1
    assert run_command("verify")[0] == 0


def test_pruning_says_how_many_runs_plans_keep_and_which_command_takes_them(
    lab: Any, family: dict[str, str], make_spec: Any, run_command: Any
) -> None:
    """The plan keeps both its runs; by force all that is not at work would go."""
    way = "to remove them: prune --force --older-than AGE (or --keep-best N), without --unreferenced"
    kept = f"2 more runs are kept because plans name or need them; {way}"
    _, text = run_command("prune", "--unreferenced")
    assert kept in text.splitlines()
    _, text = run_command("prune", "--unreferenced", "--force", "--older-than", "30d")
    assert kept in text.splitlines() and runs_left(lab, family) == ["teacher", "student"]
    _, text = run_command("prune", "--older-than", "30d", "--keep-best", "1")
    assert "1 more run is kept because a plan names or needs it; --force takes it too" in text.splitlines()
    run_command("prune", "--force", "--older-than", "30d")
    assert runs_left(lab, family) == [] and lab.store.plans() == ()


def test_force_takes_what_plans_name_and_the_plan_with_its_last_run(
    lab: Any, family: dict[str, str], run_command: Any
) -> None:
    run_command("prune", "--older-than", "30d", "--keep-best", "1", "--force")
    assert runs_left(lab, family) == ["teacher"] and len(lab.store.plans()) == 1
    run_command("prune", "--older-than", "30d", "--force")
    assert runs_left(lab, family) == [] and lab.store.plans() == ()
    assert run_command("list")[0] == 0


def test_a_run_of_this_hour_without_an_end_is_not_removed(lab: Any, make_spec: Any, run_command: Any) -> None:
    attempt = lab.begin(make_spec(), 1)
    run_command("prune", "--older-than", "0s", "--force")
    assert attempt.folder.exists()
    age(lab.store.run_folder(attempt.run), 1)
    run_command("prune", "--older-than", "0s", "--force")
    assert not lab.store.run_folder(attempt.run).exists()


def test_what_a_driver_is_at_is_not_removed_however_old_it_looks(
    lab: Any, make_spec: Any, run_command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, attempt, planned = lab.store, lab.begin(make_spec(), 1), make_spec(seed=5)
    lab.finish(planned, finished_at=OLD)
    lab.plan(("student", make_spec()), ("other", planned), at=OLD)
    write_record(store, DriverRecord(token="d", host="far", pid=1, started_at="", beats=3))
    Leases(store, "d", Watch()).take(attempt.run)
    age(store.root, 40)
    for arguments in (("--older-than", "30d", "--force"), ("--unreferenced",)):
        run_command("prune", *arguments)
        assert attempt.folder.exists() and store.run_folder(run_id(planned)).exists(), "and what is of its plan"
    store.remove_driver("d")
    run_command("prune", "--unreferenced")
    assert store.lease_ids() == ()
    run_command("prune", "--older-than", "30d", "--force")
    assert not attempt.folder.exists()


def test_a_sweep_that_has_just_been_asked_to_go_on_keeps_its_old_runs(
    lab: Any, make_spec: Any, run_command: Any
) -> None:
    """No trial has begun yet, and its specs were written long ago."""
    attempt = lab.begin(make_spec(), 1)
    lab.plan(("student", make_spec()), at=datetime.now(UTC).isoformat())
    age(lab.store.run_folder(attempt.run), 40)
    run_command("prune", "--older-than", "30d", "--force")
    assert attempt.folder.exists()
    lab.plan(("student", make_spec()), at=OLD)
    run_command("prune", "--older-than", "30d", "--force")
    assert not attempt.folder.exists()


def test_data_and_weights_stay_as_long_as_a_run_or_its_teacher_names_them(
    lab: Any, make_spec: Any, run_command: Any
) -> None:
    weights = {name: Weights(name="file", digest=name * 8) for name in "ab"}
    teacher = make_spec(model="resnet18", data="source", init_weights=weights["a"])
    student = make_spec(teacher=teacher, data="own")
    lab.plan(("student", student))
    lab.finish(student, finished_at=OLD)  # the teacher's own folder is gone already
    lab.finish(make_spec(data="loose", init_weights=weights["b"]), finished_at=OLD)
    for name in ("source", "own", "loose"):
        put_data(lab.store, name)
    for one in weights.values():
        lab.store.write_weights(one.digest, b"tensors")
        age(lab.store.weights_file(one.digest).parent, 2)
    age(lab.store.root / "data" / "requests", 2)
    assert run_command("prune", "--unreferenced")[0] == 0
    left = sorted(path.name for path in (lab.store.root / "data").iterdir())
    assert left == ["own", "requests", "source"]
    assert sorted(path.name for path in (lab.store.root / "data" / "requests").iterdir()) == [
        "request-own.json",
        "request-source.json",
    ]
    assert sorted(path.name for path in (lab.store.root / "weights").iterdir()) == [
        "aaaaaaaa.json",
        "aaaaaaaa.safetensors",
    ]
    assert run_command("verify")[0] == 0


def test_nothing_is_taken_for_unneeded_while_the_spec_of_a_kept_run_cannot_be_read(
    lab: Any, family: dict[str, str], run_command: Any
) -> None:
    folder = put_data(lab.store, "loose")
    (lab.store.run_folder(family["student"]) / "spec.json").write_text("{")
    run_command("prune", "--unreferenced")
    assert folder.exists() and "teacher" in runs_left(lab, family)


def test_a_damaged_plan_stops_pruning_until_forced(lab: Any, family: dict[str, str], run_command: Any) -> None:
    lab.store.plan_file("plan1").write_text("{")
    code, text = run_command("prune", "--unreferenced")
    assert code == 2 and "plan1.json is damaged, so nobody knows which runs it needs" in text
    assert len(runs_left(lab, family)) == 4


def test_leftovers_go_once_they_are_a_day_old(lab: Any, family: dict[str, str], run_command: Any) -> None:
    store = lab.store
    store.set_aside(family["loose"])
    attempt = lab.begin(store.spec(family["loose"]), 2)
    (aside,) = store.run_folder(family["loose"]).glob("set-aside-*.json")
    weights = store.attempts(family["loose"])[0].folder / WEIGHTS
    data = store.root / "data" / ".preparing-killed"
    data.mkdir(parents=True)
    (data / "train_images.npy").write_bytes(b"half")
    logs = store.log_folder() / "tune-0123456789ab" / "pass"
    logs.mkdir(parents=True)
    writing, probe = store.run_folder(family["teacher"]) / ".writing-1", store.root / ".probe-1"
    for file in (writing, probe):
        file.write_bytes(b"")
    lab.plan(("loose", store.spec(family["loose"])), plan_id="more", at="2026-01-02")
    everything = (aside, weights, data, logs, writing, probe)
    run_command("prune", "--unreferenced")
    assert all(path.exists() for path in everything)
    for path in (*everything, logs.parent, attempt.folder):
        age(path, 2)
    age(store.run_folder(family["loose"]), 2)
    run_command("prune", "--unreferenced")
    assert not any(path.exists() for path in everything)
    assert [path.name for path in store.attempts(family["loose"])[0].folder.iterdir()] != []
    assert run_command("verify")[0] == 0


def test_a_kill_in_the_middle_leaves_a_store_that_reads_and_the_next_pruning_ends_it(
    lab: Any, family: dict[str, str], run_command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(folder: Path) -> None:
        (next(file for file in folder.rglob("result.json"))).unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            run_command("prune", "--older-than", "30d")
    left = runs_left(lab, family)
    assert len(left) == 3 and run_command("verify")[0] == 0 and run_command("list")[0] == 0
    run_command("prune", "--unreferenced")
    assert runs_left(lab, family) == ["teacher", "student"]
    assert [path.name for path in (lab.store.root / "runs").iterdir() if path.name.startswith(".")] == []


def test_links_are_removed_and_never_followed(
    lab: Any, family: dict[str, str], tmp_path: Path, run_command: Any
) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("years of work")
    (lab.store.run_folder(family["loose"]) / "link").symlink_to(precious)
    run_command("prune", "--older-than", "30d")
    assert runs_left(lab, family) == ["teacher", "student"]
    shutil.move(lab.store.root / "runs", tmp_path / "elsewhere")
    (lab.store.root / "runs").symlink_to(tmp_path / "elsewhere")
    code, text = run_command("prune", "--older-than", "30d", "--force")
    assert code == 2 and "lies outside the store (a link leads there)" in text
    assert (precious / "thesis.txt").read_text() == "years of work"
    assert len(os.listdir(tmp_path / "elsewhere")) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "prune needs to know what; give --older-than AGE, --unreferenced or --keep-best N"),
        (["--force"], "prune needs to know what"),
        (["--older-than", "a month"], "--older-than 'a month' is not an age; write for example 30d, 12h or 90min"),
        (["--older-than", "30"], "is not an age"),
        (["--older-than", "-1d"], "is not an age"),
        (["--older-than", "nand"], "is not an age"),
        (["--keep-best", "0"], "--keep-best is 0; allowed: 1 or more"),
    ],
)
def test_a_wrong_wish_is_one_line(family: dict[str, str], run_command: Any, arguments: list[str], message: str) -> None:
    arguments = [f"--older-than={arguments[1]}"] if "-1d" in arguments else arguments
    code, text = run_command("prune", *arguments)
    assert code == 2 and message in text and text.count("\n") == 1


def test_the_age_of_a_run_is_when_it_finished_not_when_it_was_copied(
    lab: Any, make_spec: Any, run_command: Any
) -> None:
    yesterday = (datetime.now(UTC) - timedelta(days=1, hours=1)).isoformat()
    lab.finish(make_spec(), finished_at=yesterday)
    age(lab.store.root / "runs", 300)
    _, text = run_command("list")
    assert text.splitlines()[1].endswith("1 d")


# verify


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def attempt_file(lab: Any, run: str, name: str) -> Path:
    path: Path = lab.store.attempts(run)[0].folder / name
    return path


@pytest.mark.parametrize("what", ["weights", "curves", "result", "spec", "started", "plan", "data", "manifest", "kept"])
def test_one_flipped_bit_is_one_line_that_says_where_and_what_to_do(
    lab: Any, family: dict[str, str], run_command: Any, what: str
) -> None:
    folder, run = put_data(lab.store, "f00d"), family["student"]
    lab.store.write_weights("a1b2", b"tensors")
    assert run_command("verify") == (0, "7 things verified, 0 problems\n")
    file = {
        "weights": attempt_file(lab, run, WEIGHTS),
        "curves": attempt_file(lab, run, CURVES),
        "started": attempt_file(lab, run, "started.json"),
        "result": lab.store.run_folder(run) / "result.json",
        "spec": lab.store.run_folder(run) / "spec.json",
        "plan": lab.store.plan_file("plan1"),
        "data": folder / "train_images.npy",
        "manifest": folder / "manifest.json",
        "kept": lab.store.weights_file("a1b2"),
    }[what]
    flip(file)
    code, text = run_command("verify")
    line, total = text.splitlines()
    assert code == 1 and total == "7 things verified, 1 problem"
    assert str(file) in line and ("delete" in line or "run its sweep again" in line)


def test_what_a_kill_left_before_a_spec_was_there_is_no_damage(lab: Any, run_command: Any) -> None:
    for folder in (lab.store.run_folder("0123456789ab"), lab.store.logits("ba9876543210").folder):
        folder.mkdir(parents=True)
        (folder / ".writing-1f").write_bytes(b"half")
    code, text = run_command("verify")
    assert (code, text.splitlines()[-1]) == (0, "2 things verified, 0 problems")


def test_data_of_an_older_version_is_noted_and_is_no_damage(lab: Any, family: dict[str, str], run_command: Any) -> None:
    folder = put_data(lab.store, "f00d")
    content = {
        "fingerprint": "f00d",
        "name": "food11",
        "origin": "a test",
        "class_names": ["a", "b"],
        "image_size": 8,
        "num_images": {"train": 1},
        "has_test_labels": False,
    }
    (folder / "manifest.json").write_bytes(encode_record(content))
    code, text = run_command("verify")
    assert code == 0
    assert text.startswith("note: data f00d: not verifiable: prepared by an older version; ")


def test_a_folder_that_is_no_store_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path), "prune", "--unreferenced"]) == 2
    assert "holds no runs and no plans" in capsys.readouterr().err


@pytest.mark.parametrize("module", ["analysis.store", "analysis.rank", "analysis.gather"])
def test_a_reader_that_has_seen_enough_ends_the_command_quietly(lab: Any, family: dict[str, str], module: str) -> None:
    """As `head` does; the pipe has no reader any more when the first line is written."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", module, str(lab.store.root)]
    options = {"analysis.store": ["show", "student@0"], "analysis.rank": ["--markdown"], "analysis.gather": []}[module]
    done = subprocess.run([*command, *options], cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


# Teachers' logits


def put_logits(store: Store, student: Any, num_epochs: int = 2) -> str:
    """A set for a student, a day old."""
    (spec,) = logits_read_by(student)
    folder = store.logits(logits_id(spec))
    folder.write_request(LogitsRequest(spec=spec, num_epochs=num_epochs))
    folder.begin_attempt()
    for epoch in range(1, num_epochs + 1):
        folder.write_epoch("source", epoch, np.zeros((3, 2), dtype=np.float32))
    age(folder.folder, 2)
    return folder.id


def test_logits_go_once_all_that_read_them_are_done(lab: Any, make_spec: Any, run_command: Any) -> None:
    teacher = make_spec(model="resnet18", seed=3)
    done, waiting = make_spec(teacher=teacher), make_spec(teacher=teacher, view_seed=8)
    lab.plan(("teacher", teacher), ("done", done), ("waiting", waiting))
    lab.finish(teacher, finished_at=OLD)
    lab.finish(done, finished_at=OLD)
    lab.store.write_spec(waiting)
    read, wanted = put_logits(lab.store, done), put_logits(lab.store, waiting)
    code, text = run_command("prune", "--unreferenced")
    assert code == 0 and any(line.split()[:2] == ["logits", read] for line in text.splitlines())
    assert lab.store.logits_ids() == (wanted,)


def test_damaged_logits_are_found(lab: Any, make_spec: Any, run_command: Any) -> None:
    teacher = make_spec(model="resnet18", seed=3)
    lab.plan(("teacher", teacher))
    lab.finish(teacher)
    logits = put_logits(lab.store, make_spec(teacher=teacher))
    assert run_command("verify")[0] == 0
    file = next(lab.store.logits(logits).folder.glob("source/epoch-000002-*.npy"))
    file.write_bytes(file.read_bytes()[:-1])
    code, text = run_command("verify")
    assert code == 1 and "epoch-000002" in text and "does not match its checksum; delete the file" in text


def test_a_list_opens_no_file_twice(lab: Any, family: dict[str, str]) -> None:
    code = (
        "import collections, sys; opened = collections.Counter(); root = sys.argv[1]\n"
        "sys.addaudithook(lambda event, args: event == 'open' and str(args[0]).startswith(root) and"
        " opened.update([str(args[0])]))\n"
        "from analysis.store import main; main([root, 'list'])\n"
        "print(len(opened), [file for file, number in opened.items() if number > 1])"
    )
    command = [sys.executable, "-c", code, str(lab.store.root)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    number, twice = done.stdout.splitlines()[-1].split(" ", 1)
    assert int(number) > 10 and twice == "[]", done.stderr


def test_a_clock_that_jumped_ahead_takes_nothing_from_a_driver_that_is_at_work(
    lab: Any, make_spec: Any, run_command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, other = run_id(make_spec(seed=1)), run_id(make_spec(seed=2))
    lab.begin(make_spec(seed=1), num_epochs=1)
    lab.begin(make_spec(seed=2), num_epochs=1)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 10 * 365 * 86_400.0)
    with driving(lab.store) as leases:
        assert leases.take(run)
        monkeypatch.setattr("trainers.leases.is_gone", lambda *process: False)
        code, said = run_command("prune", "--older-than", "30d")
    assert code == 0, said
    assert lab.store.run_ids() == (run,) and other not in lab.store.run_ids()
