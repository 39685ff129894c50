"""Bytes -> the RGB picture a person sees, and the shape in which a data file hands its pictures over."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from trainers.errors import DataError
from trainers.result import Split

MAX_PIXELS = 64_000_000
"""Pictures that declare more are refused before they are decoded (a decompression bomb, not a photo)."""


@dataclass(frozen=True, kw_only=True)
class RawData:
    """What the `read` function of a data file gives: labelled pictures that are not decoded yet.

    `labels` holds int64 class indices per split that the data really has (-1: unlabelled; only in
    test). `decode(split, index)` gives one picture in RGB, or raises DataError if it cannot be read.
    `origin` tells a person what this is, `name(split, index)` which picture.
    """

    class_names: tuple[str, ...]
    labels: Mapping[Split, npt.NDArray[np.int64]]
    decode: Callable[[Split, int], Image.Image]
    origin: str
    name: Callable[[Split, int], str] = lambda split, index: f"{split.value}[{index}]"


class Resize(StrEnum):
    """How a picture of any shape becomes a square of S pixels."""

    FIT = "fit"
    """The shorter side to S, then the centre."""
    SQUASH = "squash"
    """Both sides to S, whatever becomes of the proportions."""
    PAD = "pad"
    """The longer side to S, black beside it: the whole picture."""
    NONE = "none"
    """Kept at its own size; a square of S is cut from it when it is used."""


_DECODER_ERRORS = (
    *(OSError, ValueError, SyntaxError, EOFError, TypeError, LookupError, OverflowError, MemoryError),
    *(struct.error, zlib.error, Image.DecompressionBombError),
)
"""What Pillow's decoders raise for damaged files."""


def decode_image(content: bytes, name: str) -> Image.Image:
    """The picture as RGB, upright, transparency over white; DataError names what cannot be read."""
    with decoding(name), Image.open(io.BytesIO(content)) as image:
        if image.width * image.height > MAX_PIXELS:
            raise DataError(f"image {name} declares {image.width} x {image.height} pixels; at most {MAX_PIXELS}")
        return upright_rgb(image)


def upright_rgb(image: Image.Image) -> Image.Image:
    """An opened picture as RGB, turned as its EXIF says, transparency over white."""
    return to_rgb(ImageOps.exif_transpose(image))


@contextmanager
def decoding(name: str) -> Iterator[None]:
    """Whatever a decoder raises becomes a DataError that names the picture."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of bombs (our limit is an error) and of what was read nevertheless
            yield
    except DataError:
        raise
    except _DECODER_ERRORS as error:
        why = "no known picture format" if isinstance(error, UnidentifiedImageError) else " ".join(str(error).split())
        raise DataError(f"image {name} cannot be read ({why})") from error


def to_rgb(image: Image.Image) -> Image.Image:
    """The picture as a person sees it: 16 bits scaled to 8, transparency over white."""
    if image.mode.startswith("I") or image.mode == "F":
        image = _to_grey(image)
    if image.mode == "RGBa":  # colours that are multiplied by their opacity already
        image = image.convert("RGBA")
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA"):
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _to_grey(image: Image.Image) -> Image.Image:
    """8 bits of 16 or of floating point; a value that is declared transparent becomes white."""
    values = np.nan_to_num(np.asarray(image, dtype=np.float64))
    white = max(values.max(), 65535.0 if image.mode.startswith("I") else 1.0)
    levels = (values * (255.0 / white)).clip(0, 255).round()
    if isinstance(transparent := image.info.get("transparency"), int):
        levels[values == transparent] = 255
    return Image.fromarray(levels.astype(np.uint8))


def resized(image: Image.Image, resize: Resize, size: int) -> npt.NDArray[np.uint8]:
    """(S, S, 3) uint8 with S = size, bicubic and antialiased; with NONE (H, W, 3), the picture itself."""
    square, method = (size, size), Image.Resampling.BICUBIC
    if image.size != square and resize is Resize.FIT:
        image = ImageOps.fit(image, square, method=method)
    elif image.size != square and resize is Resize.SQUASH:
        image = image.resize(square, method)
    elif image.size != square and resize is Resize.PAD:
        image = ImageOps.pad(image, square, method=method, color="black")
    return np.asarray(image, dtype=np.uint8)


def array_data(
    class_names: tuple[str, ...],
    images: Mapping[Split, npt.NDArray[np.uint8]],
    labels: Mapping[Split, npt.NDArray[np.int64]],
    origin: str,
) -> RawData:
    """Pictures that lie in memory already: (N, H, W) grey or (N, H, W, 3)."""
    for split, numbers in labels.items():
        if len(numbers) != len(images[split]):
            raise DataError(f"{origin}: {len(images[split])} pictures and {len(numbers)} labels in {split}")
        if len(numbers) and not -1 <= numbers.min() <= numbers.max() < len(class_names):
            raise DataError(f"{origin}: label {numbers.max()} in {split} and only {len(class_names)} classes")
    return RawData(
        class_names=class_names,
        labels=labels,
        decode=lambda split, index: to_rgb(Image.fromarray(images[split][index])),
        origin=origin,
    )
