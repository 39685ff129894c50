"""Which job starts next: the state of a graph while it runs. Pure, so that Tune, serial runs and simulations share it.

It knows ids alone: what waits for what, what each asks for, and how urgent it is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from enum import Enum
from heapq import heappop, heappush

from sweeps.admission import Booking, Ledger
from sweeps.graph import children_of, longest_paths
from sweeps.resources import Resources

Entry = tuple[float, int, str]
"""A ready job in a heap: the most urgent first, then in the plan's order."""


class Claim(Enum):
    """Whose a job is that could start now: ours; somebody else's, who is at it; or it has been done meanwhile."""

    OURS = "ours"
    ELSEWHERE = "elsewhere"
    DONE = "done"


class Frontier:
    """Jobs that wait, run and ended; children become ready when all their parents have succeeded.

    `order` has every parent before its children; a parent that is not in it was done before. What a job only `wants`
    is waited for too, but it starts as well if that failed. Among ready jobs the longest path by `cost` starts first.
    `may_start` is asked again whenever a job could start; once nothing else is left, what may not start is given up if
    it is only wanted. `claim` is asked last, of a job that would start: what is elsewhere never does, nor what waits
    for it.
    """

    def __init__(
        self,
        order: Sequence[str],
        parents: Mapping[str, Collection[str]],
        requests: Callable[[str], Resources],
        ledger: Ledger,
        cost: Callable[[str], float],
        *,
        wants: Mapping[str, Collection[str]] | None = None,
        max_concurrent: int | None = None,
        may_start: Callable[[str], bool] | None = None,
        claim: Callable[[str], Claim] | None = None,
    ) -> None:
        self._requests, self._ledger = requests, ledger
        self._max_concurrent, self._may_start, self._claim = max_concurrent, may_start, claim
        self._children, self._wanted_by = children_of(order, parents), children_of(order, wants or {})
        paths = longest_paths(order, (self._children, self._wanted_by), cost)
        self._entries: dict[str, Entry] = {run: (-paths[run], place, run) for place, run in enumerate(order)}
        self._unmet: dict[str, set[str]] = {run: set() for run in order}
        for kind in (self._children, self._wanted_by):
            for parent, waiting in kind.items():
                for run in waiting:
                    self._unmet[run].add(parent)
        self._ready: dict[Resources, list[Entry]] = {}
        self._running: dict[str, Booking] = {}
        for run in order:
            self._offer(run)

    @property
    def num_running(self) -> int:
        """Jobs that were started and have not ended."""
        return len(self._running)

    def machine_of(self, run: str) -> int:
        """Where a running job was booked, by the machine's place in the ledger."""
        return self._running[run].machine

    def start_next(self) -> str | None:
        """Book and give the ready job with the longest path that fits and is ours; None if none does at present."""
        while (run := self._book_next()) is not None:
            claim = Claim.OURS if self._claim is None else self._claim(run)
            if claim is Claim.OURS:
                return run
            if claim is Claim.DONE:
                self.end(run, is_ok=True)
            else:
                self._ledger.release(self._running.pop(run))
        return None

    def _book_next(self) -> str | None:
        """Of ready jobs that ask for the same only the first is tried: where it does not fit, none of them does."""
        if self._max_concurrent is not None and self.num_running >= self._max_concurrent:
            return None
        refused = [entry for heap in self._ready.values() for entry in self._drop_refused(heap)]
        heaps = sorted((heap[0], request) for request, heap in self._ready.items() if heap)
        started = self._book_first([request for _, request in heaps])
        is_stuck = started is None and not self._running
        given_up = [run for _, _, run in refused if is_stuck and self._is_only_wanted(run)]
        for entry in refused:
            if entry[2] not in given_up:
                self._push(entry)
        for run in given_up:
            self._meet(run, self._wanted_by[run])
        return self._book_next() if given_up else started

    def _is_only_wanted(self, run: str) -> bool:
        """Whether all that wait for a job can do without: they must not wait for one that may not start."""
        return bool(self._wanted_by[run]) and not self._children[run]

    def end(self, run: str, *, is_ok: bool) -> None:
        """Free a job's resources; its children become ready, or are dropped with all their descendants."""
        self._ledger.release(self._running.pop(run))
        if is_ok:
            self._meet(run, self._children[run])
            self._meet(run, self._wanted_by[run])
            return
        dropped = [run]
        while dropped:
            lost = dropped.pop()
            self._meet(lost, self._wanted_by[lost])
            dropped += [child for child in self._children[lost] if self._unmet.pop(child, None) is not None]

    def _book_first(self, requests: Iterable[Resources]) -> str | None:
        """Start the head of the first heap that fits; the machine for the most urgent that does not is left alone."""
        most_urgent: Resources | None = None
        for request in requests:
            booking = self._ledger.book(request, reserved_for=most_urgent)
            if booking is not None:
                _, _, run = heappop(self._ready[request])
                self._running[run] = booking
                return run
            most_urgent = most_urgent or request
        return None

    def _drop_refused(self, heap: list[Entry]) -> list[Entry]:
        """Take what may not start now off the top of a heap."""
        refused: list[Entry] = []
        while self._may_start is not None and heap and not self._may_start(heap[0][2]):
            refused.append(heappop(heap))
        return refused

    def _meet(self, parent: str, children: Iterable[str]) -> None:
        """What waited for this parent waits for one less."""
        for child in children:
            if child in self._unmet:
                self._unmet[child].discard(parent)
                self._offer(child)

    def _offer(self, run: str) -> None:
        """Make a job ready if nothing is left that it waits for."""
        if not self._unmet[run]:
            del self._unmet[run]
            self._push(self._entries[run])

    def _push(self, entry: Entry) -> None:
        heappush(self._ready.setdefault(self._requests(entry[2]), []), entry)
