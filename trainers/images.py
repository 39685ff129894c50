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
"""8,000 x 8,000. Pictures that declare more are refused before they are decoded (a decompression bomb, or a panorama):
so many take half a gigabyte while they are decoded, and every processor decodes one."""
MAX_FILE_BYTES = 2**28
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""Data sets come in these. Pillow knows thirty more, seldom tested; one of them, EPS, is a program to run."""
_STRIP_PIXELS = 2**20
"""What is worked out at a time, so that a large picture takes little memory besides its own."""


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
    if len(content) > MAX_FILE_BYTES:
        raise DataError(f"image {name} cannot be read ({len(content)} bytes; at most {MAX_FILE_BYTES})")
    with decoding(name):
        with _pillows_limit(None):  # ours names width and height
            image = Image.open(io.BytesIO(content), formats=FORMATS)
        with image:
            if image.width * image.height > MAX_PIXELS:
                raise DataError(f"image {name} declares {image.width} x {image.height} pixels; at most {MAX_PIXELS}")
            return upright_rgb(image)


@contextmanager
def _pillows_limit(most: int | None) -> Iterator[None]:
    """Pillow's own check of what a picture or one of its frames declares, which knows no limit per call."""
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, most
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def upright_rgb(image: Image.Image) -> Image.Image:
    """An opened picture as RGB, turned as its EXIF says, transparency over white."""
    return to_rgb(ImageOps.exif_transpose(image))


@contextmanager
def decoding(name: str) -> Iterator[None]:
    """Whatever a decoder raises becomes a DataError that names the picture."""
    try:
        with warnings.catch_warnings(), _pillows_limit(MAX_PIXELS // 2):  # it refuses twice as many
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
        return _over_white(image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """Parts of a picture from the top to the bottom, and where they begin."""
    rows = max(1, _STRIP_PIXELS // max(1, image.width))
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(image.height, top + rows)))


def _over_white(image: Image.Image) -> Image.Image:
    seen = Image.new("RGB", image.size)
    for top, strip in _strips(image):
        strip = strip.convert("RGBA")
        white = Image.new("RGBA", strip.size, "white")
        seen.paste(Image.alpha_composite(white, strip).convert("RGB"), (0, top))
    return seen


def _to_grey(image: Image.Image) -> Image.Image:
    """8 bits of 16 or of floating point; a value that is declared transparent becomes white."""
    brightest = max((float(_values(strip).max()) for _, strip in _strips(image)), default=0.0)
    white = max(brightest, 65535.0 if image.mode.startswith("I") else 1.0)
    transparent, grey = image.info.get("transparency"), Image.new("L", image.size)
    for top, strip in _strips(image):
        values = _values(strip)
        levels = (values * (255.0 / white)).clip(0, 255).round()
        if isinstance(transparent, int):
            levels[values == transparent] = 255
        grey.paste(Image.fromarray(levels.astype(np.uint8)), (0, top))
    return grey


def _values(image: Image.Image) -> npt.NDArray[np.float64]:
    return np.nan_to_num(np.asarray(image, dtype=np.float64))


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
