"""Figures of a network over pictures, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from trainers import evaluate
from trainers.evaluate import accuracy, cross_entropy, predict
from trainers.pictures import Pictures

CPU = torch.device("cpu")


class MeanColour(nn.Module):
    """Logits are the mean of each channel; training mode would give nonsense."""

    def forward(self, images_NCHW: Tensor) -> Tensor:
        assert not self.training
        return images_NCHW.mean(dim=(2, 3))


def test_accuracy_counts_the_largest_logits() -> None:
    logits_NK = torch.tensor([[1.0, 2.0], [3.0, 0.0], [0.0, 1.0], [0.0, 9.0]])
    assert accuracy(logits_NK, torch.tensor([1, 0, 0, 1])) == 0.75


def test_cross_entropy_by_hand() -> None:
    logits_NK = torch.tensor([[0.0, 0.0], [math.log(3.0), 0.0]])
    expected = (math.log(2) + math.log(4 / 3)) / 2
    assert cross_entropy(logits_NK, torch.tensor([0, 0])) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("num_images", [1, 4, 5, 9])
def test_predictions_come_in_order_whatever_the_batches(num_images: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate, "PIXELS_PER_BATCH", 4 * 2 * 2)
    images = np.random.default_rng(0).integers(0, 256, (num_images, 2, 2, 3), dtype=np.uint8)
    logits_NK = predict(MeanColour(), Pictures(images), CPU)
    np.testing.assert_allclose(logits_NK.numpy(), images.mean(axis=(1, 2)) / 255, atol=1e-6)


def test_no_pictures_give_no_predictions_of_the_right_width() -> None:
    logits_NK = predict(MeanColour(), Pictures(np.zeros((0, 2, 2, 3), dtype=np.uint8)), CPU)
    assert logits_NK.shape == (0, 3)
