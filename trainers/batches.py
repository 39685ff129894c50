"""The training pictures of one epoch as every network sees them: any batch of views, the same whenever it is asked for.

Shapes: N pictures of the data set, B of a batch, C = 3 channels, S pixels, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from trainers.augment import Views, apply_views, draw_views, mix, mixed_targets
from trainers.pictures import Pictures
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
        self, pictures: Pictures, labels_N: Tensor, augment: Augment, view_seed: int, epoch: int, num_classes: int
    ) -> None:
        self._pictures, self._labels_N, self._num_classes = pictures, labels_N, num_classes
        self._views = draw_views(augment, view_seed, epoch, len(pictures))

    def __len__(self) -> int:
        return len(self._pictures)

    @property
    def size(self) -> int:
        """S, the pixels per side of every picture."""
        return self._pictures.size

    def batch(self, indices_B: Tensor, device: torch.device) -> Batch:
        """The views of some pictures, in the order of the indices, on a device."""
        labels_B = self._labels_N[indices_B].to(device)
        views = self._views.select(indices_B)
        targets = labels_B
        if views.partners_N is not None and views.shares_N is not None:
            other_labels_B = self._labels_N[views.partners_N].to(device)
            targets = mixed_targets(labels_B, other_labels_B, views.shares_N.to(device), self._num_classes)
        return Batch(images_BCHW=self.images(indices_B, device), labels_B=labels_B, targets=targets)

    def images(self, indices_B: Tensor, device: torch.device) -> Tensor:
        """The pictures of `batch` alone: (B, C, S, S) in 0..1."""
        views = self._views.select(indices_B)
        images_BCHW = self._images(indices_B, views, device)
        if views.partners_N is None or views.shares_N is None:
            return images_BCHW
        others_BCHW = self._images(views.partners_N, self._views.select(views.partners_N), device)
        return mix(images_BCHW, others_BCHW, views.shares_N.to(device))

    def _images(self, indices_B: Tensor, views: Views, device: torch.device) -> Tensor:
        """Pictures before any mixing."""
        where_B2 = None if views.crops_N2 is None else views.crops_N2.numpy()
        images_BHWC = torch.from_numpy(self._pictures.take(indices_B.numpy(), where_B2)).to(device)
        return apply_views(images_BHWC, views.to(device))
