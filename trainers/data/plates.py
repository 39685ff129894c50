"""Plates: a food-like data set that is painted, not downloaded; 32 x 32 RGB, the same pixels on every machine.

The eleven names of Food-11; with `path` "source" other dishes by the same painter, to pretrain on. A class is told by
shape, texture and arrangement; colours, light, vessel, place, size, turn and clutter come from ranges that all share.
"""

from __future__ import annotations

import hashlib
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import starmap
from math import cos, pi, radians, sin, sqrt, tau
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from trainers.errors import DataError
from trainers.images import RawData
from trainers.result import Split

PRETRAINED = "source"
SOURCE_DATA = "plates:source"
PAINTER_VERSION = 1
SIZE, OVERSAMPLING = 32, 4
CANVAS = SIZE * OVERSAMPLING
NUM_IMAGES = {"target": (1760, 550, 1100), "source": (3960, 540, 540)}  # training, validation, test

Colour = tuple[int, int, int]
Point = tuple[float, float]
Item = tuple[tuple[str, str, tuple[float, ...]], ...]
Dish = tuple[str, int, int, float, tuple[Item, ...]]
"""Layout, least and most number of items, their size, and the kinds of item of which one is chosen."""

FOOD_COLOURS = "f0e2be e2b86e c48442 8c542c 5c3624 d64a34 ee9236 f6ce46 7ea842 46763a e69688 963646"
VESSEL_COLOURS = "f4f4f0 e8e4d8 cedce6 7896b0 bc9266 5c6068 e2beb0"
TABLE_COLOURS = "986a46 6c4a34 c4a078 d6d2ca 60707a 465c54 964642"

