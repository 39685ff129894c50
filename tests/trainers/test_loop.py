"""The training loop on a few dozen pictures: what it leaves behind, and that an interruption changes nothing."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

import trainers
from trainers.batches import Batch
from trainers.errors import CorruptFileError, SpecError, TrainingError, WeakTeacherError
from trainers.evaluate import accuracy
from trainers.execution import Execution
from trainers.loop import choose_device
from trainers.network import build_network
from trainers.result import EpochRecord, Result, Split
from trainers.saved import initial_network, trained_network
from trainers.spec import Choice, Optimizer, OptimizerName, Precision, RunSpec, Weights, from_dict, group_id, run_id
from trainers.storage import CURVES, PREDICTIONS, WEIGHTS, Attempt
from trainers.training import Training

ROOT = Path(trainers.__file__).parent.parent
TIMES = ("images_per_second", "epoch_seconds")


def without_times(records: Any) -> list[dict[str, Any]]:
    plain = [msgspec.to_builtins(record) for record in records]
    return [{key: value for key, value in record.items() if key not in TIMES} for record in plain]


def curves(lab: Any, spec: RunSpec) -> list[dict[str, Any]]:
    result = lab.store.result(run_id(spec))
    return without_times(lab.store.attempt(run_id(spec), result.attempt).curves())


def weights(lab: Any, spec: RunSpec) -> dict[str, Tensor]:
    state: dict[str, Tensor] = safetensors.torch.load_file(lab.file(spec, WEIGHTS))
    return state


def predictions(lab: Any, spec: RunSpec, split: Split) -> tuple[Any, Any]:
    """Labels (N,) and logits (N, K) as an outsider reads them."""
    rows = [row for row in pq.read_table(lab.file(spec, PREDICTIONS)).to_pylist() if row["split"] == split.value]
    assert [row["index"] for row in rows] == list(range(len(rows)))
    return np.array([row["label"] for row in rows]), np.array([row["logits"] for row in rows])


def assert_same_run(one: Any, other: Any, spec: RunSpec) -> None:
    """Byte for byte the same, apart from times."""
    for name in (WEIGHTS, PREDICTIONS):
        assert one.file(spec, name).read_bytes() == other.file(spec, name).read_bytes()
    assert curves(one, spec) == curves(other, spec)


# What a training leaves behind


def test_a_training_learns_and_its_result_says_so(lab: Any, make_spec: Any) -> None:
    spec = make_spec(data=lab.data(), epochs=5)
    result = lab.train(spec)
    assert result.best_validation_accuracy > 0.9
    assert (result.run_id, result.group_id) == (run_id(spec), group_id(spec))
    assert (result.data_name, result.initialized_from) == ("bright", "scratch")
    assert (result.num_train_images, result.num_validation_images, result.num_test_images) == (24, 10, 6)
    assert result.num_params == (27 * 4 + 4 + 8) + (36 * 6 + 6 + 12) + (24 * 2 + 2)
    assert result.num_macs == 64 * 4 * 27 + 16 * 6 * 36 + 24 * 2
    assert result.size_bytes == lab.file(spec, WEIGHTS).stat().st_size
    assert result.parent_weights == {}
    assert (result.resumed_from_epochs, result.has_mixed_environment) == ((), False)
    assert result.started_at <= result.finished_at
    assert result.train_seconds > 0
    assert set(result.files) == {WEIGHTS, CURVES, PREDICTIONS}
    assert result.environment.torch == torch.__version__
    loop = {"training", "batches", "augment", "criterion", "features", "averaging"}
    loop |= {"optim", "network", "evaluate", "randomness", "resident", "process", "teaching"}
    loop |= {"device", "pictures", "saved", "teacher_logits"}
    plug_ins = {"trainers.models.conv_plain", "trainers.convolutions", "trainers.objectives.cross_entropy"}
    assert set(result.environment.source_digests) == plug_ins | {f"trainers.{name}" for name in loop}


@pytest.mark.parametrize(
    ("uses_gpu", "is_there", "device"), [(True, True, "cuda"), (True, False, "cpu"), (False, True, "cpu")]
)
def test_a_job_computes_on_the_gpu_that_it_was_given_and_on_no_other(
    uses_gpu: bool, is_there: bool, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: is_there)
    assert choose_device(Execution(uses_gpu=uses_gpu)).type == device


def test_test_pictures_without_a_label_do_not_count(lab: Any) -> None:
    logits_NK = torch.tensor([[2.0, 1.0], [2.0, 1.0], [1.0, 2.0]])
    assert accuracy(logits_NK, torch.tensor([0, -1, 0])) == 0.5


def test_every_epoch_is_on_the_curve(lab: Any, make_spec: Any) -> None:
    spec = make_spec(data=lab.data(), epochs=4)
    records = list(lab.steps(spec))
    assert [record.epoch for record in records] == [1, 2, 3, 4]
    assert curves(lab, spec) == without_times(records)
    assert all(0 <= record.train_accuracy <= 1 and record.train_loss > 0 for record in records)
    rate = [1e-2 / 2 * (1 + np.cos(np.pi * (3 * epoch - 1) / 12)) for epoch in (1, 2, 3, 4)]  # 3 steps an epoch
    assert [record.learning_rate for record in records] == pytest.approx(rate)


def test_accuracies_follow_from_the_stored_predictions(lab: Any, make_spec: Any) -> None:
    spec = make_spec(data=lab.data(sizes=(24, 15, 9), num_classes=4), model=classes(4), epochs=2)
    result = lab.train(spec)
    for split, expected in ((Split.VALIDATION, result.best_validation_accuracy), (Split.TEST, result.test_accuracy)):
        labels, logits = predictions(lab, spec, split)
        assert (logits.argmax(axis=1) == labels).mean() == pytest.approx(expected)


def classes(number: int) -> Choice:
    return Choice(name="conv_plain", args={"num_classes": number, "image_size": 8, "channels": (4, 6), "final_size": 2})


def test_stored_predictions_are_those_of_the_stored_weights(lab: Any, make_spec: Any) -> None:
    spec = make_spec(data=lab.data(), epochs=2)
    lab.train(spec)
    network = trained_network(spec, lab.store)
    images = np.load(lab.store.data_folder(spec.data) / "test_images.npy")
    expected = network(torch.from_numpy(images / 255).float().permute(0, 3, 1, 2))
    np.testing.assert_allclose(predictions(lab, spec, Split.TEST)[1], expected.numpy(), atol=1e-5)


def test_the_weights_file_says_what_it_is(lab: Any, make_spec: Any) -> None:
    spec = make_spec(data=lab.data(), epochs=1)
    lab.train(spec)
    from safetensors import safe_open

    with safe_open(lab.file(spec, WEIGHTS), "pt") as opened:
        described = msgspec.json.decode(opened.metadata()["petite"])
    assert described["run_id"] == run_id(spec)
    assert described["class_names"] == ["a", "b"]
    assert described["model"]["name"] == "conv_plain"


def test_data_without_test_pictures_gives_no_test_accuracy(lab: Any, make_spec: Any) -> None:
    spec = make_spec(data=lab.data(sizes=(24, 10, 0)), epochs=1)
    result = lab.train(spec)
    assert result.test_accuracy is None
    assert result.num_test_images == 0
    assert len(predictions(lab, spec, Split.TEST)[0]) == 0
    assert len(predictions(lab, spec, Split.VALIDATION)[0]) == 10


@pytest.mark.parametrize(("num_images", "sizes"), [(9, [8]), (17, [8, 8]), (16, [8, 8]), (5, [5]), (2, [2])])
def test_a_rest_that_fills_no_batch_is_left_to_another_epoch(
    lab: Any, make_spec: Any, monkeypatch: pytest.MonkeyPatch, num_images: int, sizes: list[int]
) -> None:
    # a rest of one picture would break batch normalisation where the map has shrunk to one pixel
    seen, real = [], Training._step

    def watched(self: Training, batch: Batch, *more: Any) -> Any:
        seen.append(len(batch.images_BCHW))
        return real(self, batch, *more)

    monkeypatch.setattr(Training, "_step", watched)
    lab.train(make_spec(data=lab.data(sizes=(num_images, 10, 6)), epochs=2))
    assert seen == sizes * 2


# Validation chooses, of equals the first; test is read with those weights


@pytest.mark.parametrize(
    ("accuracies", "best"), [([0.5, 0.8, 0.7], 2), ([0.5, 0.8, 0.8], 2), ([0.0, 0.0, 0.0], 1), ([0.1, 0.2, 0.3], 3)]
)
def test_the_first_epoch_with_the_best_validation_accuracy_is_kept(
    lab: Any, make_spec: Any, monkeypatch: pytest.MonkeyPatch, accuracies: list[float], best: int
) -> None:
    spec = make_spec(data=lab.data(), epochs=3)
    steps, states, real = lab.steps(spec), [], Training.run_epoch

    def scripted(self: Training, epoch: int) -> EpochRecord:
        """Train as ever, but let validation say what the script says."""
        with monkeypatch.context() as patch:
            patch.setattr("trainers.training.accuracy", lambda logits, labels: accuracies[epoch - 1])
            record = real(self, epoch)
        states.append({key: value.clone() for key, value in self._network.body.state_dict().items()})
        return record

    monkeypatch.setattr(Training, "run_epoch", scripted)
    list(steps)
    result, saved = lab.store.result(run_id(spec)), weights(lab, spec)
    assert (result.best_epoch, result.best_validation_accuracy) == (best, accuracies[best - 1])
    assert result.last_validation_accuracy == accuracies[-1]
    assert all(torch.equal(saved[key], states[best - 1][key]) for key in saved)
    labels, logits = predictions(lab, spec, Split.TEST)
    assert result.test_accuracy == pytest.approx((logits.argmax(axis=1) == labels).mean())


def test_test_pictures_are_read_once_and_only_at_the_end(
    lab: Any, make_spec: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainers import pictures

    spec, seen = make_spec(data=lab.data(), epochs=3), []

    def watched(store: Any, fingerprint: str, split: Split) -> Any:
        seen.append(split)
        return pictures.load_split(store, fingerprint, split)

    monkeypatch.setattr("trainers.training.load_split", watched)
    monkeypatch.setattr("trainers.outcome.load_split", watched)
    steps = lab.steps(spec)
    for _ in range(3):
        next(steps)
    assert Split.TEST not in seen
    list(steps)
    assert seen.count(Split.TEST) == 1


# Same spec, same numbers


def test_the_same_spec_twice_gives_the_same_bytes(make_lab: Any, make_spec: Any) -> None:
    one, two = make_lab("one"), make_lab("two")
    spec = make_spec(data=one.data(), epochs=2)
    two.data()
    one.train(spec)
    torch.manual_seed(12345)
    two.train(spec)
    assert_same_run(one, two, spec)


@pytest.mark.parametrize("change", [{"seed": 1}, {"view_seed": 1}])
def test_either_seed_gives_other_weights(make_lab: Any, make_spec: Any, change: dict[str, int]) -> None:
    lab = make_lab("one")
    spec = make_spec(data=lab.data(), epochs=1)
    other = replace(spec, **change)
    lab.train(spec)
    lab.train(other)
    assert lab.file(spec, WEIGHTS).read_bytes() != lab.file(other, WEIGHTS).read_bytes()


# Interruptions


@pytest.mark.parametrize("epoch", [1, 2, 3])
@pytest.mark.parametrize("optimizer", list(OptimizerName))
def test_an_interrupted_training_goes_on_to_the_same_bytes(
    make_lab: Any, make_spec: Any, epoch: int, optimizer: OptimizerName
) -> None:
    whole, broken = make_lab("whole"), make_lab("broken")
    choice = Optimizer(name=optimizer, lr=1e-2, weight_decay=0.01, momentum=0.9)
    spec = make_spec(data=whole.data(), epochs=3, optimizer=choice)
    broken.data()
    whole.train(spec)
    broken.train_until(spec, epoch)
    result = broken.train(spec)
    assert_same_run(whole, broken, spec)
    assert result.resumed_from_epochs == (epoch,)
    assert not result.has_mixed_environment
    log = broken.store.attempts(run_id(spec))[-1].log_file.read_text()
    assert f"going on after epoch {epoch}" in log


def test_two_interruptions_and_a_new_process_change_nothing(make_lab: Any, make_spec: Any, tmp_path: Path) -> None:
    whole, broken = make_lab("whole"), make_lab("broken")
    spec = make_spec(data=whole.data(), epochs=4)
    broken.data()
    whole.train(spec)
    broken.train_until(spec, 1)
    broken.train_until(spec, 2)
    code = (
        "import sys\nfrom sweeps import trial\n"
        "from trainers.execution import Execution\nfrom trainers.storage import Store\n"
        "store = Store(sys.argv[1]).open(); list(trial.train(store, sys.argv[2], Execution()))"
    )
    command = [sys.executable, "-c", code, str(broken.store.root), run_id(spec)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=100)
    assert_same_run(whole, broken, spec)
    assert broken.store.result(run_id(spec)).resumed_from_epochs == (1, 3)


class WithDropout(nn.Module):
    """Draws from the global generator while it trains."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(192, 8), nn.Dropout(0.5), nn.Linear(8, 2))

    def forward(self, images_NCHW: Tensor) -> Tensor:
        logits_NK: Tensor = self.layers(images_NCHW)
        return logits_NK


