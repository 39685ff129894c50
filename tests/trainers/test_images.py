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
from trainers.images import Resize, decode_image, resized, to_rgb

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


@pytest.mark.parametrize(("mode", "white"), [("I", 65535), ("F", 1.0)])
def test_wider_numbers_keep_their_brightness(mode: str, white: float) -> None:
    image = Image.new(mode, (2, 1))
    image.putpixel((1, 0), int(white) if mode == "I" else white)
    assert decoded(saved(image, "TIFF")) == [[(0, 0, 0), WHITE]]


def written_png(depth: int, colour_type: int, row: bytes, transparent: bytes | None = None) -> bytes:
    """Two pixels by the letter of the PNG specification, which Pillow itself cannot write."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 2, 1, depth, colour_type, 0, 0, 0))]
    chunks += [(b"tRNS", transparent)] if transparent is not None else []
    chunks += [(b"IDAT", zlib.compress(b"\0" + row)), (b"IEND", b"")]
    parts = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def wide(*levels: int) -> bytes:
    """8-bit levels as 16-bit numbers."""
    return struct.pack(f">{len(levels)}H", *(257 * level for level in levels))


GREY_100 = (100, 100, 100)
WRITTEN = {
    "1-bit grey": (written_png(1, 0, bytes([0b01000000])), [(0, 0, 0), WHITE]),
    "2-bit grey": (written_png(2, 0, bytes([0b01100000])), [(85, 85, 85), (170, 170, 170)]),
    "8-bit grey, 5 is transparent": (written_png(8, 0, bytes([100, 5]), b"\0\5"), [GREY_100, WHITE]),
    "16-bit grey, 5 is transparent": (written_png(16, 0, wide(100, 5), wide(5)), [GREY_100, WHITE]),
    "16-bit grey and opacity": (written_png(16, 4, wide(100, 255, 0, 0)), [GREY_100, WHITE]),
    "16-bit colour": (written_png(16, 2, wide(255, 0, 100, 0, 7, 255)), [(255, 0, 100), (0, 7, 255)]),
    "16-bit colour and opacity": (written_png(16, 6, wide(255, 0, 0, 255, 0, 0, 0, 0)), [RED, WHITE]),
}


@pytest.mark.parametrize(("content", "expected"), WRITTEN.values(), ids=WRITTEN)
def test_every_kind_of_png_is_what_its_numbers_say(content: bytes, expected: list[Any]) -> None:
    assert decoded(content) == [expected]


def test_a_palette_with_opacity_is_seen_over_white() -> None:
    image = Image.new("PA", (2, 1))
    image.putpalette([*RED, *BLUE])
    image.putpixel((0, 0), (0, 255))
    image.putpixel((1, 0), (1, 0))
    assert decoded(saved(image, "TIFF")) == [[RED, WHITE]]
    assert np.asarray(to_rgb(image)).tolist() == [[list(RED), list(WHITE)]]


def test_opacity_per_palette_entry_is_mixed_with_white() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([*RED, 0, 0, 0])
    image.putpixel((1, 0), 1)
    assert decoded(saved(image, transparency=bytes([255, 128]))) == [[RED, (127, 127, 127)]]


@pytest.mark.parametrize("file_format", ["JPEG", "TIFF"])
@pytest.mark.parametrize(
    ("inks", "seen"), [((0, 0, 0, 0), WHITE), ((0, 0, 0, 255), (0, 0, 0)), ((255, 0, 0, 0), (0, 255, 255))]
)
def test_no_ink_is_white_and_black_ink_is_black(file_format: str, inks: tuple[int, ...], seen: tuple[int, ...]) -> None:
    content = saved(
        Image.new("CMYK", (16, 16), inks), file_format, **({"quality": 100} if file_format == "JPEG" else {})
    )
    assert (b"Adobe" in content) == (file_format == "JPEG")  # which stores inks upside down
    assert np.abs(np.array(decoded(content)[8][8]) - seen).max() <= 2


@pytest.mark.parametrize(("file_format", "options"), [("GIF", {}), ("PNG", {}), ("WEBP", {"lossless": True})])
def test_of_a_moving_picture_the_first_one_is_seen(file_format: str, options: dict[str, Any]) -> None:
    red, green = (Image.new("RGB", (4, 4), colour) for colour in (RED, GREEN))
    content = saved(red, file_format, save_all=True, append_images=[green], duration=100, **options)
    assert decoded(content) == [[RED] * 4] * 4


UPRIGHT = np.array([[RED, GREEN, BLUE], [WHITE, WHITE, WHITE]], dtype=np.uint8)
ORIENTATIONS = {
    1: UPRIGHT,
    2: UPRIGHT[:, ::-1],
    3: UPRIGHT[::-1, ::-1],
    4: UPRIGHT[::-1],
    5: UPRIGHT.transpose(1, 0, 2),
    6: np.rot90(UPRIGHT, 1),
    7: UPRIGHT[::-1, ::-1].transpose(1, 0, 2),
    8: np.rot90(UPRIGHT, -1),
}
"""EXIF: how the camera stored what a person should see as UPRIGHT (row 0 and column 0 are where the tag says)."""


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_however_the_camera_was_turned_the_picture_is_upright(file_format: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.kron(ORIENTATIONS[orientation], np.ones((16, 16, 1), dtype=np.uint8)))
    options: dict[str, Any] = {"PNG": {}, "JPEG": {"quality": 100}, "WEBP": {"lossless": True}}[file_format]
    seen = np.array(decoded(saved(stored, file_format, exif=exif, **options)))
    assert seen.shape == (32, 48, 3)
    assert np.abs(seen[8::16, 8::16] - UPRIGHT.astype(int)).max() <= 2


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


@pytest.mark.parametrize("resize", Resize)
def test_a_picture_of_the_right_size_stays_as_it_is(resize: Resize) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    assert np.array_equal(resized(Image.fromarray(pixels), resize, 8), pixels)


def halves() -> Image.Image:
    """16 wide and 8 high: red and white columns by turns of four."""
    pixels = np.zeros((8, 16, 3), dtype=np.uint8)
    pixels[:, 0:4] = pixels[:, 8:12] = RED
    pixels[:, 4:8] = pixels[:, 12:16] = WHITE
    return Image.fromarray(pixels)


def test_fit_keeps_proportions_and_the_centre() -> None:
    assert resized(halves(), Resize.FIT, 8).tolist() == [[list(WHITE)] * 4 + [list(RED)] * 4] * 8


def test_squash_keeps_everything_and_no_proportions() -> None:
    square = resized(halves(), Resize.SQUASH, 8)
    assert square.shape == (8, 8, 3)
    assert [tuple(pixel) for pixel in square[4, [0, 7]].tolist()] == [RED, WHITE]
    assert len(set(map(tuple, square[:, 0].tolist()))) == 1


def test_pad_keeps_everything_and_proportions_with_black_beside_it() -> None:
    square = resized(halves(), Resize.PAD, 16)
    assert (square[:4] == 0).all()
    assert (square[12:] == 0).all()
    assert np.array_equal(square[4:12], np.asarray(halves()))


def test_none_keeps_the_picture() -> None:
    assert np.array_equal(resized(halves(), Resize.NONE, 99), np.asarray(halves()))


@pytest.mark.parametrize("resize", [Resize.FIT, Resize.SQUASH])
@pytest.mark.parametrize(("width", "height"), [(30, 50), (50, 30), (7, 9), (1, 1)])
def test_any_shape_becomes_a_square_and_a_flat_one_stays_flat(resize: Resize, width: int, height: int) -> None:
    square = resized(Image.new("RGB", (width, height), (10, 20, 30)), resize, 16)
    assert square.shape == (16, 16, 3)
    assert (square == (10, 20, 30)).all()
