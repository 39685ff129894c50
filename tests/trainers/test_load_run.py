"""A finished run, loaded as a user does; the expected logits are those that the training wrote itself."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from trainers.errors import (
    CorruptFileError,
    DataError,
    PluginError,
    StoreError,
    SweepError,
    UnknownRunError,
    WeightsError,
)
from trainers.find_run import find_run
from trainers.load_run import load_run
from trainers.pictures import load_split
from trainers.result import Failure, PlannedJob, PlanRecord, Split
from trainers.spec import Choice, Role, group_id, run_id
from trainers.storage import PREDICTIONS, WEIGHTS, now


@pytest.fixture
def trained(lab: Any, make_spec: Any) -> Any:
    """The spec of a run that was really trained."""
    spec = make_spec(data=lab.data(), epochs=1)
    lab.train(spec)
    return spec


def plan(lab: Any, label: str, spec: Any, *, plan_id: str = "plan", at: str = "2026-01-01") -> None:
    ids = {"run_id": run_id(spec), "group_id": group_id(spec)}
    job = PlannedJob(**ids, label=label, role=Role.STUDENT, seed=spec.seed, parents=())
    lab.store.write_plan(
        PlanRecord(plan_id=plan_id, sweep="report", command="c", data_name="d", planned_at=at, jobs=(job,))
    )


def validation_pictures(lab: Any, spec: Any) -> list[Image.Image]:
    pictures, _ = load_split(lab.store, spec.data, Split.VALIDATION)
    return [Image.fromarray(pixels) for pixels in pictures.take(np.arange(len(pictures)))]


def test_a_loaded_run_gives_the_logits_that_its_training_wrote(lab: Any, trained: Any) -> None:
    rows = pq.read_table(lab.file(trained, PREDICTIONS)).to_pylist()
    written = torch.tensor([row["logits"] for row in rows if row["split"] == "validation"])
    run = load_run(lab.store.root, run_id(trained))
    pictures = validation_pictures(lab, trained)
    torch.testing.assert_close(run(pictures), written, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(run(pictures[3]), written[3:4], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(run.predict(pictures).log(), written.log_softmax(dim=1), rtol=1e-4, atol=1e-5)


def test_it_brings_names_size_and_a_frozen_network_in_evaluation_mode(lab: Any, trained: Any) -> None:
    run = load_run(lab.store.root, run_id(trained))
    assert (run.class_names, run.image_size, run.run_id) == (("a", "b"), 8, run_id(trained))
    assert not run.network.training and not any(value.requires_grad for value in run.network.parameters())


def test_a_photo_is_made_as_the_preparation_makes_it(lab: Any, trained: Any) -> None:
    """Transparent means white, and what sticks out of the middle square is cut off."""
    run = load_run(lab.store.root, run_id(trained))
    photo = Image.new("RGBA", (24, 8), (0, 0, 0, 255))
    photo.paste((0, 0, 0, 0), (8, 0, 16, 8))
    assert run.preprocess(photo).shape == (3, 8, 8)
    assert run.preprocess(photo).min() == 1.0


def test_a_run_goes_by_its_id_its_beginning_or_its_label_and_seed(lab: Any, make_spec: Any) -> None:
    specs = [make_spec(seed=0), make_spec(seed=1)]
    for number, spec in enumerate(specs):
        lab.store.write_spec(spec)
        for at in ("2026-01-01", "2026-01-02"):  # the same run in two plans is one
            plan(lab, "student", spec, plan_id=f"{at}-{number}", at=at)
    first, second = map(run_id, specs)
    assert find_run(lab.store, "student@1") == find_run(lab.store, second) == find_run(lab.store, second[:8]) == second
    assert find_run(lab.store, first[:8]) == find_run(lab.store, "student@0") == first


def test_a_label_that_is_several_runs_names_them_the_newest_first_and_asks_for_an_id(lab: Any, make_spec: Any) -> None:
    resnet = Choice(name="torchvision", args={"architecture": "resnet18", "num_classes": 2, "image_size": 8})
    old, new = make_spec(data=lab.data()), make_spec(data="gone", model=resnet, epochs=9)
    removed, planned = make_spec(epochs=50), make_spec(epochs=60)  # nothing of the one is left, nor begun of the other
    lab.store.write_spec(planned)
    for spec in (old, new):
        lab.store.write_spec(spec)
        lab.store.begin_attempt(run_id(spec))
    for number, spec in enumerate((old, new, removed, planned), start=1):
        plan(lab, "student", spec, plan_id=f"p{number}", at=f"2026-01-0{number}T10:30:00+00:00")
    with pytest.raises(UnknownRunError) as caught:
        find_run(lab.store, "student@0")
    assert str(caught.value) == (
        "'student@0' names 2 runs: "
        f"{run_id(new)} (torchvision:resnet18, 9 epochs, data gone, planned 2026-01-02 10:30); "
        f"{run_id(old)} (conv_plain, 3 epochs, bright 8 px, planned 2026-01-01 10:30); give the id of one"
    )
    assert find_run(lab.store, run_id(old)[:8]) == run_id(old)


def test_of_many_runs_of_one_label_the_newest_eight_are_named(lab: Any, make_spec: Any) -> None:
    specs = [make_spec(epochs=epochs) for epochs in range(1, 12)]
    for spec in specs:
        lab.store.write_spec(spec)
        plan(lab, "student", spec, plan_id=f"p{spec.epochs}", at=f"2026-01-{spec.epochs:02}")
    with pytest.raises(UnknownRunError, match=r"names 11 runs: .*; and 3 older; give the id of one") as caught:
        find_run(lab.store, "student@0")
    assert [run_id(spec) in str(caught.value) for spec in specs] == 3 * [False] + 8 * [True]


def test_a_name_that_is_unknown_or_not_enough_lists_the_candidates(lab: Any, make_spec: Any) -> None:
    for seed in range(40):  # more than the 16 first digits there are
        lab.store.write_spec(make_spec(seed=seed))
    plan(lab, "student", make_spec(seed=3))
    runs = lab.store.run_ids()
    digit = next(run[0] for run in runs if sum(other[0] == run[0] for other in runs) > 1)
    alike = [run for run in runs if run[0] == digit]
    with pytest.raises(UnknownRunError, match=f"{digit}' begins {len(alike)} run ids: {', '.join(alike)};"):
        find_run(lab.store, digit)
    with pytest.raises(UnknownRunError, match=r"no run 'student@4' in .*; have: student@3 \("):
        find_run(lab.store, "student@4")


def test_an_unfinished_and_a_failed_run_say_so(lab: Any, make_spec: Any) -> None:
    attempt = lab.begin(make_spec())
    with pytest.raises(UnknownRunError, match="is unfinished, so it has no network; run its sweep again"):
        load_run(lab.store.root, attempt.run)
    attempt.write_failure(Failure(reason="loss is nan", is_permanent=True, log_path="log", failed_at=now()))
    with pytest.raises(UnknownRunError, match=r"failed \(loss is nan\), so it has no network"):
        load_run(lab.store.root, attempt.run)


def test_damaged_weights_are_not_loaded(lab: Any, trained: Any) -> None:
    file = lab.file(trained, WEIGHTS)
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(CorruptFileError, match="does not match its checksum"):
        load_run(lab.store.root, run_id(trained))


def test_a_model_that_is_not_here_or_is_another_now_is_named(
    lab: Any, trained: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    narrower = Choice(name="conv_plain", args={**trained.model.args, "channels": (4, 5)})
    for name, model, error, message in (
        ("gone", Choice(name="mine"), PluginError, "is a model that is not here: unknown model 'mine'; have: "),
        ("changed", narrower, WeightsError, "do not fit trainers/models/conv_plain.py, which has changed since"),
    ):
        spec = replace(trained, model=model)
        with monkeypatch.context() as patch:
            patch.setattr("trainers.storage.Store.spec", lambda store, run, spec=spec: spec)
            patch.setattr("trainers.saved.run_id", lambda spec: run_id(trained))
            with pytest.raises(error, match=re.escape(message)) as caught:
                load_run(lab.store.root, run_id(trained))
            assert "\n" not in str(caught.value), name


def test_a_folder_that_is_no_store_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no store at .*; give the folder that run_all.py --store was given"):
        load_run(tmp_path / "nothing", "abc")
    assert not (tmp_path / "nothing").exists()
    assert issubclass(StoreError, SweepError)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "no picture was given; give a PIL image, or a list of them"),
        (np.zeros((8, 8, 3), np.uint8), "a picture is of type ndarray; allowed: PIL images, as of Image.open"),
        (["photo.png"], "a picture is of type str; allowed: PIL images"),
        ("photo.png", "a picture is of type str; allowed: PIL images"),
        (Path("photo.png"), "a picture is of type .*Path; allowed: PIL images"),
    ],
)
def test_what_is_no_picture_is_one_line(lab: Any, trained: Any, given: Any, message: str) -> None:
    run = load_run(lab.store.root, run_id(trained))
    with pytest.raises(DataError, match=message) as caught:
        run.predict(given)
    assert "\n" not in str(caught.value)


def test_a_loaded_run_is_one_short_line(lab: Any, trained: Any) -> None:
    run = load_run(lab.store.root, run_id(trained))
    assert repr(run) == f"LoadedRun({run_id(trained)}: 2 classes, 8 pixels)"
