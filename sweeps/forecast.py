"""What was foreseen of a sweep's duration while it ran, to be held against what it took. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from analysis.words import format_seconds


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """The seconds that the whole sweep was expected to take, as seen when it had run for `at` seconds."""

    at: float
    total: float


@dataclass
class Forecasts:
    """All of them, in order of time."""

    entries: list[Forecast] = field(default_factory=list)

    @property
    def last(self) -> Forecast:
        """The newest one."""
        return self.entries[-1]

    def add(self, at: float, seconds_left: float) -> None:
        """One more."""
        self.entries.append(Forecast(at=at, total=at + seconds_left))

    def seen_at(self, seconds: float) -> float:
        """The total that was expected after so many seconds."""
        return next((one.total for one in reversed(self.entries) if one.at <= seconds), self.entries[0].total)

    def against(self, took: float) -> str:
        """In words: `estimated 4:10 at the start, 4:20 at 10 %; took 4:02`."""
        start, tenth = (format_seconds(self.seen_at(share * took)) for share in (0.0, 0.1))
        return f"estimated {start} at the start, {tenth} at 10 %; took {format_seconds(took)}"