def test_dropout_goes_on_to_the_same_bytes(make_lab: Any, make_spec: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainers.network.build_body", lambda model: WithDropout())
    whole, broken = make_lab("whole"), make_lab("broken")
    spec = make_spec(data=whole.data(), epochs=3)
    broken.data()
    whole.train(spec)
    broken.train_until(spec, 1)
    torch.manual_seed(99)
    broken.train(spec)
    assert_same_run(whole, broken, spec)


def test_while_running_at_most_two_checkpoints_are_kept_and_after_the_end_none(
    lab: Any, make_spec: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, counts, real = make_spec(data=lab.data(), epochs=5), [], Attempt.write_checkpoint

    def watched(self: Attempt, epoch: int, payload: bytes, **more: Any) -> None:
        real(self, epoch, payload, **more)
        counts.append(len(lab.store.checkpoints(run_id(spec))))

    monkeypatch.setattr(Attempt, "write_checkpoint", watched)
    lab.train(spec)
    assert counts == [1, 2, 2, 2, 2]
    assert lab.store.checkpoints(run_id(spec)) == ()


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize("num_damaged", [1, 2])
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(
    make_lab: Any, make_spec: Any, num_damaged: int
) -> None:
    whole, broken = make_lab("whole"), make_lab("broken")
    spec = make_spec(data=whole.data(), epochs=3)
    broken.data()
    whole.train(spec)
    broken.train_until(spec, 2)
    for file in broken.store.checkpoints(run_id(spec))[:num_damaged]:
        flip(file)
    result = broken.train(spec)
    assert result.resumed_from_epochs == ((1,) if num_damaged == 1 else ())
    log = broken.store.attempts(run_id(spec))[-1].log_file.read_text()
    assert log.count("is damaged; trying the one before") == num_damaged
    assert_same_run(whole, broken, spec)


def test_a_resume_with_other_software_is_flagged(lab: Any, make_spec: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = make_spec(data=lab.data(), epochs=3)
    lab.train_until(spec, 1)
    monkeypatch.setattr(torch, "__version__", "99.0")
    assert lab.train(spec).has_mixed_environment


def test_a_checkpoint_of_a_model_that_was_edited_since_is_not_used(
    lab: Any, make_spec: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_spec(data=lab.data(), epochs=2)
    lab.train_until(spec, 1)
    monkeypatch.setattr("trainers.network.build_body", lambda model: WithDropout())
    result = lab.train(spec)
    assert result.resumed_from_epochs == ()
    assert "not used" in lab.store.attempts(run_id(spec))[-1].log_file.read_text()


# What cannot go on


@pytest.mark.parametrize("batch_size", [8, 999])
def test_a_loss_that_is_not_finite_names_epoch_step_and_learning_rate(
    lab: Any, make_spec: Any, batch_size: int
) -> None:
    wild = Optimizer(name=OptimizerName.SGD, lr=1e30, weight_decay=0.0)
    spec = make_spec(data=lab.data(), optimizer=wild, batch_size=batch_size, epochs=4)
    with pytest.raises(TrainingError, match=r"loss is .*(nan|inf).* epoch \d.*learning rate .*; lower optimizer\.lr"):
        list(lab.steps(spec))
    assert lab.store.result(run_id(spec)) is None


def test_the_first_step_that_is_not_finite_is_the_one_named(
    lab: Any, make_spec: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, real, calls = make_spec(data=lab.data(), epochs=3), Training._step, []

    def poisoned(self: Training, *given: Any) -> Any:
        parts, logits = real(self, *given)
        calls.append(1)
        return ({**parts, "loss": parts["loss"] * float("nan")} if len(calls) == 5 else parts), logits

    monkeypatch.setattr(Training, "_step", poisoned)
    steps = lab.steps(spec)
    next(steps)
    rate = 1e-2 / 2 * (1 + np.cos(np.pi * 4 / 9))
    with pytest.raises(TrainingError, match=rf"loss is nan at epoch 2, step 2 of 3, learning rate {rate:.3g}; lower"):
        next(steps)


@pytest.mark.skipif(torch.cuda.is_available(), reason="with CUDA float16 is fine")
def test_float16_on_a_cpu_is_refused(lab: Any, make_spec: Any) -> None:
    spec = make_spec(data=lab.data(), precision=Precision.FLOAT16)
    with pytest.raises(SpecError, match="precision float16 needs a CUDA device; use float32 or bfloat16"):
        next(lab.steps(spec))


def test_bfloat16_trains_and_keeps_float32_weights(lab: Any, make_spec: Any) -> None:
    spec = make_spec(data=lab.data(), precision=Precision.BFLOAT16, epochs=2)
    lab.train(spec)
    assert {value.dtype for key, value in weights(lab, spec).items() if "num_batches" not in key} == {torch.float32}


# Teachers


@pytest.fixture
def teacher(lab: Any, make_spec: Any) -> RunSpec:
    """A teacher that has learned something."""
    spec: RunSpec = make_spec(data=lab.data(), epochs=5, seed=7)
    assert lab.train(spec).best_validation_accuracy > 0.9
    return spec


def test_a_student_learns_and_its_teacher_stays_as_it_is(lab: Any, make_spec: Any, teacher: RunSpec) -> None:
    before = lab.file(teacher, WEIGHTS).read_bytes()
    student = make_spec(data=teacher.data, teacher=teacher, epochs=2)
    records = list(lab.steps(student))
    assert lab.file(teacher, WEIGHTS).read_bytes() == before
    result = lab.store.result(run_id(student))
    assert result.parent_weights == {run_id(teacher): lab.store.result(run_id(teacher)).files[WEIGHTS].sha256}
    for record in records:
        parts = record.loss_parts
        assert set(parts) == {"cross_entropy", "distillation"}
        assert record.train_loss == pytest.approx(parts["cross_entropy"] / 2 + parts["distillation"] / 2, rel=1e-5)


def test_a_teacher_is_frozen_and_in_evaluation_mode(
    lab: Any, make_spec: Any, teacher: RunSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, real = [], Training._step

    def watched(self: Training, batch: Batch, taught_BK: Tensor | None) -> Any:
        (network,) = self._lessons._networks.values()
        outcome = real(self, batch, taught_BK)
        seen.append((network.training, [p.grad is None and not p.requires_grad for p in network.parameters()]))
        state = network.body.state_dict()
        assert all(torch.equal(state[key], value) for key, value in weights(lab, teacher).items())
        return outcome

    monkeypatch.setattr(Training, "_step", watched)
    lab.train(make_spec(data=teacher.data, teacher=teacher, epochs=1))
    assert len(seen) == 3
    assert all(not is_training and all(frozen) for is_training, frozen in seen)


def test_teacher_and_student_see_the_same_view(
    lab: Any, make_spec: Any, teacher: RunSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    student = make_spec(data=teacher.data, teacher=teacher, epochs=1)
    training = lab.training(student, lab.store.result(run_id(teacher)).environment)
    taught = training._lessons._network(teacher)
    steps: list[tuple[Tensor, Tensor]] = []
    real = Training._step

    def watched(self: Training, batch: Batch, taught_BK: Tensor) -> Any:
        steps.append((batch.images_BCHW.clone(), taught_BK))
        return real(self, batch, taught_BK)

    monkeypatch.setattr(Training, "_step", watched)
    training._train(1)
    assert len(steps) == 3
    for images_BCHW, taught_BK in steps:
        with torch.no_grad():
            torch.testing.assert_close(taught(images_BCHW), taught_BK, rtol=1e-4, atol=1e-6)


def test_a_student_that_copies_a_finished_teacher_starts_without_soft_loss(
    lab: Any, make_spec: Any, teacher: RunSpec
) -> None:
    student = make_spec(data=teacher.data, teacher=teacher)
    training = lab.training(student, lab.store.result(run_id(teacher)).environment)
    training._network.body.load_state_dict(weights(lab, teacher))
    training._network.eval()
    labels = torch.tensor([0, 1, 0, 1])
    images = torch.rand(4, 3, 8, 8)
    with torch.no_grad():
        taught_BK = training._lessons._network(teacher)(images)
    parts, _ = training._step(Batch(images_BCHW=images, labels_B=labels, targets=labels), taught_BK)
    assert parts["distillation"].item() == pytest.approx(0, abs=1e-6)


def test_a_teacher_no_better_than_guessing_is_refused_and_allowed_on_request(lab: Any, make_spec: Any) -> None:
    # 10 pictures, 2 classes: guessing reaches up to 0.5 + 2 sqrt(0.25 / 10) = 0.816
    still = Optimizer(name=OptimizerName.SGD, lr=1e-12, weight_decay=0.0)
    weak = make_spec(data=lab.data(), optimizer=still, epochs=1)
    lab.train(weak)
    student = make_spec(data=weak.data, teacher=weak, epochs=1)
    guessing = r"no better than guessing \(up to 0\.816\).*--allow-weak-teacher"
    with pytest.raises(WeakTeacherError, match=rf"teacher {run_id(weak)} .*{guessing}"):
        next(lab.steps(student))
    assert lab.train(student, allow_weak_teacher=True).run_id == run_id(student)


@pytest.mark.parametrize("allow", [False, True])
def test_a_teacher_without_result_is_no_teacher(lab: Any, make_spec: Any, allow: bool) -> None:
    student = make_spec(data=lab.data(), teacher=make_spec(data=lab.data(), seed=5))
    with pytest.raises(CorruptFileError, match=r"has no result; run the sweep again|has no result; run it again"):
        next(lab.steps(student, allow_weak_teacher=allow))


def test_a_checkpoint_made_with_other_parents_weights_is_not_used(lab: Any, make_spec: Any, teacher: RunSpec) -> None:
    student = make_spec(data=teacher.data, teacher=teacher, epochs=3)
    lab.train_until(student, 1)
    lab.store.set_aside(run_id(teacher))
    attempt = lab.begin(teacher)
    moved = {key: (value + 1).contiguous() for key, value in build_network(teacher).body.state_dict().items()}
    old = lab.store.attempts(run_id(teacher))[0]
    files = {name: attempt.write_file(name, (old.folder / name).read_bytes()) for name in (CURVES, PREDICTIONS)}
    files[WEIGHTS] = attempt.write_file(WEIGHTS, safetensors.torch.save(moved))
    record = msgspec.json.decode(next(lab.store.run_folder(run_id(teacher)).glob("set-aside-*")).read_bytes())
    retrained = replace(from_dict(Result, record["content"]), attempt=attempt.token, files=files)
    assert lab.store.finish(attempt, retrained)
    result = lab.train(student)
    assert result.resumed_from_epochs == ()
    assert result.parent_weights == {run_id(teacher): files[WEIGHTS].sha256}
    assert "other parents' weights; not used" in lab.store.attempts(run_id(student))[-1].log_file.read_text()


# Starting from other weights


def test_a_run_starts_from_another_runs_body_with_a_new_head(lab: Any, make_spec: Any) -> None:
    source = make_spec(data=lab.data(num_classes=4, seed=1), model=classes(4), epochs=1)
    lab.train(source)
    spec = make_spec(data=lab.data(), init_run=source, epochs=1)
    started, fresh = initial_network(spec, lab.store).body.state_dict(), build_network(spec).body.state_dict()
    given = weights(lab, source)
    for key, value in started.items():
        assert torch.equal(value, fresh[key] if key.startswith("classifier.") else given[key])
    result = lab.train(spec)
    assert result.initialized_from == f"source: bright (run {run_id(source)})"
    assert set(result.parent_weights) == {run_id(source)}


def test_a_run_starts_from_given_weights(lab: Any, make_spec: Any) -> None:
    given = build_network(make_spec(seed=9)).body.state_dict()
    lab.store.write_weights("d" * 64, safetensors.torch.save({key: value.contiguous() for key, value in given.items()}))
    spec = make_spec(data=lab.data(), init_weights=Weights(name="imagenet", digest="d" * 64), epochs=1)
    started = initial_network(spec, lab.store).body.state_dict()
    assert all(torch.equal(value, given[key]) for key, value in started.items() if not key.startswith("classifier."))
    assert lab.train(spec).initialized_from == "imagenet (dddddddddddd)"


def test_given_weights_that_do_not_fit_name_the_first_tensor(lab: Any, make_spec: Any) -> None:
    lab.store.write_weights("d" * 64, safetensors.torch.save({"0.weight": torch.zeros(1)}))
    spec = make_spec(data=lab.data(), init_weights=Weights(name="imagenet", digest="d" * 64))
    with pytest.raises(SpecError, match=r"weights do not fit model 'conv_plain': 12 tensors differ, first '0.bias'"):
        next(lab.steps(spec))


@pytest.mark.parametrize("content", [None, b"not safetensors"])
def test_given_weights_that_are_lost_or_damaged_are_named(lab: Any, make_spec: Any, content: bytes | None) -> None:
    if content is not None:
        lab.store.write_weights("d" * 64, content)
    spec = make_spec(data=lab.data(), init_weights=Weights(name="imagenet", digest="d" * 64))
    with pytest.raises(CorruptFileError, match=r"d\.safetensors is (missing|not a safetensors file)"):
        next(lab.steps(spec))
