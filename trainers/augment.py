"""Random views of pictures: drawn per (view seed, epoch, picture), applied to whole batches on the training device.

Shapes: N pictures of the data set, B of a batch, C = 3 channels, H = W = S pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.distributions import Beta
from torch.nn import functional as F

from trainers.randomness import generator, seeded
from trainers.resident import sent
from trainers.spec import Augment

ERASED_AREA = (0.02, 0.33)
ERASED_RATIO = (0.3, 3.3)
"""Share of the picture, and height by width, of an erased box (Zhong et al. 2017, arXiv 1708.04896, as torchvision)."""
GREY = 0.5


@dataclass(frozen=True, kw_only=True)
class Views:
    """What happens to each picture, N rows each; None: not at all.

    `offsets_N2` shift the crop in pixels, `is_flipped_N` mirrors, `angles_N` (radians) rotate, `crops_N2` say where
    in a larger picture the square lies (0..1 of the room there is), `boxes_N4` (top, left, height, width in 0..1)
    are greyed out. Picture i becomes `shares_N`[i] of itself and the rest of picture `partners_N`[i].
    """

    offsets_N2: Tensor
    is_flipped_N: Tensor
    angles_N: Tensor | None = None
    crops_N2: Tensor | None = None
    boxes_N4: Tensor | None = None
    partners_N: Tensor | None = None
    shares_N: Tensor | None = None

    def select(self, indices_B: Tensor) -> Views:
        """The views of some pictures, in the order of the indices."""
        return Views(**{name: values[indices_B] for name, values in self._tensors().items()})

    def to(self, device: torch.device) -> Views:
        """The same views on a device."""
        return Views(**{name: sent(values, device) for name, values in self._tensors().items()})

    def _tensors(self) -> dict[str, Tensor]:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}


def draw_views(augment: Augment, view_seed: int, epoch: int, num_images: int) -> Views:
    """The views of all pictures in one epoch; a picture's view does not depend on the batch it is in."""
    padding, limit = augment.crop_padding, math.radians(augment.rotation_degrees)
    draw = generator("views", view_seed, epoch)
    offsets_N2 = torch.randint(-padding, padding + 1, (num_images, 2), generator=draw)
    flips_N = torch.rand(num_images, generator=draw) < 0.5
    angles_N = (torch.rand(num_images, generator=draw) * 2 - 1) * limit
    partners_N, shares_N = _draw_mixture(augment.mixup_alpha, view_seed, epoch, num_images)
    crops_N2 = torch.rand(num_images, 2, generator=generator("crops", view_seed, epoch))
    return Views(
        offsets_N2=offsets_N2,
        is_flipped_N=flips_N & augment.horizontal_flip,
        angles_N=angles_N if limit > 0 else None,
        crops_N2=crops_N2 if augment.random_crop else None,
        boxes_N4=_draw_boxes(augment.erasing_probability, view_seed, epoch, num_images),
        partners_N=partners_N,
        shares_N=shares_N,
    )


def _draw_mixture(alpha: float, view_seed: int, epoch: int, num_images: int) -> tuple[Tensor | None, Tensor | None]:
    """Partners, and shares from Beta(alpha, alpha) (Zhang et al. 2017, arXiv 1710.09412), one for each picture.

    The larger share is the picture's own, so that its own label leads.
    """
    if alpha == 0:
        return None, None
    with seeded("mixup", view_seed, epoch):
        shares_N = Beta(alpha, alpha).sample((num_images,))  # type: ignore[no-untyped-call]
        return torch.randperm(num_images), torch.maximum(shares_N, 1 - shares_N)


def _draw_boxes(probability: float, view_seed: int, epoch: int, num_images: int) -> Tensor | None:
    """Rectangles to erase, of no size where a picture is spared."""
    if probability == 0:
        return None
    chance_N, area_N, ratio_N, top_N, left_N = torch.rand(5, num_images, generator=generator("boxes", view_seed, epoch))
    area_N = ERASED_AREA[0] + area_N * (ERASED_AREA[1] - ERASED_AREA[0])
    low, high = (math.log(ratio) for ratio in ERASED_RATIO)
    ratio_N = (low + ratio_N * (high - low)).exp()
    is_erased_N = chance_N < probability
    height_N, width_N = ((area_N * by).sqrt().clamp(max=1) * is_erased_N for by in (ratio_N, 1 / ratio_N))
    return torch.stack([top_N * (1 - height_N), left_N * (1 - width_N), height_N, width_N], dim=1)


