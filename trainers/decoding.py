"""Pictures -> chunks of RGB bytes in a folder, by several processes; a chunk that is there is not decoded again.

A chunk is two files: the pixels of its pictures one after the other, and a record that is written last.
Which process decodes a chunk changes nothing in it.
"""

from __future__ import annotations

import hashlib
import importlib
import math
import os
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
from PIL import Image

from trainers import plugins
from trainers.errors import CorruptFileError, DataError, StoreError
from trainers.files import write
from trainers.images import RawData, Resize, resized
from trainers.plugins import Kind
from trainers.processes import SPAWN, end_with_parent, hidden_main
from trainers.records import decode, encode_record
from trainers.result import Split
from trainers.spec import canonical_json, digest_of

PICTURES_PER_CHUNK = 256


@dataclass(frozen=True, kw_only=True)
class Source:
    """A data set by name, for workers, who read it themselves; `identity` tells whether it is still the same."""

    name: str
    path: str | None
    identity: str


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What pictures are made into; `is_exact` refuses those that are not of this size already."""

    resize: Resize
    size: int
    is_exact: bool


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Some pictures of a split of ours, by the split and the indices that they have in the data."""

    name: str
    origin: Split
    indices: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """What became of a chunk: of every readable picture its index, (height, width) and digest, and the errors."""

    indices: tuple[int, ...]
    sizes: tuple[tuple[int, int], ...]
    digests: tuple[str, ...]
    errors: tuple[str, ...]


def source_of(name: str, path: str | None) -> Source:
    """The data set as it is now."""
    return Source(name=name, path=path, identity=digest_of(data_identity(name, path)))


def data_identity(name: str, path: str | None) -> object:
    """What changes whenever the pictures would, as the file says; PluginError if it fails or gives no plain data."""
    with plugins.calling(Kind.DATA, name, "identity"):
        identity: object = plugins.load(Kind.DATA, name).identity(path)
        canonical_json(identity)
    return identity


def read_raw(name: str, path: str | None) -> RawData:
    """The data set, undecoded; DataError for data that cannot be used, PluginError if its file is wrong."""
    with plugins.calling(Kind.DATA, name, "read"):
        raw = plugins.load(Kind.DATA, name).read(path)
        if not isinstance(raw, RawData):
            raise TypeError(f"it gives {type(raw).__name__}, not RawData")
    return raw


def chunks_of(split: Split, origin: Split, indices: npt.NDArray[np.int64]) -> list[Chunk]:
    """The pictures of a split in their order, a few at a time."""
    starts = range(0, len(indices), PICTURES_PER_CHUNK)
    return [
        Chunk(
            name=f"{split}-{start:08d}",
            origin=origin,
            indices=tuple(indices[start : start + PICTURES_PER_CHUNK].tolist()),
        )
        for start in starts
    ]


def pixels_file(folder: Path, chunk: Chunk) -> Path:
    """The pixels of a chunk, (H, W, 3) uint8 after (H, W, 3) uint8."""
    return folder / f"{chunk.name}.pixels"


def decode_chunks(
    raw: RawData, source: Source, chunks: Sequence[Chunk], shape: Shape, folder: Path, num_workers: int
) -> Iterator[Decoded]:
    """Every chunk, in order, as soon as it is there; DataError for the first picture of a wrong size."""
    num_left = sum(len(chunk.indices) for chunk in chunks if _earlier(folder, chunk) is None)
    num_workers = min(num_workers, num_left // PICTURES_PER_CHUNK)
    if num_workers <= 1:  # a process of its own costs more than a few pictures
        yield from (_decoded(lambda: raw, shape, folder, chunk) for chunk in chunks)
        return
    places = {kind.value: list(map(str, plugins.folders(kind))) for kind in Kind}
    with ProcessPoolExecutor(num_workers, SPAWN, initializer=_serve_parent, initargs=(places,)) as pool:
        try:
            with hidden_main():
                decoded = pool.map(partial(_decoded, partial(_read, source), shape, folder), chunks)
            yield from decoded
        except BrokenProcessPool as error:
            raise StoreError("a process that decodes was killed (out of memory?); run again to go on") from error
        finally:
            pool.shutdown(cancel_futures=True)


def _serve_parent(places: Mapping[str, list[str]]) -> None:
    """A worker finds its parent's plug-ins, leaves interrupts to it, and ends with it even if that is killed."""
    for package, folders in places.items():
        importlib.import_module(package).__path__[:] = folders
    end_with_parent()


@cache
def _read(source: Source) -> RawData:
    """The data set, once per process; DataError if it is not the one that the parent read."""
    if source_of(source.name, source.path) != source:
        raise DataError(f"the files of {source.name} at {source.path} changed while they were read; run again")
    return read_raw(source.name, source.path)


def _decoded(get_raw: Callable[[], RawData], shape: Shape, folder: Path, chunk: Chunk) -> Decoded:
    """The chunk from an earlier try if it is whole, or decoded now."""
    earlier = _earlier(folder, chunk)
    is_whole = earlier is not None and _is_whole(folder, chunk, earlier)
    return earlier if earlier is not None and is_whole else _decode(get_raw(), shape, folder, chunk)


def _earlier(folder: Path, chunk: Chunk) -> Decoded | None:
    """The record of an earlier try, if there is one."""
    try:
        return decode(_record_file(folder, chunk), Decoded)
    except CorruptFileError:
        return None


def _is_whole(folder: Path, chunk: Chunk, recorded: Decoded) -> bool:
    """Whether the pixels are those that were recorded: a machine that lost its power may have lost some of them."""
    try:
        with pixels_file(folder, chunk).open("rb") as stream:
            shapes = [(height, width, 3) for height, width in recorded.sizes]
            digests = tuple(_digest(stream.read(math.prod(shape)), shape) for shape in shapes)
            return digests == recorded.digests and not stream.read(1)
    except FileNotFoundError:
        return False


def _decode(raw: RawData, shape: Shape, folder: Path, chunk: Chunk) -> Decoded:
    indices, sizes, digests, errors = [], [], [], []
    aside = folder / f".{chunk.name}-{uuid.uuid4().hex}"
    with aside.open("wb") as stream:
        for index in chunk.indices:
            try:
                picture = raw.decode(chunk.origin, index)
            except DataError as error:
                errors.append(str(error))
                continue
            pixels = resized(_of_right_size(picture, shape, raw.origin), shape.resize, shape.size)
            content = pixels.tobytes()
            stream.write(content)
            indices.append(index)
            sizes.append(pixels.shape[:2])
            digests.append(_digest(content, pixels.shape))
    os.replace(aside, pixels_file(folder, chunk))
    done = Decoded(indices=tuple(indices), sizes=tuple(sizes), digests=tuple(digests), errors=tuple(errors))
    write(_record_file(folder, chunk), encode_record(msgspec.to_builtins(done)))
    return done


def _digest(content: bytes, shape: tuple[int, ...]) -> str:
    """What tells the pixels of one picture from those of another."""
    return hashlib.sha256(content + repr(shape).encode()).hexdigest()[:32]


def _of_right_size(picture: Image.Image, shape: Shape, origin: str) -> Image.Image:
    if shape.is_exact and picture.size != (shape.size, shape.size):
        raise DataError(
            f"{origin}: sizes of {shape.size} x {shape.size} and of {picture.width} x {picture.height} pixels; "
            "choose one size with --image-size"
        )
    return picture


def _record_file(folder: Path, chunk: Chunk) -> Path:
    return folder / f"{chunk.name}.json"
