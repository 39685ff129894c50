"""Which pictures of a data set are used, and for which split: a pure function of the labels.

Everything here is stratified and fixed, decided by the hash of a picture's position.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from trainers.result import Split

HELD_OUT_FRACTION = 0.1
"""Share of the training pictures that becomes validation (and test, if the data brings neither)."""

Indices = npt.NDArray[np.int64]
Selection = dict[Split, tuple[Split, Indices]]
"""For each split of ours: the split of the data that it is taken from, and which of its pictures."""


class Part(StrEnum):
    """Which pictures of a data set a request means: those within its limit, or all others."""

    WITHIN_LIMIT = "within_limit"
    OUTSIDE_LIMIT = "outside_limit"


def select(labels: Mapping[Split, Indices], limit: int | None, part: Part) -> Selection:
    """Stratified and fixed: a limit keeps the proportions of splits and classes; missing splits are cut from training.

    Data without validation gives a tenth of its training pictures for it, and as many for test if it
    has training pictures only. Which ones is decided by the hash of their position.
    """
    everything = {split: np.arange(len(values)) for split, values in labels.items() if len(values)}
    chosen = everything if limit is None else _limited(labels, everything, limit, part)
    selection = {split: (split, indices) for split, indices in chosen.items()}
    training = chosen.get(Split.TRAIN, np.arange(0))
    for split, share in _held_out_shares(set(chosen)).items():
        held_out = _draw(labels[Split.TRAIN], training, share, round(len(training) * share), f"split/{split.value}")
        training = np.setdiff1d(training, held_out)
        selection |= {split: (Split.TRAIN, held_out), Split.TRAIN: (Split.TRAIN, training)}
    return selection


def _limited(
    labels: Mapping[Split, Indices], everything: dict[Split, Indices], limit: int, part: Part
) -> dict[Split, Indices]:
    lengths = np.array([len(indices) for indices in everything.values()])
    share = min(1.0, limit / lengths.sum())
    sizes = _whole_numbers(lengths * share, min(limit, lengths.sum()))
    inside = {
        split: _draw(labels[split], indices, share, size, f"limit/{split.value}")
        for (split, indices), size in zip(everything.items(), sizes.tolist(), strict=True)
    }
    if part is Part.WITHIN_LIMIT:
        return inside
    return {split: np.setdiff1d(indices, inside[split]) for split, indices in everything.items()}


def _held_out_shares(present: set[Split]) -> dict[Split, float]:
    """Which splits to cut from training, in order, each with its share of what is left by then."""
    if Split.TRAIN not in present or Split.VALIDATION in present:
        return {}
    if Split.TEST in present:
        return {Split.VALIDATION: HELD_OUT_FRACTION}
    return {Split.VALIDATION: HELD_OUT_FRACTION, Split.TEST: HELD_OUT_FRACTION / (1 - HELD_OUT_FRACTION)}


def _draw(labels: Indices, candidates: Indices, share: float, size: int, purpose: str) -> Indices:
    """A stratified sample of the candidates, sorted: `size` in all, each class by its share."""
    classes, counts = np.unique(labels[candidates], return_counts=True)
    sizes = _whole_numbers(counts * share, size)
    drawn = [
        _by_hash(candidates[labels[candidates] == label], purpose)[:size]
        for label, size in zip(classes, sizes, strict=True)
    ]
    return np.sort(np.concatenate([np.arange(0), *drawn]).astype(np.int64))


def _whole_numbers(exact: npt.NDArray[np.floating[Any]], total: int) -> Indices:
    """Whole numbers near the exact ones, with this total: those of the largest remainder are rounded up."""
    sizes: Indices = np.floor(exact).astype(np.int64)
    for position in np.argsort(sizes - exact, kind="stable")[: total - int(sizes.sum())]:
        sizes[position] += 1
    return sizes


def _by_hash(indices: Indices, purpose: str) -> Indices:
    """The indices in an order that looks random and is the same everywhere."""
    keys = [hashlib.sha256(f"{purpose}/{index}".encode()).digest() for index in indices]
    return indices[sorted(range(len(indices)), key=keys.__getitem__)]
