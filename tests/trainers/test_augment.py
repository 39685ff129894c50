"""Views against brute-force numpy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from trainers.augment import Views, apply_views, draw_views, to_float
from trainers.spec import Augment

ALL = Augment(crop_padding=2, horizontal_flip=True, rotation_degrees=15.0)
Pixels = np.ndarray[Any, Any]


def pictures(num_images: int = 4, size: int = 6) -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (num_images, size, size, 3), dtype=np.uint8))


def views(offsets: list[tuple[int, int]], flips: list[bool], angles: list[float] | None = None) -> Views:
    return Views(
        offsets_N2=torch.tensor(offsets),
        is_flipped_N=torch.tensor(flips),
        angles_N=None if angles is None else torch.tensor(angles),
    )


def brute_force(image_HWC: Pixels, offset: tuple[int, int], is_flipped: bool) -> Pixels:
    """Pad with repeated edges, cut out at the offset, then mirror; (C, H, W) in 0..1."""
    size, reach = len(image_HWC), max(abs(step) for step in offset)
    padded = np.pad(image_HWC, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    top, left = reach + offset[0], reach + offset[1]
    crop = padded[top : top + size, left : left + size]
    return ((crop[:, ::-1] if is_flipped else crop) / 255).transpose(2, 0, 1)


def test_no_augmentation_gives_the_picture_over_255() -> None:
    images_NHWC = pictures()
    seen = apply_views(images_NHWC, draw_views(Augment(), 0, 1, 4))
    assert torch.equal(seen, (images_NHWC.double() / 255).float().permute(0, 3, 1, 2))
    assert seen.dtype == torch.float32


@given(offset=st.tuples(st.integers(-9, 9), st.integers(-9, 9)), is_flipped=st.booleans())
@settings(max_examples=60)
def test_crop_and_flip_equal_padding_with_repeated_edges(offset: tuple[int, int], is_flipped: bool) -> None:
    images_NHWC = pictures(1)
    seen = apply_views(images_NHWC, views([offset], [is_flipped]))[0].numpy()
    np.testing.assert_allclose(seen, brute_force(images_NHWC[0].numpy(), offset, is_flipped), atol=1e-7)


def test_each_picture_gets_its_own_view() -> None:
    images_NHWC = pictures(3)
    offsets, flips = [(1, -2), (0, 0), (-3, 2)], [True, False, False]
    seen = apply_views(images_NHWC, views(offsets, flips)).numpy()
    for index in range(3):
        expected = brute_force(images_NHWC[index].numpy(), offsets[index], flips[index])
        np.testing.assert_allclose(seen[index], expected, atol=1e-7)


def test_a_view_does_not_depend_on_the_batch() -> None:
    images_NHWC = pictures(10)
    drawn = draw_views(ALL, 3, 1, 10)
    whole = apply_views(images_NHWC, drawn)
    indices = torch.tensor([7, 0, 3])
    assert torch.equal(apply_views(images_NHWC[indices], drawn.select(indices)), whole[indices])


def test_views_depend_on_view_seed_and_epoch_alone() -> None:
    def seen(view_seed: int, epoch: int) -> Tensor:
        return apply_views(pictures(16), draw_views(ALL, view_seed, epoch, 16))

    torch.manual_seed(1)
    first = seen(3, 1)
    torch.manual_seed(2)
    assert torch.equal(first, seen(3, 1))
    assert not torch.equal(first, seen(3, 2))
    assert not torch.equal(first, seen(4, 1))


def test_drawing_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    draw_views(ALL, 3, 1, 10)
    assert torch.equal(before, torch.get_rng_state())


def test_draws_stay_in_their_range_and_reach_its_ends() -> None:
    drawn = draw_views(ALL, 0, 1, 2000)
    assert sorted(set(drawn.offsets_N2.flatten().tolist())) == [-2, -1, 0, 1, 2]
    assert 0.45 < drawn.is_flipped_N.double().mean() < 0.55
    assert drawn.angles_N is not None
    limit = math.radians(15)
    assert drawn.angles_N.abs().max() <= limit
    assert drawn.angles_N.min() < -0.95 * limit
    assert drawn.angles_N.max() > 0.95 * limit


def test_switching_one_kind_off_leaves_the_others_draws_alone() -> None:
    both = draw_views(ALL, 0, 1, 50)
    no_flip = draw_views(Augment(crop_padding=2, rotation_degrees=15.0), 0, 1, 50)
    assert not no_flip.is_flipped_N.any()
    assert both.is_flipped_N.any()
    assert torch.equal(both.offsets_N2, no_flip.offsets_N2)


@pytest.mark.parametrize("size", [6, 7])
def test_a_quarter_turn_is_a_quarter_turn(size: int) -> None:
    images_NHWC = pictures(1, size)
    image_CHW = to_float(images_NHWC)[0].numpy()
    for angle in (math.pi / 2, -math.pi / 2):
        seen = apply_views(images_NHWC, views([(0, 0)], [False], [angle]))[0].numpy()
        turned = [np.rot90(image_CHW, k, axes=(1, 2)) for k in (1, 3)]
        errors = [np.abs(seen - candidate).max() for candidate in turned]
        assert min(errors) < 1e-4 < max(errors)


def test_a_half_turn_mirrors_both_axes_and_a_turn_by_nothing_changes_nothing() -> None:
    images_NHWC = pictures(2)
    seen = apply_views(images_NHWC, views([(0, 0)] * 2, [False] * 2, [math.pi, 0.0])).numpy()
    plain = to_float(images_NHWC).numpy()
    np.testing.assert_allclose(seen[0], plain[0][:, ::-1, ::-1], atol=1e-4)
    np.testing.assert_allclose(seen[1], plain[1], atol=1e-5)


def test_rotation_repeats_edges_so_that_a_flat_picture_stays_flat() -> None:
    flat = torch.full((1, 9, 9, 3), 200, dtype=torch.uint8)
    seen = apply_views(flat, views([(0, 0)], [False], [math.radians(40)]))
    assert torch.allclose(seen, torch.full_like(seen, 200 / 255), atol=1e-5)


def test_the_pictures_of_the_data_set_are_not_touched() -> None:
    images_NHWC = pictures()
    before = images_NHWC.clone()
    apply_views(images_NHWC, draw_views(ALL, 0, 1, 4)).mul_(0)
    apply_views(images_NHWC, draw_views(Augment(), 0, 1, 4)).mul_(0)
    assert torch.equal(images_NHWC, before)
