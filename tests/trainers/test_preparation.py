"""How pictures are prepared: resized or not, bad and leaked ones, by several processes, killed, and left on disk."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image

from trainers import decoding, folders
from trainers.errors import DataError, StoreError
from trainers.images import Resize
from trainers.locks import locked
from trainers.pictures import load_split
from trainers.prepare import DataRequest, prepare, prepared, request_digest
from trainers.records import decode_record, encode_record
from trainers.result import Manifest, Split
from trainers.storage import Store

ROOT = Path(__file__).resolve().parents[2]


def quietly(store: Store, request: DataRequest, **options: Any) -> Manifest:
    return prepare(store, request, lambda done, total: None, **options)


def picture(index: int, size: tuple[int, int] = (8, 8)) -> Image.Image:
    """A picture that no other index has; width and height in pixels."""
    width, height = size
    return Image.fromarray(np.random.default_rng(index).integers(1, 256, (height, width, 3), dtype=np.uint8))


SPLITS = {"train": 20, "val": 4, "test": 6}


@pytest.fixture
def tree(tmp_path: Path) -> Callable[..., DataRequest]:
    """Writes class folders, pictures numbered on and on; `size(index)` is their width and height."""

    def write(splits: dict[str, int], size: Callable[[int], tuple[int, int]] = lambda index: (8, 8)) -> DataRequest:
        index = 0
        for split, count in splits.items():
            for number in range(count):
                file = tmp_path / "photos" / split / "ab"[number % 2] / f"{number:04d}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                picture(index, size(index)).save(file)
                index += 1
        return DataRequest(name="images", path=str(tmp_path / "photos"))

    return write


def copy(request: DataRequest, source: str, target: str) -> None:
    """One picture of the tree once more, elsewhere."""
    root = Path(str(request.path))
    (root / target).write_bytes((root / source).read_bytes())


def left_over(store: Store) -> list[str]:
    """What is in the data folder but for data sets and requests."""
    return sorted(entry.name for entry in (store.root / "data").iterdir() if entry.name.startswith("."))


# Golden values


def test_what_was_prepared_before_there_were_choices_is_still_found(store: Store) -> None:
    request = DataRequest(name="plates", image_size=24, limit=330)
    assert request_digest(replace(request, limit=None)) == request_digest(
        DataRequest(name="plates", image_size=24, resize=Resize.FIT, skip_bad_images=False, allow_leak=False)
    )
    assert quietly(store, request).fingerprint == "c2fc7c1c1e76f721"


def test_a_manifest_from_before_there_were_choices_still_reads(store: Store, tree: Any) -> None:
    manifest = quietly(store, tree(SPLITS))
    file = store.data_folder(manifest.fingerprint) / "manifest.json"
    content = decode_record(file)
    for added in ("resize", "skipped", "num_leaked"):
        del content[added]
    file.write_bytes(encode_record(content))
    assert store.manifest(manifest.fingerprint) == manifest


def test_every_choice_makes_another_request(tree: Any) -> None:
    base = tree(SPLITS)
    changes: list[dict[str, Any]] = [{"resize": resize} for resize in Resize if resize is not Resize.FIT]
    changes += [{"skip_bad_images": True}, {"allow_leak": True}]
    assert len({request_digest(replace(base, **change)) for change in [{}, *changes]}) == 6


# Sizes


def sizes(index: int) -> tuple[int, int]:
    return 8 + index % 5, 8 + index % 7


@pytest.mark.parametrize("resize", [Resize.FIT, Resize.SQUASH, Resize.PAD])
def test_pictures_of_unequal_sizes_become_squares_as_asked_for(store: Store, tree: Any, resize: Resize) -> None:
    manifest = quietly(store, replace(tree(SPLITS, sizes), image_size=16, resize=resize))
    pictures, _ = load_split(store, manifest.fingerprint, Split.VALIDATION)
    assert (manifest.resize, pictures.varies, pictures.size) == (resize.value, False, 16)
    corners = pictures.take(np.arange(4))[:, 0, 0].any(axis=1)  # black only where something was added
    assert corners.all() == (resize is not Resize.PAD)


def test_without_resizing_every_picture_keeps_its_pixels(store: Store, tree: Any) -> None:
    manifest = quietly(store, replace(tree(SPLITS, sizes), image_size=24, resize=Resize.NONE))
    assert (manifest.resize, manifest.image_size) == ("none", 24)
    start = 0
    for split, count in zip(Split, SPLITS.values(), strict=True):
        pictures, labels = load_split(store, manifest.fingerprint, split)
        assert (pictures.varies, pictures.size, len(pictures)) == (True, 24, count)
        order = [*range(0, count, 2), *range(1, count, 2)]  # class a before class b
        assert labels.tolist() == [number % 2 for number in order]
        for square, number in zip(pictures.take(np.arange(count)), order, strict=True):
            width, height = sizes(start + number)
            top, left = (24 - height) // 2, (24 - width) // 2
            inner = square[top : top + height, left : left + width]
            assert np.array_equal(inner, np.asarray(picture(start + number, (width, height))))
        start += count


def test_without_resizing_the_side_of_the_square_is_part_of_the_data(store: Store, tree: Any) -> None:
    base = replace(tree(SPLITS, sizes), resize=Resize.NONE)
    one, other = (quietly(store, replace(base, image_size=size)) for size in (10, 12))
    assert one.fingerprint != other.fingerprint
    assert load_split(store, one.fingerprint, Split.TRAIN)[0].size == 10


def test_without_resizing_and_a_size_unequal_pictures_ask_for_one(store: Store, tree: Any) -> None:
    with pytest.raises(DataError, match=": sizes of 8 x 8 to 12 x 14 pixels; say with --image-size how large"):
        quietly(store, replace(tree(SPLITS, sizes), resize=Resize.NONE))


def test_equal_squares_are_the_same_data_however_they_are_resized(store: Store, tree: Any) -> None:
    base = tree(SPLITS)
    fingerprints = {quietly(store, replace(base, resize=resize)).fingerprint for resize in Resize}
    assert len(fingerprints) == 1


def test_data_without_test_pictures_loads_without_resizing(store: Store, tree: Any) -> None:
    manifest = quietly(store, replace(tree({"train": 20, "val": 4}, sizes), image_size=10, resize=Resize.NONE))
    pictures, labels = load_split(store, manifest.fingerprint, Split.TEST)
    assert (len(pictures), len(labels), pictures.take(labels).shape) == (0, 0, (0, 10, 10, 3))


# Pictures that cannot be read


def spoil(request: DataRequest, *names: str) -> None:
    for name in names:
        (Path(str(request.path)) / name).write_bytes(b"<html>")


BAD = ("train/a/0002.png", "train/b/0003.png", "train/b/0005.png", "val/a/0000.png")


def test_bad_pictures_are_counted_and_the_first_are_named(store: Store, tree: Any) -> None:
    request = tree(SPLITS)
    spoil(request, *BAD)
    with pytest.raises(DataError) as caught:
        quietly(store, request)
    reasons = "; ".join(f"image {name} cannot be read (no known picture format)" for name in BAD[:3])
    assert f"4 of 30 pictures cannot be read: {reasons}; ...; repair or remove them" in str(caught.value)
    assert str(caught.value).endswith("or leave them out with --skip-bad-images")
    assert left_over(store) == []


def test_bad_pictures_are_left_out_and_recorded_where_that_is_asked_for(store: Store, tree: Any) -> None:
    request = tree({"train": 20, "val": 6, "test": 6})
    spoil(request, *BAD)
    manifest = quietly(store, replace(request, skip_bad_images=True))
    assert manifest.num_images == {"train": 17, "validation": 5, "test": 6}
    assert manifest.skipped == tuple(f"image {name} cannot be read (no known picture format)" for name in BAD)
    pictures, labels = load_split(store, manifest.fingerprint, Split.TRAIN)
    order = [number for number in [*range(0, 20, 2), *range(1, 20, 2)] if number not in (2, 3, 5)]
    assert labels.tolist() == [number % 2 for number in order]
    assert np.array_equal(pictures.take(np.arange(17)), [np.asarray(picture(number)) for number in order])


def test_a_class_that_loses_all_its_pictures_is_named(store: Store, tree: Any) -> None:
    request = replace(tree({"train": 20, "val": 2}), skip_bad_images=True)
    spoil(request, "val/b/0001.png")
    with pytest.raises(DataError, match=r"1 of 2 classes have no picture in validation \('b', \.\.\.\)"):
        quietly(store, request)


def test_where_no_picture_can_be_read_that_is_said(store: Store, tree: Any) -> None:
    request = replace(tree({"train": 4, "val": 2}), skip_bad_images=True)
    spoil(request, *(f"train/{'ab'[number % 2]}/{number:04d}.png" for number in range(4)))
    with pytest.raises(DataError, match="none of 4 training pictures can be read"):
        quietly(store, request)


@pytest.mark.parametrize(("split", "missing"), [("train", "validation"), ("val", "train"), ("test", "train")])
def test_a_class_in_one_split_only_is_named(store: Store, tree: Any, split: str, missing: str) -> None:
    request = tree(SPLITS)
    lonely = Path(str(request.path)) / split / "emu" / "1.png"
    lonely.parent.mkdir()
    picture(99).save(lonely)
    with pytest.raises(DataError, match=rf"1 of 3 classes have no picture in {missing} \('emu', \.\.\.\)"):
        quietly(store, request)


# Pictures in two splits


def test_a_picture_in_two_splits_is_refused_unless_it_is_allowed(store: Store, tree: Any) -> None:
    request = tree(SPLITS)
    copy(request, "train/a/0004.png", "test/b/0001.png")
    expected = (
        r"1 pictures of test are also in train \(test/b/0001.png = train/a/0004.png; .*; 1 of them are in another"
    )
    with pytest.raises(DataError, match=expected) as caught:
        quietly(store, request)
    (list_file,) = (store.root / "logs").glob("pictures-in-two-splits-*.txt")
    assert f"all are in {list_file})" in str(caught.value)
    assert list_file.read_text() == "test/b/0001.png = train/a/0004.png\n"
    assert left_over(store) == []
    manifest = quietly(store, replace(request, allow_leak=True))
    assert manifest.num_leaked == 1
    assert manifest.num_images == {"train": 20, "validation": 4, "test": 6}


def test_the_same_pixels_in_another_file_format_are_the_same_picture(store: Store, tree: Any) -> None:
    request = tree(SPLITS)
    root = Path(str(request.path))
    Image.open(root / "train/a/0004.png").save(root / "val/a/other.bmp")
    with pytest.raises(DataError, match="1 pictures of validation are also in train"):
        quietly(store, request)


def test_splits_that_are_cut_from_training_are_looked_at_as_well(store: Store, tree: Any) -> None:
    request = tree({"": 20})
    root = Path(str(request.path))
    for file in [*root.rglob("*.png")]:
        (file.parent / f"again {file.name}").write_bytes(file.read_bytes())
    with pytest.raises(DataError, match="are also in train"):
        quietly(store, request)


def test_twice_in_one_split_is_no_leak(store: Store, tree: Any) -> None:
    request = tree(SPLITS)
    copy(request, "train/a/0004.png", "train/a/0400.png")
    assert quietly(store, request).num_leaked == 0


# Several processes, and one that is killed


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "PICTURES_PER_CHUNK", 4)


def test_the_number_of_processes_changes_nothing(small_chunks: None, make_lab: Any, tree: Any) -> None:
    request = replace(tree(SPLITS, sizes), image_size=10, skip_bad_images=True)
    spoil(request, BAD[0])
    for resize in (Resize.FIT, Resize.NONE):
        wanted, seen = replace(request, resize=resize), list[int]()
        one = quietly(make_lab(f"{resize} one").store, wanted, num_workers=1)
        three = prepare(
            make_lab(f"{resize} three").store, wanted, lambda done, total, seen=seen: seen.append(done), num_workers=3
        )
        assert one == three
        assert seen == list(range(1, 31))


def test_a_process_that_is_killed_is_one_clear_line_and_the_next_try_goes_on(
    small_chunks: None, store: Store, tree: Any
) -> None:
    request = tree(SPLITS)
    with pytest.raises(StoreError, match="a process that decodes was killed"):
        prepare(store, request, lambda done, total: kill_children(), num_workers=2)
    assert len(left_over(store)) == 1
    assert quietly(store, request).num_images == {"train": 20, "validation": 4, "test": 6}
    assert left_over(store) == []


def kill_children() -> None:
    for child in multiprocessing.active_children():
        child.kill()


def test_an_interrupted_preparation_goes_on_where_it_was(
    small_chunks: None, store: Store, make_lab: Any, tree: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    request, decoded = tree(SPLITS, sizes), []
    request = replace(request, image_size=10)
    undisturbed = quietly(make_lab("undisturbed").store, request)

    def interrupt(done: int, total: int) -> None:
        if done == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(store, request, interrupt, num_workers=1)
    assert prepared(store, request) is None
    decode = folders.decode_image
    monkeypatch.setattr(folders, "decode_image", lambda content, name: (decoded.append(name), decode(content, name))[1])
    seen: list[tuple[int, int]] = []
    manifest = prepare(store, request, lambda done, total: seen.append((done, total)), num_workers=1)
    assert manifest == undisturbed
    assert len(decoded) == 30 - 12  # three chunks of four were done
    assert seen == [(done, 30) for done in range(1, 31)]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut short": lambda content: content[:-5],
    "too long": lambda content: content + b"x",
    "as a machine that lost its power leaves it": lambda content: bytes(len(content)),
}


@pytest.mark.parametrize("suffix", ["pixels", "json"])
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_chunk_is_decoded_again(
    small_chunks: None, store: Store, make_lab: Any, tree: Any, suffix: str, damage: Callable[[bytes], bytes]
) -> None:
    request = tree(SPLITS)

    def spoil_a_chunk(done: int, total: int) -> None:
        file = store.root / "data" / left_over(store)[0] / f"train-00000000.{suffix}"
        file.write_bytes(damage(file.read_bytes()))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(store, request, spoil_a_chunk)
    assert quietly(store, request) == quietly(make_lab("undisturbed").store, request)


SCRIPT = """
import os, signal, sys
sys.path.insert(0, {root!r})
from trainers import decoding
from trainers.prepare import DataRequest, prepare
from trainers.storage import Store
import psutil

