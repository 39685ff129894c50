"""torchvision's classification sets by name: `torchvision:GTSRB` downloads one, `torchvision:GTSRB:PATH` is a copy.

PATH is what torchvision calls `root`. Splits are torchvision's own; those that it lacks are cut from training.
Sets that torchvision unpickles are not here; CIFAR and Fashion-MNIST have files of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from trainers.downloads import cache_folder
from trainers.errors import DataError
from trainers.folders import files_below, identity_of
from trainers.images import RawData, decoding, to_rgb
from trainers.result import Split

PRETRAINED = "imagenet"
SOURCE_DATA = None

Arguments = Mapping[Split, Mapping[str, object]]


def _splits(train: str = "train", validation: str | None = None, test: str | None = "test") -> Arguments:
    """The `split` argument per split of ours."""
    named = {Split.TRAIN: train, Split.VALIDATION: validation, Split.TEST: test}
    return {split: {"split": name} for split, name in named.items() if name is not None}


WHOLE: Arguments = {Split.TRAIN: {}}
TWO: Arguments = {Split.TRAIN: {"train": True}, Split.TEST: {"train": False}}
SETS: dict[str, Arguments] = {
    "Caltech101": WHOLE,
    "Caltech256": WHOLE,
    "Country211": _splits(validation="valid"),
    "DTD": _splits(validation="val"),
    "EMNIST": {split: {"split": "balanced", **given} for split, given in TWO.items()},
    "EuroSAT": WHOLE,
    "FGVCAircraft": _splits(validation="val"),
    "Flowers102": _splits(validation="val"),
    "Food101": _splits(),
    "GTSRB": _splits(),
    "Imagenette": _splits(validation="val", test=None),
    "KMNIST": TWO,
    "MNIST": TWO,
    "OxfordIIITPet": _splits(train="trainval"),
    "RenderedSST2": _splits(validation="val"),
    "SEMEION": WHOLE,
    "STL10": _splits(),
    "SUN397": WHOLE,
    "SVHN": _splits(),
    "StanfordCars": _splits(),
    "USPS": TWO,
}
ELSEWHERE = {"cifar10": "cifar10", "cifar100": "cifar100", "fashionmnist": "fashion_mnist", "imagenet": "images:PATH"}


def identity(path: str | None) -> dict[str, object]:
    """The name of the set, with names, sizes and times of the files if they are the user's own."""
    name, root = _parsed(path)
    return {"set": name, "files": identity_of(files_below(root)) if root and root.is_dir() else None}


def read(path: str | None) -> RawData:
    """All pictures in torchvision's order; DataError for a set that is not here or not where it should be."""
    name, root = _parsed(path)
    datasets = {split: _dataset(name, root, given) for split, given in SETS[name].items()}
    labels = {split: _labels(dataset) for split, dataset in datasets.items()}
    class_names = _class_names(datasets[Split.TRAIN]) or tuple(map(str, range(1 + max(map(max, labels.values())))))
    if any(numbers.min() < 0 or numbers.max() >= len(class_names) for numbers in labels.values()):
        raise DataError(f"torchvision's {name} has labels beyond its {len(class_names)} classes")

    def decode(split: Split, index: int) -> Image.Image:
        with decoding(f"{name} {split.value}[{index}]"):
            return to_rgb(datasets[split][index][0])

    origin = f"torchvision's {name} in {root or cache_folder('torchvision')}"
    return RawData(class_names=class_names, labels=labels, decode=decode, origin=origin)


def _parsed(path: str | None) -> tuple[str, Path | None]:
    """`NAME[:ROOT]` -> the name as torchvision spells it, and the folder if one is given."""
    wanted, _, root = (path or "").partition(":")
    spelled = {name.lower(): name for name in SETS}
    if wanted.lower() in ELSEWHERE:
        raise DataError(f"torchvision would unpickle {wanted}; use --data {ELSEWHERE[wanted.lower()]} for it")
    if wanted.lower() not in spelled:
        have = ", ".join(SETS)
        raise DataError(f"unknown torchvision set {wanted!r}; write --data torchvision:NAME[:PATH]; have: {have}")
    return spelled[wanted.lower()], Path(root).expanduser() if root else None


def _dataset(name: str, root: Path | None, given: Mapping[str, object]) -> Any:
    """One split, as torchvision has it; downloaded only where no folder is given."""
    from torchvision import datasets

    place = root or cache_folder("torchvision")
    try:
        if root is None:
            place.mkdir(parents=True, exist_ok=True)
        return getattr(datasets, name)(root=str(place), download=root is None, **given)
    except (OSError, RuntimeError, ValueError, LookupError, ImportError, EOFError) as error:
        reason = " ".join(str(error).split())
        raise DataError(
            f"torchvision's {name} is not in {place} ({reason}); put its files there as torchvision lays them out, "
            f"or say where they are: --data torchvision:{name}:PATH"
        ) from error


def _labels(dataset: Any) -> npt.NDArray[np.int64]:
    """Labels without decoding a picture, wherever torchvision keeps them."""
    for attribute in ("targets", "labels", "_labels", "y"):
        if (values := getattr(dataset, attribute, None)) is not None:
            return np.asarray(values, dtype=np.int64)
    pairs = getattr(dataset, "samples", None) or dataset._samples
    return np.array([label for _, label in pairs], dtype=np.int64)


def _class_names(dataset: Any) -> tuple[str, ...]:
    """Names if the set has them; of several names for one class the first."""
    names = getattr(dataset, "classes", None) or getattr(dataset, "categories", None) or ()
    return tuple(name if isinstance(name, str) else name[0] for name in names)
