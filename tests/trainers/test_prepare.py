"""From a request to prepared arrays: which pictures, what identity, and how often they are decoded."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainers.errors import CorruptFileError, DataError, PluginError
from trainers.pictures import Pictures, load_split
from trainers.prepare import DataRequest, parse_data, prepare, prepared, request_digest
from trainers.records import encode_record
from trainers.result import Manifest, Split
from trainers.selection import Part
from trainers.storage import Store


def silent(done: int, total: int) -> None:
    """Nobody watches."""


# From files to arrays


@pytest.fixture
def photos(tmp_path: Path, png: Any, pixels_of: Any, write_parquet: Any) -> Callable[..., DataRequest]:
    """Writes shards of distinct pictures: name -> labels; numbering goes on from shard to shard."""

    def write(folder: str, shards: dict[str, list[int]], **options: Any) -> DataRequest:
        start = 0
        for name, labels in shards.items():
            pictures = [png(pixels_of(start + index)) for index in range(len(labels))]
            write_parquet(tmp_path / folder / name, pictures, labels, **options)
            start += len(labels)
        return DataRequest(name="parquet", path=str(tmp_path / folder))

    return write


TWENTY = [0, 1] * 10
WHOLE = {"train-0.parquet": TWENTY, "validation.parquet": [0, 1], "test.parquet": [1, 0, 1]}


def prepare_quietly(store: Store, request: DataRequest) -> Manifest:
    return prepare(store, request, silent)


def everything(pictures: Pictures) -> Any:
    """All pictures of a split (N, S, S, 3)."""
    return pictures.take(np.arange(len(pictures)))


def test_prepared_arrays_are_the_pictures_and_labels(store: Store, photos: Any, pixels_of: Any) -> None:
    manifest = prepare_quietly(store, photos("data", WHOLE, names=["cat", "dog"]))
    assert manifest.class_names == ("cat", "dog")
    assert (manifest.image_size, manifest.has_test_labels, manifest.name) == (8, True, "parquet:data")
    assert manifest.num_images == {"train": 20, "validation": 2, "test": 3}
    start = 0
    for split, labels in zip(Split, WHOLE.values(), strict=True):
        pictures, read_labels = load_split(store, manifest.fingerprint, split)
        assert read_labels.tolist() == labels
        assert np.array_equal(everything(pictures), [pixels_of(start + index) for index in range(len(labels))])
        start += len(labels)


def test_prepared_pictures_are_mapped_and_cannot_be_written(store: Store, photos: Any) -> None:
    pictures, _ = load_split(store, prepare_quietly(store, photos("data", WHOLE)).fingerprint, Split.TRAIN)
    assert isinstance(pictures._images, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        pictures._images[0] = 0


def test_taking_pictures_gives_copies_and_leaves_the_prepared_ones_alone(store: Store, photos: Any) -> None:
    pictures, _ = load_split(store, prepare_quietly(store, photos("data", WHOLE)).fingerprint, Split.TRAIN)
    before = everything(pictures)
    pictures.take(np.array([0]))[:] = 0
    assert np.array_equal(everything(pictures), before)


def test_progress_counts_every_picture_once(store: Store, photos: Any) -> None:
    seen: list[tuple[int, int]] = []
    prepare(store, photos("data", WHOLE), lambda done, total: seen.append((done, total)))
    assert seen == [(done, 25) for done in range(1, 26)]


@pytest.mark.parametrize("test_shard", [{"test.parquet": []}, {}])
def test_data_without_test_pictures_loads(store: Store, photos: Any, test_shard: dict[str, list[int]]) -> None:
    request = photos("data", {"train.parquet": TWENTY, "validation.parquet": [0, 1], **test_shard})
    manifest = prepare_quietly(store, request)
    pictures, labels = load_split(store, manifest.fingerprint, Split.TEST)
    assert everything(pictures).shape == (0, 8, 8, 3)
    assert labels.shape == (0,)
    assert not manifest.has_test_labels


def test_unlabelled_test_pictures_are_kept_without_test_accuracy(store: Store, photos: Any) -> None:
    request = photos("data", {"train.parquet": TWENTY, "test.parquet": [-1, -1]})
    manifest = prepare_quietly(store, request)
    assert not manifest.has_test_labels
    assert load_split(store, manifest.fingerprint, Split.TEST)[1].tolist() == [-1, -1]


# Identity


def test_the_fingerprint_does_not_depend_on_path_or_shards(store: Store, photos: Any) -> None:
    one = prepare_quietly(store, photos("here", WHOLE))
    sharded = {"train-0.parquet": TWENTY[:7], "train-1.parquet": TWENTY[7:], **dict(list(WHOLE.items())[1:])}
    two = prepare_quietly(store, photos("elsewhere/deep", sharded))
    assert one.fingerprint == two.fingerprint


def test_the_origin_is_the_place_that_was_asked_for_although_the_pictures_are_shared(store: Store, photos: Any) -> None:
    one, two = photos("here", WHOLE), photos("elsewhere", WHOLE)
    manifests = [prepare_quietly(store, one), prepare_quietly(store, two), prepared(store, one), prepared(store, two)]
    assert len({manifest.fingerprint for manifest in manifests if manifest}) == 1
    places = [manifest.origin.rpartition("/")[2] for manifest in manifests if manifest]
    assert places == ["here", "elsewhere", "here", "elsewhere"]


def test_a_request_that_an_older_version_noted_without_its_origin_is_still_known(store: Store, photos: Any) -> None:
    request = photos("data", WHOLE)
    manifest = prepare_quietly(store, request)
    (index,) = (store.root / "data" / "requests").iterdir()
    index.write_bytes(encode_record({"fingerprint": manifest.fingerprint}))
    assert prepared(store, request) == manifest


def test_one_pixel_one_label_or_one_name_changes_the_fingerprint(
    store: Store, photos: Any, tmp_path: Path, png: Any, pixels_of: Any, write_parquet: Any
) -> None:
    plain = photos("a", WHOLE, names=["cat", "dog"])
    label = photos("b", {**WHOLE, "test.parquet": [1, 1, 1]}, names=["cat", "dog"])
    name = photos("c", WHOLE, names=["cat", "cow"])
    pixel = photos("d", WHOLE, names=["cat", "dog"])
    pictures = [pixels_of(index).copy() for index in range(20)]
    pictures[19][7, 7, 2] ^= 1
    write_parquet(tmp_path / "d" / "train-0.parquet", [png(one) for one in pictures], TWENTY, names=["cat", "dog"])
    fingerprints = {prepare_quietly(store, request).fingerprint for request in (plain, label, name, pixel)}
    assert len(fingerprints) == 4


def test_a_second_request_decodes_nothing(store: Store, photos: Any) -> None:
    request = photos("data", WHOLE)
    assert prepared(store, request) is None
    manifest = prepare_quietly(store, request)
    assert prepared(store, request) == manifest
    assert prepared(Store(store.root).open(), request) == manifest


def test_every_part_of_a_request_makes_it_another_one(photos: Any, tmp_path: Path) -> None:
    base = photos("data", WHOLE)
    other = photos("other", WHOLE)
    requests = [base, other, replace(base, image_size=8), replace(base, limit=9)]
    requests.append(replace(base, limit=9, part=Part.OUTSIDE_LIMIT))
    assert len({request_digest(request) for request in requests}) == 5


def test_a_request_notices_that_its_file_changed(store: Store, photos: Any) -> None:
    request = photos("data", WHOLE)
    prepare_quietly(store, request)
    photos("data", {**WHOLE, "test.parquet": [0, 0, 0, 0]})
    assert prepared(store, request) is None


def test_within_and_outside_the_limit_are_different_data_named_as_such(store: Store, photos: Any) -> None:
    request = replace(photos("data", {"train.parquet": [0, 1] * 40}), limit=40)
    inside = prepare_quietly(store, request)
    outside = prepare_quietly(store, replace(request, part=Part.OUTSIDE_LIMIT))
    assert inside.fingerprint != outside.fingerprint
    assert sum(inside.num_images.values()) == sum(outside.num_images.values()) == 40
    assert outside.name == "parquet:data outside the limit"
    assert "outside the first 40" in outside.origin
    pictures = [
        everything(load_split(store, manifest.fingerprint, split)[0]).tobytes()
        for manifest in (inside, outside)
        for split in Split
    ]
    cut = [one[start : start + 192] for one in pictures for start in range(0, len(one), 192)]
    assert len(set(cut)) == 80


# What is wrong is said in one line, and nothing half prepared stays


def message(store: Store, request: DataRequest) -> str:
    with pytest.raises(DataError) as caught:
        prepare_quietly(store, request)
    assert "\n" not in str(caught.value)
    left = [folder.name for folder in (store.root / "data").glob("*")]
    assert left == []
    return str(caught.value)


def test_pictures_of_unequal_sizes_ask_for_one_and_one_helps(
    store: Store, tmp_path: Path, png: Any, pixels_of: Any, write_parquet: Any
) -> None:
    pictures = [png(pixels_of(index, size=8 + index % 3)) for index in range(40)]
    path = write_parquet(tmp_path / "x.parquet", pictures, [0, 1] * 20)
    request = DataRequest(name="parquet", path=str(path))
    text = message(store, request)
    assert "8 x 8" in text or "9 x 9" in text
    assert text.endswith("choose one size with --image-size")
    assert prepare_quietly(store, replace(request, image_size=16)).image_size == 16


def test_oblong_pictures_ask_for_a_square(store: Store, tmp_path: Path, png: Any, write_parquet: Any) -> None:
    oblong = png(np.zeros((8, 12, 3)))
    path = write_parquet(tmp_path / "x.parquet", [oblong] * 40, [0, 1] * 20)
    request = DataRequest(name="parquet", path=str(path))
    assert ": the first is 12 x 8 pixels; choose a square with --image-size" in message(store, request)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"limit": 0}, "--limit is 0; allowed: 1 or more"),
        ({"limit": -3}, "--limit is -3; allowed: 1 or more"),
        ({"image_size": 7}, "--image-size is 7; allowed: 8 or more"),
    ],
)
def test_an_option_out_of_range_is_named(store: Store, photos: Any, change: dict[str, int], expected: str) -> None:
    assert message(store, replace(photos("data", WHOLE), **change)) == expected


def test_a_single_class_is_refused(store: Store, photos: Any) -> None:
    assert ": 1 classes; needed: 2 or more" in message(store, photos("data", {"train.parquet": [0] * 20}))


def test_no_pictures_at_all_are_refused(store: Store, photos: Any) -> None:
    assert ": 0 classes" in message(store, photos("data", {"train.parquet": []}))


def test_a_limit_that_leaves_a_class_empty_names_it(store: Store, photos: Any) -> None:
    request = replace(photos("data", WHOLE, names=["cat", "dog"]), limit=3)
    assert "classes have no picture in" in message(store, request)
    assert "use a larger --limit" in message(store, request)


@pytest.mark.parametrize(
    ("shards", "missing", "way_out"),
    [
        ({"test.parquet": [0, 1]}, "in train ('cat', ...)", "there are no training pictures at all; add some"),
        ({"train.parquet": TWENTY}, "in train ('emu', ...)", "add pictures of it to train"),
        (
            {"train.parquet": [*TWENTY, 2, 2]},
            "in validation ('emu', ...)",
            "a tenth of the training pictures becomes validation: add pictures (10 of a class are enough)",
        ),
        (
            {"train.parquet": [*TWENTY, 2], "validation.parquet": [0, 1]},
            "in validation ('emu', ...)",
            "add pictures of it to validation, or leave that split out: a tenth of the training pictures is taken then",
        ),
    ],
)
@pytest.mark.parametrize("limit", [None, 1000])
def test_a_class_that_is_missing_says_the_way_out(
    store: Store, photos: Any, shards: dict[str, list[int]], missing: str, way_out: str, limit: int | None
) -> None:
    request = replace(photos("data", shards, names=["cat", "dog", "emu"]), limit=limit)
    text = message(store, request)
    assert missing in text
    assert text.endswith(f"; {way_out}")


@pytest.mark.parametrize("sizes", [(10, 10), (10, 10, 10), (10, 19, 11), (10, 500)])
def test_ten_pictures_of_each_class_are_enough_to_cut_validation_from(
    store: Store, photos: Any, sizes: tuple[int, ...]
) -> None:
    labels = [label for label, size in enumerate(sizes) for _ in range(size)]
    manifest = prepare_quietly(store, photos("data", {"train.parquet": labels}))
    assert set(load_split(store, manifest.fingerprint, Split.VALIDATION)[1].tolist()) == set(range(len(sizes)))


def test_unlabelled_training_pictures_are_counted(store: Store, photos: Any) -> None:
    request = photos("data", {"train.parquet": [*TWENTY, -1, -1], "validation.parquet": [0, 1]})
    assert "2 pictures in train have no label" in message(store, request)


def test_one_damaged_picture_stops_the_preparation_and_is_named(
    store: Store, tmp_path: Path, png: Any, pixels_of: Any, write_parquet: Any
) -> None:
    pictures = [png(pixels_of(index)) for index in range(19)] + [b"<html>"]
    path = write_parquet(tmp_path / "x.parquet", pictures, TWENTY)
    assert "x.parquet[19]" in message(store, DataRequest(name="parquet", path=str(path)))


@pytest.mark.parametrize("what", ["truncated", "deleted"])
def test_prepared_data_that_was_damaged_later_says_what_to_do(store: Store, photos: Any, what: str) -> None:
    manifest = prepare_quietly(store, photos("data", WHOLE))
    file = store.data_folder(manifest.fingerprint) / "train_images.npy"
    content = file.read_bytes()
    file.unlink()
    if what == "truncated":
        file.write_bytes(content[:300])
    with pytest.raises(CorruptFileError, match="delete it and run again"):
        load_split(store, manifest.fingerprint, Split.TRAIN)
    shutil.rmtree(store.data_folder(manifest.fingerprint))
    assert prepared(store, photos("data", WHOLE)) is None


def test_a_data_argument_is_name_and_path() -> None:
    assert parse_data("parquet:/a:b/c.parquet") == ("parquet", "/a:b/c.parquet")
    assert parse_data("parquet") == ("parquet", None)
    with pytest.raises(PluginError, match=r"unknown data set 'cifar'; have: .*parquet"):
        parse_data("cifar:/x")
