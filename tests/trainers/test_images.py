"""Bytes of every kind against hand-made references."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from trainers.errors import DataError
from trainers.images import Resize, decode_image, resized

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def saved(image: Image.Image, file_format: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def decoded(content: bytes) -> list[Any]:
    """Rows of (R, G, B)."""
    image = decode_image(content, "x.png")
    assert image.mode == "RGB"
    return [[tuple(pixel) for pixel in row] for row in np.asarray(image).tolist()]


def test_a_colour_picture_is_what_was_saved() -> None:
    pixels = [[RED, GREEN], [BLUE, WHITE]]
    assert decoded(saved(Image.fromarray(np.array(pixels, dtype=np.uint8)))) == pixels


def test_grey_becomes_three_equal_channels() -> None:
    content = saved(Image.fromarray(np.array([[0, 100, 255]], dtype=np.uint8)))
    assert decoded(content) == [[(0, 0, 0), (100, 100, 100), (255, 255, 255)]]


def test_transparency_is_seen_over_white() -> None:
    pixels = np.array([[[255, 0, 0, 255], [255, 0, 0, 0], [0, 0, 0, 128]]], dtype=np.uint8)
    assert decoded(saved(Image.fromarray(pixels))) == [[RED, WHITE, (127, 127, 127)]]


def test_a_transparent_palette_entry_is_seen_over_white() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([*RED, *BLUE])
    image.putpixel((1, 0), 1)
    assert decoded(saved(image)) == [[RED, BLUE]]
    assert decoded(saved(image, transparency=1)) == [[RED, WHITE]]
    assert decoded(saved(image, "GIF", transparency=1)) == [[RED, WHITE]]


def test_grey_with_transparency_is_seen_over_white() -> None:
    image = Image.new("LA", (2, 1))
    image.putpixel((0, 0), (50, 255))
    image.putpixel((1, 0), (50, 0))
    assert decoded(saved(image)) == [[(50, 50, 50), WHITE]]


def test_a_transparent_colour_of_a_colour_picture_is_seen_over_white() -> None:
    image = Image.new("RGB", (2, 1), RED)
    image.putpixel((1, 0), GREEN)
    assert decoded(saved(image, transparency=GREEN)) == [[RED, WHITE]]


def test_printing_colours_become_screen_colours() -> None:
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    red, green, blue = decoded(saved(image, "JPEG", quality=100))[8][8]
    assert red > 240
    assert green < 15
    assert blue < 15


def test_black_and_white_bits_become_black_and_white() -> None:
    image = Image.new("1", (2, 1))
    image.putpixel((1, 0), 1)
    assert decoded(saved(image)) == [[(0, 0, 0), WHITE]]


@pytest.mark.parametrize(("file_format", "kind"), [("PNG", "<u2"), ("TIFF", "<u2"), ("TIFF", ">u2")])
@pytest.mark.parametrize("brightest", [65535, 257 * 100])
def test_sixteen_bits_keep_their_brightness(file_format: str, kind: str, brightest: int) -> None:
    values = np.array([[0, 257 * 50, brightest]], dtype=np.uint16).astype(kind)
    expected = [[(level,) * 3 for level in (0, 50, brightest // 257)]]
    assert decoded(saved(Image.fromarray(values), file_format)) == expected


def test_a_picture_taken_sideways_is_turned_upright() -> None:
    image = Image.new("RGB", (3, 2), WHITE)
    image.putpixel((0, 0), RED)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show rotated by 90 degrees clockwise
    rows = decoded(saved(image, exif=exif))
    assert (len(rows), len(rows[0])) == (3, 2)
    assert rows[0] == [WHITE, RED]


def declares(width: int, height: int) -> bytes:
    """A PNG of ten pixels whose header promises more."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(11))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


WHOLE = saved(Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)))
JPEG = saved(Image.open(io.BytesIO(WHOLE)), "JPEG")
UNREADABLE = {
    "a truncated png": WHOLE[: len(WHOLE) // 2],
    "a truncated jpeg": JPEG[: len(JPEG) // 2],
    "html named jpg": b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
    "nothing": b"",
    "ten pixels that declare 2.5 thousand million": declares(50_000, 50_000),
    "ten pixels that declare a hundred million": declares(10_000, 10_000),
    "ten pixels that declare a few more than they have": declares(50, 50),
}


@pytest.mark.parametrize("content", UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_read_is_named_in_one_line(content: bytes) -> None:
    with warnings.catch_warnings(), pytest.raises(DataError) as caught:
        warnings.simplefilter("error")
        decode_image(content, "photos/x.jpg")
    assert str(caught.value).startswith("image photos/x.jpg ")
    assert "\n" not in str(caught.value)


def test_a_bomb_is_refused_for_what_it_declares_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="image x declares 10000 x 10000 pixels; at most 64000000"):
        decode_image(declares(10_000, 10_000), "x")
    monkeypatch.setattr("trainers.images.MAX_PIXELS", 64 * 64)
    assert decode_image(WHOLE, "x").size == (64, 64)
    monkeypatch.setattr("trainers.images.MAX_PIXELS", 64 * 64 - 1)
    with pytest.raises(DataError, match="declares 64 x 64 pixels; at most 4095"):
        decode_image(WHOLE, "x")


EXIF = bytes.fromhex("45786966000049492a0008000000010012010300010000000600")
SAMPLES = [
    WHOLE,
    JPEG,
    saved(Image.open(io.BytesIO(WHOLE)), "GIF"),
    saved(Image.open(io.BytesIO(WHOLE)), "TIFF"),
    saved(Image.open(io.BytesIO(WHOLE)), "BMP"),
    saved(Image.open(io.BytesIO(WHOLE)), "WEBP"),
    saved(Image.open(io.BytesIO(WHOLE)), "JPEG", exif=EXIF),
]


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_a_damaged_file_is_a_picture_or_a_clear_error_and_nothing_else(data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from(SAMPLES)))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, min(len(content), 200) - 1))] = data.draw(st.integers(0, 255))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            assert decode_image(bytes(content), "x").mode == "RGB"
        except DataError as error:
            assert "\n" not in str(error)


def test_a_picture_of_the_right_size_stays_as_it_is() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    assert np.array_equal(resized(Image.fromarray(pixels), Resize.FIT, 8), pixels)


def test_a_wide_picture_is_cropped_about_its_centre() -> None:
    pixels = np.zeros((8, 16, 3), dtype=np.uint8)
    pixels[:, 4:12] = 200
    square = resized(Image.fromarray(pixels), Resize.FIT, 8)
    assert square.shape == (8, 8, 3)
    assert square.dtype == np.uint8
    assert (square == 200).all()


@pytest.mark.parametrize(("width", "height"), [(30, 50), (50, 30), (7, 9), (1, 1)])
def test_any_shape_becomes_a_square_and_a_flat_one_stays_flat(width: int, height: int) -> None:
    square = resized(Image.new("RGB", (width, height), (10, 20, 30)), Resize.FIT, 16)
    assert square.shape == (16, 16, 3)
    assert (square == (10, 20, 30)).all()
