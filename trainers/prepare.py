"""A data request -> one prepared, fingerprinted folder of uint8 arrays that every trial maps into memory.

Preparation is free of torch. The fingerprint covers pixels, labels, splits and class names, not
where they came from, so that the same pictures are the same data wherever they lie.
"""

from __future__ import annotations

import math
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trainers import plugins
from trainers.arrays import FORMAT_VERSION, fingerprint, labels_file, write_split
from trainers.coverage import check_coverage
from trainers.decoding import (
    Chunk,
    Decoded,
    Shape,
    chunks_of,
    data_identity,
    decode_chunks,
    pixels_file,
    read_raw,
    source_of,
)
from trainers.errors import DataError
from trainers.images import MAX_PIXELS, RawData, Resize
from trainers.leaks import Leak, find_leaks, refuse_leaks
from trainers.loaded import load_array
from trainers.plugins import Kind
from trainers.processes import num_cpus
from trainers.result import Manifest, Split
from trainers.selection import Indices, Part, Selection, select
from trainers.spec import digest_of
from trainers.storage import Store

Pieces = Sequence[tuple[Chunk, Decoded]]
Work = Mapping[Split, Pieces]
"""Per split of ours: its chunks, and what became of them."""
MAX_NAMED = 3
"""Pictures that a message names."""


@dataclass(frozen=True, kw_only=True)
class DataRequest:
    """What a user asks for: `name[:path]`, pixels per side, and at most `limit` pictures over all splits."""

    name: str
    path: str | None = None
    image_size: int | None = None
    limit: int | None = None
    part: Part = Part.WITHIN_LIMIT
    resize: Resize = Resize.FIT
    skip_bad_images: bool = False
    allow_leak: bool = False

    @property
    def title(self) -> str:
        """The name of the data set in results and tables: `parquet:photos`, `torchvision:GTSRB`."""
        inner = re.match(r"(\w+)(:|$)", self.path or "")
        variant = inner[1] if inner else Path(self.path or "").name
        outside = " outside the limit" if self.part is Part.OUTSIDE_LIMIT else ""
        return self.name + (f":{variant}" if self.path else "") + outside


def parse_data(text: str) -> tuple[str, str | None]:
    """`NAME[:PATH]` -> name and path; PluginError if there is no such data set, DataError for a path without a name."""
    name, _, path = text.partition(":")
    if name not in plugins.names(Kind.DATA) and os.path.exists(name):  # of "" and of names no disk takes it is False
        raise DataError(
            f"{name!r} is a path, not a data set; write images:{name} (a folder per class) or parquet:{name}"
        )
    plugins.source_file(Kind.DATA, name)
    return name, path or None


def request_digest(request: DataRequest) -> str:
    """Changes whenever the request or the files behind it do; reads names and times only. DataError for nonsense."""
    _check_request(request)
    identity = data_identity(request.name, request.path)
    fields = [request.name, request.image_size, request.limit, request.part.value]
    return digest_of([FORMAT_VERSION, fields, identity, *_added_fields(request)])


def _added_fields(request: DataRequest) -> list[dict[str, object]]:
    """What came after data sets were stored: left out where it means what was before."""
    fields = {"resize": request.resize.value, "skip": request.skip_bad_images, "leak": request.allow_leak}
    usual = {"resize": Resize.FIT.value, "skip": False, "leak": False}
    changed: dict[str, object] = {key: value for key, value in fields.items() if value != usual[key]}
    return [changed] if changed else []


def prepared(store: Store, request: DataRequest) -> Manifest | None:
    """The data set if it lies ready in the store."""
    return store.prepared_data(request_digest(request))


