"""Random views of pictures: drawn per (view seed, epoch, picture), applied to whole batches on the training device.

Shapes: N pictures of the data set or batch, C = 3 channels, H = W = S pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from trainers.randomness import generator
from trainers.spec import Augment


@dataclass(frozen=True, kw_only=True)
class Views:
    """What happens to each picture: crop offsets in pixels (N, 2), flips (N,), angles in radians (N,) or None."""

    offsets_N2: Tensor
    is_flipped_N: Tensor
    angles_N: Tensor | None

    def select(self, indices_B: Tensor) -> Views:
        """The views of some pictures, in the order of the indices."""
        return self._map(lambda values: values[indices_B])

    def to(self, device: torch.device) -> Views:
        """The same views on a device."""
        return self._map(lambda values: values.to(device, non_blocking=True))

    def _map(self, change: Callable[[Tensor], Tensor]) -> Views:
        return Views(
            offsets_N2=change(self.offsets_N2),
            is_flipped_N=change(self.is_flipped_N),
            angles_N=None if self.angles_N is None else change(self.angles_N),
        )


def draw_views(augment: Augment, view_seed: int, epoch: int, num_images: int) -> Views:
    """The views of all pictures in one epoch; a picture's view does not depend on the batch it is in."""
    padding, limit = augment.crop_padding, math.radians(augment.rotation_degrees)
    draw = generator("views", view_seed, epoch)
    offsets_N2 = torch.randint(-padding, padding + 1, (num_images, 2), generator=draw)
    flips_N = torch.rand(num_images, generator=draw) < 0.5
    angles_N = (torch.rand(num_images, generator=draw) * 2 - 1) * limit
    return Views(
        offsets_N2=offsets_N2,
        is_flipped_N=flips_N & augment.horizontal_flip,
        angles_N=angles_N if limit > 0 else None,
    )


def apply_views(images_NHWC: Tensor, views: Views) -> Tensor:
    """uint8 (N, S, S, C) -> float32 (N, C, S, S) in 0..1: shifted crop with repeated edges, flip, rotation."""
    size = images_NHWC.shape[1]
    pixels = torch.arange(size, device=images_NHWC.device)
    rows_NH = (pixels + views.offsets_N2[:, :1]).clamp(0, size - 1)
    columns_NW = torch.where(views.is_flipped_N[:, None], pixels.flip(0), pixels)
    columns_NW = (columns_NW + views.offsets_N2[:, 1:]).clamp(0, size - 1)
    picture_N = torch.arange(len(images_NHWC), device=images_NHWC.device)
    cropped_NHWC = images_NHWC[picture_N[:, None, None], rows_NH[:, :, None], columns_NW[:, None, :]]
    images_NCHW = to_float(cropped_NHWC)
    return images_NCHW if views.angles_N is None else _rotate(images_NCHW, views.angles_N)


def to_float(images_NHWC: Tensor) -> Tensor:
    """uint8 (N, S, S, C) -> float32 (N, C, S, S) in 0..1, in channels-last memory."""
    return images_NHWC.permute(0, 3, 1, 2).to(torch.float32).div_(255)


def _rotate(images_NCHW: Tensor, angles_N: Tensor) -> Tensor:
    """Bilinear rotation about the centre, edges repeated."""
    cosine_N, sine_N, zero_N = angles_N.cos(), angles_N.sin(), torch.zeros_like(angles_N)
    matrix_N23 = torch.stack([cosine_N, -sine_N, zero_N, sine_N, cosine_N, zero_N], dim=1).view(-1, 2, 3)
    grid_NHW2 = F.affine_grid(matrix_N23, list(images_NCHW.shape), align_corners=False)
    return F.grid_sample(images_NCHW, grid_NHW2, padding_mode="border", align_corners=False)
