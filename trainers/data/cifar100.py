"""CIFAR-100: 60,000 colour pictures of 32 pixels in 100 classes. `cifar100` downloads it, `cifar100:PATH` is a copy.

PATH is `cifar-100-binary.tar.gz`, its folder, or the files unpacked. Training 50,000, test 10,000; validation
is cut from training; the 20 superclasses are not used. Source: A. Krizhevsky, "Learning Multiple Layers of
Features from Tiny Images", 2009.
"""

from __future__ import annotations

from trainers import cifar
from trainers.downloads import Download
from trainers.images import RawData
from trainers.result import Split

PRETRAINED = "imagenet"
SOURCE_DATA = None

CIFAR100 = cifar.Cifar(
    data="cifar100",
    archive=Download(
        url="https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
        sha256="58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
    ),
    folder="cifar-100-binary",
    files={Split.TRAIN: ("train.bin",), Split.TEST: ("test.bin",)},
    num_label_bytes=2,  # the superclass, then the class
    names_file="fine_label_names.txt",
    num_classes=100,
)


def identity(path: str | None) -> dict[str, object]:
    """Changes whenever the pictures would."""
    return cifar.identity(CIFAR100, path)


def read(path: str | None) -> RawData:
    """All pictures, in the order of the files; DataError for files that are missing or damaged."""
    return cifar.read(CIFAR100, path)
