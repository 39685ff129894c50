"""What a user may say of the pictures: sizes, bad ones, and those in two splits."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from trainers.storage import Store

COLOURS = {"red": (220, 40, 40), "green": (40, 200, 60)}


def content(colour: tuple[int, int, int], index: int, side: int = 16) -> bytes:
    noise = np.random.default_rng(index).normal(0, 20, size=(side, side, 3))
    buffer = io.BytesIO()
    Image.fromarray(np.clip(np.asarray(colour) + noise, 0, 255).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Class folders: one picture is damaged, and one of the validation pictures is in training as well."""
    for number, (name, colour) in enumerate(COLOURS.items()):
        for split, count in (("train", 12), ("val", 6), ("test", 2)):
            folder = tmp_path / "photos" / split / name
            folder.mkdir(parents=True)
            for index in range(count):
                (folder / f"{index}.png").write_bytes(content(colour, 1000 * number + 100 * count + index))
    root = tmp_path / "photos"
    (root / "train" / "red" / "bad.png").write_bytes(b"<html>")
    (root / "val" / "red" / "again.png").write_bytes((root / "train" / "red" / "3.png").read_bytes())
    return root


def short_run(petite: Any, photos: Path) -> list[str]:
    data = ["--data", f"images:{photos}", "--pretrained", "source", "--source-data", f"parquet:{petite.source}"]
    return [*data, "--only", "student_scratch", "--epochs", "1", "--batch-size", "8", "--serial"]


def test_what_is_wrong_with_pictures_ends_the_command_until_it_is_allowed(petite: Any, photos: Path) -> None:
    arguments = short_run(petite, photos)
    for allowed, message in (
        ([], "1 of 42 pictures cannot be read: image train/red/bad.png"),
        (
            ["--skip-bad-images"],
            "1 pictures of validation are also in train (val/red/again.png = train/red/3.png; all are in ",
        ),
    ):
        outcome = petite.main(*arguments, *allowed)
        assert (outcome.code, outcome.err.count("\n")) == (2, 1)
        assert message in outcome.err
    outcome = petite.main(*arguments, "--skip-bad-images", "--allow-leak")
    assert outcome.code == 0, outcome.err
    assert "1 unreadable pictures were left out: image train/red/bad.png cannot be read" in outcome.out
    assert "1 pictures are in two splits" in outcome.out
    (run,) = Store(petite.store).run_ids()
    assert Store(petite.store).manifest(Store(petite.store).spec(run).data).num_images["train"] == 24


def test_the_way_of_resizing_reaches_the_data_and_its_source(petite: Any, photos: Path) -> None:
    arguments = [
        *short_run(petite, photos),
        "--only",
        "pretrain",
        "--skip-bad-images",
        "--allow-leak",
        "--image-size",
        "20",
        "--resize",
        "squash",
    ]
    assert petite.main(*arguments).code == 0
    store = Store(petite.store)
    manifests = [store.manifest(file.name) for file in (store.root / "data").iterdir() if file.name != "requests"]
    assert [(manifest.resize, manifest.image_size) for manifest in manifests] == [("squash", 20)] * 2


def test_an_unknown_way_of_resizing_lists_those_there_are(petite: Any) -> None:
    outcome = petite.main(*petite.report, "--resize", "stretch")
    assert outcome.code == 2
    assert "choose from" in outcome.err
    assert all(name in outcome.err for name in ("fit", "squash", "pad", "none"))
