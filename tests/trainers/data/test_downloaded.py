"""CIFAR, Fashion-MNIST and torchvision's sets: as published, damaged, and not to be had."""

from __future__ import annotations

import gzip
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainers import downloads
from trainers.data import cifar10, cifar100, fashion_mnist, torchvision
from trainers.downloads import Download, fetched
from trainers.errors import DataError
from trainers.files import file_digest
from trainers.prepare import DataRequest
from trainers.result import Split


def message(module: Any, path: Path | str | None) -> str:
    with pytest.raises(DataError) as caught:
        module.read(None if path is None else str(path))
    assert "\n" not in str(caught.value)
    return str(caught.value)


class Bomb:
    """Unpickling this would be noticed."""

    def __reduce__(self) -> Any:
        return exec, ("raise SystemExit('a pickle was opened')",)


# CIFAR


def test_a_cifar10_record_is_a_label_and_planes_of_red_green_and_blue(
    tmp_path: Path, write_files: Any, cifar10_files: Any
) -> None:
    raw = cifar10.read(str(write_files(tmp_path / "x", cifar10_files)))
    assert raw.class_names[:2] == ("airplane", "automobile")
    assert (len(raw.labels[Split.TRAIN]), len(raw.labels[Split.TEST])) == (100, 20)
    record = cifar10_files["data_batch_2.bin"][3073 * 7 :][:3073]
    assert raw.labels[Split.TRAIN][27] == record[0] == 7
    picture = raw.decode(Split.TRAIN, 27)
    for row, column in ((0, 0), (3, 17), (31, 31)):
        planes = tuple(record[1 + plane * 1024 + row * 32 + column] for plane in range(3))
        assert picture.getpixel((column, row)) == planes


def test_of_a_cifar100_record_the_second_byte_is_the_class(
    tmp_path: Path, write_files: Any, cifar100_files: Any
) -> None:
    raw = cifar100.read(str(write_files(tmp_path / "x", cifar100_files)))
    assert raw.class_names[42] == "class_42"
    assert raw.labels[Split.TEST].tolist() == [*range(100), *range(100)]
    assert np.asarray(raw.decode(Split.TEST, 0))[0, 0, 0] == cifar100_files["test.bin"][2]


@pytest.mark.parametrize("place", ["cifar-10-binary.tar.gz", ".", "cifar-10-batches-bin"])
def test_the_archive_its_folder_and_its_files_are_the_same(
    tmp_path: Path, write_files: Any, write_archive: Any, cifar10_files: Any, place: str
) -> None:
    if place == "cifar-10-batches-bin":
        write_files(tmp_path / "x" / place, cifar10_files)
    else:
        write_archive(tmp_path / "x" / "cifar-10-binary.tar.gz", "cifar-10-batches-bin", cifar10_files)
    raw = cifar10.read(str(tmp_path / "x" / place))
    assert raw.labels[Split.TRAIN].tolist() == list(range(10)) * 10


def test_the_python_version_of_cifar_is_not_opened(tmp_path: Path, write_files: Any) -> None:
    write_files(tmp_path / "cifar-10-batches-py", {"data_batch_1": pickle.dumps(Bomb())})
    text = message(cifar10, tmp_path)
    assert f"no cifar10 at {tmp_path}; needed: cifar-10-binary.tar.gz" in text
    assert "the Python version is a pickle, which is never opened" in text


def test_records_of_another_length_and_labels_beyond_the_classes_are_named(
    tmp_path: Path, write_files: Any, cifar10_files: Any
) -> None:
    files = cifar10_files | {"test_batch.bin": cifar10_files["test_batch.bin"][:-1]}
    assert "test_batch.bin has 61459 bytes; needed: a multiple of 3073" in message(
        cifar10, write_files(tmp_path / "a", files)
    )
    files = cifar10_files | {"test_batch.bin": b"\x0a" + bytes(3072)}
    assert "label 10 in test and only 10 classes" in message(cifar10, write_files(tmp_path / "b", files))


def test_a_broken_archive_is_named(tmp_path: Path, write_archive: Any, cifar10_files: Any) -> None:
    file = write_archive(tmp_path / "cifar-10-binary.tar.gz", "cifar-10-batches-bin", cifar10_files)
    file.write_bytes(file.read_bytes()[:100_000])
    assert f"{file} cannot be read" in message(cifar10, tmp_path)
    write_archive(file, "other", cifar10_files)
    assert f"{file} cannot be read" in message(cifar10, tmp_path)


# Fashion-MNIST


@pytest.mark.parametrize("folder", ["", "FashionMNIST/raw", "raw"])
@pytest.mark.parametrize("is_packed", [True, False])
def test_fashion_mnist_is_read_packed_or_not_where_people_have_it(
    tmp_path: Path, write_files: Any, idx_files: Any, folder: str, is_packed: bool
) -> None:
    unpacked = {name.removesuffix(".gz"): gzip.decompress(content) for name, content in idx_files.items()}
    write_files(tmp_path / "x" / folder, idx_files if is_packed else unpacked)
    raw = fashion_mnist.read(str(tmp_path / "x"))
    assert raw.labels[Split.TRAIN].tolist() == [*range(10), *range(10)]
    pixels = np.asarray(raw.decode(Split.TEST, 3))
    start = 16 + 3 * 784
    assert (
        pixels[:, :, 0].tobytes()
        == pixels[:, :, 2].tobytes()
        == unpacked["t10k-images-idx3-ubyte"][start : start + 784]
    )


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("t10k-images-idx3-ubyte", b"\0\0\x08\x03" + b"\xff" * 12, "is no IDX file of bytes (N, 28, 28)"),
        ("t10k-images-idx3-ubyte", b"\0\0\x08\x03\0\0\0\x0a\0\0\0\x1c\0\0\0\x1c", "does not hold the 10 records"),
        ("t10k-labels-idx1-ubyte", b"\0\0\x08\x01\xff\xff\xff\xff", "is no IDX file"),
        ("t10k-labels-idx1-ubyte", b"\0\0", "cannot be read"),
        ("t10k-labels-idx1-ubyte", b"\0\0\x08\x01\0\0\0\x02\1\2", "10 pictures and 2 labels in test"),
    ],
)
def test_a_damaged_idx_file_is_named(
    tmp_path: Path, write_files: Any, idx_files: Any, name: str, content: bytes, expected: str
) -> None:
    write_files(tmp_path / "x", idx_files | {f"{name}.gz": gzip.compress(content)})
    assert expected in message(fashion_mnist, tmp_path / "x")


