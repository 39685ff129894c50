"""Two hundred and more things that are called pictures: made, not kept. `write_all(folder)` puts them into a folder.

What becomes of each is `Fate.SEEN` (decoded as what a person sees), `REFUSED`, or `EITHER`, where damage may leave a
picture whole; nothing else may happen: no crash, no hang, no picture of another content.
"""

from __future__ import annotations

import io
import os
import socket
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms

Content = Callable[[], bytes]
HUGE = 50_000
WHAT_IS_SAVED = {
    "png": {},
    "jpg": {"quality": 90},
    "gif": {},
    "webp": {"lossless": True},
    "tif": {"compression": "tiff_lzw"},
    "bmp": {},
}
FORMAT = {"png": "PNG", "jpg": "JPEG", "gif": "GIF", "webp": "WEBP", "tif": "TIFF", "bmp": "BMP", "ppm": "PPM"}


class Fate(Enum):
    """What may become of a picture."""

    SEEN = "seen"
    REFUSED = "refused"
    EITHER = "either"


@dataclass(frozen=True)
class Bad:
    """One of them: its file name, how it comes into being at a path, and its fate."""

    name: str
    write: Callable[[Path], None]
    fate: Fate


def write_all(folder: Path) -> None:
    """All of them in a folder, which is made."""
    folder.mkdir(parents=True)
    for bad in all_bad():
        bad.write(folder / bad.name)


@cache
def all_bad() -> tuple[Bad, ...]:
    """Every one, with a name of its own."""
    return (*_contents(), *_special())


def _contents() -> Iterator[Bad]:
    for makers in (_truncated, _flipped, _misnamed, _no_pictures, _moving, _colours, _exif, _bombs, _shapes):
        for name, content, fate in makers():
            yield Bad(name, _writer(content), fate)


def _writer(content: Content) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(content())

    return write


Made = Iterator[tuple[str, Content, Fate]]


def picture(size: int = 24, seed: int = 0) -> Image.Image:
    """Smooth colours with some noise, so that no format makes nothing of it."""
    draw = np.random.default_rng(seed)
    ramp = np.linspace(0, 200, size)
    pixels = np.stack([ramp[:, None] + ramp[None], ramp[:, None].repeat(size, 1), ramp[None].repeat(size, 0)], axis=-1)
    return Image.fromarray((pixels / 2 + draw.integers(0, 50, (size, size, 1))).astype(np.uint8))


def saved(image: Image.Image, suffix: str, **options: Any) -> bytes:
    """The bytes of a file."""
    buffer = io.BytesIO()
    image.save(buffer, FORMAT[suffix], **{**WHAT_IS_SAVED.get(suffix, {}), **options})
    return buffer.getvalue()