decoding.PICTURES_PER_CHUNK = 4

def on_image(done, total):
    if done == int(sys.argv[1]):
        print(*(child.pid for child in psutil.Process().children()), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

request = DataRequest(name="images", path={path!r})
print(prepare(Store({store!r}).open(), request, on_image, num_workers=2).fingerprint)
"""


def start(store: Store, request: DataRequest, kill_at: int, folder: Path) -> subprocess.Popen[str]:
    """A preparation in a process of its own: a script as people write them, without a guard for `__main__`."""
    script = folder / "script.py"
    script.write_text(SCRIPT.format(root=str(ROOT), path=request.path, store=str(store.root)))
    return subprocess.Popen(
        [sys.executable, str(script), str(kill_at)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_a_kill_leaves_no_process_behind_and_what_was_done_counts(
    small_chunks: None, store: Store, make_lab: Any, tree: Any, tmp_path: Path
) -> None:
    request = tree(SPLITS)
    process = start(store, request, 9, tmp_path)
    out, err = process.communicate(timeout=90)
    assert process.returncode == -signal.SIGKILL, err
    children = [int(pid) for pid in out.split()]
    assert len(children) >= 2
    end = time.monotonic() + 30
    while any(psutil.pid_exists(pid) for pid in children):
        assert time.monotonic() < end, "workers outlive their parent"
        time.sleep(0.02)
    chunks = list((store.root / "data" / left_over(store)[0]).glob("*.json"))
    assert len(chunks) >= 3
    assert quietly(store, request) == quietly(make_lab("undisturbed").store, request)
    assert left_over(store) == []


def test_two_processes_that_prepare_the_same_give_one_data_set(store: Store, tree: Any, tmp_path: Path) -> None:
    request = tree(SPLITS)
    both = [start(store, request, -1, tmp_path) for _ in range(2)]
    outputs = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    (first, _), (second, _) = outputs
    assert first == second
    assert sorted(os.listdir(store.root / "data")) == sorted([first.strip(), "requests"])


def test_at_most_twice_the_prepared_size_is_on_disk(
    small_chunks: None, store: Store, tree: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    request, largest = tree({"train": 40, "val": 20}, lambda index: (32, 32)), 0
    publish = Store.publish_data

    def measured(self: Store, *arguments: Any) -> Any:
        nonlocal largest
        files = [file for file in (store.root / "data").rglob("*") if file.suffix in (".npy", ".pixels")]
        largest = sum(file.stat().st_size for file in files)
        return publish(self, *arguments)

    monkeypatch.setattr(Store, "publish_data", measured)
    manifest = quietly(store, request)
    size = sum(file.stat().st_size for file in store.data_folder(manifest.fingerprint).glob("*.npy"))
    assert 60 * 32 * 32 * 3 < size < largest <= 2 * size


def test_a_file_system_without_locks_is_no_obstacle(store: Store, tree: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(lock: Any, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("trainers.locks.fcntl.flock", refuse)
    assert quietly(store, tree(SPLITS)).num_images["train"] == 20


# What killed preparations left


@pytest.mark.parametrize(("age_hours", "is_held", "stays"), [(25, False, False), (1, False, True), (25, True, True)])
def test_what_nobody_took_up_again_for_a_day_goes(
    store: Store, tree: Any, age_hours: int, is_held: bool, stays: bool
) -> None:
    folder = store.root / "data" / ".preparing-abandoned"
    request = tree(SPLITS)
    with locked(folder):
        (folder / "train-00000000.pixels").write_bytes(b"x")
        moment = time.time() - age_hours * 3600
        os.utime(folder, (moment, moment))
        if is_held:
            quietly(store, request)
    if not is_held:
        quietly(store, request)
    assert folder.exists() is stays


def test_a_disk_that_is_too_small_is_one_clear_line_before_decoding(
    store: Store, tree: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 2 * 30 * 8 * 8 * 3 - 1})
    monkeypatch.setattr("trainers.prepare.shutil.disk_usage", lambda folder: usage)
    with pytest.raises(DataError, match="free some space, use --limit or a smaller --image-size"):
        quietly(store, tree(SPLITS))