TARGET = """
Bread: dark oval 1 .56 0 0; main oval .9 .46 -.02 -.04; mark cuts .18 -.7 -.3 -.3 .26 -.2 -.3 .2 .26 .3 -.3 .7 .26
Dairy product: dark line 0 -.9 .35 .95 0 .95 .35 -.9 .75; main line 0 -.9 .35 .95 0 -.5 -.8;
    mark dots .16 -.5 -.3 -.35 .15 .15 -.1
Dessert: main line 0 -.85 .65 -.85 -.6 .85 -.6 .85 .65;
    mark cuts .2 -.85 -.62 .85 -.62 -.85 -.1 .85 -.1 -.85 .38 .85 .38; other dots .26 0 -.85
Egg: dark oval .96 .8 .02 .04; main oval .88 .72 0 -.03; mark dots .4 0 0; light dots .1 -.12 -.12
Fried food: pile 8 13 .62: dark line .44 -.95 .08 1 .08; main line .3 -1 0 1 0
Meat: light oval 1 .72 0 0; main oval .86 .58 .03 .03;
    mark cuts .1 -.55 -.36 -.55 .4 -.2 -.5 -.2 .5 .15 -.5 .15 .5 .5 -.4 .5 .4
Noodles/Pasta: pile 10 16 .8: dark line .16 -1 .2 -.6 -.1 -.2 .16 .2 -.1 .6 .2 1 -.1;
    main line .1 -1 .14 -.6 -.16 -.2 .1 .2 -.16 .6 .14 1 -.16
Rice: pile 40 70 .14: dark oval 1 .5 .1 .3; main oval 1 .45 0 0
Seafood: dark line 0 .4 0 1 -.42 .86 0 1 .42; main oval .8 .4 -.2 0; dark arc .1 .4 -70 70; mark dots .1 -.7 -.1
    | dark line 0 .55 .3 .95 -.1 .3 -.05; main arc .5 .62 30 265;
    mark cuts .1 .25 .48 .5 .75 -.1 .42 -.2 .85 -.32 .24 -.72 .5 -.4 -.05 -.85 -.1
Soup: soup 3 7 .14: mark oval 1 .8 0 0
Vegetable/Fruit: dark dots .78 .05 .08; main dots .7 0 0; light oval .18 .14 -.25 -.25; mark line .14 0 -.55 .1 -1;
    other oval .34 .16 .42 -.86
"""
SOURCE = """
Pizza: main line 0 -.8 0 .7 -.6 .8 0 .7 .6; dark line .26 .7 -.6 .8 0 .7 .6; mark dots .15 -.1 0 .35 .28 .4 -.25
Doughnut: dark arc .6 .7 0 380; main arc .46 .68 0 380; mark cuts .1 .6 .2 .7 .3 -.6 .3 -.7 .2 0 -.6 .1 -.7 .1 .66 .2 .6
Waffle: main oval .95 .9 0 0; mark cuts .12 -.45 -.7 -.45 .7 0 -.85 0 .85 .45 -.7 .45 .7;
    mark cuts .12 -.7 -.45 .7 -.45 -.85 0 .85 0 -.7 .45 .7 .45
Sushi: dark dots .85 0 0; main dots .66 0 0; mark line 0 -.25 -.25 .25 -.25 .25 .25 -.25 .25
Dumpling: main arc 0 .95 180 360; dark line .14 -.95 0 .95 0;
    mark cuts .1 -.52 -.35 -.78 -.5 -.2 -.6 -.3 -.9 .2 -.6 .3 -.9 .52 -.35 .78 -.5
Croissant: main arc .55 .6 10 170; main oval .5 .34 0 .6; mark cuts .1 .3 .35 .5 .8 -.3 .35 -.5 .8 .08 .35 .1 .9
Burger: main arc 0 .9 180 360; mark line .24 -.9 .08 .9 .08; other line .16 -.95 .28 .95 .28; main line .34 -.8 .5 .8 .5
Biscuit: dark dots .85 .04 .06; main dots .8 0 0; mark dots .13 -.4 -.2 .1 -.45 .4 .1 -.1 .1 -.2 .5 .3 .5
Chocolate: main line 0 -.95 -.6 .95 -.6 .95 .6 -.95 .6;
    mark cuts .12 -.45 -.6 -.45 .6 0 -.6 0 .6 .45 -.6 .45 .6 -.95 0 .95 0
Sausage: scatter 1 3 1.2: dark line .46 -.8 .1 -.3 -.1 .3 -.1 .8 .1; main line .36 -.8 .06 -.3 -.14 .3 -.14 .8 .06;
    light line .1 -.4 -.2 .4 -.2
Skewer: scatter 1 2 1.2: dark line .1 -1.15 0 1.15 0; main oval .25 .32 -.75 0;
    other line 0 -.45 -.3 -.1 -.3 -.1 .3 -.45 .3; main oval .25 .32 .2 0; other line 0 .5 -.3 .85 -.3 .85 .3 .5 .3
Leaves: pile 8 14 .42: dark oval 1 .5 0 0; mark line .14 -.9 0 .9 0
Peas: pile 20 34 .17: dark dots 1 .2 .3; main dots .9 0 0; light dots .3 -.3 -.3
Onion rings: pile 6 10 .36: dark arc .5 .72 0 380; main arc .32 .7 0 380
Macaroni: pile 16 26 .26: dark arc .6 .7 0 180; main arc .36 .7 0 180
Crisps: pile 10 16 .34: dark line 0 -.9 .7 1 .6 .1 -.9; main line 0 -.9 .55 .9 .5 0 -.9
Stew: soup 3 6 .2: dark line 0 -1 -.7 1 -.7 1 1 -1 1; mark line 0 -1 -.8 1 -.8 1 .7 -1 .7
Ramen: soup 5 8 .6: dark line .16 -1 .2 -.6 -.1 -.2 .16 .2 -.1 .6 .2 1 -.1;
    main line .1 -1 .14 -.6 -.16 -.2 .1 .2 -.16 .6 .14 1 -.16
"""
"""Per class `name: layout least most size: items` (`name: items` means scatter 1 2 1), of the items, split by `|`, one
is chosen. An item is strokes, split by `;`, in a frame whose unit disc it fills: a colour, a shape and its numbers.
`oval width height x y` (half axes), `dots radius x y ..`, `line width x y ..` (one line through all points), `cuts
width x y x y ..` (a line per two points), `arc width radius start stop` (degrees). A width of 0 fills the outline."""
TABLEWARE = """
plate: deep dots 1.32 .05 .09; main dots 1.3 0 0; dim dots 1.04 0 0; pale dots 1 .02 .03
board: deep line 0 -1.2 -1 1.3 -1 1.3 1.2 -1.2 1.2; main line 0 -1.25 -1.1 1.25 -1.1 1.25 1.1 -1.25 1.1
napkin: main line 0 -1 -1 1 -1 1 1 -1 1
spoon: main line .1 -.2 0 1.2 0; main oval .34 .17 -.4 0
pile: dark oval .92 .86 0 0
soup: dark dots .9 0 0; main dots .82 0 .05; light arc .08 .66 190 260
crumb: main oval 1 .7 0 0
"""


