"""Fashion-MNIST: 70,000 grey pictures of 28 pixels, 10 classes of clothes. `fashion_mnist[:PATH]`; PATH is a copy.

PATH is a folder of `train-images-idx3-ubyte[.gz]` and its three companions, or torchvision's tree around it.
Training 60,000, test 10,000; validation is cut from training. Source: H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST",
2017, arXiv 1708.07747; the format is IDX, http://yann.lecun.com/exdb/mnist.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from trainers.downloads import Download, fetched
from trainers.errors import DataError
from trainers.folders import folder_at, identity_of
from trainers.images import RawData, array_data
from trainers.result import Split

PRETRAINED = "imagenet"
SOURCE_DATA = None

CLASS_NAMES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
URL = "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/"
SHA256 = {
    "train-images-idx3-ubyte": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    "train-labels-idx1-ubyte": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    "t10k-images-idx3-ubyte": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    "t10k-labels-idx1-ubyte": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
}
PREFIXES = {Split.TRAIN: "train", Split.TEST: "t10k"}
SIDE = 28
MAX_PICTURES = 10**6
"""A header that declares more is damaged: nothing is unpacked for it."""


def identity(path: str | None) -> dict[str, object]:
    """The published checksums, or names, sizes and times of the user's files."""
    return {"files": identity_of(_given(path).values())} if path else {"sha256": SHA256}


def read(path: str | None) -> RawData:
    """All pictures, in the order of the files; DataError for files that are missing or damaged."""
    files = _given(path) if path else _fetched()
    images, labels = {}, {}
    for split, prefix in PREFIXES.items():
        images[split] = _idx(files[f"{prefix}-images-idx3-ubyte"], (SIDE, SIDE))
        labels[split] = _idx(files[f"{prefix}-labels-idx1-ubyte"], ()).astype(np.int64)
    return array_data(CLASS_NAMES, images, labels, f"fashion_mnist in {next(iter(files.values())).parent}")


def _fetched() -> dict[str, Path]:
    wanted = {name: Download(url=f"{URL}{name}.gz", sha256=sha256) for name, sha256 in SHA256.items()}
    return {name: fetched("fashion_mnist", download) for name, download in wanted.items()}


def _given(path: str | None) -> dict[str, Path]:
    """The four files, packed or not, in a folder or where torchvision puts them."""
    root = folder_at("fashion_mnist", path)
    for folder in (root, root / "raw", root / "FashionMNIST" / "raw"):
        found = {name: file for name in SHA256 for file in (folder / f"{name}.gz", folder / name) if file.is_file()}
        if len(found) == len(SHA256):
            return found
    raise DataError(f"no Fashion-MNIST in {root}; needed: {', '.join(SHA256)}, packed (.gz) or not, from {URL}")


def _idx(file: Path, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """Bytes (N, *shape) of an IDX file, whose header must declare just that and be true."""
    num_dimensions = 1 + len(shape)
    try:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as stream:
            magic, count, *declared = struct.unpack(f">{1 + num_dimensions}I", stream.read(4 * (1 + num_dimensions)))
            if (magic, tuple(declared)) != (0x0800 + num_dimensions, shape) or count > MAX_PICTURES:
                raise DataError(f"{file} is no IDX file of bytes (N, {', '.join(map(str, shape))})")
            num_bytes = count * int(np.prod(shape))
            content = stream.read(num_bytes + 1)
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise DataError(f"{file} cannot be read ({error}); get it again from {URL}") from error
    if len(content) != num_bytes:
        raise DataError(f"{file} does not hold the {count} records that it declares; get it again from {URL}")
    return np.frombuffer(content, dtype=np.uint8).reshape(count, *shape)