def prepare(
    store: Store, request: DataRequest, on_image: Callable[[int, int], None], num_workers: int | None = None
) -> Manifest:
    """Decode what a request asks for, once; `on_image(done, total)` is called per picture.

    A preparation that was killed goes on where it was; one that another process is at is waited for.
    """
    _check_request(request)
    raw = read_raw(request.name, request.path)
    digest = request_digest(request)  # after `read`, which may have downloaded the files
    selection = _selection(raw, request)
    with store.preparation(digest) as folder:
        ready = store.prepared_data(digest)  # another process may have been at it until now
        if ready is not None:
            return ready
        work = _decode(raw, request, selection, folder, on_image, num_workers or num_cpus())
        skipped = _refuse_bad_images(raw, request, work)
        kept = {split: (selection[split][0], _kept(pieces)) for split, pieces in work.items()}
        check_coverage(kept, raw, request.limit, request.part)
        leaks = find_leaks(
            {split: [one for _, done in pieces for one in done.digests] for split, pieces in work.items()}
        )
        if not request.allow_leak:
            _refuse_leaks(raw, kept, leaks, store.log_folder() / f"pictures-in-two-splits-{digest}.txt")
        whole = folder / "whole"
        size = _write_arrays(whole, raw, request, work)
        manifest = _manifest(whole, raw, request, size, skipped, len(leaks))
        return store.publish_data(whole, manifest, digest)


def _selection(raw: RawData, request: DataRequest) -> Selection:
    """Which pictures; DataError if they are none, or not enough to learn from."""
    if len(raw.class_names) < 2:
        raise DataError(f"{raw.origin}: {len(raw.class_names)} classes; needed: 2 or more")
    selection = select(raw.labels, request.limit, request.part)
    if not sum(len(indices) for _, indices in selection.values()):
        raise DataError(f"{raw.origin}: no picture is outside --limit {request.limit}; use a smaller one")
    check_coverage(selection, raw, request.limit, request.part)
    return selection


def _check_request(request: DataRequest) -> None:
    for option, value, lowest in (("--limit", request.limit, 1), ("--image-size", request.image_size, 8)):
        if value is not None and value < lowest:
            raise DataError(f"{option} is {value}; allowed: {lowest} or more")
    if request.image_size is not None and request.image_size**2 > MAX_PIXELS:
        raise DataError(f"--image-size is {request.image_size}; allowed: {math.isqrt(MAX_PIXELS)} at most")


def _decode(
    raw: RawData,
    request: DataRequest,
    selection: Selection,
    folder: Path,
    on_image: Callable[[int, int], None],
    num_workers: int,
) -> Work:
    """Every selected picture into chunks in `folder`; what is there from an earlier try is taken as it is."""
    chunks = {split: chunks_of(split, *selection[split]) for split in Split if split in selection}
    shape = _shape(raw, request, selection)
    total = sum(len(indices) for _, indices in selection.values())
    if request.resize is not Resize.NONE:
        _check_free_space(folder, 2 * total * shape.size**2 * 3)
    everything = [chunk for parts in chunks.values() for chunk in parts]
    source = source_of(request.name, request.path)
    done: list[Decoded] = []
    num_pictures = 0
    for chunk, decoded in zip(
        everything, decode_chunks(raw, source, everything, shape, folder, num_workers), strict=True
    ):
        done.append(decoded)
        for _ in chunk.indices:
            num_pictures += 1
            on_image(num_pictures, total)
    results = iter(done)
    return {split: [(chunk, next(results)) for chunk in parts] for split, parts in chunks.items()}


def _shape(raw: RawData, request: DataRequest, selection: Selection) -> Shape:
    if request.resize is Resize.NONE:
        return Shape(resize=request.resize, size=0, is_exact=False)
    size = request.image_size or _common_size(raw, selection)
    return Shape(resize=request.resize, size=size, is_exact=request.image_size is None)


def _common_size(raw: RawData, selection: Selection) -> int:
    """That of the first training picture that can be read."""
    origin, indices = selection[Split.TRAIN]
    for index in indices:
        with suppress(DataError):
            width, height = raw.decode(origin, int(index)).size
            break
    else:
        raise DataError(f"{raw.origin}: none of {len(indices)} training pictures can be read")
    if width != height:
        raise DataError(f"{raw.origin}: the first is {width} x {height} pixels; choose a square with --image-size")
    return width


def _check_free_space(folder: Path, needed_bytes: int) -> None:
    """DataError before the disk is full, rather than after hours."""
    needed_bytes -= sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
    free_bytes = shutil.disk_usage(folder).free
    if needed_bytes > free_bytes:
        raise DataError(
            f"the pictures need {needed_bytes / 1e9:.1f} GB and {folder.parent} has {free_bytes / 1e9:.1f} GB; "
            "free some space, use --limit or a smaller --image-size, or choose another --store"
        )


