"""Which group is better than which, and which ranks that leaves open: `comparisons.parquet`. Pure.

Within one data set and on validation accuracy only. Up to 1,000 groups of one data set all pairs are tested and
corrected together (Holm). Of more, the first 1,000 are compared, corrected for the number of all pairs (Bonferroni).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa

from analysis.differences import Differences, compare
from analysis.families import Family, Rightness, nothing_known
from analysis.rank_intervals import Ranks, rank_intervals, rank_intervals_of_many
from analysis.stats import Floats, Integers, holm
from analysis.tables import Row

COMPARISONS_SCHEMA = pa.schema(
    [
        pa.field("data_name", pa.string()),
        pa.field("data_fingerprint", pa.string()),
        pa.field("first_group_id", pa.string(), nullable=False),
        pa.field("first_label", pa.string()),
        pa.field("first_variant", pa.string()),
        pa.field("first_rank", pa.int64(), nullable=False),
        pa.field("second_group_id", pa.string(), nullable=False),
        pa.field("second_label", pa.string()),
        pa.field("second_variant", pa.string()),
        pa.field("second_rank", pa.int64(), nullable=False),
        pa.field("num_shared_seeds", pa.int64(), nullable=False),
        pa.field("n", pa.int64(), nullable=False),
        pa.field("method", pa.string(), nullable=False),
        pa.field("validation_difference", pa.float64()),
        pa.field("validation_difference_low", pa.float64()),
        pa.field("validation_difference_high", pa.float64()),
        pa.field("p", pa.float64()),
        pa.field("p_corrected", pa.float64()),
        pa.field("correction", pa.string(), nullable=False),
        pa.field("num_pairs", pa.int64(), nullable=False),
    ]
)
"""One row per pair, the first the better ranked: all pairs of up to 50 groups, else those with the best and the next.

`method` is one of `analysis.differences.Method`. Low and high (95 %) and `p` are of this one difference; `p_corrected`
is for all `num_pairs` of the data set. They are null where the seeds of both sides show no spread at all.
"""

MOST_PAIRED = 1_000
"""Groups of one data set of which all pairs are tested: half a million, in seconds."""

MOST_WITH_ALL_PAIRS = 50
"""Groups of which a table has all pairs; nobody reads more than these 1,225."""


def compare_family(family: Family, rightness: Rightness) -> list[Row]:
    """The rows of COMPARISONS_SCHEMA of one data set; fills in `rank_low` and `rank_high` of the ranking's rows."""
    chosen = family.first(MOST_PAIRED)
    is_whole = len(family.rows) <= MOST_PAIRED
    first, second = _pairs(len(chosen.rows), is_whole)
    found = compare(chosen.groups(rightness if is_whole else nothing_known), first, second)
    num_pairs = math.comb(len(family.rows), 2)
    corrected = holm(found.p) if is_whole else np.minimum(1, num_pairs * found.p)
    is_shown = _is_shown(len(chosen.rows), first, second)
    ranks = rank_intervals(len(chosen.rows), first, second, found, corrected) if is_whole else _ranks_of_many(family)
    for row, low, high in zip(family.rows, *ranks, strict=True):
        row |= {"rank_low": int(low), "rank_high": int(high)}
    common = {"correction": "holm" if is_whole else "bonferroni", "num_pairs": num_pairs}
    return [common | _row(chosen, first, second, found, corrected, pair) for pair in np.flatnonzero(is_shown).tolist()]


def _pairs(num_groups: int, all_of_them: bool) -> tuple[Integers, Integers]:
    first, second = np.triu_indices(num_groups, 1)
    if all_of_them:
        return first, second
    is_shown = _is_shown(num_groups, first, second)
    return first[is_shown], second[is_shown]


def _is_shown(num_groups: int, first: Integers, second: Integers) -> Any:
    return (first == 0) | (second == first + 1) | (num_groups <= MOST_WITH_ALL_PAIRS)


def _ranks_of_many(family: Family) -> Ranks:
    """Each group by its own interval: over seeds, or over the pictures where there is one seed."""
    rows = family.rows
    n = np.array([row["n"] for row in rows], np.float64)
    images = np.array([runs[0]["num_validation_images"] for runs in family.runs], np.float64)
    means = np.array([row["validation_accuracy_mean"] for row in rows])
    smoothed = (means * images + 1) / (images + 2)
    over_pictures = np.sqrt(smoothed * (1 - smoothed) / (images + 2))
    spreads = np.array([row["validation_accuracy_sd"] or math.nan for row in rows], np.float64)
    errors = np.where(n == 1, over_pictures, spreads / np.sqrt(n))
    return rank_intervals_of_many(means, errors, np.where(n == 1, np.inf, n - 1))


def _row(family: Family, first: Integers, second: Integers, found: Differences, corrected: Floats, pair: int) -> Row:
    sides = {"first": family.rows[first[pair]], "second": family.rows[second[pair]]}
    names = ("group_id", "label", "variant", "rank")
    return {
        **{name: sides["first"][name] for name in ("data_name", "data_fingerprint")},
        **{f"{side}_{name}": row[name] for side, row in sides.items() for name in names},
        "num_shared_seeds": int(found.num_shared_seeds[pair]),
        "n": int(found.n[pair]),
        "method": found.method[pair],
        "validation_difference": known(found.mean[pair]),
        "validation_difference_low": known(found.low[pair]),
        "validation_difference_high": known(found.high[pair]),
        "p": known(found.p[pair]),
        "p_corrected": known(corrected[pair]),
    }


def known(value: float) -> float | None:
    """NaN as null."""
    return None if math.isnan(value) else float(value)
