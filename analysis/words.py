"""Bytes, ages and counts as a person reads and writes them."""

from __future__ import annotations

import math

from trainers.errors import SpecError

_UNITS = {"s": 1, "min": 60, "h": 3_600, "d": 86_400}


def size_text(size_bytes: float) -> str:
    """`0 B`, `639 kB`, `44.8 MB`, `1.2 GB`."""
    for unit in ("B", "kB", "MB"):
        if size_bytes < 999.5:
            return f"{size_bytes:.0f} {unit}" if unit != "MB" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1e3
    return f"{size_bytes:.1f} GB"


def age_text(seconds: float) -> str:
    """`12 s`, `5 min`, `3 h`, `40 d`: whole units, rounded down, the largest of which there is one."""
    unit = next((unit for unit in reversed(_UNITS) if seconds >= _UNITS[unit]), "s")
    return f"{max(0, math.floor(seconds / _UNITS[unit]))} {unit}"


def format_seconds(seconds: float | None) -> str:
    """`1:05:09`, `5:09`; `?` when unknown."""
    if seconds is None:
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def counted(number: int, one: str, many: str = "") -> str:
    """`1 run`, `1,200 runs`, `2 entries`."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def count_text(number: int | None) -> str:
    """`640`, `40.3 k`, `11.2 M`, `1.82 G`; empty if unknown."""
    if number is None:
        return ""
    if number < 1e6:
        return f"{number / 1e3:.1f} k" if number >= 1e3 else str(number)
    return f"{number / 1e6:.1f} M" if number < 1e9 else f"{number / 1e9:.2f} G"


def parse_age(text: str) -> float:
    """`30d`, `12h`, `90min` -> seconds; SpecError for anything else."""
    number = text.rstrip("abcdefghijklmnopqrstuvwxyz")
    unit = _UNITS.get(text[len(number) :])
    try:
        seconds = float(number) * unit if unit else math.nan
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise SpecError(f"--older-than {text!r} is not an age; write for example 30d, 12h or 90min")
    return seconds
