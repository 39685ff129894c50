"""Whether every class can be learnt and validated with the pictures that were chosen, and what to do if not."""

from __future__ import annotations

import numpy as np

from trainers.errors import DataError
from trainers.images import RawData
from trainers.result import Split
from trainers.selection import Part, Selection


def check_coverage(selection: Selection, raw: RawData, limit: int | None, part: Part) -> None:
    """DataError for a class that has no picture to learn from or to choose by, or pictures without a label there."""
    for split in (Split.TRAIN, Split.VALIDATION):
        origin, indices = selection.get(split, (split, np.arange(0)))
        labels = raw.labels[origin][indices] if len(indices) else indices
        if (labels < 0).any():
            raise DataError(f"{raw.origin}: {int((labels < 0).sum())} pictures in {split.value} have no label")
        missing = sorted(set(range(len(raw.class_names))) - set(labels.tolist()))
        if missing:
            raise DataError(
                f"{raw.origin}: {len(missing)} of {len(raw.class_names)} classes have no picture in {split.value} "
                f"({raw.class_names[missing[0]]!r}, ...); {_way_out(raw, limit, part, split, missing[0])}"
            )


def _way_out(raw: RawData, limit: int | None, part: Part, split: Split, missing: int) -> str:
    """What to do about a class that has no picture in a split: the limit, the cut or the data may be why."""
    if not len(raw.labels.get(Split.TRAIN, ())):
        return "there are no training pictures at all; add some"
    is_cut = not len(raw.labels.get(split, ()))
    is_limited = limit is not None and limit < sum(map(len, raw.labels.values()))
    if is_limited and missing in raw.labels[Split.TRAIN if is_cut else split]:
        size = "larger" if part is Part.WITHIN_LIMIT else "smaller"
        return f"use a {size} --limit or add pictures"
    if is_cut:
        return f"a tenth of the training pictures becomes {split.value}: add pictures (10 of a class are enough)"
    return f"add pictures of it to {split.value}" + (
        ", or leave that split out: a tenth of the training pictures is taken then" if split is Split.VALIDATION else ""
    )
