"""The store, whole and damaged."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainers.attempt import epoch_of
from trainers.errors import CorruptFileError, StoreError
from trainers.files import write
from trainers.records import encode_record
from trainers.result import Failure, PlanRecord, Result, Split
from trainers.spec import RunSpec, run_id
from trainers.storage import CURVES, PREDICTIONS, WEIGHTS, Store, read_checkpoint

MOMENT = "2026-01-01T00:00:00.000+00:00"


@pytest.fixture
def finished(lab: Any, make_spec: Any) -> RunSpec:
    """A run that was really trained."""
    spec: RunSpec = make_spec(data=lab.data(), epochs=2)
    lab.train(spec)
    return spec


def result_of(store: Store, spec: RunSpec) -> Result:
    result = store.result(run_id(spec))
    assert result is not None
    return result


def damage(file: Path) -> None:
    """Flip a bit in the middle, keep the length."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


# Opening


def test_opening_creates_a_store_and_opening_again_changes_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "a" / "b").open()
    before = (store.root / "store.json").read_bytes()
    assert os.listdir(store.root) == ["store.json"]
    store.open()
    assert os.listdir(store.root) == ["store.json"]
    assert (store.root / "store.json").read_bytes() == before


def test_a_file_where_the_store_should_be_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("I am a file")
    for root in (tmp_path / "store", tmp_path / "store" / "inside"):
        with pytest.raises(StoreError, match=r"cannot be written .*; choose another with --store") as caught:
            Store(root).open()
        assert "\n" not in str(caught.value)


def test_a_disk_that_refuses_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int) -> None:
        raise PermissionError("read-only file system")

    monkeypatch.setattr(os, "fsync", fail)  # tests run as root, for whom chmod is no obstacle
    with pytest.raises(StoreError, match="cannot be written"):
        Store(tmp_path / "store").open()


@pytest.mark.parametrize("version", [2, 99, "1", None])
def test_a_store_of_a_newer_or_unknown_schema_version_is_refused(store: Store, version: Any) -> None:
    (store.root / "store.json").write_bytes(encode_record({"schema_version": version}))
    with pytest.raises(StoreError, match=r"has schema version .*; this version reads up to 1: update Petite or"):
        store.open()


def test_a_damaged_version_file_is_refused(store: Store) -> None:
    damage(store.root / "store.json")
    with pytest.raises(CorruptFileError, match=r"store\.json.*; if no newer Petite wrote this store, delete the file"):
        store.open()


# Specs


def test_a_spec_comes_back(store: Store, make_spec: Any) -> None:
    spec = make_spec(teacher=make_spec(seed=1))
    store.write_spec(spec)
    assert store.spec(run_id(spec)) == spec


def test_a_learning_rate_that_is_a_whole_number_is_the_same_run_when_read_back(store: Store, make_spec: Any) -> None:
    spec = make_spec()
    whole = replace(spec, optimizer=replace(spec.optimizer, lr=1))
    store.write_spec(whole)
    assert store.spec(run_id(whole)) == whole
    assert run_id(whole) == run_id(replace(spec, optimizer=replace(spec.optimizer, lr=1.0)))


def test_a_spec_under_another_runs_id_is_noticed_and_replaced(store: Store, make_spec: Any) -> None:
    spec, other = make_spec(), make_spec(seed=1)
    store.write_spec(other)
    file = store.run_folder(run_id(spec)) / "spec.json"
    write(file, (store.run_folder(run_id(other)) / "spec.json").read_bytes())
    with pytest.raises(CorruptFileError, match=f"has id {run_id(other)}"):
        store.spec(run_id(spec))
    store.write_spec(spec)
    assert store.spec(run_id(spec)) == spec


def test_a_damaged_spec_is_noticed_and_replaced(store: Store, make_spec: Any) -> None:
    spec = make_spec()
    store.write_spec(spec)
    damage(store.run_folder(run_id(spec)) / "spec.json")
    with pytest.raises(CorruptFileError):
        store.spec(run_id(spec))
    store.write_spec(spec)
    assert store.spec(run_id(spec)) == spec


# Attempts and results


def test_attempts_are_separate_and_in_order(store: Store, make_spec: Any) -> None:
    store.write_spec(make_spec())
    run = run_id(make_spec())
    begun = [store.begin_attempt(run).token for _ in range(11)]
    assert [attempt.token for attempt in store.attempts(run)] == begun
    assert len(set(begun)) == 11


def test_the_first_result_stands_and_the_second_is_told(lab: Any, finished: RunSpec) -> None:
    first = result_of(lab.store, finished)
    late = lab.begin(finished)
    assert not lab.store.finish(late, replace(first, attempt=late.token, files={}, best_validation_accuracy=0.0))
    assert result_of(lab.store, finished) == first


