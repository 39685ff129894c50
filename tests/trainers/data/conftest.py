"""Small copies of data sets as they are published, and no network."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image


def photo(index: int, size: tuple[int, int] = (12, 10)) -> Image.Image:
    """A picture that no other index has, width and height in pixels."""
    width, height = size
    return Image.fromarray(np.random.default_rng(index).integers(0, 256, (height, width, 3), dtype=np.uint8))


def write_tree(root: Path, names: list[str]) -> Path:
    """A picture at each of these paths, each another one."""
    for index, name in enumerate(names):
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        photo(index).save(file, quality=95)
    return root


def write_food11(root: Path) -> Path:
    """Two training pictures and one of each other kind per class, flat."""
    names = [f"training/{label}_{index}.jpg" for label in range(11) for index in range(2)]
    return write_tree(
        root, names + [f"{split}/{label}_0.jpg" for split in ("validation", "testing") for label in range(11)]
    )


def write_images(root: Path) -> Path:
    """Two classes in all three splits."""
    return write_tree(root, [f"{split}/{name}/1.png" for split in ("train", "val", "test") for name in ("cat", "dog")])


def cifar_files(num_classes: int, num_label_bytes: int, names: tuple[str, ...]) -> dict[str, bytes]:
    """Two records per class and file; the last label byte is the class."""
    files = {}
    for number, name in enumerate(names):
        draw = np.random.default_rng(number)
        table = draw.integers(0, 256, (2 * num_classes, num_label_bytes + 3072), dtype=np.uint8)
        table[:, num_label_bytes - 1] = np.arange(2 * num_classes) % num_classes
        files[name] = table.tobytes()
    return files


def cifar10_files() -> dict[str, bytes]:
    names = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
    classes = "airplane automobile bird cat deer dog frog horse ship truck".replace(" ", "\n")
    return cifar_files(10, 1, (*names, "test_batch.bin")) | {"batches.meta.txt": f"{classes}\n\n".encode()}


def cifar100_files() -> dict[str, bytes]:
    classes = "".join(f"class_{number}\n" for number in range(100))
    return cifar_files(100, 2, ("train.bin", "test.bin")) | {"fine_label_names.txt": classes.encode()}


def write_files(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def write_archive(file: Path, folder: str, files: dict[str, bytes]) -> Path:
    """A tar archive with the files in one folder, as the authors pack them."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file


def idx(values: np.ndarray[Any, Any]) -> bytes:
    """Bytes as an IDX file."""
    return struct.pack(f">{1 + values.ndim}I", 0x0800 + values.ndim, *values.shape) + values.astype(np.uint8).tobytes()


def idx_files(counts: tuple[int, int] = (20, 10)) -> dict[str, bytes]:
    """MNIST's four files, packed; labels go round."""
    files = {}
    for prefix, count in zip(("train", "t10k"), counts, strict=True):
        pictures = np.random.default_rng(count).integers(0, 256, (count, 28, 28), dtype=np.uint8)
        files[f"{prefix}-images-idx3-ubyte.gz"] = gzip.compress(idx(pictures))
        files[f"{prefix}-labels-idx1-ubyte.gz"] = gzip.compress(idx(np.arange(count) % 10))
    return files


def write_mnist(root: Path) -> Path:
    """MNIST where torchvision keeps it, unpacked."""
    files = {name.removesuffix(".gz"): gzip.decompress(content) for name, content in idx_files().items()}
    write_files(root / "MNIST" / "raw", files)
    return root


SAMPLES: dict[str, Callable[[Path], str]] = {
    "cifar10": lambda root: str(write_files(root, cifar10_files())),
    "cifar100": lambda root: str(write_files(root, cifar100_files())),
    "fashion_mnist": lambda root: str(write_files(root, idx_files())),
    "food11": lambda root: str(write_food11(root)),
    "images": lambda root: str(write_images(root)),
    "torchvision": lambda root: f"MNIST:{write_mnist(root)}",
}
"""Data that is not in the repository: how to write a small copy, and the path to give for it."""


@pytest.fixture(autouse=True)
def no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is in the cache, and nobody answers."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")


@pytest.fixture
def sample(tmp_path: Path) -> Callable[[str], str | None]:
    """Name of a data set -> the path of a small copy, or None if it needs none."""
    return lambda name: SAMPLES[name](tmp_path / "sample") if name in SAMPLES else None


@pytest.fixture(name="write_tree")
def write_tree_fixture() -> Any:
    return write_tree


@pytest.fixture(name="photo")
def photo_fixture() -> Any:
    return photo


@pytest.fixture(name="write_files")
def write_files_fixture() -> Any:
    return write_files


@pytest.fixture(name="write_archive")
def write_archive_fixture() -> Any:
    return write_archive


@pytest.fixture(name="cifar10_files")
def cifar10_files_fixture() -> Any:
    return cifar10_files()


@pytest.fixture(name="cifar100_files")
def cifar100_files_fixture() -> Any:
    return cifar100_files()


@pytest.fixture(name="idx_files")
def idx_files_fixture() -> Any:
    return idx_files()