def parse(menu: str) -> dict[str, Dish]:
    """Name -> dish; an indented line continues the line before."""
    dishes: dict[str, Dish] = {}
    for line in menu.strip().replace("\n    ", " ").splitlines():
        name, *header, items = line.split(": ")
        layout, least, most, size = (header or ["scatter 1 2 1"])[0].split()
        kinds = [[stroke.split() for stroke in kind.split(";")] for kind in items.split("|")]
        strokes = tuple(tuple((c, shape, tuple(map(float, rest))) for c, shape, *rest in kind) for kind in kinds)
        dishes[name] = (layout, int(least), int(most), float(size), strokes)
    return dishes


VARIANTS = {"target": parse(TARGET), "source": parse(SOURCE)}
WARE = {name: kinds[0] for name, (*_, kinds) in parse(TABLEWARE).items()}
SHADES = {"main": 0, "dark": -50, "light": 55, "dim": -22, "pale": -8, "deep": -120}


def shade(colour: Colour, step: float) -> Colour:
    """Lighter (step > 0) or darker by that many of 255 levels."""
    red, green, blue = (min(255, max(0, round(value + step))) for value in colour)
    return red, green, blue


def _arc(radius: float, start: float, stop: float) -> list[Point]:
    angles = [radians(start + (stop - start) * k / 10) for k in range(11)]
    return [(radius * cos(angle), radius * sin(angle)) for angle in angles]


def _pairs(numbers: list[float]) -> list[Point]:
    return list(zip(numbers[::2], numbers[1::2], strict=True))


@dataclass(frozen=True, kw_only=True)
class Brush:
    """Paints in a frame of its own: origin and size in canvas pixels, turn in radians; `colours` by name."""

    draw: ImageDraw.ImageDraw
    random: Callable[[], float]
    colours: dict[str, Colour]
    origin: Point = (CANVAS / 2, CANVAS / 2)
    size: float = CANVAS / 2
    turn: float = 0.0

    def between(self, low: float, high: float) -> float:
        """A uniform number in [low, high)."""
        return low + (high - low) * self.random()

    def pick(self, colours: str, far_from: Colour | None = None) -> Colour:
        """One of these hex colours, jittered; 60 levels of brightness away from `far_from` if one is."""
        options = [(int(c[:2], 16), int(c[2:4], 16), int(c[4:], 16)) for c in colours.split()]
        options = [c for c in options if far_from is None or abs(sum(c) - sum(far_from)) >= 180] or options
        return shade(options[int(self.between(0, len(options)))], self.between(-18, 18))

    def dip(self, main: Colour) -> Brush:
        """The same brush with `main` and its shades."""
        return replace(self, colours=self.colours | {name: shade(main, step) for name, step in SHADES.items()})

    def around(self, reach: float, size: float, angle: float | None = None, swing: float = pi) -> Brush:
        """The brush in a frame `reach` away in the direction `angle` (None: any), turned at random by up to `swing`."""
        angle = self.between(0, tau) if angle is None else angle
        origin, turn = self._canvas(reach * cos(angle), reach * sin(angle)), self.turn + self.between(-swing, swing)
        return replace(self, origin=origin, size=self.size * size, turn=turn)

    def paint(self, item: Item) -> None:
        """Every stroke of the item, in order."""
        for name, shape, (first, *rest) in item:
            colour = self.colours[name]
            for points in self._outlines(shape, first, rest):
                pixels = [(round(x), round(y)) for x, y in starmap(self._canvas, points)]
                if first == 0 or shape in ("oval", "dots"):
                    self.draw.polygon(pixels, fill=colour)
                else:
                    self.draw.line(pixels, fill=colour, width=max(1, round(first * self.size)), joint="curve")

    def _outlines(self, shape: str, first: float, rest: list[float]) -> list[list[Point]]:
        if shape in ("oval", "dots"):
            height, centres, wobble = (rest[0], rest[1:], 0.08) if shape == "oval" else (first, rest, 0.0)
            return [self._oval(x, y, first, height, wobble) for x, y in _pairs(centres)]
        if shape == "cuts":
            return [_pairs(rest[k : k + 4]) for k in range(0, len(rest), 4)]
        return [_arc(*rest) if shape == "arc" else _pairs(rest)]

    def _oval(self, x: float, y: float, width: float, height: float, wobble: float) -> list[Point]:
        num_points = 20 if width * self.size > 12 else 10
        outline = [(1.0 + (wobble and wobble * self.between(-1, 1)), tau * k / num_points) for k in range(num_points)]
        return [(x + reach * width * cos(angle), y + reach * height * sin(angle)) for reach, angle in outline]

    def _canvas(self, x: float, y: float) -> Point:
        u, v = x * cos(self.turn) - y * sin(self.turn), x * sin(self.turn) + y * cos(self.turn)
        return self.origin[0] + self.size * u, self.origin[1] + self.size * v


