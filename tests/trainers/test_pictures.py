"""Squares cut from pictures of any size: torchvision's crops are the reference."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from trainers.pictures import Pictures

SIZES = [(8, 8), (7, 12), (12, 7), (5, 5), (13, 9), (1, 20), (6, 11), (3, 8)]
EVERY = np.arange(len(SIZES))


def photos() -> list[np.ndarray[Any, Any]]:
    """One picture per size; no pixel is black."""
    draw = np.random.default_rng(0)
    return [draw.integers(1, 256, (height, width, 3), dtype=np.uint8) for height, width in SIZES]


def ragged(size: int = 8) -> Pictures:
    """The pictures as a prepared split keeps them."""
    return Pictures(np.concatenate([one.ravel() for one in photos()]), np.array(SIZES), size)


def cut(transform: v2.Transform, photo: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """What torchvision makes of a picture."""
    result: np.ndarray[Any, Any] = transform(torch.from_numpy(photo).permute(2, 0, 1)).permute(1, 2, 0).numpy()
    return result


@pytest.mark.parametrize("size", [4, 5, 8, 9, 16])
def test_without_a_place_it_is_the_centre_as_in_torchvision(size: int) -> None:
    taken = ragged(size).take(EVERY)
    assert taken.shape == (len(SIZES), size, size, 3)
    for square, photo in zip(taken, photos(), strict=True):
        assert np.array_equal(square, cut(v2.CenterCrop(size), photo))


def places(photo: np.ndarray[Any, Any], size: int) -> np.ndarray[Any, Any]:
    """Evenly spread over 0..1, down and across: three times as many as a crop has positions along each side."""
    counts = [3 * (abs(length - size) + 1) for length in photo.shape[:2]]
    steps = [(np.arange(count) + 0.5) / count for count in counts]
    return np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 2)


@pytest.mark.parametrize("size", [4, 8, 9])
def test_places_share_out_all_crops_of_torchvision_equally(size: int) -> None:
    crop = v2.RandomCrop(size, pad_if_needed=True)
    for index, photo in enumerate(photos()):
        where_B2 = places(photo, size)
        ours = Counter(square.tobytes() for square in ragged(size).take(np.full(len(where_B2), index), where_B2))
        assert len(ours) == np.prod([abs(length - size) + 1 for length in photo.shape[:2]])
        assert set(ours.values()) == {9}
        assert {cut(crop, photo).tobytes() for _ in range(40)} <= set(ours)


def test_the_ends_of_the_range_are_the_corners_of_the_picture() -> None:
    picture, corners = photos()[4], np.array([[0.0, 0.0], [1.0, 1.0]])
    first, last = ragged(8).take(np.array([4, 4]), corners)
    assert np.array_equal(first, picture[:8, :8])
    assert np.array_equal(last, picture[-8:, -8:])


def test_a_small_picture_moves_in_the_black_about_it() -> None:
    first, last = ragged(8).take(np.array([3, 3]), np.array([[0.0, 0.0], [1.0, 1.0]]))
    assert np.array_equal(first[3:, 3:], photos()[3])
    assert np.array_equal(last[:5, :5], photos()[3])
    assert not first[:3].any()
    assert not last[5:].any()


def test_pictures_of_any_size_say_so_and_come_in_the_order_that_is_asked_for() -> None:
    pictures = ragged(8)
    assert (pictures.varies, len(pictures), pictures.size) == (True, len(SIZES), 8)
    backwards = pictures.take(EVERY[::-1])
    assert np.array_equal(backwards[::-1], pictures.take(EVERY))
    assert pictures.take(EVERY[:0]).shape == (0, 8, 8, 3)


def test_squares_are_taken_whole_wherever_one_asks() -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 4, 3), dtype=np.uint8)
    pictures, order = Pictures(images), np.array([3, 0])
    assert not pictures.varies
    assert np.array_equal(pictures.take(order, np.array([[0.0, 1.0], [0.3, 0.2]])), images[order])
