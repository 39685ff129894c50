"""Which job starts next: the state of a plan while it runs. Pure, so that Tune, a serial run and tests share it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from sweeps.admission import Booking, Ledger
from sweeps.plan import Plan, Task
from sweeps.resources import Resources
from sweeps.time_limit import always


class Frontier:
    """Jobs that wait, run and ended; children become ready when all their parents have succeeded.

    `may_start` is asked again whenever a job could start.
    """

    def __init__(
        self,
        plan: Plan,
        to_run: Iterable[str],
        requests: Callable[[Task], Resources],
        ledger: Ledger,
        cost: Callable[[Task], float],
        max_concurrent: int | None = None,
        may_start: Callable[[Task], bool] = always,
    ) -> None:
        self._plan, self._requests, self._ledger = plan, requests, ledger
        self._max_concurrent, self._may_start = max_concurrent, may_start
        self._waiting = set(to_run)
        tasks = [task for task in plan.tasks.values() if task.id in self._waiting]
        self._unmet = {t.id: {*t.parents, *plan.wishes.get(t.id, ())} & self._waiting for t in tasks}
        paths: Mapping[str, float] = plan.longest_paths(cost)
        self._order = sorted((task.id for task in tasks), key=lambda task: -paths[task])
        self._running: dict[str, Booking] = {}

    @property
    def num_running(self) -> int:
        """Jobs that were started and have not ended."""
        return len(self._running)

    def start_next(self) -> Task | None:
        """Book and give the ready job with the longest path that fits; None if none does at present."""
        if self._max_concurrent is not None and self.num_running >= self._max_concurrent:
            return None
        most_urgent: Resources | None = None
        for run in self._order:
            if run not in self._waiting or self._unmet[run]:
                continue
            job = self._plan.tasks[run]
            if not self._may_start(job):
                continue
            booking = self._ledger.book(self._requests(job), reserved_for=most_urgent)
            if booking is not None:
                self._waiting.remove(run)
                self._running[run] = booking
                return job
            most_urgent = most_urgent or self._requests(job)
        return None

    def end(self, run: str, *, is_ok: bool) -> None:
        """Free a job's resources; what waits for it becomes ready, or is dropped if it cannot do without."""
        self._ledger.release(self._running.pop(run))
        if not is_ok:
            self._waiting -= self._plan.descendants([run])
        for child in self._plan.children[run]:
            if child in self._unmet:
                self._unmet[child].discard(run)