def _table(brush: Brush) -> None:
    """Planks or a checked cloth; perhaps a napkin, the edge of another plate, spoons."""
    brush.draw.rectangle((0, 0, CANVAS, CANVAS), fill=(colour := brush.pick(TABLE_COLOURS)))
    cloth, step, width = brush.around(0, 1, 0), brush.between(0.3, 0.7), brush.between(0.04, 0.2)
    for woven in (cloth, replace(cloth, turn=cloth.turn + pi / 2))[: int(brush.between(1, 3))]:
        for y in (k * step for k in range(-4, 5)):
            woven.dip(shade(colour, brush.between(-26, 14))).paint((("main", "line", (width, -2, y, 2, y)),))
    for ware, near, far in (("napkin", 0.9, 1.2), ("plate", 1.35, 1.6)):
        if brush.random() < 0.35:
            brush.dip(brush.pick(VESSEL_COLOURS)).around(brush.between(near, far), 0.6).paint(WARE[ware])
    for _ in range(int(brush.between(0, 3))):
        metal = shade((176, 178, 184), brush.between(-50, 50))
        brush.dip(metal).around(brush.between(0.75, 1.0), 0.6).paint(WARE["spoon"])


def _scatter(brush: Brush, item: Item, num_items: int, size: float) -> None:
    start, size = brush.between(0, tau), size / (1.3 if num_items == 1 else sqrt(num_items + 0.8))
    for k in range(num_items):
        reach = brush.between(0.45, 0.6) if num_items > 1 else 0.0
        angle = start + tau * k / num_items + brush.between(-0.3, 0.3)
        brush.around(reach, size * brush.between(0.85, 1.1), angle, swing=0.5).paint(item)


def _heap(brush: Brush, layout: str, item: Item, num_items: int, size: float) -> None:
    brush.around(0, brush.between(0.9, 1.05), 0).paint(WARE[layout])
    for _ in range(num_items):
        tone = brush.between(-28, 34)
        tinted = replace(brush, colours={name: shade(colour, tone) for name, colour in brush.colours.items()})
        tinted.around(0.65 * sqrt(brush.random()), size * brush.between(0.85, 1.15)).paint(item)


def _serve(dish: Dish, brush: Brush) -> None:
    """The vessel, the dish inside its unit disc, and a few crumbs of something else."""
    (layout, least, most, size, kinds), vessel = dish, WARE["plate" if brush.random() < 0.75 else "board"]
    brush.dip(brush.pick(VESSEL_COLOURS)).paint(vessel)
    main, item = brush.pick(FOOD_COLOURS), kinds[int(brush.between(0, len(kinds)))]
    contrast = {name: brush.pick(FOOD_COLOURS, far_from=main) for name in ("mark", "other")}
    food, num_items = replace(brush, colours=contrast).dip(main), int(brush.between(least, most + 1))
    if layout == "scatter":
        _scatter(food, item, num_items, size)
    else:
        _heap(food, layout, item, num_items, size)
    spice = brush.dip(brush.pick(FOOD_COLOURS))
    for _ in range(int(brush.between(0, 4))):
        spice.around(brush.between(0.2, 1.2), brush.between(0.06, 0.13)).paint(WARE["crumb"])


