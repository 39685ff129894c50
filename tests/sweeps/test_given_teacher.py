"""`--teacher FILE`: evaluated first, then distilled from; what does not fit is one line, and nothing is executed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
import safetensors.torch
import torch

from trainers.result import Result
from trainers.storage import PREDICTIONS, WEIGHTS, Store


@pytest.fixture
def teacher(finished: Any, tmp_path: Path) -> Path:
    """The weights of the teacher that the finished report trained, as somebody else would have them."""
    store, run = Store(finished.store), finished.labels["teacher_scratch@0"]
    file = tmp_path / "teacher.pth"
    torch.save(safetensors.torch.load_file(store.verified_file(run, WEIGHTS)), file)
    return file


def options(petite: Any, file: Path, *others: str) -> list[str]:
    common = ["--data", f"parquet:{petite.pictures}", "--epochs", "1", "--batch-size", "16", "--serial"]
    return [*common, "--teacher", str(file), *others]


def result_of(petite: Any, label: str) -> Result:
    result = Store(petite.store).result(petite.labels[label])
    assert result is not None
    return result


def predictions(petite: Any, label: str) -> Any:
    return pq.read_table(Store(petite.store).verified_file(petite.labels[label], PREDICTIONS))


def refused(outcome: Any) -> str:
    """The one line of a refusal, without `error: `."""
    assert outcome.code == 2, outcome
    (line,) = outcome.err.splitlines()
    assert "Traceback" not in outcome.out + outcome.err
    return str(line.removeprefix("error: "))


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_given_teacher_is_as_good_as_it_was_and_teaches(
    petite: Any, finished: Any, teacher: Path, suffix: str
) -> None:
    file = teacher.with_suffix(suffix)
    if suffix == ".safetensors":
        safetensors.torch.save_file(torch.load(teacher), file)
    jobs = ["--only", "student_kd_given", "--only", "student_scratch"]
    outcome = petite.main(*options(petite, file, *jobs))
    assert outcome.code == 0, outcome
    given, original = result_of(petite, "teacher_given@0"), result_of(finished, "teacher_scratch@0")
    for figure in ("best_validation_accuracy", "test_accuracy", "num_params", "num_macs"):
        assert getattr(given, figure) == getattr(original, figure)
    assert given.last_validation_accuracy == given.best_validation_accuracy
    assert (given.best_epoch, given.train_accuracy, given.train_seconds) == (0, None, 0)
    assert predictions(petite, "teacher_given@0") == predictions(finished, "teacher_scratch@0")
    student = result_of(petite, "student_kd_given@0")
    assert student.parent_weights == {petite.labels["teacher_given@0"]: given.files[WEIGHTS].sha256}
    assert_tables(petite, given)
    assert "0 to run" in petite.main(*options(petite, file, *jobs)).out


def assert_tables(petite: Any, given: Result) -> None:
    """Gathering, ranking and gains know the given teacher like any other."""
    store = Store(petite.store)
    runs, curves, ranking, gains = (
        pd.read_parquet(store.table_file(name)) for name in ("runs", "curves", "ranking", "kd_gains")
    )
    row = runs.set_index("label").loc["teacher_given"]
    assert (row["status"], row["best_epoch"], row["test_accuracy"]) == ("ok", 0, given.test_accuracy)
    assert pd.isna(row["train_accuracy"])
    assert given.run_id not in set(curves["run_id"])
    assert "teacher_given" in set(ranking["label"])
    (gain,) = gains.to_dict("records")
    labels = (gain["label"], gain["twin_label"], gain["teacher_label"], gain["n"])
    assert labels == ("student_kd_given", "student_scratch", "teacher_given", 1)
    assert gain["teacher_validation_accuracy"] == given.best_validation_accuracy


def test_a_plan_with_a_given_teacher_shows_who_waits_for_it(petite: Any, teacher: Path) -> None:
    arguments = [option for option in options(petite, teacher) if option != "--serial"]
    outcome = petite.main(*arguments, "--plan")
    assert "6 jobs, 6 would run" in outcome.out
    assert "pretrain" not in outcome.out
    (student,) = (line.split() for line in outcome.out.splitlines() if "student_kd_given@0" in line)
    assert student[:3] == ["student_kd_given@0", "student", "teacher_given@0"]


def test_a_teacher_that_guesses_is_refused_unless_it_is_allowed(petite: Any, teacher: Path) -> None:
    state = torch.load(teacher)
    state["fc.weight"], state["fc.bias"] = torch.zeros_like(state["fc.weight"]), torch.zeros_like(state["fc.bias"])
    torch.save(state, teacher)
    jobs = ["--only", "student_kd_given"]
    outcome = petite.main(*options(petite, teacher, *jobs))
    assert outcome.code == 1
    assert "no better than guessing" in " ".join(outcome.out.split())
    assert petite.main(*options(petite, teacher, *jobs, "--allow-weak-teacher")).code == 0


class Mischief:
    """Unpickling it leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


