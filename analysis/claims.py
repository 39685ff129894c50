"""What the report claims, and whether the runs confirm it: `claims.parquet`. Pure.

A claim is about recipes, so one seed decides nothing. All claims tested on a data set are corrected together (Holm).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from enum import StrEnum

import numpy as np
import pyarrow as pa

from analysis.comparisons import known
from analysis.families import Family, Rightness
from analysis.findings import Claim, Finding, claims_about, findings_of
from analysis.power import MOST_SEEDS, num_more_seeds
from analysis.stats import SIGNIFICANT, holm
from analysis.tables import Row
from trainers.spec import Role

CLAIMS_SCHEMA = pa.schema(
    [
        pa.field("claim_id", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("data_name", pa.string()),
        pa.field("data_fingerprint", pa.string()),
        pa.field("variant", pa.string()),
        pa.field("first_group_id", pa.string()),
        pa.field("first_label", pa.string()),
        pa.field("second_group_id", pa.string()),
        pa.field("second_label", pa.string()),
        pa.field("n", pa.int64(), nullable=False),
        pa.field("method", pa.string()),
        pa.field("estimate", pa.float64()),
        pa.field("published", pa.float64()),
        pa.field("low", pa.float64()),
        pa.field("high", pa.float64()),
        pa.field("p", pa.float64()),
        pa.field("p_corrected", pa.float64()),
        pa.field("verdict", pa.string(), nullable=False),
        pa.field("num_more_seeds", pa.int64()),
        pa.field("note", pa.string()),
    ]
)
"""One row per claim and, in a grid, per point (`variant`).

`kind` is `number` (`estimate` is the mean validation accuracy of the first group) or `order` (`estimate` is the first
less the second). `published` is null on other data than the report's. Low, high (95 %) and `p` are of this claim alone.
`num_more_seeds` is 0 where the claim is decided; null with fewer than two seeds, or if a million would not do.
"""


class Verdict(StrEnum):
    """What the runs say of a claim."""

    CONFIRMED = "confirmed"
    CONTRADICTED = "contradicted"
    UNDECIDED = "undecided"


def claim_rows(rows: Sequence[Row], families: Sequence[Family], rightness: Rightness) -> list[Row]:
    """The rows of CLAIMS_SCHEMA, of a ranking's rows and its families; nothing about jobs that were not planned."""
    known_families = {family.rows[0]["data_fingerprint"]: family for family in families}
    of_data = _by_data(rows).items()
    return [row for data, same in of_data for row in _judged(same, known_families.get(data), rightness)]


def _by_data(rows: Sequence[Row]) -> dict[str | None, list[Row]]:
    """Groups of each data set; what was never begun has no data yet, which is clear if there is only one."""
    of_data: dict[str | None, list[Row]] = defaultdict(list)
    for row in rows:
        if row["role"] != Role.PRETRAIN.value:
            of_data[row["data_fingerprint"]].append(row)
    begun = [data for data in of_data if data is not None]
    if len(begun) == 1:
        of_data[begun[0]] += of_data.pop(None, [])
    return of_data


def _judged(rows: list[Row], family: Family | None, rightness: Rightness) -> list[Row]:
    claims = claims_about(rows)
    findings = findings_of(claims, family, rightness)
    corrected = holm(np.array([finding.p if finding.n >= 2 else math.nan for finding in findings]))
    significant = SIGNIFICANT / max(1, int(np.count_nonzero(~np.isnan(corrected))))
    return [_row(*judged, significant) for judged in zip(claims, findings, corrected.tolist(), strict=True)]


def _row(claim: Claim, finding: Finding, corrected: float, significant: float) -> Row:
    verdict = _verdict(finding, corrected)
    more = 0 if verdict is not Verdict.UNDECIDED else _num_more_seeds(finding, significant)
    numbers = ("estimate", "low", "high", "p")
    return {
        "claim_id": claim.claim_id,
        "text": claim.text,
        "kind": "number" if claim.second is None else "order",
        **{name: claim.first[name] or (claim.second or {}).get(name) for name in ("data_name", "data_fingerprint")},
        "variant": claim.variant,
        **_names("first", claim.first),
        **_names("second", claim.second or {}),
        "n": finding.n,
        "method": finding.method,
        "published": claim.published,
        **{name: known(getattr(finding, name)) for name in numbers},
        "p_corrected": known(corrected),
        "verdict": verdict.value,
        "num_more_seeds": more,
        "note": _note(claim, finding, verdict, more),
    }


def _names(side: str, row: Row) -> Row:
    return {f"{side}_{name}": row.get(name) for name in ("group_id", "label")}


def _verdict(finding: Finding, corrected: float) -> Verdict:
    if not corrected < SIGNIFICANT:  # NaN, which is no test, decides nothing
        return Verdict.UNDECIDED
    return Verdict.CONFIRMED if finding.effect > 0 else Verdict.CONTRADICTED


def _num_more_seeds(finding: Finding, significant: float) -> int | None:
    """Never 0, since what is undecided would not be decided at the level of the strictest of all tests either."""
    if finding.n < 2 or math.isnan(finding.standard_error):
        return None
    error, freedom = finding.standard_error, finding.degrees_of_freedom
    return num_more_seeds(finding.effect, error, finding.n, freedom, significant)


def _note(claim: Claim, finding: Finding, verdict: Verdict, more: int | None) -> str | None:
    """Why it is undecided, if it is."""
    if verdict is not Verdict.UNDECIDED:
        return None
    if claim.unfinished:
        return f"no finished run of {' and '.join(claim.unfinished)}"
    if finding.n < 2:
        return "one seed, so no spread over seeds is known; the interval is over pictures, of these networks alone"
    if math.isnan(finding.p):
        what = "accuracies" if claim.second is None else "differences"
        return f"the {what} of all seeds are the same, so nothing can be tested"
    if more is None:
        return f"not even {MOST_SEEDS:,} seeds would decide a difference this small"
    return "decided alone, but not among all claims tested here" if finding.p < SIGNIFICANT else None