def _light(brush: Brush, image: Image.Image, noise: bytes) -> Image.Image:
    """The picture at its final size, in a tinted light that falls from one side, with sensor noise."""
    pixels = np.asarray(image.reduce(OVERSAMPLING), dtype=np.int64)
    brightness, ramp = brush.between(185, 285), np.arange(SIZE) - SIZE // 2
    tint = np.array([round(brightness + brush.between(-26, 26)) for _ in range(3)])
    light_HWC = tint + (round(brush.between(-5, 5)) * ramp + round(brush.between(-5, 5)) * ramp[:, None])[:, :, None]
    grain_HWC = np.frombuffer(noise, dtype=np.uint8).reshape(pixels.shape).astype(np.int64) - 128
    return Image.fromarray(((pixels * light_HWC >> 8) + grain_HWC // 16).clip(0, 255).astype(np.uint8))


def render(variant: str, split: Split, index: int) -> Image.Image:
    """One picture, made from nothing but its name."""
    seed = hashlib.sha256(f"plates/{variant}/{split.value}/{index}".encode()).digest()
    image, dishes = Image.new("RGB", (CANVAS, CANVAS)), tuple(VARIANTS[variant].values())
    brush = Brush(draw=ImageDraw.Draw(image), random=random.Random(int.from_bytes(seed, "big")).random, colours={})
    _table(brush)
    centre = (CANVAS / 2 * (1 + brush.between(-0.2, 0.2)), CANVAS / 2 * (1 + brush.between(-0.2, 0.2)))
    place = replace(brush.around(0, brush.between(0.7, 0.95), 0, swing=0.5), origin=centre)
    _serve(dishes[index % len(dishes)], place)
    return _light(brush, image, hashlib.shake_128(seed).digest(SIZE * SIZE * 3))


def identity(path: str | None) -> dict[str, object]:
    """Changes whenever the pictures would."""
    digest = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    return {"variant": _variant(path), "painter_version": PAINTER_VERSION, "source_sha256": digest}


def read(path: str | None) -> RawData:
    """The 11 target classes, or with path "source" the source classes; DataError for any other path."""
    variant = _variant(path)
    names, counts = tuple(VARIANTS[variant]), zip(Split, NUM_IMAGES[variant], strict=True)
    labels = {split: np.arange(count, dtype=np.int64) % len(names) for split, count in counts}
    origin = f"painted by trainers/data/plates.py, {variant} set, painter version {PAINTER_VERSION}"
    return RawData(class_names=names, labels=labels, decode=partial(render, variant), origin=origin)


def _variant(path: str | None) -> str:
    if path not in (None, "", "source"):
        raise DataError(f"unknown plates variant {path!r}; have: no path (the 11 target classes), 'source'")
    return path or "target"


def contact_sheet(variant: str, num_columns: int = 10, margin: int = 100) -> Image.Image:
    """One row of pictures per class, twice the size, its name beside it; 128 colours."""
    names, step = tuple(VARIANTS[variant]), 2 * SIZE + 4
    sheet = Image.new("RGB", (margin + num_columns * step, len(names) * step), "white")
    for index in range(len(names) * num_columns):
        column, row = divmod(index, len(names))
        picture = render(variant, Split.TRAIN, index).resize((2 * SIZE, 2 * SIZE), Image.Resampling.NEAREST)
        sheet.paste(picture, (margin + column * step, row * step + 2))
        ImageDraw.Draw(sheet).text((4, row * step + SIZE - 4), names[row], fill="black")
    return sheet.quantize(128, dither=Image.Dither.NONE)


if __name__ == "__main__":
    contact_sheet("target").save(sys.argv[1], optimize=True)
