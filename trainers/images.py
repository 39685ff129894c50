"""Bytes -> the RGB picture a person sees, and the shape in which a data file hands its pictures over."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

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
    test). `decode(split, index)` gives one picture in RGB. `origin` tells a person what this is.
    """

    class_names: tuple[str, ...]
    labels: Mapping[Split, npt.NDArray[np.int64]]
    decode: Callable[[Split, int], Image.Image]
    origin: str


def decode_image(content: bytes, name: str) -> Image.Image:
    """The picture as RGB, upright, transparency over white; DataError names what cannot be read."""
    try:
        with _without_bomb_warning(), Image.open(io.BytesIO(content)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise DataError(f"image {name} declares {image.width} x {image.height} pixels; at most {MAX_PIXELS}")
            return upright_rgb(image)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        if isinstance(error, DataError):
            raise
        why = "no known picture format" if isinstance(error, UnidentifiedImageError) else error
        raise DataError(f"image {name} cannot be read ({why}); repair or remove it") from error


def upright_rgb(image: Image.Image) -> Image.Image:
    """An opened picture as RGB, turned as its EXIF says, transparency over white."""
    return _to_rgb(ImageOps.exif_transpose(image))


@contextmanager
def _without_bomb_warning() -> Iterator[None]:
    """Pillow's own limit is higher than ours, which is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image, dtype=np.float64)
        white = max(values.max(), 65535.0 if image.mode.startswith("I") else 1.0)
        image = Image.fromarray((values * (255.0 / white)).clip(0, 255).round().astype(np.uint8))
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA"):
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def to_square(image: Image.Image, size: int) -> npt.NDArray[np.uint8]:
    """(size, size, 3) uint8: shorter side resized to `size` (bicubic, antialiased), then cropped about the centre."""
    if image.size != (size, size):
        image = ImageOps.fit(image, (size, size), method=Image.Resampling.BICUBIC)
    return np.asarray(image, dtype=np.uint8)