def _refuse_bad_images(raw: RawData, request: DataRequest, work: Work) -> tuple[str, ...]:
    """Of each picture that cannot be read, why; DataError with the first few unless they may be skipped."""
    errors = tuple(error for pieces in work.values() for _, done in pieces for error in done.errors)
    if errors and not request.skip_bad_images:
        total = sum(len(chunk.indices) for pieces in work.values() for chunk, _ in pieces)
        named = "; ".join(errors[:MAX_NAMED]) + ("; ..." if len(errors) > MAX_NAMED else "")
        raise DataError(
            f"{raw.origin}: {len(errors)} of {total} pictures cannot be read: {named}; "
            "repair or remove them, or leave them out with --skip-bad-images"
        )
    return errors


def _kept(pieces: Pieces) -> Indices:
    """The indices of the pictures that could be read, in the data's own numbering."""
    return np.array([index for _, done in pieces for index in done.indices], dtype=np.int64)


def _refuse_leaks(raw: RawData, kept: Selection, leaks: Sequence[Leak], list_file: Path) -> None:
    """DataError if there are any, in the words of the data: by the split and index that it gives a picture."""

    def place(split: Split, position: int) -> tuple[Split, int]:
        origin, indices = kept[split]
        return origin, int(indices[position])

    def label(split: Split, position: int) -> int:
        origin, index = place(split, position)
        return int(raw.labels[origin][index])

    refuse_leaks(leaks, lambda split, position: raw.name(*place(split, position)), label, raw.origin, list_file)


def _write_arrays(whole: Path, raw: RawData, request: DataRequest, work: Work) -> int:
    """The chunks as arrays in a new folder; gives S, the pixels per side."""
    sizes = {split: _sizes(work.get(split, [])) for split in Split}
    size = _side(raw, request, np.concatenate(list(sizes.values())))
    square = size if all((sizes_N2 == size).all() for sizes_N2 in sizes.values()) else None
    shutil.rmtree(whole, ignore_errors=True)
    whole.mkdir()
    for split, sizes_N2 in sizes.items():
        pieces = work.get(split, [])
        labels = raw.labels[pieces[0][0].origin][_kept(pieces)] if pieces else np.arange(0)
        parts = [pixels_file(whole.parent, chunk) for chunk, _ in pieces]
        write_split(whole, split, parts, sizes_N2, labels, square)
    return size


def _sizes(pieces: Pieces) -> Indices:
    """(N, 2): height and width of every picture."""
    return np.array([size for _, done in pieces for size in done.sizes], dtype=np.int64).reshape(-1, 2)


def _side(raw: RawData, request: DataRequest, sizes_N2: Indices) -> int:
    """S as asked for, or that of all pictures; DataError if they have none in common."""
    if request.image_size is not None:
        return request.image_size
    if len(np.unique(sizes_N2)) > 1:
        smallest, largest = sizes_N2.min(axis=0), sizes_N2.max(axis=0)
        raise DataError(
            f"{raw.origin}: sizes of {smallest[1]} x {smallest[0]} to {largest[1]} x {largest[0]} pixels; "
            "say with --image-size how large the square is that is cut from them"
        )
    return int(sizes_N2[0, 0])


def _manifest(
    whole: Path, raw: RawData, request: DataRequest, size: int, skipped: tuple[str, ...], num_leaked: int
) -> Manifest:
    labels = {split: load_array(labels_file(whole, split)) for split in Split}
    return Manifest(
        fingerprint=fingerprint(whole, raw.class_names, size),
        name=request.title,
        origin=raw.origin if request.part is Part.WITHIN_LIMIT else f"{raw.origin}, outside the first {request.limit}",
        class_names=raw.class_names,
        image_size=size,
        num_images={split.value: len(labels[split]) for split in Split},
        has_test_labels=bool((labels[Split.TEST] >= 0).any()),
        resize=request.resize.value,
        skipped=skipped,
        num_leaked=num_leaked,
    )
