"""Claims, and what the runs say of each, with its test; the verdict is made in `analysis.claims`. Pure."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from analysis.cells import published_text
from analysis.differences import Differences, Method, compare
from analysis.families import Family, Rightness
from analysis.orders import ORDERS, Order
from analysis.reference import published
from analysis.tables import Row

TOLERANCE = 0.02
"""How near our mean must be to a published accuracy: the report's is one run of one seed, with a spread of its own."""

MOST_VARIANTS = 50
"""Points of a grid of which each order is judged, those of the first ranks."""

ONE_SAMPLE = "one sample"
"""How seeds are compared with a published number: by Student's t."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A claim about groups of one data set (rows of RANKING_SCHEMA); without a second one it is about a number."""

    claim_id: str
    text: str
    first: Row
    second: Row | None = None
    variant: str | None = None
    published: float | None = None

    @property
    def unfinished(self) -> list[str]:
        """Labels of its groups without a result."""
        return [row["label"] for row in (self.first, self.second) if row is not None and not row["n"]]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What the runs say; a positive `effect` speaks for the claim, and NaN is what is not known."""

    n: int = 0
    method: str | None = None
    estimate: float = math.nan
    effect: float = math.nan
    standard_error: float = math.nan
    degrees_of_freedom: float = math.nan
    low: float = math.nan
    high: float = math.nan
    p: float = math.nan


def claims_about(rows: Sequence[Row]) -> list[Claim]:
    """The published numbers and the orders that groups of one data set, of a ranking, can be held against."""
    settings = _by_setting(rows)
    return [*_numbers(rows), *(claim for order in ORDERS for claim in _claims(order, settings))]


def _numbers(rows: Sequence[Row]) -> Iterator[Claim]:
    for row in rows:
        reference = published(row["label"], row["num_params"])
        accuracy = row.get("reference_accuracy")
        if reference is not None and accuracy is not None:
            text = f"{reference.source}: {published_text(accuracy)} %"
            yield Claim(claim_id=f"number_{reference.label}", text=text, first=row, published=accuracy)


def _claims(order: Order, settings: Mapping[str, dict[str, Row]]) -> list[Claim]:
    """An order at every point of a grid; a side that the grid leaves alone stands for all of its points."""
    firsts, seconds = (settings.get(label, {}) for label in (order.first, order.second))
    pairs = [(setting, first, seconds.get(setting) or seconds.get("")) for setting, first in firsts.items()]
    if "" in firsts:
        pairs += [(setting, firsts[""], second) for setting, second in seconds.items() if setting not in firsts]
    whole = [(setting, first, second) for setting, first, second in pairs if second is not None][:MOST_VARIANTS]
    return [_claim(order, *pair) for pair in whole]


def _by_setting(rows: Sequence[Row]) -> dict[str, dict[str, Row]]:
    """Groups by their label, and by what tells them apart: the point of a grid, or the variant."""
    settings: defaultdict[str, dict[str, Row]] = defaultdict(dict)
    for row in rows:
        label, _, point = (row["label"] or "").partition("/")
        settings[label][row["variant"] or point] = row
    return settings


def _claim(order: Order, setting: str, first: Row, second: Row) -> Claim:
    ours, theirs = (row.get("reference_accuracy") for row in (first, second))
    return Claim(
        claim_id=order.claim_id,
        text=order.text,
        first=first,
        second=second,
        variant=setting or None,
        published=None if ours is None or theirs is None else ours - theirs,
    )


def findings_of(claims: Sequence[Claim], family: Family | None, rightness: Rightness) -> list[Finding]:
    """A finding per claim, an empty one where a group has no result."""
    ready = [claim for claim in claims if not claim.unfinished and claim.second is not None]
    of_orders = iter(_order_findings(ready, family, rightness) if family is not None and ready else ())
    return [_empty_or(claim, of_orders) for claim in claims]


def _empty_or(claim: Claim, of_orders: Iterator[Finding]) -> Finding:
    if claim.unfinished:
        return Finding()
    return _number_finding(claim) if claim.second is None else next(of_orders)


def _order_findings(claims: Sequence[Claim], family: Family, rightness: Rightness) -> list[Finding]:
    """All of them in one comparison."""
    groups = {row["group_id"]: None for claim in claims for row in (claim.first, claim.second) if row is not None}
    involved = family.only(groups)
    place = {row["group_id"]: number for number, row in enumerate(involved.rows)}
    sides = [[(claim.first, claim.second)[side] for claim in claims] for side in (0, 1)]
    first, second = (np.array([place[row["group_id"]] for row in rows if row], np.int64) for rows in sides)
    found = compare(involved.groups(rightness), first, second)
    return [_order_finding(found, number) for number in range(len(claims))]


def _order_finding(found: Differences, number: int) -> Finding:
    numbers = {
        name: float(getattr(found, name)[number])
        for name in ("standard_error", "degrees_of_freedom", "low", "high", "p")
    }
    mean, method = float(found.mean[number]), found.method[number]
    return Finding(n=int(found.n[number]), method=method, estimate=mean, effect=mean, **numbers)


def _number_finding(claim: Claim) -> Finding:
    """Against the nearer edge of what counts as the published number: two-sided, so that p and the interval agree."""
    row, n = claim.first, claim.first["n"]
    mean = row["validation_accuracy_mean"]
    effect = TOLERANCE - abs(mean - (claim.published or 0.0))
    if n < 2:
        low, high = (row[f"validation_accuracy_bootstrap_{end}"] for end in ("low", "high"))
        return Finding(n=n, method=Method.PICTURES.value, estimate=mean, effect=effect, low=low, high=high)
    error = row["validation_accuracy_sd"] / math.sqrt(n) or math.nan
    return Finding(
        n=n,
        method=ONE_SAMPLE,
        estimate=mean,
        effect=effect,
        standard_error=error,
        degrees_of_freedom=n - 1,
        low=row["validation_accuracy_low"],
        high=row["validation_accuracy_high"],
        p=2 * special.stdtr(n - 1, -abs(effect) / error),
    )
