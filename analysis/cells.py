"""The numbers of a ranking as the cells of a table."""

from __future__ import annotations

from analysis.tables import Row


def number_text(value: int | None) -> str:
    """`1,200`; empty if unknown."""
    return "" if value is None else f"{value:,}"


def has_open_rank(row: Row) -> bool:
    """Whether the evidence leaves more than one rank open."""
    return bool(row["rank_low"] != row["rank_high"])


def rank_text(row: Row) -> str:
    """`2 (1-3)`: the rank, and those that may as well be true; `2` if it is sure."""
    text = number_text(row["rank"])
    return f"{text} ({row['rank_low']}-{row['rank_high']})" if has_open_rank(row) else text


def percent_text(value: float | None) -> str:
    """A fraction as `80.09`; empty if unknown."""
    return "" if value is None else f"{100 * value:.2f}"


def published_text(value: float | None) -> str:
    """With the digits that the report prints: two, or three."""
    return "" if value is None else f"{100 * value:.3f}".removesuffix("0")


def signed_text(value: float | None) -> str:
    """A difference of fractions as `+1.20` points; empty if unknown."""
    return "" if value is None else f"{100 * value:+.2f}"


def interval_text(row: Row, name: str, *, is_signed: bool = False) -> str:
    """`80.09 ±0.42`; without the second part where no spread is known."""
    mean, low, high = (row[f"{name}_{part}"] for part in ("mean", "low", "high"))
    text = signed_text(mean) if is_signed else percent_text(mean)
    return text if low is None else f"{text} ±{100 * (high - low) / 2:.2f}"


def model_size_text(value: float | None) -> str:
    """`639 kB`, `44.81 MB`; empty if unknown."""
    if value is None:
        return ""
    return f"{value / 1e3:.0f} kB" if value < 999_500 else f"{value / 1e6:.2f} MB"


def latency_text(seconds: float | None) -> str:
    """`1.25 ms`; empty if unknown."""
    return "" if seconds is None else f"{1000 * seconds:.2f} ms"


def missing_text(row: Row) -> str:
    """`1 failed, 2 blocked`; empty if all seeds are finished."""
    counts = ((row[f"num_{name}"], name) for name in ("failed", "blocked", "unfinished"))
    return ", ".join(f"{count} {name}" for count, name in counts if count)


def duration_text(seconds: float | None) -> str:
    """`12.0 s`, `5.1 min`, `3.0 h`; empty if unknown."""
    if seconds is None:
        return ""
    unit, size = next(((u, s) for u, s in (("h", 3600), ("min", 60)) if seconds >= s), ("s", 1))
    return f"{seconds / size:.1f} {unit}"