def test_without_its_files_fashion_mnist_says_which_it_needs(tmp_path: Path) -> None:
    assert f"no Fashion-MNIST in {tmp_path}; needed: train-images-idx3-ubyte" in message(fashion_mnist, tmp_path)


# Downloads


def test_a_file_is_downloaded_once_and_only_with_the_right_checksum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = tmp_path / "published.bin"
    published.write_bytes(b"pictures")
    wanted = Download(url=published.as_uri(), sha256=file_digest(published))
    file = fetched("set", wanted)
    assert (file.parent, file.read_bytes()) == (downloads.cache_folder("set"), b"pictures")
    published.unlink()
    assert fetched("set", wanted) == file
    file.write_bytes(b"something else")
    with pytest.raises(DataError, match="is not the file that was published"):
        fetched("set", wanted)


def test_a_failed_download_says_where_to_put_the_file_and_leaves_nothing(tmp_path: Path) -> None:
    wanted = Download(url=(tmp_path / "gone.bin").as_uri(), sha256="0")
    with pytest.raises(DataError) as caught:
        fetched("set", wanted)
    assert f"put it into {downloads.cache_folder('set')}, or say where it is: --data set:PATH" in str(caught.value)
    assert list(downloads.cache_folder("set").iterdir()) == []


@pytest.mark.parametrize("module", [cifar10, cifar100, fashion_mnist])
def test_a_set_that_cannot_be_downloaded_is_one_line(module: Any) -> None:
    assert "cannot be downloaded" in message(module, None)


def test_a_downloaded_set_keeps_its_identity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_archive: Any, cifar10_files: Any
) -> None:
    archive = write_archive(tmp_path / "cifar-10-binary.tar.gz", "cifar-10-batches-bin", cifar10_files)
    changed = Download(url=archive.as_uri(), sha256=file_digest(archive))
    monkeypatch.setattr(cifar10, "CIFAR10", replace(cifar10.CIFAR10, archive=changed))
    before = cifar10.identity(None)
    assert len(cifar10.read(None).labels[Split.TRAIN]) == 100
    assert cifar10.identity(None) == before


# torchvision


def test_a_set_of_torchvision_is_read_from_a_folder(sample: Any, idx_files: Any) -> None:
    raw = torchvision.read(sample("torchvision"))
    assert raw.labels[Split.TEST].tolist() == list(range(10))
    assert raw.class_names[3] == "3 - three"
    pictures = gzip.decompress(idx_files["train-images-idx3-ubyte.gz"])
    assert np.asarray(raw.decode(Split.TRAIN, 2))[:, :, 1].tobytes() == pictures[16 + 2 * 784 :][:784]


def test_class_folders_of_torchvision_are_read_with_its_names(tmp_path: Path, write_tree: Any, photo: Any) -> None:
    write_tree(tmp_path, [f"eurosat/2750/{name}/{name}_1.png" for name in ("Forest", "River")])
    raw = torchvision.read(f"eurosat:{tmp_path}")
    assert raw.class_names == ("Forest", "River")
    assert np.array_equal(np.asarray(raw.decode(Split.TRAIN, 1)), np.asarray(photo(1)))


def test_every_set_in_the_table_is_a_class_of_torchvision() -> None:
    from torchvision import datasets

    assert [name for name in torchvision.SETS if not hasattr(datasets, name)] == []


@pytest.mark.parametrize(
    ("name", "instead"), [("CIFAR10", "cifar10"), ("ImageNet", "images:PATH"), ("cifar100", "cifar100")]
)
def test_what_torchvision_would_unpickle_is_refused(tmp_path: Path, name: str, instead: str) -> None:
    assert (
        message(torchvision, f"{name}:{tmp_path}") == f"torchvision would unpickle {name}; use --data {instead} for it"
    )


@pytest.mark.parametrize("path", [None, "", "CocoDetection", "/nowhere"])
def test_an_unknown_set_lists_those_there_are(path: str | None) -> None:
    assert "write --data torchvision:NAME[:PATH]; have: Caltech101, " in message(torchvision, path)


@pytest.mark.parametrize("name", torchvision.SETS)
def test_a_set_that_is_not_there_says_where_to_put_it(tmp_path: Path, name: str) -> None:
    text = message(torchvision, f"{name}:{tmp_path}")
    assert text.startswith(f"torchvision's {name} is not in {tmp_path} (")
    assert text.endswith(f"--data torchvision:{name}:PATH")


def test_a_set_of_torchvision_is_called_by_its_name_in_tables() -> None:
    assert DataRequest(name="torchvision", path="GTSRB:/data/all").title == "torchvision:GTSRB"
    assert DataRequest(name="torchvision", path="DTD").title == "torchvision:DTD"
    assert DataRequest(name="parquet", path="/data/a:b/photos.parquet").title == "parquet:photos.parquet"
