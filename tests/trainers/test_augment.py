"""Views against brute-force numpy."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from trainers.augment import ERASED_AREA, ERASED_RATIO, Views, apply_views, draw_views, mix, mixed_targets, to_float
from trainers.batches import EpochViews
from trainers.pictures import Pictures
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


# What version 1 drew stays as it was


def digest(*tensors: Tensor | None) -> str:
    content = b"".join(tensor.contiguous().numpy().tobytes() for tensor in tensors if tensor is not None)
    return hashlib.sha256(content).hexdigest()[:16]


def test_views_without_the_later_kinds_are_those_of_version_1_bit_for_bit() -> None:
    # digests of what the code drew and applied before there were mixup, erasing and random crops
    drawn = draw_views(ALL, 3, 2, 100)
    assert digest(drawn.offsets_N2, drawn.is_flipped_N, drawn.angles_N) == "d939b7259cd24a29"
    flat = (torch.arange(20 * 6 * 6 * 3) * 7 % 256).to(torch.uint8).view(20, 6, 6, 3)
    straight = draw_views(Augment(crop_padding=2, horizontal_flip=True), 3, 2, 20)
    assert digest(apply_views(flat, straight)) == "49e98a7308d32dd2"
    later = (drawn.crops_N2, drawn.boxes_N4, drawn.partners_N, drawn.shares_N)
    assert later == (None, None, None, None)


NEW_KINDS = [{"random_crop": True}, {"mixup_alpha": 0.3}, {"erasing_probability": 0.5}]


@pytest.mark.parametrize("kind", NEW_KINDS)
def test_a_later_kind_leaves_the_draws_of_all_others_alone_and_is_replayable(kind: dict[str, Any]) -> None:
    every = Augment(
        crop_padding=2, horizontal_flip=True, rotation_degrees=15.0, **{k: v for d in NEW_KINDS for k, v in d.items()}
    )
    alone, together, other = (draw_views(augment, 3, 2, 50) for augment in (Augment(**kind), every, ALL))
    drawn = alone._tensors().keys() - {"offsets_N2", "is_flipped_N"}
    assert drawn
    assert all(torch.equal(getattr(alone, name), getattr(together, name)) for name in drawn)
    assert all(torch.equal(values, getattr(together, name)) for name, values in other._tensors().items())
    torch.manual_seed(9)
    again, next_epoch = draw_views(every, 3, 2, 50), draw_views(every, 3, 3, 50)
    for name, values in together._tensors().items():
        assert torch.equal(values, getattr(again, name))
        assert not torch.equal(values, getattr(next_epoch, name))


def test_drawing_later_kinds_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    draw_views(Augment(random_crop=True, mixup_alpha=1.0, erasing_probability=1.0), 3, 1, 10)
    assert torch.equal(before, torch.get_rng_state())


def test_a_random_crop_is_anywhere_in_the_room_there_is() -> None:
    crops_N2 = draw_views(Augment(random_crop=True), 0, 1, 4000).crops_N2
    assert crops_N2 is not None and crops_N2.shape == (4000, 2)
    assert 0 <= crops_N2.min() < 0.01 and 0.99 < crops_N2.max() < 1
    assert crops_N2.mean(dim=0).tolist() == pytest.approx([0.5, 0.5], abs=0.02)
    assert abs(np.corrcoef(crops_N2.T.numpy())[0, 1]) < 0.05


# Mixing


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_shares_are_beta_distributed_and_folded_so_that_the_own_label_leads(alpha: float) -> None:
    shares_N = draw_views(Augment(mixup_alpha=alpha), 0, 1, 40_000).shares_N
    assert shares_N is not None
    assert 0.5 <= shares_N.min() < 0.51 and shares_N.max() <= 1
    # the fold leaves (s - 1/2)^2 alone, whose mean is the variance of Beta(a, a); the mean of s (1 - s) follows
    assert (shares_N - 0.5).square().mean().item() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.03)
    if alpha == 1.0:  # folded uniform: mean 3/4
        assert shares_N.mean().item() == pytest.approx(0.75, abs=0.01)


def test_every_picture_is_the_partner_of_one_other() -> None:
    partners_N = draw_views(Augment(mixup_alpha=1.0), 0, 1, 500).partners_N
    assert partners_N is not None
    assert sorted(partners_N.tolist()) == list(range(500))
    assert (partners_N == torch.arange(500)).sum() < 10


def test_mixing_two_pictures_and_their_labels_by_hand() -> None:
    white, black = torch.ones(2, 3, 2, 2), torch.zeros(2, 3, 2, 2)
    mixed = mix(white, black, torch.tensor([0.75, 1.0]))
    assert mixed[0].unique().tolist() == [0.75] and mixed[1].unique().tolist() == [1.0]
    targets_BK = mixed_targets(torch.tensor([0, 2, 1]), torch.tensor([1, 2, 0]), torch.tensor([0.75, 0.6, 0.5]), 3)
    assert targets_BK.tolist() == [[0.75, 0.25, 0.0], [0.0, 0.0, 1.0], [0.5, 0.5, 0.0]]


# Erasing


def boxes(probability: float, num_images: int = 20_000) -> Tensor:
    drawn = draw_views(Augment(erasing_probability=probability), 0, 1, num_images).boxes_N4
    assert drawn is not None
    return drawn


@pytest.mark.parametrize("probability", [0.1, 0.5, 1.0])
def test_as_many_pictures_are_erased_as_the_probability_says(probability: float) -> None:
    is_erased_N = (boxes(probability)[:, 2:] > 0).all(dim=1)
    assert is_erased_N.double().mean().item() == pytest.approx(probability, abs=0.01)
    assert not boxes(probability)[~is_erased_N][:, 2:].any()


def test_boxes_lie_inside_and_have_the_published_areas_and_ratios() -> None:
    top_N, left_N, height_N, width_N = boxes(1.0).unbind(dim=1)
    assert min(top_N.min(), left_N.min()) >= 0
    assert max((top_N + height_N).max(), (left_N + width_N).max()) <= 1 + 1e-6
    is_clamped_N = (height_N == 1) | (width_N == 1)
    assert 0 < is_clamped_N.double().mean() < 0.02
    area_N, ratio_N = (values[~is_clamped_N] for values in (height_N * width_N, height_N / width_N))
    for values, (low, high) in ((area_N, ERASED_AREA), (ratio_N, ERASED_RATIO)):
        assert low * 0.999 <= values.min() < low * 1.05 and high * 0.95 < values.max() <= high * 1.001
    # areas are uniform, ratios are so in their logarithm
    assert area_N.mean().item() == pytest.approx(sum(ERASED_AREA) / 2, rel=0.02)
    assert ratio_N.log().mean().item() == pytest.approx(math.log(ERASED_RATIO[0] * ERASED_RATIO[1]) / 2, abs=0.02)
    assert (top_N / (1 - height_N)).nanquantile(0.5).item() == pytest.approx(0.5, abs=0.02)


def test_every_pixel_whose_centre_is_in_the_box_is_grey_and_no_other() -> None:
    images_NHWC = pictures(3, size=4)
    # pixel centres at 1/8, 3/8, 5/8, 7/8
    boxes_N4 = torch.tensor([[0.25, 0.0, 0.5, 0.2], [0.0, 0.0, 1.0, 1.0], [0.3, 0.3, 0.0, 0.0]])
    drawn = Views(offsets_N2=torch.zeros(3, 2).long(), is_flipped_N=torch.zeros(3).bool(), boxes_N4=boxes_N4)
    expected = to_float(images_NHWC)
    expected[0, :, 1:3, 0] = 0.5
    expected[1] = 0.5
    assert torch.equal(apply_views(images_NHWC, drawn), expected)


def test_the_box_stays_upright_in_a_turned_picture() -> None:
    turned = Views(
        offsets_N2=torch.zeros(1, 2).long(),
        is_flipped_N=torch.tensor([True]),
        angles_N=torch.tensor([math.pi / 2]),
        boxes_N4=torch.tensor([[0.0, 0.0, 0.5, 1.0]]),
    )
    seen = apply_views(torch.full((1, 6, 6, 3), 255, dtype=torch.uint8), turned)
    assert seen[0, :, :3].unique().tolist() == [0.5]
    assert seen[0, :, 3:].min() > 0.99


def test_squares_are_cut_where_the_views_say_from_pictures_of_any_size() -> None:
    pixels = np.arange(6 * 4 * 3, dtype=np.uint8).reshape(6, 4, 3)
    stored = Pictures(pixels.ravel(), np.array([[6, 4]]), 2)
    views = EpochViews(stored, torch.tensor([0]), Augment(random_crop=True), 0, 1, num_classes=2)
    (down, across), device = views._views.crops_N2[0].tolist(), torch.device("cpu")
    top, left = int(down * 5), int(across * 3)
    seen_BCHW = views.batch(torch.tensor([0]), device).images_BCHW
    expected_HWC = pixels[top : top + 2, left : left + 2] / 255
    np.testing.assert_allclose(seen_BCHW[0].permute(1, 2, 0).numpy(), expected_HWC, atol=1e-6)
