"""Batches of an epoch's views: any subset is the rows of the whole, mixed as mixup says."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from trainers.augment import apply_views, draw_views
from trainers.batches import EpochViews
from trainers.pictures import Pictures
from trainers.spec import Augment

CPU = torch.device("cpu")
NUM_IMAGES, NUM_CLASSES = 12, 3
IMAGES = np.random.default_rng(0).integers(0, 256, (NUM_IMAGES, 6, 6, 3), dtype=np.uint8)
LABELS = torch.arange(NUM_IMAGES) % NUM_CLASSES
PLAIN = Augment(crop_padding=2, horizontal_flip=True, rotation_degrees=15.0, erasing_probability=0.5)
MIXED = Augment(crop_padding=2, horizontal_flip=True, erasing_probability=0.5, mixup_alpha=0.4)


def epoch_views(augment: Augment, epoch: int = 1, view_seed: int = 5) -> EpochViews:
    return EpochViews(Pictures(IMAGES), LABELS, augment, view_seed, epoch, NUM_CLASSES)


@pytest.mark.parametrize("augment", [PLAIN, MIXED])
@pytest.mark.parametrize("indices", [[7, 0, 3], [11], [2, 2, 9, 1, 0]])
def test_any_batch_is_the_rows_of_the_whole(augment: Augment, indices: list[int]) -> None:
    views, chosen = epoch_views(augment), torch.tensor(indices)
    whole, part = views.batch(torch.arange(NUM_IMAGES), CPU), epoch_views(augment).batch(chosen, CPU)
    assert torch.equal(part.images_BCHW, whole.images_BCHW[chosen])
    assert torch.equal(part.labels_B, whole.labels_B[chosen])
    assert torch.equal(part.targets, whole.targets[chosen])


def test_without_mixing_a_batch_is_the_views_and_the_labels() -> None:
    batch = epoch_views(PLAIN).batch(torch.tensor([4, 1]), CPU)
    expected = apply_views(torch.from_numpy(IMAGES), draw_views(PLAIN, 5, 1, NUM_IMAGES))
    assert torch.equal(batch.images_BCHW, expected[[4, 1]])
    assert batch.labels_B.tolist() == batch.targets.tolist() == [1, 1]


def test_mixing_adds_the_partners_own_view_and_label_in_proportion() -> None:
    drawn = draw_views(MIXED, 5, 1, NUM_IMAGES)
    assert drawn.partners_N is not None and drawn.shares_N is not None
    views = apply_views(torch.from_numpy(IMAGES), drawn).double().numpy()
    batch = epoch_views(MIXED).batch(torch.arange(NUM_IMAGES), CPU)
    for index in range(NUM_IMAGES):
        share, partner = drawn.shares_N[index].item(), int(drawn.partners_N[index])
        expected = share * views[index] + (1 - share) * views[partner]
        np.testing.assert_allclose(batch.images_BCHW[index].numpy(), expected, atol=1e-6)
        target = share * np.eye(NUM_CLASSES)[index % 3] + (1 - share) * np.eye(NUM_CLASSES)[partner % 3]
        np.testing.assert_allclose(batch.targets[index].numpy(), target, atol=1e-6)


def test_mixed_targets_are_distributions_that_the_own_label_leads() -> None:
    batch = epoch_views(MIXED).batch(torch.arange(NUM_IMAGES), CPU)
    assert torch.allclose(batch.targets.sum(dim=1), torch.ones(NUM_IMAGES))
    assert torch.equal(batch.targets.argmax(dim=1), batch.labels_B)
    assert torch.equal(batch.labels_B, LABELS)


@pytest.mark.parametrize("augment", [PLAIN, MIXED])
def test_another_epoch_or_view_seed_gives_other_views(augment: Augment) -> None:
    everything = torch.arange(NUM_IMAGES)
    first = epoch_views(augment).batch(everything, CPU).images_BCHW
    for other in (epoch_views(augment, epoch=2), epoch_views(augment, view_seed=6)):
        assert not torch.equal(first, other.batch(everything, CPU).images_BCHW)


def test_erasing_and_mixing_stay_in_range_and_in_channels_last_memory() -> None:
    images_BCHW = epoch_views(MIXED).batch(torch.arange(NUM_IMAGES), CPU).images_BCHW
    assert images_BCHW.min() >= 0 and images_BCHW.max() <= 1
    assert images_BCHW.is_contiguous(memory_format=torch.channels_last)
