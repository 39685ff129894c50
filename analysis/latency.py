"""The measured time of one picture, over runs that may be compared. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.stats import summarize
from analysis.tables import Row
from analysis.words import counted

_PLACE = ("device", "hardware", "num_threads")
OF_LATENCY = ("latency_seconds", *_PLACE)
"""The columns of RUNS_SCHEMA that are looked at."""


def latency_columns(finished: Sequence[Row]) -> Row:
    """Mean, spread and interval of runs measured on equal hardware with as many threads, and what that was.

    Nothing otherwise: times of different machines have no mean.
    """
    measured = [run for run in finished if run["latency_seconds"] is not None]
    places = {tuple(run[name] for name in _PLACE) for run in measured}
    if len(places) != 1:
        return {}
    ((device, hardware, num_threads),) = places
    summary = summarize([run["latency_seconds"] for run in measured])
    parts = {"mean": summary.mean, "sd": summary.sd, "low": summary.low, "high": summary.high}
    columns = {f"latency_seconds_{part}": value for part, value in parts.items()}
    return {"latency_measured_on": f"{device}, {hardware}, {counted(num_threads, 'thread')}"} | columns
