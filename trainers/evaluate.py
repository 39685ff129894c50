"""Logits of a network over prepared pictures, and the figures that follow from them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainers.augment import to_float
from trainers.pictures import Pictures
from trainers.resident import sent

PIXELS_PER_BATCH = 500 * 32 * 32
"""Of evaluation only: so many pictures that large ones fit as well; a function of the data alone."""


def predict(network: nn.Module, pictures: Pictures, device: torch.device) -> Tensor:
    """N pictures -> float32 logits (N, K) on the CPU, in evaluation mode, unaugmented."""
    network.eval()
    with torch.inference_mode():
        logits = [network(to_float(sent(batch_NHWC, device))).float() for batch_NHWC in _batches(pictures)]
    return torch.cat(logits).cpu()


def accuracy(logits_NK: Tensor, labels_N: Tensor) -> float:
    """Share of the labelled pictures (label 0 or more) whose largest logit is their label's."""
    is_labelled_N = labels_N >= 0
    return (logits_NK.argmax(dim=1) == labels_N)[is_labelled_N].double().mean().item()


def cross_entropy(logits_NK: Tensor, labels_N: Tensor) -> float:
    """Mean cross-entropy in nats, without label smoothing."""
    return F.cross_entropy(logits_NK.double(), labels_N).item()


def _batches(pictures: Pictures) -> Iterator[Tensor]:
    size = max(1, PIXELS_PER_BATCH // pictures.size**2)
    for start in range(0, max(1, len(pictures)), size):  # no pictures are one batch of none: (0, K) logits
        yield torch.from_numpy(pictures.take(np.arange(start, min(start + size, len(pictures)))))
