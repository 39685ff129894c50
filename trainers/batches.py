"""The training pictures of one epoch as every network sees them: any batch of views, the same whenever it is asked for.

Shapes: N pictures of the data set, B of a batch, C = 3 channels, S pixels, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from trainers.augment import Views, apply_views, draw_views, mix, mixed_targets
from trainers.pictures import Pictures
from trainers.resident import home_of, sent, taken
from trainers.spec import Augment


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Views (B, C, S, S) in 0..1, their leading labels (B,), and the targets: these labels, or probabilities (B, K)."""

    images_BCHW: Tensor
    labels_B: Tensor
    targets: Tensor


class EpochViews:
    """The views of one epoch, a function of the view seed, the epoch and the picture alone."""

    def __init__(
        self,
        pictures: Pictures | Tensor,
        labels_N: Tensor,
        augment: Augment,
        view_seed: int,
        epoch: int,
        num_classes: int,
    ) -> None:
        home = home_of(pictures)
        self._pictures, self._labels_N, self._num_classes = pictures, labels_N.to(home), num_classes
        self._views = draw_views(augment, view_seed, epoch, len(pictures)).to(home)

    def batch(self, indices_B: Tensor, device: torch.device) -> Batch:
        """The views of some pictures, in the order of the indices (which lie where the pictures do), on a device."""
        views = self._views.select(indices_B)
        images_BCHW = self._images(indices_B, views, device)
        labels_B = sent(self._labels_N[indices_B], device)
        if views.partners_N is None or views.shares_N is None:
            return Batch(images_BCHW=images_BCHW, labels_B=labels_B, targets=labels_B)
        partners_B, shares_B = views.partners_N, sent(views.shares_N, device)
        others_BCHW = self._images(partners_B, self._views.select(partners_B), device)
        other_labels_B = sent(self._labels_N[partners_B], device)
        return Batch(
            images_BCHW=mix(images_BCHW, others_BCHW, shares_B),
            labels_B=labels_B,
            targets=mixed_targets(labels_B, other_labels_B, shares_B, self._num_classes),
        )

    def _images(self, indices_B: Tensor, views: Views, device: torch.device) -> Tensor:
        """Views before any mixing."""
        images_BHWC = sent(taken(self._pictures, indices_B, views.crops_N2), device)
        return apply_views(images_BHWC, views.to(device))
