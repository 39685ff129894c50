"""CIFAR-10: 60,000 colour pictures of 32 pixels in 10 classes. `cifar10` downloads it, `cifar10:PATH` is a copy.

PATH is `cifar-10-binary.tar.gz`, its folder, or the files unpacked. Training 50,000, test 10,000; validation
is cut from training. Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
"""

from __future__ import annotations

from trainers import cifar
from trainers.downloads import Download
from trainers.images import RawData
from trainers.result import Split

PRETRAINED = "imagenet"
SOURCE_DATA = None

CIFAR10 = cifar.Cifar(
    data="cifar10",
    archive=Download(
        url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    ),
    folder="cifar-10-batches-bin",
    files={
        Split.TRAIN: tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
        Split.TEST: ("test_batch.bin",),
    },
    num_label_bytes=1,
    names_file="batches.meta.txt",
    num_classes=10,
)


def identity(path: str | None) -> dict[str, object]:
    """Changes whenever the pictures would."""
    return cifar.identity(CIFAR10, path)


def read(path: str | None) -> RawData:
    """All pictures, in the order of the files; DataError for files that are missing or damaged."""
    return cifar.read(CIFAR10, path)