def _truncated() -> Made:
    for suffix in WHAT_IS_SAVED:
        whole = saved(picture(), suffix)
        for percent in (1, 5, 10, 25, 33, 50, 66, 75, 90, 99):
            cut = whole[: max(1, len(whole) * percent // 100)]
            fate = Fate.REFUSED if percent <= 25 else Fate.EITHER
            yield f"cut-{percent}.{suffix}", lambda cut=cut: cut, fate


def _flipped() -> Made:
    for suffix in WHAT_IS_SAVED:
        whole = saved(picture(), suffix)
        for seed in range(8):
            draw, damaged = np.random.default_rng(seed), bytearray(whole)
            for place in draw.integers(0, min(len(whole), 60 if seed % 2 else len(whole)), 1 + seed):
                damaged[place] ^= 1 << int(draw.integers(0, 8))
            yield f"flipped-{seed}.{suffix}", lambda damaged=bytes(damaged): damaged, Fate.EITHER


def _misnamed() -> Made:
    wrong = {"png": "jpg", "jpg": "png", "gif": "jpeg", "webp": "jpg", "tif": "png", "bmp": "gif"}
    for suffix, name in wrong.items():
        yield f"really-a-{suffix}.{name}", lambda suffix=suffix: saved(picture(), suffix), Fate.SEEN
    yield "no-suffix", lambda: saved(picture(), "png"), Fate.SEEN
    yield "SHOUTED.JPG", lambda: saved(picture(), "jpg"), Fate.SEEN


def _no_pictures() -> Made:
    contents = {
        "page.jpg": b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
        "answer.png": b'{"error": "rate limit exceeded"}',
        "drawing.jpg": b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
        "program.png": b"#!/bin/sh\ntouch /tmp/owned\n",
        "printed.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(touch owned) (w) file\n%%EOF\n",
        "paper.jpg": b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n",
        "archive.jpg": b"PK\x05\x06" + bytes(18),
        "pickle.jpg": b"\x80\x04\x95\x1c\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R.",
        "film.jpg": b"\x00\x00\x00\x20ftypisom" + bytes(64),
        "photo.heic": b"\x00\x00\x00\x18ftypheic" + bytes(64),
        "binary.png": b"\x7fELF" + bytes(60),
        "zipped.png": zlib.compress(bytes(1000)),
        "zeros.jpg": bytes(4096),
        "nothing.jpg": b"",
        "nothing.png": b"",
        "nothing.gif": b"",
        "nothing.webp": b"",
        "head-alone.jpg": b"\xff\xd8\xff\xe0",
        "head-alone.png": b"\x89PNG\r\n\x1a\n",
    }
    for name, content in contents.items():
        yield name, lambda content=content: content, Fate.REFUSED


def _moving() -> Made:
    frames = [picture(seed=seed) for seed in range(3)]
    for suffix in ("gif", "webp", "png", "tif"):
        content = saved(frames[0], suffix, save_all=True, append_images=frames[1:])
        yield f"moving.{suffix}", lambda content=content: content, Fate.SEEN
    yield "two-views.jpg", lambda: _mpo(frames), Fate.SEEN
    yield "ten-thousand-frames.gif", _many_frames, Fate.SEEN


def _mpo(frames: list[Image.Image]) -> bytes:
    buffer = io.BytesIO()
    frames[0].save(buffer, "MPO", save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def _many_frames() -> bytes:
    content = saved(picture(8), "gif")
    start = content.index(b",", 13 + 3 * 2 ** ((content[10] & 7) + 1))
    return content[:start] + content[start:-1] * 10_000 + b";"


def _colours() -> Made:
    grey = np.arange(576, dtype=np.uint16).reshape(24, 24) * 100
    yield "cmyk.jpg", lambda: saved(picture().convert("CMYK"), "jpg"), Fate.SEEN
    yield "cmyk.tif", lambda: saved(picture().convert("CMYK"), "tif"), Fate.SEEN
    yield "ycbcr.tif", lambda: saved(picture().convert("YCbCr"), "tif", compression=None), Fate.SEEN
    yield "lab.tif", lambda: saved(_lab(), "tif"), Fate.SEEN
    yield "16-bit.png", lambda: saved(Image.fromarray(grey), "png"), Fate.SEEN
    yield "16-bit.tif", lambda: saved(Image.fromarray(grey), "tif"), Fate.SEEN
    yield (
        "16-bit-big-endian.tif",
        lambda: saved(Image.fromarray(grey.astype(">u2")), "tif", compression=None),
        Fate.SEEN,
    )
    yield "16-bit.ppm", lambda: saved(Image.fromarray(grey), "ppm"), Fate.SEEN
    yield "32-bit.tif", lambda: saved(Image.fromarray(grey.astype(np.int32)), "tif"), Fate.SEEN
    yield "float.tif", lambda: saved(Image.fromarray((grey / 6e4).astype(np.float32)), "tif"), Fate.SEEN
    strange = np.full((24, 24), np.nan, dtype=np.float32)
    strange[0, :3] = (np.inf, -np.inf, 1e38)
    yield "no-numbers.tif", lambda: saved(Image.fromarray(strange), "tif"), Fate.SEEN
    yield "bits.png", lambda: saved(picture().convert("1"), "png"), Fate.SEEN
    yield "palette.png", lambda: saved(picture().convert("P"), "png", transparency=1), Fate.SEEN
    yield (
        "palette-opacities.png",
        lambda: saved(picture().convert("P"), "png", transparency=bytes(range(256))),
        Fate.SEEN,
    )
    yield "palette.gif", lambda: saved(picture().convert("P"), "gif", transparency=0), Fate.SEEN
    yield "grey-opacity.png", lambda: saved(picture().convert("LA"), "png"), Fate.SEEN
    yield "opacity.png", lambda: saved(picture().convert("RGBA"), "png"), Fate.SEEN
    yield "opacity.webp", lambda: saved(picture().convert("RGBA"), "webp"), Fate.SEEN
    yield "grey.jpg", lambda: saved(picture().convert("L"), "jpg"), Fate.SEEN
    yield "plain.ppm", lambda: b"P3 2 2 255 " + b"9 " * 12, Fate.SEEN


def _lab() -> Image.Image:
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    converted = ImageCms.profileToProfile(picture(), *profiles, outputMode="LAB")
    assert converted is not None
    return converted


def _exif() -> Made:
    whole = saved(picture(), "jpg")
    tags = {
        "garbage": os.urandom(40),
        "huge": bytes(60_000),
        "cut": b"II*\0\x08\0\0\0\x01\0\x12\x01",
        "loop": b"II*\0\x08\0\0\0\x01\0\x69\x87\x04\0\x01\0\0\0\x08\0\0\0\x08\0\0\0",
        "turned-0": b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\0\0\0\0\0\0\0\0",
        "turned-6": b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0",
        "turned-99": b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x63\0\0\0\0\0\0\0",
        "thousands": b"II*\0\x08\0\0\0\xff\xff" + b"\x12\x01\x03\0\x01\0\0\0\x01\0\0\0" * 4_000,
    }
    for name, content in tags.items():
        body = b"Exif\0\0" + content
        with_it = whole[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + whole[2:]
        fate = Fate.SEEN if name.startswith("turned") else Fate.EITHER
        yield f"exif-{name}.jpg", lambda with_it=with_it: with_it, fate


def chunk(name: bytes, data: bytes) -> bytes:
    """Of a PNG."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_that_declares(width: int, height: int, *more: bytes, depth: int = 8, colour: int = 2) -> bytes:
    """A PNG of a few bytes of pixels, with other chunks before them."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n" + head + b"".join(more) + chunk(b"IDAT", zlib.compress(bytes(300))) + chunk(b"IEND", b"")
    )


def _bombs() -> Made:
    gif, bmp, jpg = (saved(picture(), suffix) for suffix in ("gif", "bmp", "jpg"))
    frame = jpg.index(b"\xff\xc0") + 5
    many = np.full((8000, 8001), 0, dtype=np.uint8)
    deflated = zlib.compress(bytes(200_000_000), 9)
    declared = {
        "bomb.png": png_that_declares(HUGE, HUGE),
        "bomb-16-bit.png": png_that_declares(HUGE, HUGE, depth=16, colour=6),
        "bomb-long.png": png_that_declares(2**31 - 1, 1),
        "bomb-flat.png": png_that_declares(0, HUGE),
        "bomb.gif": gif[:6] + struct.pack("<HH", HUGE, HUGE) + gif[10:],
        "bomb.bmp": bmp[:18] + struct.pack("<ii", HUGE, HUGE) + bmp[26:],
        "bomb.jpg": jpg[:frame] + struct.pack(">HH", HUGE, HUGE) + jpg[frame + 4 :],
        "bomb.ppm": b"P6 50000 50000 255\n" + bytes(300),
        "bomb.tif": _tiff_that_declares(HUGE, HUGE),
        "bomb.webp": _webp_that_declares_most(),
        "one-too-many.png": saved(Image.fromarray(many), "png", compress_level=9),
    }
    for name, content in declared.items():
        yield name, lambda content=content: content, Fate.REFUSED
    hidden = {
        "bomb-in-text.png": png_that_declares(8, 8, chunk(b"zTXt", b"Comment\0\0" + deflated)),
        "bomb-in-profile.png": png_that_declares(8, 8, chunk(b"iCCP", b"icc\0\0" + deflated)),
        "bomb-in-international.png": png_that_declares(8, 8, chunk(b"iTXt", b"x\0\1\0\0\0" + deflated)),
        "bomb-after-pixels.png": png_that_declares(8, 8, chunk(b"IDAT", deflated)),
        "thousands-of-texts.png": png_that_declares(8, 8, *[chunk(b"tEXt", b"a\0" + bytes(9_000))] * 8_000),
        "looping-directories.tif": _looping_tiff(),
        "endless-tags.tif": _tiff_with_tags(60_000),
    }
    for name, content in hidden.items():
        yield name, lambda content=content: content, Fate.EITHER


def _tiff_that_declares(width: int, height: int) -> bytes:
    tags = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: height, 279: 300}
    return _tiff([(tag, 4, 1, value) for tag, value in tags.items()])


def _tiff(entries: list[tuple[int, int, int, int]], following: int = 0) -> bytes:
    body = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return (
        b"II*\0"
        + struct.pack("<I", 8)
        + struct.pack("<H", len(entries))
        + body
        + struct.pack("<I", following)
        + bytes(300)
    )


def _looping_tiff() -> bytes:
    tags = {256: 8, 257: 8, 258: 8, 259: 1, 262: 1, 273: 150, 277: 1, 278: 8, 279: 64}
    return _tiff([(tag, 4, 1, value) for tag, value in tags.items()], following=8)


def _tiff_with_tags(number: int) -> bytes:
    tags = {256: 8, 257: 8, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 8, 279: 64}
    return _tiff([(tag, 4, 1, value) for tag, value in tags.items()] + [(40_000, 4, 2**28, 8)] * (number - len(tags)))


def _webp_that_declares_most() -> bytes:
    """A lossless one whose head has 14 bits of width and 14 of height, all of them 1: 16,384 x 16,384."""
    content = bytearray(saved(picture(), "webp"))
    assert content[12:16] == b"VP8L" and content[20] == 0x2F
    content[21:24], content[24] = b"\xff\xff\xff", content[24] | 0x0F
    return bytes(content)


def _shapes() -> Made:
    for width, height in ((1, 1), (1, 10_000), (10_000, 1), (2, 3), (3000, 2)):
        image = Image.new("RGB", (width, height), (200, 30, 30))
        yield f"shape-{width}x{height}.png", lambda image=image: saved(image, "png"), Fate.SEEN
    names = ["-rf", "two words.png", "ünï\u0301 東京.png", "x" * 240 + ".png", "\u202egnp.exe", "[red]x[link=y].png"]
    names += ["line\nerror: end.png", "\x1b[2J.png", "tab\t.png", "$(touch owned).png", "'; DROP TABLE.png", "%s%n.png"]
    for name in names:
        yield name, lambda: saved(picture(), "png"), Fate.SEEN
        yield f"broken {name}"[:250], lambda: b"no picture", Fate.REFUSED


def _special() -> Iterator[Bad]:
    """What is no file at all, and files that only a file system makes."""
    links = {"dangling.jpg": "nowhere", "self.jpg": "self.jpg", "loop-a.jpg": "loop-b.jpg", "loop-b.jpg": "loop-a.jpg"}
    links |= {
        "zero.jpg": "/dev/zero",
        "null.jpg": "/dev/null",
        "passwords.jpg": "/etc/passwd",
        "kernel.jpg": "/proc/kmsg",
    }
    for name, target in links.items():
        yield Bad(name, lambda path, target=target: path.symlink_to(target), Fate.REFUSED)
    yield Bad("pipe.jpg", lambda path: os.mkfifo(path), Fate.REFUSED)
    yield Bad("socket.jpg", _socket, Fate.REFUSED)
    yield Bad("sparse.jpg", _sparse, Fate.REFUSED)
    yield Bad("link.png", lambda path: path.symlink_to("16-bit.png"), Fate.SEEN)


def _socket(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # the name of a socket may have 107 bytes
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.chdir(here)


def _sparse(path: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(2**40)
