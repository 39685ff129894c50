"""Rows of the page's smaller tables as texts: claims, gains, agreement."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.page.answer import percent
from analysis.page.render import signed
from analysis.stats import Summary
from analysis.tables import Row
from analysis.words import counted

_NUMBER = "number"
SMALLEST_P = 0.001


def claim_texts(claims: Sequence[Row]) -> list[Row]:
    """Each claim with its verdict, and what would decide it."""
    data = {claim["data_name"] for claim in claims}
    return [_claim(claim) | {"data": claim["data_name"] if len(data) > 1 else None} for claim in claims]


def _claim(claim: Row) -> Row:
    is_number = claim["kind"] == _NUMBER
    show = percent if is_number else signed
    low, high = claim["low"], claim["high"]
    texts = {
        "ours": show(claim["estimate"]),
        "interval": "" if low is None else f"{show(low)} to {show(high)}",
        "published": show(claim["published"]),
        "p": p_text(claim["p_corrected"]),
        "more": _more(claim),
    }
    return {name: claim[name] for name in ("text", "variant", "verdict", "n", "method", "note")} | texts


def _more(claim: Row) -> str:
    """How many more seeds would decide a claim that is not decided."""
    if claim["verdict"] != "undecided" or not claim["num_more_seeds"]:
        return ""
    return f"about {counted(claim['num_more_seeds'], 'more seed')} would decide"


def p_text(value: float | None) -> str:
    """`p = 0.012`, `p < 0.001`; empty if there is none."""
    if value is None:
        return ""
    return f"p < {SMALLEST_P:g}" if value < SMALLEST_P else f"p = {value:.3f}"


def gain_texts(gains: Sequence[Row]) -> list[Row]:
    """Each gain with its interval, in points."""
    return [
        row | {split: _gain(*(row[f"{split}_gain_{part}"] for part in ("mean", "low", "high"))) for split in _SPLITS}
        for row in gains
    ]


_SPLITS = ("validation", "test")


def _gain(mean: float | None, low: float | None, high: float | None) -> str:
    """Where all seeds gain the same no spread is known."""
    least, most = signed(low), signed(high)
    return signed(mean) if least == most else f"{signed(mean)} ({least} to {most})"


def agreement_texts(agreements: Sequence[Row]) -> list[Row]:
    """Each agreement with half its interval."""
    return [
        row
        | {name: with_half(row[name], 100) for name in ("agreement", "when_wrong")}
        | {"kl_nats": with_half(row["kl_nats"], 1)}
        for row in agreements
    ]


def with_half(found: Summary, scale: float) -> str:
    """`80.09 ±0.42`: a mean and half of its interval."""
    if found.mean is None:
        return ""
    mean = f"{scale * found.mean:.2f}"
    return mean if found.low is None or found.high is None else f"{mean} ±{scale * (found.high - found.low) / 2:.2f}"


def best_text(best: Row | None) -> str:
    """The best network of a sweep: `student_kd, 80.09 ±0.42 (n = 3, 12 epochs)`."""
    if best is None:
        return ""
    accuracy, epochs = best["accuracy"], counted(best["epochs"], "epoch")
    return f"{best['label']}, {with_half(accuracy, 100)} (n = {accuracy.n}, {epochs})"
