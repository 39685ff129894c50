"""A data request -> one prepared, fingerprinted folder of uint8 arrays that every trial maps into memory.

Preparation is free of torch. The fingerprint covers pixels, labels, splits and class names, not
where they came from, so that the same pictures are the same data wherever they lie.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from trainers import plugins
from trainers.errors import DataError
from trainers.files import file_digest
from trainers.images import RawData, to_square
from trainers.plugins import Kind
from trainers.result import Manifest, Split
from trainers.spec import digest_of
from trainers.storage import Store

FORMAT_VERSION = 1
HELD_OUT_FRACTION = 0.1
"""Share of the training pictures that becomes validation (and test, if the data brings neither)."""

Indices = npt.NDArray[np.int64]
Selection = dict[Split, tuple[Split, Indices]]
"""For each split of ours: the split of the data that it is taken from, and which of its pictures."""


class Part(StrEnum):
    """Which pictures of a data set a request means: those within its limit, or all others."""

    WITHIN_LIMIT = "within_limit"
    OUTSIDE_LIMIT = "outside_limit"


@dataclass(frozen=True, kw_only=True)
class DataRequest:
    """What a user asks for: `name[:path]`, pixels per side, and at most `limit` pictures over all splits."""

    name: str
    path: str | None = None
    image_size: int | None = None
    limit: int | None = None
    part: Part = Part.WITHIN_LIMIT

    @property
    def title(self) -> str:
        """The name of the data set in results and tables."""
        variant = f":{Path(self.path).name}" if self.path else ""
        return f"{self.name}{variant}" + (" outside the limit" if self.part is Part.OUTSIDE_LIMIT else "")


def parse_data(text: str) -> tuple[str, str | None]:
    """`NAME[:PATH]` -> name and path; PluginError if there is no such data set."""
    name, _, path = text.partition(":")
    plugins.source_file(Kind.DATA, name)
    return name, path or None


def request_digest(request: DataRequest) -> str:
    """Changes whenever the request or the files behind it do; reads names and times only. DataError for nonsense."""
    _check_request(request)
    module = plugins.load(Kind.DATA, request.name)
    fields = [request.name, request.image_size, request.limit, request.part.value]
    return digest_of([FORMAT_VERSION, fields, module.identity(request.path)])


def prepared(store: Store, request: DataRequest) -> Manifest | None:
    """The data set if it lies ready in the store."""
    return store.prepared_data(request_digest(request))


def prepare(store: Store, request: DataRequest, on_image: Callable[[int, int], None]) -> Manifest:
    """Decode what a request asks for, once; `on_image(done, total)` is called per picture."""
    digest = request_digest(request)
    raw: RawData = plugins.load(Kind.DATA, request.name).read(request.path)
    if len(raw.class_names) < 2:
        raise DataError(f"{raw.origin} has {len(raw.class_names)} classes; needed: 2 or more")
    selection = select(raw.labels, request.limit, request.part)
    if not sum(len(indices) for _, indices in selection.values()):
        raise DataError(f"{raw.origin} has no picture outside --limit {request.limit}; use a smaller one")
    _check_selection(selection, raw)
    folder = store.begin_data()
    try:
        size = _write_splits(folder, raw, selection, request.image_size, on_image)
        manifest = _manifest(folder, raw, request, size)
        manifest = store.publish_data(folder, manifest, digest)
    finally:
        store.discard_data(folder)
    return manifest


def _manifest(folder: Path, raw: RawData, request: DataRequest, size: int) -> Manifest:
    return Manifest(
        fingerprint=_fingerprint(folder, raw.class_names),
        name=request.title,
        origin=raw.origin if request.part is Part.WITHIN_LIMIT else f"{raw.origin}, outside the first {request.limit}",
        class_names=raw.class_names,
        image_size=size,
        num_images={split.value: len(_labels(folder, split)) for split in Split},
        has_test_labels=bool((_labels(folder, Split.TEST) >= 0).any()),
    )


def select(labels: Mapping[Split, Indices], limit: int | None, part: Part) -> Selection:
    """Stratified and fixed: a limit keeps the proportions of splits and classes; missing splits are cut from training.

    Data without validation gives a tenth of its training pictures for it, and as many for test if it
    has training pictures only. Which ones is decided by the hash of their position.
    """
    everything = {split: np.arange(len(values)) for split, values in labels.items() if len(values)}
    chosen = everything if limit is None else _limited(labels, everything, limit, part)
    selection = {split: (split, indices) for split, indices in chosen.items()}
    training = chosen.get(Split.TRAIN, np.arange(0))
    for split, share in _held_out_shares(set(chosen)).items():
        held_out = _draw(labels[Split.TRAIN], training, share, round(len(training) * share), f"split/{split.value}")
        training = np.setdiff1d(training, held_out)
        selection |= {split: (Split.TRAIN, held_out), Split.TRAIN: (Split.TRAIN, training)}
    return selection


def _limited(
    labels: Mapping[Split, Indices], everything: dict[Split, Indices], limit: int, part: Part
) -> dict[Split, Indices]:
    lengths = np.array([len(indices) for indices in everything.values()])
    share = min(1.0, limit / lengths.sum())
    sizes = _whole_numbers(lengths * share, min(limit, lengths.sum()))
    inside = {
        split: _draw(labels[split], indices, share, size, f"limit/{split.value}")
        for (split, indices), size in zip(everything.items(), sizes.tolist(), strict=True)
    }
    if part is Part.WITHIN_LIMIT:
        return inside
    return {split: np.setdiff1d(indices, inside[split]) for split, indices in everything.items()}


def _held_out_shares(present: set[Split]) -> dict[Split, float]:
    """Which splits to cut from training, in order, each with its share of what is left by then."""
    if Split.TRAIN not in present or Split.VALIDATION in present:
        return {}
    if Split.TEST in present:
        return {Split.VALIDATION: HELD_OUT_FRACTION}
    return {Split.VALIDATION: HELD_OUT_FRACTION, Split.TEST: HELD_OUT_FRACTION / (1 - HELD_OUT_FRACTION)}


def _draw(labels: Indices, candidates: Indices, share: float, size: int, purpose: str) -> Indices:
    """A stratified sample of the candidates, sorted: `size` in all, each class by its share."""
    classes, counts = np.unique(labels[candidates], return_counts=True)
    sizes = _whole_numbers(counts * share, size)
    drawn = [
        _by_hash(candidates[labels[candidates] == label], purpose)[:size]
        for label, size in zip(classes, sizes, strict=True)
    ]
    return np.sort(np.concatenate([np.arange(0), *drawn]).astype(np.int64))


def _whole_numbers(exact: npt.NDArray[np.floating[Any]], total: int) -> Indices:
    """Whole numbers near the exact ones, with this total: those of the largest remainder are rounded up."""
    sizes: Indices = np.floor(exact).astype(np.int64)
    for position in np.argsort(sizes - exact, kind="stable")[: total - int(sizes.sum())]:
        sizes[position] += 1
    return sizes


def _by_hash(indices: Indices, purpose: str) -> Indices:
    """The indices in an order that looks random and is the same everywhere."""
    keys = [hashlib.sha256(f"{purpose}/{index}".encode()).digest() for index in indices]
    return indices[sorted(range(len(indices)), key=keys.__getitem__)]


def _check_request(request: DataRequest) -> None:
    for option, value, lowest in (("--limit", request.limit, 1), ("--image-size", request.image_size, 8)):
        if value is not None and value < lowest:
            raise DataError(f"{option} is {value}; allowed: {lowest} or more")


def _check_selection(selection: Selection, raw: RawData) -> None:
    """Every class must be there to learn from and to choose by."""
    for split in (Split.TRAIN, Split.VALIDATION):
        origin, indices = selection.get(split, (split, np.arange(0)))
        labels = raw.labels[origin][indices] if len(indices) else indices
        if (labels < 0).any():
            raise DataError(f"{raw.origin}: {int((labels < 0).sum())} pictures in {split.value} have no label")
        missing = sorted(set(range(len(raw.class_names))) - set(labels.tolist()))
        if missing:
            raise DataError(
                f"{raw.origin}: {len(missing)} of {len(raw.class_names)} classes have no picture in {split.value} "
                f"({raw.class_names[missing[0]]!r}, ...); use a larger --limit or add pictures"
            )


def _write_splits(
    folder: Path, raw: RawData, selection: Selection, image_size: int | None, on_image: Callable[[int, int], None]
) -> int:
    """Decode every selected picture into `folder`; gives the pixels per side."""
    size = image_size or _common_size(raw, selection)
    total = sum(len(indices) for _, indices in selection.values())
    _check_free_space(folder, total * size * size * 3)
    done = 0
    for split in Split:
        origin, indices = selection.get(split, (split, np.arange(0)))
        shape = (len(indices), size, size, 3)
        images = np.lib.format.open_memmap(_images_file(folder, split), mode="w+", dtype=np.uint8, shape=shape)
        for position, index in enumerate(indices):
            picture = raw.decode(origin, int(index))
            if image_size is None and picture.size != (size, size):
                raise DataError(
                    f"{raw.origin} has pictures of {size} x {size} and of {picture.width} x {picture.height} pixels; "
                    "choose one size with --image-size"
                )
            images[position] = to_square(picture, size)
            done += 1
            on_image(done, total)
        images.flush()
        np.save(_labels_file(folder, split), raw.labels[origin][indices] if len(indices) else np.arange(0))
    return size


def _check_free_space(folder: Path, needed_bytes: int) -> None:
    """DataError before the disk is full: a mapped file would end the process without a word."""
    free_bytes = shutil.disk_usage(folder).free
    if needed_bytes > free_bytes:
        raise DataError(
            f"the pictures need {needed_bytes / 1e9:.1f} GB and {folder.parent} has {free_bytes / 1e9:.1f} GB; "
            "free some space, use --limit or a smaller --image-size, or choose another --store"
        )


def _common_size(raw: RawData, selection: Selection) -> int:
    origin, indices = selection[Split.TRAIN]
    width, height = raw.decode(origin, int(indices[0])).size
    if width != height:
        raise DataError(f"{raw.origin} has pictures of {width} x {height} pixels; choose a square with --image-size")
    return width


def _fingerprint(folder: Path, class_names: tuple[str, ...]) -> str:
    """First 16 hexadecimal digits of a SHA-256 over everything that training can see."""
    digest = hashlib.sha256(digest_of([FORMAT_VERSION, list(class_names)]).encode())
    for split in Split:
        for file in (_images_file(folder, split), _labels_file(folder, split)):
            digest.update(file_digest(file).encode())
    return digest.hexdigest()[:16]


def _labels(folder: Path, split: Split) -> Indices:
    labels: Indices = np.load(_labels_file(folder, split))
    return labels


def _images_file(folder: Path, split: Split) -> Path:
    return folder / f"{split.value}_images.npy"


def _labels_file(folder: Path, split: Split) -> Path:
    return folder / f"{split.value}_labels.npy"
