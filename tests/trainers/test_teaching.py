"""A teacher's logits: written once or computed beside the student, they are the same numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from trainers import teaching
from trainers.attempt import Attempt
from trainers.environment import numbers_digest
from trainers.errors import CorruptFileError, SpecError
from trainers.execution import Execution
from trainers.result import Environment
from trainers.spec import Augment, Choice, LogitsType, Precision, RunSpec, run_id
from trainers.storage import PREDICTIONS, WEIGHTS
from trainers.teacher_logits import LogitsRequest, LogitsSpec, logits_id, logits_read_by
from trainers.teaching import source_of, write_logits

CPU = torch.device("cpu")
MIXED = Augment(crop_padding=2, horizontal_flip=True, rotation_degrees=20.0, mixup_alpha=1.0, erasing_probability=0.5)
WIDE = Choice(name="conv_plain", args={"num_classes": 2, "image_size": 8, "channels": (5, 7), "final_size": 2})


@pytest.fixture
def teacher(lab: Any, make_spec: Any) -> RunSpec:
    """A wider network that has learned something."""
    spec: RunSpec = make_spec(data=lab.data(), epochs=5, seed=7, model=WIDE)
    assert lab.train(spec).best_validation_accuracy > 0.9
    return spec


def request_for(lab: Any, spec: LogitsSpec, num_epochs: int) -> Attempt:
    folder = lab.store.logits(logits_id(spec))
    folder.write_request(LogitsRequest(spec=spec, num_epochs=num_epochs))
    return folder.begin_attempt()


def written(lab: Any, student: RunSpec, **execution: Any) -> tuple[LogitsSpec, ...]:
    """All that a student may read."""
    for spec in logits_read_by(student):
        list(write_logits(lab.store, request_for(lab, spec, student.epochs), Execution(**execution)))
    return logits_read_by(student)


def files_of(lab: Any, spec: LogitsSpec) -> list[Path]:
    return sorted(lab.store.logits(logits_id(spec)).folder.glob("*/epoch-*.npy"))


def forbid_the_teacher(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: Any) -> Any:
        raise AssertionError("the teacher was run")

    monkeypatch.setattr(teaching, "view_logits", refuse)


@pytest.mark.parametrize("augment", [Augment(), MIXED])
@pytest.mark.parametrize("changes", [{}, {"precision": Precision.BFLOAT16}, {"logits_dtype": LogitsType.FLOAT16}])
def test_a_student_that_reads_its_teacher_gets_the_weights_of_one_that_runs_it(
    lab: Any, make_lab: Any, make_spec: Any, monkeypatch: pytest.MonkeyPatch, augment: Augment, changes: dict[str, Any]
) -> None:
    monkeypatch.setattr(teaching, "PIXELS_PER_BATCH", 7 * 8 * 8)  # chunks that no batch equals
    other = make_lab("other")
    teacher = make_spec(data=lab.data(), epochs=2, seed=7, model=WIDE)
    student = make_spec(data=other.data(), teacher=teacher, epochs=3, augment=augment, **changes)
    lab.train(teacher)
    live = lab.train(student)
    other.train(teacher)
    written(other, student)
    forbid_the_teacher(monkeypatch)
    read = other.train(student)
    assert live.files[WEIGHTS] == read.files[WEIGHTS]
    assert live.files[PREDICTIONS] == read.files[PREDICTIONS]


def test_an_ensemble_is_read_teacher_by_teacher(
    lab: Any, make_lab: Any, make_spec: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_lab("other")
    first, second = (make_spec(data=lab.data(), epochs=2, seed=seed) for seed in (7, 8))
    student = make_spec(data=other.data(), teacher=first, co_teachers=(second,), epochs=2)
    weights = []
    for one in (lab, other):
        for spec in (first, second):
            one.train(spec)
        if one is other:
            assert len(written(one, student)) == 2
            forbid_the_teacher(monkeypatch)
        weights.append(one.train(student).files[WEIGHTS])
    assert weights[0] == weights[1]


def test_written_logits_are_those_of_the_network_over_the_views(lab: Any, make_spec: Any, teacher: RunSpec) -> None:
    student = make_spec(data=teacher.data, teacher=teacher, epochs=1, augment=Augment())
    (spec,) = written(lab, student)
    (file,) = files_of(lab, spec)
    images = np.load(lab.store.data_folder(teacher.data) / "train_images.npy")
    from trainers.saved import trained_network

    with torch.no_grad():
        expected = trained_network(teacher, lab.store)(torch.from_numpy(images).permute(0, 3, 1, 2) / 255)
    np.testing.assert_allclose(np.load(file), expected.numpy(), rtol=1e-4, atol=1e-5)


def test_rounded_logits_take_half_the_room_and_are_another_training(lab: Any, make_spec: Any, teacher: RunSpec) -> None:
    whole = make_spec(data=teacher.data, teacher=teacher, epochs=1)
    half = replace(whole, logits_dtype=LogitsType.FLOAT16)
    assert run_id(whole) != run_id(half)
    arrays = [np.load(files_of(lab, *written(lab, spec))[0]) for spec in (whole, half)]
    assert [array.dtype for array in arrays] == [np.float32, np.float16]
    np.testing.assert_array_equal(arrays[1], arrays[0].astype(np.float16))
    assert lab.train(whole).files[WEIGHTS] != lab.train(half).files[WEIGHTS]


def test_what_was_interrupted_goes_on_and_what_is_there_is_not_run_again(
    lab: Any, make_spec: Any, teacher: RunSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    (spec,) = logits_read_by(make_spec(data=teacher.data, teacher=teacher))
    steps = write_logits(lab.store, request_for(lab, spec, 4), Execution())
    assert [next(steps)[0], next(steps)[0]] == [1, 2]
    steps.close()  # type: ignore[attr-defined]
    before = files_of(lab, spec)
    ran: list[int] = []
    real = teaching.view_logits
    monkeypatch.setattr(teaching, "view_logits", lambda *given: (ran.append(1), real(*given))[1])
    assert [epoch for epoch, _ in write_logits(lab.store, request_for(lab, spec, 4), Execution())] == [3, 4]
    assert list(write_logits(lab.store, request_for(lab, spec, 4), Execution())) == []
    assert len(ran) == 2 and files_of(lab, spec)[:2] == before and len(files_of(lab, spec)) == 4


def test_a_longer_request_goes_on_and_after_a_shorter_one_no_more_is_written(
    lab: Any, make_spec: Any, teacher: RunSpec
) -> None:
    (spec,) = logits_read_by(make_spec(data=teacher.data, teacher=teacher))
    for wanted, there in ((2, 2), (3, 3), (1, 3)):
        attempt = request_for(lab, spec, wanted)
        list(write_logits(lab.store, attempt, Execution()))
        assert len(files_of(lab, spec)) == there
    request_for(lab, spec, 9)  # planned, and never carried out
    list(write_logits(lab.store, request_for(lab, spec, 4), Execution()))
    assert len(files_of(lab, spec)) == 4


@pytest.mark.parametrize(
    "damage", [lambda content: content[:-1], lambda content: b"", lambda content: content[:-1] + b"x"]
)
def test_a_damaged_epoch_is_never_read_and_is_written_anew(
    lab: Any, make_lab: Any, make_spec: Any, damage: Any
) -> None:
    other = make_lab("other")
    teacher = make_spec(data=lab.data(), epochs=2, seed=7)
    student = make_spec(data=other.data(), teacher=teacher, epochs=2)
    for one in (lab, other):
        one.train(teacher)
    (spec,) = written(lab, student)
    file = files_of(lab, spec)[0]
    sound = file.read_bytes()
    file.write_bytes(damage(sound))
    assert lab.train(student).files[WEIGHTS] == other.train(student).files[WEIGHTS]
    log = lab.store.attempts(run_id(student))[-1].log_file.read_text()
    assert "epoch-000001" in log and "asked again" in log and "from epoch 2 on" in log
    written(lab, student)
    assert files_of(lab, spec)[0].read_bytes() == sound


def test_logits_of_other_threads_or_another_processor_are_not_read(
    lab: Any, make_spec: Any, teacher: RunSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    student = make_spec(data=teacher.data, teacher=teacher, epochs=1)
    written(lab, student, num_threads=2)
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr("trainers.environment._cpu_name", lambda: "another")
        written(lab, student)
    forbid_the_teacher(monkeypatch)
    with pytest.raises(AssertionError, match="the teacher was run"):
        lab.train(student)
    monkeypatch.undo()
    written(lab, student)
    forbid_the_teacher(monkeypatch)
    lab.train(student)


def test_other_weights_of_a_teacher_have_other_logits(make_spec: Any) -> None:
    (spec,) = logits_read_by(make_spec(teacher=make_spec(seed=7)))
    assert len({source_of(spec, weights, CPU, Execution()) for weights in ("a", "b")}) == 2


def test_a_teacher_that_is_trained_to_other_weights_meanwhile_teaches_no_more(
    lab: Any, make_spec: Any, teacher: RunSpec
) -> None:
    student = make_spec(data=teacher.data, teacher=teacher, epochs=2)
    (spec,) = written(lab, student)
    steps = lab.steps(student)
    next(steps)
    lab.store.set_aside(run_id(teacher))
    attempt, result = lab.begin(teacher), lab.store.result(run_id(teacher))
    assert result is None
    other = lab.train(make_spec(data=teacher.data, epochs=1, seed=9, model=WIDE))
    folder = lab.store.attempt(other.run_id, other.attempt).folder
    files = {name: attempt.write_file(name, (folder / name).read_bytes()) for name in other.files}
    assert lab.store.finish(attempt, replace(other, run_id=run_id(teacher), attempt=attempt.token, files=files))
    files_of(lab, spec)[1].write_bytes(b"")
    with pytest.raises(CorruptFileError, match="was trained again while its student learned"):
        next(steps)


def test_of_two_files_for_an_epoch_the_sound_one_is_read(lab: Any, make_spec: Any, teacher: RunSpec) -> None:
    (spec,) = written(lab, make_spec(data=teacher.data, teacher=teacher, epochs=1))
    (file,) = files_of(lab, spec)
    for digest in ("0" * 64, "f" * 64):
        file.with_name(f"epoch-000001-{digest}.npy").write_bytes(b"torn")
    logits_NK = lab.store.logits(logits_id(spec)).read_epoch(file.parent.name, 1)
    np.testing.assert_array_equal(logits_NK, np.load(file))


def test_of_two_files_for_an_epoch_only_the_damaged_one_is_removed(lab: Any, make_spec: Any, teacher: RunSpec) -> None:
    (spec,) = written(lab, make_spec(data=teacher.data, teacher=teacher, epochs=1))
    (file,) = files_of(lab, spec)
    torn = file.with_name(f"epoch-000001-{'0' * 64}.npy")
    torn.write_bytes(b"torn")
    lab.store.logits(logits_id(spec)).remove_epoch(file.parent.name, 1)
    assert files_of(lab, spec) == [file]


def test_host_and_commit_do_not_keep_anybody_from_reading() -> None:
    def environment(**changes: Any) -> Environment:
        plain = {"host": "a", "device": "cpu", "hardware": "x", "num_threads": 1, "python": "3", "torch": "2"}
        more = {"torchvision": "1", "git_commit": "c", "git_is_dirty": False, "source_digests": {"m": "1"}}
        return Environment(**{**plain, **more, **changes})

    same = {numbers_digest(environment(**change)) for change in ({}, {"host": "b"}, {"git_commit": "d"})}
    other = {numbers_digest(environment(**change)) for change in ({"hardware": "y"}, {"torch": "3"})}
    assert len(same) == 1 and len(other) == 2 and not same & other


def test_with_reading_forbidden_the_teacher_runs(
    lab: Any, make_spec: Any, teacher: RunSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    student = make_spec(data=teacher.data, teacher=teacher, epochs=1)
    written(lab, student)
    forbid_the_teacher(monkeypatch)
    with pytest.raises(AssertionError, match="the teacher was run"):
        lab.train(student, reads_logits=False)
    lab.train(student)


def test_a_set_is_shared_by_all_that_see_the_same_and_by_nobody_else(make_spec: Any) -> None:
    teacher = make_spec(seed=7)
    student = make_spec(teacher=teacher)
    (spec,) = logits_read_by(student)
    hot = Choice(name="kd", args={"temperature": 2.0, "weight": 0.9})
    alike = (
        replace(student, objective=hot),
        replace(student, model=WIDE),
        replace(student, seed=5),
        replace(student, epochs=9, batch_size=16),
    )
    apart: Iterator[RunSpec] = iter(
        (
            replace(student, view_seed=5),
            replace(student, augment=MIXED),
            replace(student, precision=Precision.BFLOAT16),
            replace(student, logits_dtype=LogitsType.FLOAT16),
            replace(student, data="fedcba9876543210"),
            replace(student, teacher=replace(teacher, seed=8)),
        )
    )
    assert {logits_id(one) for other in alike for one in logits_read_by(other)} == {logits_id(spec)}
    others = [logits_id(one) for other in apart for one in logits_read_by(other)]
    assert len({*others, logits_id(spec)}) == 7


def test_supervised_runs_and_objectives_on_maps_read_nothing(make_spec: Any) -> None:
    assert logits_read_by(make_spec()) == ()
    attention = Choice(name="attention", args={})
    assert logits_read_by(make_spec(teacher=make_spec(seed=7), objective=attention)) == ()


def test_a_teacher_that_is_gone_is_one_line(lab: Any, make_spec: Any, teacher: RunSpec) -> None:
    (spec,) = logits_read_by(make_spec(data=teacher.data, teacher=teacher))
    attempt = request_for(lab, spec, 1)
    lab.store.set_aside(run_id(teacher))
    with pytest.raises(CorruptFileError, match="has no result; run the sweep again"):
        next(write_logits(lab.store, attempt, Execution()))


def test_a_type_of_logits_that_does_not_exist_is_refused() -> None:
    from trainers.fields import check_value

    with pytest.raises(SpecError, match="logits_dtype is 'bfloat16'; allowed: float32, float16"):
        check_value("logits_dtype", "bfloat16")
