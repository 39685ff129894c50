"""What every data file promises; a new file is held to it without an edit here."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainers import plugins
from trainers.errors import DataError
from trainers.images import RawData
from trainers.plugins import Kind
from trainers.result import Split

DATA = plugins.names(Kind.DATA)


@pytest.fixture
def raw_data(sample: Callable[[str], str | None]) -> Callable[[str], RawData]:
    """The data set, or a small copy of it; one that needs a path and has no copy is looked at in its own tests."""

    def read(name: str) -> RawData:
        try:
            raw: RawData = plugins.load(Kind.DATA, name).read(sample(name))
        except DataError as error:
            pytest.skip(str(error))
        return raw

    return read


@pytest.mark.parametrize("name", DATA)
def test_it_says_where_pretraining_comes_from(name: str) -> None:
    pretrained = plugins.constant(Kind.DATA, name, "PRETRAINED", None)
    source = plugins.constant(Kind.DATA, name, "SOURCE_DATA", "unset")
    assert pretrained in ("imagenet", "source")
    assert source is None or source.partition(":")[0] in DATA
    assert pretrained != "source" or source is not None


@pytest.mark.parametrize("name", DATA)
def test_it_says_what_it_is(name: str) -> None:
    assert len(plugins.docstring(Kind.DATA, name)) > 40


@pytest.mark.parametrize("name", DATA)
def test_its_identity_is_plain_and_stable_or_asks_for_a_path(name: str) -> None:
    module = plugins.load(Kind.DATA, name)
    try:
        first = module.identity(None)
    except DataError as error:
        assert f"--data {name}:" in str(error)
        return
    assert json.loads(json.dumps(first)) == json.loads(json.dumps(module.identity(None)))


@pytest.mark.parametrize("name", DATA)
def test_a_copy_has_a_plain_stable_identity(sample: Any, name: str) -> None:
    path = sample(name)
    if path is None:
        pytest.skip(f"{name} has no small copy")
    identity = plugins.load(Kind.DATA, name).identity
    first = json.loads(json.dumps(identity(path)))
    assert first == json.loads(json.dumps(identity(path)))
    for file in (folder := Path(path.rpartition(":")[2])).rglob("*"):
        if file.is_file():
            os.utime(file, (1, 1))
            break
    assert first != json.loads(json.dumps(identity(path))), folder


@pytest.mark.parametrize("name", DATA)
def test_a_path_that_is_not_there_is_one_clear_line(name: str) -> None:
    with pytest.raises(DataError) as caught:
        plugins.load(Kind.DATA, name).read("/nowhere/at/all")
    assert "/nowhere/at/all" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", DATA)
def test_labels_are_indices_of_class_names_and_training_knows_every_class(raw_data: Any, name: str) -> None:
    raw = raw_data(name)
    assert len(set(raw.class_names)) == len(raw.class_names) >= 2
    for labels in raw.labels.values():
        assert np.issubdtype(labels.dtype, np.integer)
        assert labels.max() < len(raw.class_names)
        assert labels.min() >= -1
    assert set(raw.labels[Split.TRAIN].tolist()) == set(range(len(raw.class_names)))


@pytest.mark.parametrize("name", DATA)
def test_a_picture_is_rgb_and_the_same_every_time(raw_data: Any, name: str) -> None:
    raw, other = raw_data(name), raw_data(name)
    for split, labels in raw.labels.items():
        for index in (0, len(labels) - 1):
            picture = raw.decode(split, index)
            assert picture.mode == "RGB"
            assert picture.tobytes() == other.decode(split, index).tobytes()
