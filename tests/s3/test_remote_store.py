"""A store in a bucket: the same runs as in a folder, whole or not there, and copies on this machine."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from analysis.facts import read_facts
from analysis.gather import gather
from analysis.inventory import make_pruning
from analysis.prune import Wishes
from analysis.verify import parts
from sweeps.causes import is_worth_another_try_at_once
from sweeps.probe import check, look, marked
from sweeps.trial import failure_of
from trainers.cache import cache_folder
from trainers.errors import CorruptFileError, DamagedDataError, StoreError, UnreachableError
from trainers.load_run import load_run
from trainers.plugin_folder import read_folder
from trainers.removal import leftovers, remove
from trainers.result import Cause, Split
from trainers.spec import run_id
from trainers.storage import WEIGHTS, Store

A_DAY_FROM_NOW = 4e9


@pytest.fixture
def trained(lab: Any) -> Any:
    """With a finished run."""
    lab.data()
    lab.train(lab.spec())
    return lab


def test_a_training_in_a_bucket_gives_the_bytes_of_one_in_a_folder(trained: Any, local: Any) -> None:
    local.data()
    local.train(local.spec())
    assert trained.content(trained.spec()) == local.content(local.spec()) is not None
    run = run_id(trained.spec())
    folder = trained.store.attempts(run)[0].folder
    assert {path.name for path in folder.iterdir()} == {
        path.name for path in local.store.attempts(run)[0].folder.iterdir()
    }
    assert trained.store.attempts(run)[0].log_file.read_text().count("\n") == 4
    loaded = load_run(str(trained.store.root), run)
    assert loaded.class_names == ("dark", "light")


def test_the_log_is_in_the_bucket_as_soon_as_a_checkpoint_is(lab: Any) -> None:
    attempt = lab.store.begin_attempt("f00d")
    attempt.log("begun")
    assert not attempt.log_file.exists()
    attempt.write_checkpoint(1, b"state")
    attempt.log("more")
    attempt.write_checkpoint(2, b"state")
    attempt.write_checkpoint(3, b"state")
    assert [line.split(" ", 1)[1] for line in attempt.log_file.read_text().splitlines()] == ["begun", "more"]
    assert [file.name for file in lab.store.checkpoints("f00d")] == ["checkpoint-000003.pt", "checkpoint-000002.pt"]


def test_of_two_attempts_the_first_to_finish_stands(trained: Any) -> None:
    run = run_id(trained.spec())
    result = trained.store.result(run)
    second = trained.store.begin_attempt(run)
    assert not trained.store.finish(second, dataclasses.replace(result, attempt=second.token))
    assert trained.store.result(run) == result


def test_a_result_that_was_only_half_set_aside_stands_and_pruning_keeps_its_files(trained: Any) -> None:
    run = run_id(trained.spec())
    file = trained.store.run_folder(run) / "result.json"
    file.copy_to(file.with_name("set-aside-0.json"))  # and then the process died
    assert trained.store.result(run) is not None
    assert [path.name for path in leftovers(trained.store)] == ["set-aside-0.json"]
    remove(trained.store, leftovers(trained.store)[0])
    assert trained.content(trained.spec()) is not None and leftovers(trained.store) == []


def test_a_run_that_is_set_aside_is_unfinished_and_trained_again(trained: Any) -> None:
    run, before = run_id(trained.spec()), trained.content(trained.spec())
    trained.store.set_aside(run)
    assert trained.content(trained.spec()) is None
    assert len(trained.store.run_folder(run).glob("set-aside-*.json")) == 1
    trained.train(trained.spec())
    assert trained.content(trained.spec()) == before and len(trained.store.attempts(run)) == 2


# Copies on this machine


def num_gets(proxy: Any, name: str) -> int:
    return sum(request.startswith("GET") and name in request for request in proxy.requests)


def test_prepared_data_is_fetched_once_by_whoever_comes_first(lab: Any, make_proxy: Any) -> None:
    lab.data()
    shutil.rmtree(cache_folder())
    proxy = make_proxy()
    with ThreadPoolExecutor(4) as pool:
        folders = set(pool.map(lab.store.local_data, ["ba5e"] * 4))
    assert folders == {cache_folder() / "data" / "ba5e"}
    assert num_gets(proxy, "train_images.npy") == 1


def test_prepared_data_that_is_in_the_bucket_is_not_prepared_again_on_another_machine(lab: Any) -> None:
    lab.data()
    shutil.rmtree(cache_folder())
    manifest = lab.store.prepared_data("request")
    assert (
        manifest is not None
        and manifest.fingerprint == "ba5e"
        and set(manifest.files) == {f"{split.value}_{what}.npy" for split in Split for what in ("images", "labels")}
    )


def test_a_preparation_that_died_before_its_manifest_was_there_is_made_again(lab: Any) -> None:
    lab.data()
    for name in ("ba5e/manifest.json", "ba5e/test_images.npy", "requests/request.json"):
        (lab.store.root / "data" / name).unlink()
    assert lab.store.prepared_data("request") is None
    assert lab.data() == "ba5e"
    shutil.rmtree(cache_folder())
    assert (lab.store.local_data("ba5e") / "test_images.npy").exists()


def test_a_copy_that_was_never_finished_is_not_used(lab: Any) -> None:
    lab.data()
    whole = {file.name: file.read_bytes() for file in lab.store.local_data("ba5e").iterdir()}
    torn = (cache_folder() / "data" / "ba5e").rename(cache_folder() / "data" / ".writing-0")
    (torn / "train_images.npy").write_bytes(b"half")
    assert {file.name: file.read_bytes() for file in lab.store.local_data("ba5e").iterdir()} == whole


def test_damaged_data_is_told_by_what_holds_it_the_copy_or_the_bucket(lab: Any) -> None:
    lab.data()
    copy = lab.store.local_data("ba5e") / "train_images.npy"
    sound = copy.read_bytes()
    copy.write_bytes(sound[:-1] + b"?")
    lab.store.set_damaged_data_aside("ba5e")
    assert copy.read_bytes() == sound
    shutil.rmtree(cache_folder())
    (lab.store.data_folder("ba5e") / "train_images.npy").write_bytes(sound[:-1] + b"?")
    with pytest.raises(DamagedDataError, match=r"s3://.*train_images.npy does not match its checksum"):
        lab.store.set_damaged_data_aside("ba5e")
    assert lab.store.prepared_data("request") is None


def test_weights_are_copied_and_compared_and_a_damaged_copy_is_fetched_again(trained: Any, make_proxy: Any) -> None:
    run = run_id(trained.spec())
    copy = trained.store.verified_file(run, WEIGHTS)
    sound = copy.read_bytes()
    copy.write_bytes(sound[:-1] + b"?")
    proxy = make_proxy()
    assert trained.store.verified_file(run, WEIGHTS).read_bytes() == sound
    trained.store.verified_file(run, WEIGHTS)
    assert num_gets(proxy, WEIGHTS) == 1
    shutil.rmtree(cache_folder())
    original = trained.store.attempts(run)[0].folder / WEIGHTS
    original.write_bytes(sound[:-1] + b"?")
    with pytest.raises(CorruptFileError, match=r"s3://.*weights.safetensors does not match"):
        trained.store.verified_file(run, WEIGHTS)
    assert not list(cache_folder().glob("files/*/content*")) and not list(cache_folder().glob("files/*/.writing*"))


def test_plugins_and_weights_from_outside_are_kept_in_the_bucket(lab: Any, tmp_path: Path) -> None:
    (tmp_path / "mine/models").mkdir(parents=True)
    (tmp_path / "mine/models/tiny.py").write_text("def build(num_classes, image_size):\n    return None\n")
    folder = read_folder(tmp_path / "mine")
    copy = lab.store.write_plugins(folder)
    assert copy.files == folder.files and copy.path == cache_folder() / "plugins" / folder.digest
    (lab.store.root / "plugins" / folder.digest / "models/tiny.py").write_bytes(b"def build():\n    pass\n")
    shutil.rmtree(cache_folder())
    with pytest.raises(CorruptFileError, match="altered"):
        lab.store.plugins(folder.digest)
    assert lab.store.write_plugins(folder).files == folder.files
    assert lab.store.local_weights("d1") is None
    lab.store.write_weights("d1", b"weights")
    assert lab.store.local_weights("d1").read_bytes() == b"weights"
    lab.store.weights_record("d1").unlink()
    assert lab.store.local_weights("d1") is None


# Analysis


def test_a_second_gathering_opens_no_file_of_an_unchanged_run(trained: Any, make_proxy: Any) -> None:
    first = gather(trained.store)
    proxy = make_proxy()
    second = gather(trained.store)
    assert second.runs.equals(first.runs) and second.curves.equals(first.curves) and first.curves.num_rows == 2
    run = run_id(trained.spec())
    assert [request for request in proxy.requests if f"{run}/" in request and "list-type" not in request] == []
    trained.store.begin_attempt(run).log_file.write_bytes(b"another")
    assert gather(trained.store).runs["num_attempts"].to_pylist() == [2]


def test_facts_read_while_a_run_changes_are_read_again_the_next_time(trained: Any, monkeypatch: Any) -> None:
    from analysis import facts

    def changing(store: Store, run: str) -> Any:
        known = facts_of(store, run)
        store.attempts(run)[0].log_file.write_bytes(b"changed")
        return known

    facts_of = facts.read_run
    root, run = str(trained.store.root), run_id(trained.spec())
    assert read_facts(root, [run])[0]["signature"].is_valid().to_pylist() == [True]
    monkeypatch.setattr(facts, "read_run", changing)
    assert read_facts(root, [run])[0]["signature"].is_valid().to_pylist() == [False]


def test_verifying_finds_a_flipped_bit_in_a_bucket(trained: Any) -> None:
    assert [problem for part in parts(trained.store) for problem in part.check()] == []
    file = trained.store.attempts(run_id(trained.spec()))[0].folder / WEIGHTS
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    assert len([problem for part in parts(trained.store) for problem in part.check()]) == 1


def test_pruning_a_bucket_removes_runs_and_their_data(trained: Any) -> None:
    pruning = make_pruning(trained.store, Wishes(unreferenced=True), A_DAY_FROM_NOW)
    assert {item.kind for item in pruning.items} == {"run", "data", "leftover"}
    for item in pruning.items:
        for path in item.paths:
            remove(trained.store, path)
    assert [found.path.name for found in trained.store.root.listed()] == ["store.json"]


@pytest.mark.parametrize("command", [["list"], ["show"], ["log"], ["verify"], ["prune", "--unreferenced"]])
def test_the_store_command_takes_a_bucket(trained: Any, command: list[str], capsys: Any) -> None:
    from analysis.store import main

    more = [run_id(trained.spec())] if command[0] in ("show", "log") else []
    assert main([str(trained.store.root), *command, *more]) == 0
    assert capsys.readouterr().out


def test_a_command_on_a_bucket_that_holds_no_store_ends_in_one_line(bucket: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "analysis.gather", f"{bucket}/none"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "no store at s3://" in done.stderr


# What a cluster's machines are told, and say


def test_workers_are_told_where_the_bucket_is_and_no_keys() -> None:
    from sweeps.connect import whereabouts_of_bucket

    environment = {"AWS_ENDPOINT_URL": "http://there", "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
    assert whereabouts_of_bucket(environment) == {"AWS_ENDPOINT_URL": "http://there"}


def test_a_machine_that_does_not_reach_the_bucket_says_so(lab: Any, make_proxy: Any) -> None:
    with marked(lab.store) as mark:
        assert look("10.0.0.2", mark).store_problem == ""
        make_proxy(lambda number: "403")
        report = look("10.0.0.2", mark)
        make_proxy()
    with pytest.raises(StoreError, match=r"node 10.0.0.2 .* denies access .*; start Ray there with the AWS_ variables"):
        check([report])


def test_a_job_that_the_bucket_kept_from_its_end_is_worth_another_try(lab: Any) -> None:
    attempt, error = lab.store.begin_attempt("f00d"), UnreachableError("s3://bucket cannot be used (500)")
    failure = failure_of(attempt, error)
    assert (failure.is_permanent, failure.cause, failure.reason) == (False, Cause.MACHINE, str(error))
    assert is_worth_another_try_at_once(error)