def test_a_late_attempt_says_in_its_log_that_it_lost(lab: Any, make_spec: Any) -> None:
    spec = make_spec(data=lab.data(), epochs=1)
    slow = lab.steps(spec)
    next(slow)
    first = lab.train(spec)
    list(slow)
    assert result_of(lab.store, spec) == first
    logs = [attempt.log_file.read_text() for attempt in lab.store.attempts(run_id(spec))]
    assert ["another attempt has finished this run; this one stops after epoch 1" in log for log in logs] == [
        True,
        False,
    ]


def test_an_attempt_that_is_beaten_in_its_last_moment_says_so_too(
    lab: Any, make_spec: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_spec(data=lab.data(), epochs=1)
    first = lab.train(spec)
    monkeypatch.setattr(Store, "has_result", lambda self, run: False)
    list(lab.steps(spec))
    assert result_of(lab.store, spec) == first
    assert "another attempt had finished this run before" in lab.store.attempts(run_id(spec))[1].log_file.read_text()


def test_an_attempt_ends_with_the_epoch_in_which_another_one_has_finished_the_run_and_leaves_no_checkpoint(
    lab: Any, make_spec: Any
) -> None:
    spec = make_spec(data=lab.data(), epochs=9)
    slow = lab.steps(spec)
    next(slow)
    lab.train(spec)
    assert list(slow) == []
    assert lab.store.checkpoints(run_id(spec)) == ()
    assert "this one stops after epoch 1" in lab.store.attempts(run_id(spec))[0].log_file.read_text()


def test_checkpoints_that_another_attempt_removes_disturb_nobody(lab: Any, make_lab: Any, make_spec: Any) -> None:
    undisturbed = make_lab("undisturbed").train(make_spec(data=make_lab("undisturbed").data(), epochs=4))
    spec = make_spec(data=lab.data(), epochs=4)
    for _ in lab.steps(spec):
        lab.store.remove_checkpoints(run_id(spec))
    assert result_of(lab.store, spec).files[WEIGHTS] == undisturbed.files[WEIGHTS]


def test_setting_a_run_aside_makes_it_unfinished_and_keeps_its_files(lab: Any, finished: RunSpec) -> None:
    run, weights = run_id(finished), lab.file(finished, WEIGHTS)
    record = (lab.store.run_folder(run) / "result.json").read_bytes()
    lab.store.set_aside(run)
    assert lab.store.result(run) is None
    assert weights.exists()
    kept = [file.read_bytes() for file in lab.store.run_folder(run).glob("set-aside-*.json")]
    assert kept == [record]
    lab.store.set_aside(run)
    assert lab.store.state(run).result is None


def test_only_the_result_that_was_seen_is_set_aside(lab: Any, finished: RunSpec) -> None:
    run, result = run_id(finished), result_of(lab.store, finished)
    lab.store.set_aside(run, "an earlier attempt")
    assert lab.store.result(run) == result, "another driver has trained it again since"
    lab.store.set_aside(run, result.attempt)
    assert lab.store.result(run) is None


def test_an_attempt_names_its_driver(store: Store, make_spec: Any) -> None:
    store.write_spec(make_spec())
    begun = [store.begin_attempt(run_id(make_spec()), driver) for driver in ("", "d00d")]
    assert [attempt.driver for attempt in begun] == ["", "d00d"]
    assert [attempt.token[:10] for attempt in begun][1] == "0002-d00d-"


def test_stray_files_are_ignored(lab: Any, finished: RunSpec) -> None:
    store, run = lab.store, run_id(finished)
    before = store.state(run)
    for folder in (store.root / "runs", store.run_folder(run), store.run_folder(run) / "attempts"):
        (folder / ".DS_Store").write_bytes(b"\0")
    (store.attempts(run)[0].folder / "checkpoint-final.pt").write_bytes(b"?")
    (store.root / "plans").mkdir()
    (store.root / "plans" / ".DS_Store").write_bytes(b"\0")
    assert store.run_ids() == (run,)
    assert len(store.attempts(run)) == 1
    assert store.state(run) == before
    assert store.plans() == ()


# States


def test_a_run_that_never_was_has_an_empty_state(store: Store) -> None:
    state = store.state("0" * 12)
    assert (state.result, state.num_epochs_saved, state.failure, state.corrupt) == (None, 0, None, None)
    assert store.run_ids() == ()
    assert store.attempts("0" * 12) == ()


def test_an_unfinished_run_says_how_far_it_came(lab: Any, make_spec: Any) -> None:
    spec = make_spec(data=lab.data(), epochs=3)
    lab.train_until(spec, 2)
    state = lab.store.state(run_id(spec))
    assert (state.result, state.num_epochs_saved, state.failure, state.corrupt) == (None, 2, None, None)


def test_a_failed_run_says_why_until_a_newer_attempt_begins(lab: Any, make_spec: Any) -> None:
    spec = make_spec()
    attempt = lab.begin(spec)
    failure = Failure(reason="loss is nan", is_permanent=True, log_path=str(attempt.log_file), failed_at=MOMENT)
    attempt.write_failure(failure)
    assert lab.store.state(run_id(spec)).failure == failure
    lab.begin(spec)
    assert lab.store.state(run_id(spec)).failure is None


def test_a_damaged_failure_record_does_not_stop_planning(lab: Any, make_spec: Any) -> None:
    spec = make_spec()
    attempt = lab.begin(spec)
    (attempt.folder / "failure.json").write_text("{")
    assert lab.store.state(run_id(spec)).failure is None


@pytest.mark.parametrize("name", [WEIGHTS, CURVES, PREDICTIONS])
def test_a_finished_run_without_one_of_its_files_counts_as_damaged(lab: Any, finished: RunSpec, name: str) -> None:
    lab.file(finished, name).unlink()
    state = lab.store.state(run_id(finished))
    assert state.result is None
    assert state.corrupt is not None
    assert name in state.corrupt
    assert "is missing" in state.corrupt


@pytest.mark.parametrize("name", [WEIGHTS, CURVES, PREDICTIONS])
def test_a_truncated_file_counts_as_damaged(lab: Any, finished: RunSpec, name: str) -> None:
    file = lab.file(finished, name)
    file.write_bytes(file.read_bytes()[:-1])
    corrupt = lab.store.state(run_id(finished)).corrupt
    assert corrupt is not None
    assert "bytes, not" in corrupt


def test_a_flipped_bit_in_the_curves_is_noticed_by_planning(lab: Any, finished: RunSpec) -> None:
    damage(lab.file(finished, CURVES))
    corrupt = lab.store.state(run_id(finished)).corrupt
    assert corrupt is not None
    assert "does not match its checksum" in corrupt


def test_a_flipped_bit_in_the_weights_is_noticed_before_they_are_used(lab: Any, finished: RunSpec) -> None:
    damage(lab.file(finished, WEIGHTS))
    with pytest.raises(CorruptFileError, match="does not match its checksum"):
        lab.store.verified_file(run_id(finished), WEIGHTS)


@pytest.mark.parametrize("content", [b"", b"{}", encode_record({"run_id": "x"}), encode_record([])])  # type: ignore[arg-type]
def test_a_result_that_is_none_counts_as_damaged(lab: Any, finished: RunSpec, content: bytes) -> None:
    (lab.store.run_folder(run_id(finished)) / "result.json").write_bytes(content)
    state = lab.store.state(run_id(finished))
    assert state.result is None
    assert state.corrupt is not None
    assert "result.json" in state.corrupt


def test_a_file_of_a_run_without_result_cannot_be_had(store: Store) -> None:
    with pytest.raises(CorruptFileError, match="has no result; run it again"):
        store.verified_file("0" * 12, WEIGHTS)


def test_curves_with_an_unreadable_line_are_called_damaged(lab: Any, make_spec: Any) -> None:
    attempt = lab.train_until(make_spec(data=lab.data()), 2)
    assert [record.epoch for record in attempt.curves()] == [1, 2]
    with attempt.curves_file.open("ab") as stream:
        stream.write(b'{"epoch":3,')
    with pytest.raises(CorruptFileError, match=r"curves\.jsonl cannot be read"):
        attempt.curves()


# Checkpoints


def test_at_most_two_checkpoints_are_kept_and_they_come_back(lab: Any, make_spec: Any) -> None:
    attempt = lab.begin(make_spec())
    for epoch in range(1, 12):
        attempt.write_checkpoint(epoch, f"state {epoch}".encode())
    kept = lab.store.checkpoints(attempt.run)
    assert [read_checkpoint(file) for file in kept] == [b"state 11", b"state 10"]


def test_the_checkpoint_that_an_attempt_went_on_from_stays_until_it_has_two_of_its_own(
    lab: Any, make_spec: Any
) -> None:
    first, kept = lab.begin(make_spec()), []
    for epoch in (1, 2, 3):
        first.write_checkpoint(epoch, b"first")
    second = lab.begin(make_spec())
    for epoch in (4, 5, 6):
        second.write_checkpoint(epoch, b"second")
        kept.append([(epoch_of(file), read_checkpoint(file)) for file in lab.store.checkpoints(first.run)])
    assert kept == [
        [(4, b"second"), (3, b"first")],
        [(5, b"second"), (4, b"second")],
        [(6, b"second"), (5, b"second")],
    ]


def test_many_attempts_of_one_epoch_each_leave_two_checkpoints_in_all(lab: Any, make_spec: Any) -> None:
    for epoch in range(1, 9):
        lab.begin(make_spec()).write_checkpoint(epoch, f"state {epoch}".encode())
    kept = lab.store.checkpoints(run_id(make_spec()))
    assert [read_checkpoint(file) for file in kept] == [b"state 8", b"state 7"]


def test_a_checkpoint_of_an_attempt_that_is_further_is_left_to_it(lab: Any, make_spec: Any) -> None:
    ahead, behind = lab.begin(make_spec()), lab.begin(make_spec())
    ahead.write_checkpoint(9, b"ahead")
    behind.write_checkpoint(4, b"behind")
    assert [epoch_of(file) for file in lab.store.checkpoints(ahead.run)] == [9, 4]


@pytest.mark.parametrize("content", [b"", b"0" * 64, b"0" * 64 + b"payload"])
def test_a_checkpoint_whose_checksum_does_not_hold_is_refused(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "checkpoint-000001.pt"
    file.write_bytes(content)
    with pytest.raises(CorruptFileError, match="is damaged"):
        read_checkpoint(file)


# Plans and data


def test_plans_come_back_in_order_and_a_damaged_one_is_left_out(store: Store) -> None:
    plans = [
        PlanRecord(plan_id=name, sweep="report", command="c", data_name="d", planned_at=at, jobs=())
        for name, at in (("b", "2026-01-01"), ("a", "2026-01-02"), ("c", "2026-01-03"))
    ]
    for plan in plans:
        store.write_plan(plan)
    assert store.plans() == tuple(plans)
    damage(store.root / "plans" / "a.json")
    assert [plan.plan_id for plan in store.plans()] == ["b", "c"]


def test_equal_data_published_twice_is_kept_once(lab: Any) -> None:
    fingerprint = lab.data()
    before = lab.store.data_folder(fingerprint).stat().st_ino
    assert lab.data() == fingerprint
    assert lab.store.data_folder(fingerprint).stat().st_ino == before
    assert sorted(os.listdir(lab.store.root / "data")) == sorted([fingerprint, "requests"])


@pytest.mark.parametrize("how", ["damaged", "missing"])
def test_data_whose_manifest_is_lost_is_prepared_anew(lab: Any, how: str) -> None:
    fingerprint = lab.data()
    file = lab.store.data_folder(fingerprint) / "manifest.json"
    if how == "damaged":
        damage(file)
    else:
        file.unlink()
    assert lab.store.prepared_data(fingerprint) is None
    lab.data()
    assert lab.store.manifest(fingerprint).num_images == {"train": 24, "validation": 10, "test": 6}
    assert np.load(lab.store.data_folder(fingerprint) / f"{Split.TEST.value}_labels.npy").shape == (6,)


def test_a_result_is_there_only_once_the_spec_and_all_that_it_names_are_on_the_disk(
    lab: Any, make_spec: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_disk: dict[int, int] = {}
    sync = os.fsync

    def noting(descriptor: int) -> None:
        sync(descriptor)
        status = os.fstat(descriptor)
        on_disk[status.st_ino] = status.st_size

    link, linked = os.link, list[bool]()

    def linking(source: Path, target: Path) -> None:
        if target.name == "result.json":
            folder = target.parent
            named = [folder / "spec.json", Path(source)]
            named += [file for name in (WEIGHTS, PREDICTIONS, CURVES) for file in folder.glob(f"attempts/*/{name}")]
            linked.extend(on_disk.get(file.stat().st_ino) == file.stat().st_size for file in named)
        link(source, target)

    monkeypatch.setattr(os, "fsync", noting)
    monkeypatch.setattr(os, "link", linking)
    lab.train(make_spec(data=lab.data()))
    assert linked == [True] * 5


def test_a_lock_that_is_set_in_the_moment_in_which_a_preparation_ends_is_no_error(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    rmdir = os.rmdir

    def rmdir_too_late(path: Any, **more: Any) -> None:
        (store.root / "data" / ".preparing-x" / "lock").write_bytes(b"")
        rmdir(path, **more)

    with monkeypatch.context() as patch, store.preparation("x"):
        patch.setattr(os, "rmdir", rmdir_too_late)
    with store.preparation("x") as folder:
        assert folder.exists()
