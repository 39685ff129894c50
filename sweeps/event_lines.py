"""Events as lines of a log: each by itself while they are few, counted where they are dense."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from enum import IntEnum

BURST, LINES_PER_SECOND = 40, 1.0
"""So many lines may come at once, and so many per second after that."""

SECONDS_BETWEEN_SUMS = 30.0


class Weight(IntEnum):
    """How much a reader wants to know of an event: an epoch, a start or an end, a failure."""

    EPOCH = 0
    STEP = 1
    FAILURE = 2


class EventLines:
    """Says events; those that come too densely are counted and told as a sum: epochs first, failures last.

    An epoch needs two thirds of what may come at once, a start or an end one third, a failure any.
    """

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float]) -> None:
        self._say, self._clock = say, clock
        self._room, self._at = float(BURST), clock()
        self._counted, self._since = Counter[str](), 0.0

    def event(self, weight: Weight, what: str, line: Callable[[], str], totals: Callable[[], str]) -> None:
        """Say `line`, or count one more `what`, and say what was counted if that is long ago; `totals` end that."""
        now = self._clock()
        self._room, self._at = min(BURST, self._room + (now - self._at) * LINES_PER_SECOND), now
        if self._room - 1 >= (Weight.FAILURE - weight) * BURST / 3:
            self._room -= 1
            self._say(line())
        else:
            self._since = self._since if self._counted else now
            self._counted[what] += 1
        if self._counted and now - self._since >= SECONDS_BETWEEN_SUMS:
            self.flush(totals)

    def flush(self, totals: Callable[[], str]) -> None:
        """Say what was counted since the last time, if anything was."""
        if self._counted:
            words = ", ".join(f"{number:,} x {what}" for what, number in self._counted.items())
            self._counted.clear()
            self._say(f"more: {words} {totals()}")