def apply_views(images_BHWC: Tensor, views: Views) -> Tensor:
    """uint8 (B, S, S, C) -> float32 (B, C, S, S) in 0..1: shifted crop with repeated edges, flip, rotation, erasing."""
    size = images_BHWC.shape[1]
    pixels = torch.arange(size, device=images_BHWC.device)
    rows_BH = (pixels + views.offsets_N2[:, :1]).clamp(0, size - 1)
    columns_BW = torch.where(views.is_flipped_N[:, None], pixels.flip(0), pixels)
    columns_BW = (columns_BW + views.offsets_N2[:, 1:]).clamp(0, size - 1)
    picture_B = torch.arange(len(images_BHWC), device=images_BHWC.device)
    pixel_BHW = (picture_B[:, None, None] * size + rows_BH[:, :, None]) * size + columns_BW[:, None, :]
    images_BCHW = to_float(images_BHWC.reshape(-1, 3).index_select(0, pixel_BHW.flatten()).view(images_BHWC.shape))
    if views.angles_N is not None:
        images_BCHW = _rotate(images_BCHW, views.angles_N)
    return images_BCHW if views.boxes_N4 is None else _erase(images_BCHW, views.boxes_N4)


def to_float(images_NHWC: Tensor) -> Tensor:
    """uint8 (N, S, S, C) -> float32 (N, C, S, S) in 0..1, in channels-last memory."""
    return images_NHWC.permute(0, 3, 1, 2).to(torch.float32).div_(255)


def mix(images_BCHW: Tensor, partners_BCHW: Tensor, shares_B: Tensor) -> Tensor:
    """Each picture's share of itself and the rest of its partner."""
    return partners_BCHW.lerp(images_BCHW, shares_B[:, None, None, None])


def mixed_targets(labels_B: Tensor, partner_labels_B: Tensor, shares_B: Tensor, num_classes: int) -> Tensor:
    """Probabilities (B, K) of the classes of mixed pictures."""
    own_BK, other_BK = (F.one_hot(labels, num_classes).float() for labels in (labels_B, partner_labels_B))
    return other_BK.lerp(own_BK, shares_B[:, None])


def _rotate(images_BCHW: Tensor, angles_B: Tensor) -> Tensor:
    """Bilinear rotation about the centre, edges repeated."""
    num_images, _, size, _ = images_BCHW.shape
    cosine_B1, sine_B1 = angles_B.cos()[:, None], angles_B.sin()[:, None]
    place_S = torch.linspace(-1, 1, size, device=angles_B.device) * (size - 1) / size
    # the same numbers as torch's affine_grid, which multiplies a matrix for every pixel, in a tenth of its time
    grid_B2HW = torch.empty(num_images, 2, size, size, device=angles_B.device)
    torch.add((place_S * cosine_B1)[:, None, :], (place_S * -sine_B1)[:, :, None], out=grid_B2HW[:, 0])
    torch.add((place_S * sine_B1)[:, None, :], (place_S * cosine_B1)[:, :, None], out=grid_B2HW[:, 1])
    grid_BHW2 = grid_B2HW.permute(0, 2, 3, 1)
    return F.grid_sample(images_BCHW, grid_BHW2, padding_mode="border", align_corners=False)


def _erase(images_BCHW: Tensor, boxes_B4: Tensor) -> Tensor:
    """Grey over every pixel whose centre lies in its picture's box, in place."""
    size = images_BCHW.shape[-1]
    centres = (torch.arange(size, device=images_BCHW.device) + 0.5) / size
    top_B1, left_B1, height_B1, width_B1 = torch.unbind(boxes_B4[:, :, None], dim=1)
    in_rows_BH = (centres >= top_B1) & (centres < top_B1 + height_B1)
    in_columns_BW = (centres >= left_B1) & (centres < left_B1 + width_B1)
    # out of place it would leave channels-last memory
    return images_BCHW.masked_fill_(in_rows_BH[:, None, :, None] & in_columns_BW[:, None, None, :], GREY)
