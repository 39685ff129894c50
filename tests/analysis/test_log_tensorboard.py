"""What `--log tensorboard` writes, read back by TensorBoard's own reader."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer
from tensorboard.plugins.hparams import plugin_data_pb2

from analysis.evidence import planned_jobs
from analysis.log import main, open_log
from analysis.logged import News
from analysis.loggers import tensorboard
from trainers.errors import LogError
from trainers.storage import Store

HOSTILE = "student_<script>alert(1)</script> ../../\x1b[2J\u202e'\"|x" + "y" * 200


def logged(lab: Any, place: str = "") -> None:
    """The command, which must not complain."""
    assert main([str(lab.store.root), f"tensorboard{place}"]) == 0


def read(lab: Any) -> EventMultiplexer:
    found = EventMultiplexer(purge_orphaned_data=False)
    found.AddRunsFromDirectory(str(lab.store.root / "tensorboard")).Reload()
    return found


def drawn(found: EventMultiplexer, run: str, tag: str) -> list[tuple[int, Any]]:
    return [(event.step, event.value) for event in found.Scalars(run, tag)]


def expected(lab: Any, run: str, name: str) -> list[tuple[int, Any]]:
    """From the file of the curve itself, as 32-bit numbers, which is what event files hold."""
    files = sorted((lab.store.root / "runs" / run / "attempts").glob("*/curves.jsonl"))
    records = [json.loads(line) for line in files[-1].read_text().splitlines()]
    parts = name.removeprefix("loss_parts/")
    values = [record["loss_parts"][parts] if parts != name else record[name] for record in records]
    return [(record["epoch"], np.float32(value)) for record, value in zip(records, values, strict=True)]


def texts(found: EventMultiplexer, run: str, tag: str) -> list[str]:
    events = found.Tensors(run, f"{tag}/text_summary")
    return [event.tensor_proto.string_val[0].decode().replace("\\", "") for event in events]


@pytest.fixture
def finished(lab: Any, make_spec: Any) -> str:
    """A finished run of two epochs, planned as student_scratch."""
    run: str = lab.finish(make_spec(seed=3), 0.75)
    lab.plan(("student_scratch", make_spec(seed=3)))
    return run


def test_every_curve_is_read_back_by_tensorboard(lab: Any, finished: str) -> None:
    logged(lab)
    found, run = read(lab), f"student_scratch@3-{finished}"
    names = (
        *("train_loss", "train_accuracy", "validation_loss", "validation_accuracy"),
        *("learning_rate", "images_per_second", "loss_parts/hard", "loss_parts/soft"),
    )
    assert set(found.Runs()[run]["scalars"]) == set(names)
    for name in names:
        assert drawn(found, run, name) == expected(lab, finished, name)
        assert len(drawn(found, run, name)) == 2


def test_an_epoch_stands_at_the_moment_it_ended(lab: Any, finished: str) -> None:
    logged(lab)
    moments = [event.wall_time for event in read(lab).Scalars(f"student_scratch@3-{finished}", "train_loss")]
    assert moments == [1767225600 + 4, 1767225600 + 8]  # 2026-01-01 in UTC; every epoch takes four seconds


def test_what_a_run_came_to_stands_beside_its_hyperparameters(lab: Any, finished: str) -> None:
    logged(lab)
    found, run = read(lab), f"student_scratch@3-{finished}/final"
    assert drawn(found, run, "final/best_validation_accuracy") == [(2, np.float32(0.75))]
    assert drawn(found, run, "final/num_params") == [(2, 152_075)]
    assert drawn(found, run, "final/num_macs") == [(2, 5_000_000)]
    assert drawn(found, run, "final/size_bytes") == [(2, 620_000)]
    content = found.SummaryMetadata(run, "_hparams_/session_start_info").plugin_data.content
    given = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info.hparams
    assert given["optimizer.lr"].number_value == 1e-3
    assert given["model.name"].string_value == "student"
    assert (given["role"].string_value, given["sweep"].string_value) == ("student", "report")


def test_the_same_command_again_writes_nothing(lab: Any, finished: str) -> None:
    logged(lab)
    before = {file: file.stat().st_mtime_ns for file in (lab.store.root / "tensorboard").rglob("*")}
    logged(lab)
    assert {file: file.stat().st_mtime_ns for file in (lab.store.root / "tensorboard").rglob("*")} == before


def test_a_run_that_goes_on_is_logged_from_where_the_log_ends(lab: Any, make_spec: Any) -> None:
    spec = make_spec()
    lab.begin(spec, num_epochs=1)
    lab.plan(("student_scratch", spec))
    logged(lab)
    lab.begin(spec, num_epochs=3)
    logged(lab)
    run = lab.finish(spec, 0.75)  # of two epochs, by a third attempt: those that are there stay
    logged(lab)
    found = read(lab)
    assert [step for step, _ in drawn(found, f"student_scratch@0-{run}", "train_loss")] == [1, 2, 3]
    assert texts(found, f"student_scratch@0-{run}", "standing") == ["interrupted", "interrupted", "ok"]


def test_a_log_that_was_cut_off_before_it_was_noted_has_no_epoch_twice(lab: Any, make_spec: Any) -> None:
    spec = make_spec()
    lab.begin(spec, num_epochs=1)
    lab.plan(("student_scratch", spec))
    logged(lab)
    lab.begin(spec, num_epochs=3)
    (note,) = (lab.store.root / "tensorboard").rglob("logged.json")
    before = note.read_text()
    logged(lab)
    note.write_text(before)  # as a kill would leave it
    logged(lab)
    run = lab.store.run_ids()[0]
    assert drawn(read(lab), f"student_scratch@0-{run}", "train_loss") == expected(lab, run, "train_loss")


def test_a_failed_run_is_marked_with_its_reason_and_a_running_one_as_such(lab: Any, make_spec: Any) -> None:
    failed = lab.fail(make_spec(seed=0), "loss is *nan*\nat epoch 1")
    spec = make_spec(seed=1)
    lab.begin(spec, num_epochs=1)
    lab.plan(("student_scratch", make_spec(seed=0)), ("student_scratch", spec))
    running = next(run for run in lab.store.run_ids() if run != failed)
    lab.store.lease_file(running).parent.mkdir()
    lab.store.lease_file(running).write_text("{}")
    logged(lab)
    found = read(lab)
    assert texts(found, f"student_scratch@0-{failed}", "standing") == ["failed: loss is *nan* at epoch 1"]
    assert texts(found, f"student_scratch@1-{running}", "standing") == ["running"]
    assert not any(name.endswith("/final") for name in found.Runs())


def test_a_hostile_label_is_text_and_no_path(lab: Any, make_spec: Any) -> None:
    run = lab.finish(make_spec())
    lab.plan((HOSTILE, make_spec()))
    logged(lab)
    (folder,) = (lab.store.root / "tensorboard").iterdir()
    assert folder.name.endswith(run) and set(folder.name) <= set("_.,=+@-" + SAFE)
    (table,) = texts(read(lab), folder.name, "run")
    assert "<script>alert(1)</script> ../../?[2J?'\"|x" in table
    assert "\\<script\\>" in found_raw(lab, folder.name)


SAFE = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def found_raw(lab: Any, run: str) -> str:
    text: bytes = read(lab).Tensors(run, "run/text_summary")[0].tensor_proto.string_val[0]
    return text.decode()


def test_a_folder_of_ones_own_is_used(lab: Any, finished: str, tmp_path: Path) -> None:
    logged(lab, f":{tmp_path / 'elsewhere'}")
    assert [one.name for one in (tmp_path / "elsewhere").iterdir()] == [f"student_scratch@3-{finished}"]
    assert not (lab.store.root / "tensorboard").exists()


@pytest.mark.parametrize("target", ["s3://bucket/logs", "gs://bucket"])
def test_event_files_in_a_bucket_are_refused(target: str) -> None:
    with pytest.raises(LogError, match="no folder"):
        tensorboard.check(target)


def test_a_store_in_a_bucket_asks_for_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(LogError, match="is a bucket; give TensorBoard's files a folder"):
        tensorboard.open_log(Store("s3://bucket/petite"), "")


def test_a_folder_that_cannot_be_made_is_one_line(lab: Any, finished: str, capsys: pytest.CaptureFixture[str]) -> None:
    (lab.store.root / "tensorboard").write_text("")
    assert main([str(lab.store.root), "tensorboard"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_open_files_are_closed_with_the_log(lab: Any, make_spec: Any) -> None:
    spec = make_spec()
    lab.begin(spec, num_epochs=1)
    plan = lab.plan(("student_scratch", spec))
    logger = open_log(lab.store, "tensorboard")
    (run,) = list(News(lab.store, planned_jobs([plan])).of_all())
    logger.write(replace(run, standing=tensorboard.Standing.RUNNING))
    logger.close()  # ResourceWarning is an error otherwise
    logger.write(run)
    assert texts(read(lab), f"student_scratch@0-{run.run_id}", "standing") == ["running", "interrupted"]


@pytest.fixture(autouse=True)
def silence(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """TensorBoard's reader talks."""
    caplog.set_level("CRITICAL")
    yield
