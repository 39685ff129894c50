"""Stores that earlier versions wrote, kept in `tests/fixtures`: this version reads every file of them, and goes on.

The expected values were read from the files' text when they were written (`tests/fixtures/make_store_v1.py`).
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from analysis.gather import gather
from analysis.verify import parts
from trainers.checkpoint import decode_state, decode_weights
from trainers.result import Result, Split
from trainers.spec import RunSpec, group_id, run_id
from trainers.storage import PREDICTIONS, WEIGHTS, Store

V1 = Path(__file__).parent / "fixtures" / "store-v1"
WARM, COLD, GIVEN, PLAIN = "0ad1bfc056d7", "484b0c65c5cf", "6d5e87d4da4d", "e03e651a269d"
WILD, INTERRUPTED = "a82feb672aac", "843b00a74ba2"
DATA, LOGITS, PLAN, PLUGINS = "dff4a73fe68bfc05", "4e8a1b317066", "3caff48bbb7f", "e339349a9ee3"
TEACHER = "cbf7b55b250af3cec1506f5e77e07220e36fdeca4ebda138c6c9ab3dce6224e6"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A copy, since readers of a store write their tables into it."""
    shutil.copytree(V1, tmp_path / "store")
    return Store(tmp_path / "store").open()


def result_of(store: Store, run: str) -> Result:
    result = store.result(run)
    assert result is not None
    return result


def test_every_run_has_the_id_that_its_spec_had(store: Store) -> None:
    assert set(store.run_ids()) == {WARM, COLD, GIVEN, PLAIN, WILD, INTERRUPTED}
    groups = {run: group_id(store.spec(run)) for run in store.run_ids()}
    assert all(run_id(store.spec(run)) == run for run in groups)
    assert groups[COLD] == "6b3f48a62893" and groups[PLAIN] == groups[INTERRUPTED] == "2a1c3608152d"
    spec: RunSpec = store.spec(COLD)
    assert (spec.objective.args["temperature"], spec.optimizer.lr, spec.epochs, spec.seed) == (1.0, 0.003, 2, 0)
    assert [run_id(teacher) for teacher in spec.teachers] == [GIVEN]
    assert store.spec(PLAIN).ema_decay == 0.9 and store.spec(PLAIN).augment.mixup_alpha == 0.4


def test_a_result_and_its_files_say_what_they_said(store: Store) -> None:
    result = result_of(store, COLD)
    assert (result.attempt, result.started_at) == ("0001-375886b7-7eb15584", "2026-11-28T12:11:35.045+00:00")
    assert (result.best_epoch, result.best_validation_accuracy, result.test_accuracy) == (1, 0.5, 0.5)
    assert (result.num_params, result.num_macs, result.size_bytes) == (404, 10416, 3064)
    assert (result.environment.host, result.environment.torch) == ("box", "2.14.1+cu130")
    assert result.environment.source_digests["trainers.objectives.kd"] == "778bc99a80f9"
    assert (result.train_seconds, result.latency_seconds) == (0.0703448849999404, None)
    weights = decode_weights(store.verified_file(COLD, WEIGHTS))
    assert sum(tensor.numel() for name, tensor in weights.items() if name.endswith(("weight", "bias"))) == 404
    table = pq.read_table(store.verified_file(COLD, PREDICTIONS)).to_pylist()
    assert [row["label"] for row in table if row["split"] == "test"] == [0, 1, 0, 1, 0, 1]


def test_curves_and_who_worked_are_read(store: Store) -> None:
    attempt = store.attempt(COLD, result_of(store, COLD).attempt)
    first, second = attempt.curves()
    assert (first.epoch, second.epoch, first.train_loss) == (1, 2, 0.20125809808572134)
    assert first.loss_parts == {"cross_entropy": 0.5333482722441355, "distillation": 0.058933729926745095}
    started = attempt.started()
    assert started is not None and (started.host, started.pid) == ("box", 3027)
    assert attempt.log_file.read_text().endswith("finished\n")


def test_what_failed_and_what_was_interrupted_are_told_apart(store: Store) -> None:
    failure = store.state(WILD).failure
    assert failure is not None and failure.is_permanent
    assert failure.reason.startswith("loss is nan at epoch 1, step 2 of 3, learning rate 9.72e+29; lower")
    state = store.state(INTERRUPTED)
    assert (state.result, state.failure, state.corrupt, state.num_epochs_saved) == (None, None, None, 1)
    (file,) = store.checkpoints(INTERRUPTED)
    saved = decode_state(file)
    assert [record["train_loss"] for record in saved["records"]] == [0.755215565363566]
    assert set(saved) >= {"network", "average", "criterion", "optimizer", "schedule", "best_state", "environment"}


def test_plan_data_logits_weights_and_plug_ins_are_read(store: Store) -> None:
    (plan,) = store.plans()
    assert (plan.plan_id, plan.sweep, plan.plugins) == (PLAN, "tiny", PLUGINS)
    parents = {job.label: (job.run_id, job.parents) for job in plan.jobs}
    assert parents["cold"] == (COLD, (GIVEN,)) and parents["teacher_given"] == (GIVEN, ())
    manifest = store.prepared_data("76f1d75b85e5")
    assert manifest is not None and (manifest.fingerprint, manifest.class_names) == (DATA, ("dark", "bright"))
    pictures = np.load(store.data_folder(DATA) / f"{Split.TRAIN.value}_images.npy")
    assert pictures.shape == (24, 8, 8, 3)
    logits = store.logits(LOGITS)
    assert logits.request().num_epochs == 2 and logits.finished_at(logits.attempts()[0])
    first = logits.read_epoch("2163afd80cf5", 1)
    assert first is not None and first.shape == (24, 2)
    assert store.local_weights(TEACHER) == store.weights_file(TEACHER)
    assert set(store.plugins(PLUGINS).files) == {"data/specks.py", "sweeps/tiny.py"}


def test_the_whole_is_sound_and_its_tables_are_made(store: Store) -> None:
    assert [problem for part in parts(store) for problem in part.check()] == []
    rows: dict[str, Any] = {row["run_id"]: row for row in gather(store).runs.to_pylist()}
    statuses = {run: row["status"] for run, row in rows.items()}
    assert statuses == dict.fromkeys((WARM, COLD, GIVEN, PLAIN), "ok") | {WILD: "failed", INTERRUPTED: "unfinished"}
    assert (rows[COLD]["label"], rows[COLD]["teacher_label"], rows[COLD]["num_params"]) == (
        "cold",
        "teacher_given",
        404,
    )


def test_an_interrupted_run_goes_on_from_its_checkpoint(store: Store) -> None:
    from trainers.execution import Execution
    from trainers.loop import epochs

    spec = store.spec(INTERRUPTED)
    records = list(epochs(spec, store, store.begin_attempt(INTERRUPTED), Execution()))
    assert [record.epoch for record in records] == [2]
    assert result_of(store, INTERRUPTED).resumed_from_epochs == (1,)
    assert store.checkpoints(INTERRUPTED) == ()