def rewritten(state: dict[str, Any], name: str) -> Any:
    """What a file may hold that is no teacher for these classes."""
    lacking = {key: value for key, value in state.items() if key != "layer1.0.conv1.weight"}
    wide = {**state, "fc.weight": torch.zeros(4, 512), "fc.bias": torch.zeros(4)}
    headless = {key: value for key, value in state.items() if not key.startswith("fc.")}
    return {"lacking": lacking, "other classes": wide, "no classifier": headless, "list": [1, 2]}[name]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("lacking", "weights do not fit model 'resnet18': 1 tensors differ, first 'layer1.0.conv1.weight'"),
        ("other classes", "weights do not fit model 'resnet18': 2 tensors differ, first 'fc.bias'"),
        ("no classifier", "weights do not fit model 'resnet18': 2 tensors differ, first 'fc.bias'"),
        ("list", "holds no state dict of tensors"),
    ],
)
def test_a_file_that_is_no_teacher_for_these_classes_is_one_line(
    petite: Any, teacher: Path, name: str, message: str
) -> None:
    torch.save(rewritten(torch.load(teacher), name), teacher)
    line = refused(petite.main(*options(petite, teacher)))
    assert line.startswith(f"{teacher}") and message in line
    assert "give --teacher a PyTorch or safetensors state dict of the network that --teacher-model names" in line
    assert not Store(petite.store).plans() and not Store(petite.store).run_ids()


def test_another_architecture_is_one_line_even_if_the_file_was_kept_before(petite: Any, teacher: Path) -> None:
    assert petite.main(*options(petite, teacher, "--only", "teacher_given")).code == 0
    line = refused(petite.main(*options(petite, teacher, "--teacher-model", "student")))
    assert line.startswith(f"{teacher}: weights do not fit model 'student': ")


def test_a_teachers_model_may_be_a_name_with_its_main_argument(petite: Any, teacher: Path) -> None:
    arguments = options(petite, teacher, "--teacher-model", "torchvision:resnet18", "--only", "teacher_given")
    outcome = petite.main(*arguments)
    assert outcome.code == 0, outcome
    assert "torchvision" in (petite.store / "runs").joinpath(next(iter(petite.num_attempts)), "spec.json").read_text()


def test_a_start_for_finetuning_that_was_kept_before_is_checked_again_as_a_teacher(petite: Any, teacher: Path) -> None:
    state = torch.load(teacher)
    torch.save({**state, "fc.weight": torch.zeros(4, 512), "fc.bias": torch.zeros(4)}, teacher)
    common = [option for option in options(petite, teacher) if option not in ("--teacher", str(teacher))]
    assert petite.main(*common, "--pretrained", str(teacher), "--only", "teacher_pretrained").code == 0
    assert "2 tensors differ, first 'fc.bias'" in refused(petite.main(*options(petite, teacher)))


def test_a_teachers_file_is_never_unpickled(petite: Any, teacher: Path, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    torch.save({**torch.load(teacher), "x": Mischief(mark)}, teacher)
    assert "is not a file of weights" in refused(petite.main(*options(petite, teacher)))
    assert not mark.exists()
    assert set(petite.num_attempts.values()) <= {0}


@pytest.mark.parametrize("mode", ["--serial", "--plan"])
@pytest.mark.parametrize(("name", "reason"), [("none.pth", "No such file or directory"), (".", "Is a directory")])
def test_a_teacher_that_cannot_be_read_is_one_line(
    petite: Any, tmp_path: Path, mode: str, name: str, reason: str
) -> None:
    file = tmp_path / name
    line = refused(petite.main("--data", f"parquet:{petite.pictures}", "--teacher", str(file), mode))
    assert line == f"--teacher {file} cannot be read ({reason}); give a file of weights"


@pytest.mark.parametrize(
    ("others", "message"),
    [
        (["--teacher-model", "resnt"], "unknown model 'resnt'; have: "),
        (["--set", "teacher_given:epochs=3"], "--set epochs=3 has no effect on teacher_given, which is not trained"),
        (["--only", "teacher_scratch"], "no job is called 'teacher_scratch'; have: teacher_given, "),
        (["--source-data", "plates"], "--source-data is for --pretrained source, and this is --pretrained imagenet"),
    ],
)
def test_options_that_do_not_go_with_a_given_teacher_are_one_line(
    petite: Any, teacher: Path, others: list[str], message: str
) -> None:
    assert message in refused(petite.main(*options(petite, teacher, *others)))


def test_a_model_for_no_teacher_is_one_line(petite: Any) -> None:
    line = refused(petite.main(*petite.report, "--teacher-model", "student", "--serial"))
    assert line == "--teacher-model student is for --teacher FILE, and there is none; give one"


def test_a_sweep_without_a_place_for_a_given_teacher_says_so(
    petite: Any, teacher: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sweeps.catalog import report
    from trainers.spec import Choice, Role

    monkeypatch.setattr(
        report, "jobs", lambda context: (context.job("alone", role=Role.STUDENT, model=Choice(name="student"), seed=0),)
    )
    line = refused(petite.main(*options(petite, teacher)))
    assert line == "sweep 'report' takes no given teacher; leave out --teacher, or run --sweep report"


def test_a_plan_shows_every_teacher_of_an_ensemble(petite: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from sweeps.catalog import report
    from trainers.spec import Choice, Role

    def jobs(context: Any) -> Any:
        teachers = [context.job("big", role=Role.TEACHER, model=Choice(name="resnet18"), seed=seed) for seed in (0, 1)]
        small = {"role": Role.STUDENT, "model": Choice(name="student"), "seed": 0, "objective": "kd"}
        return (*teachers, context.job("small", teacher=teachers, **small))

    monkeypatch.setattr(report, "jobs", jobs)
    outcome = petite.main(*petite.report, "--plan")
    assert outcome.code == 0
    (line,) = (line for line in outcome.out.splitlines() if "small@0" in line)
    assert "big@0, big@1" in line
