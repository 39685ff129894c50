"""A ledger of what is free on which machine. Pure: it never asks Ray, so that it can be tested and simulated.

Pending placement groups compete, so a job is started only when its request fits. The job with the
longest path below it is never overtaken into starvation: while it waits, the machine that can
serve it soonest is reserved for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from heapq import heappop, heappush

from sweeps.resources import Resources

TOLERANCE = 1e-9


@dataclass
class Machine:
    """What is free on one machine: CPUs, and the share of each GPU."""

    capacity: Resources
    free_cpus: float = field(init=False)
    free_gpus: list[float] = field(init=False)

    def __post_init__(self) -> None:
        self.free_cpus = self.capacity.cpus
        self.free_gpus = [1.0] * int(self.capacity.gpus)

    def fits(self, request: Resources) -> bool:
        """Whether a request can start here now."""
        return self.free_cpus + TOLERANCE >= request.cpus and self._choose_gpus(request.gpus) is not None

    def could_fit(self, request: Resources) -> bool:
        """Whether a request could start here if nothing else ran."""
        return Machine(self.capacity).fits(request)

    def take(self, request: Resources) -> list[int]:
        """Book a request that fits; gives the GPUs it was booked on."""
        chosen = self._choose_gpus(request.gpus) or []
        self._book(request, chosen, sign=-1)
        return chosen

    def give_back(self, request: Resources, gpus: list[int]) -> None:
        """Free what a request had."""
        self._book(request, gpus, sign=1)

    def _book(self, request: Resources, gpus: list[int], sign: int) -> None:
        self.free_cpus += sign * request.cpus
        for gpu in gpus:
            self.free_gpus[gpu] += sign * min(1.0, request.gpus)

    def _choose_gpus(self, wanted: float) -> list[int] | None:
        """GPUs for a request: whole ones, or the fullest one that still has the share; None if there are none."""
        if wanted == 0:
            return []
        share, count = min(1.0, wanted), max(1, int(wanted))
        able = [gpu for gpu, free in enumerate(self.free_gpus) if free + TOLERANCE >= share]
        return sorted(able, key=self.free_gpus.__getitem__)[:count] if len(able) >= count else None


@dataclass(frozen=True, kw_only=True)
class Booking:
    """Where a request was booked: the machine by its place in the ledger, and its GPUs."""

    machine: int
    request: Resources
    gpus: list[int]


@dataclass
class _Shape:
    """The machines for one request, by index: those large enough, and of them a heap of those not known to be full."""

    able: frozenset[int]
    candidates: list[int]
    is_candidate: set[int]

    def add(self, machine: int) -> None:
        """Something became free there."""
        if machine in self.able and machine not in self.is_candidate:
            self.is_candidate.add(machine)
            heappush(self.candidates, machine)


class Ledger:
    """The machines of a cluster and what is booked on them.

    A machine that was found full for a request is not looked at again before something is given back there.
    """

    def __init__(self, machines: Iterable[Resources]) -> None:
        self._machines = [Machine(capacity) for capacity in machines]
        self._shapes: dict[Resources, _Shape] = {}

    def can_ever_fit(self, request: Resources) -> bool:
        """Whether any machine is large enough."""
        return bool(self._shape(request).able)

    def book(self, request: Resources, reserved_for: Resources | None = None) -> Booking | None:
        """Book a request where it fits, leaving alone the machine that is kept for a more urgent one."""
        shape, kept, is_kept_free = self._shape(request), None, False
        booking = None
        while booking is None and (machine := self._first_free(shape, request)) is not None:
            kept = self._soonest(reserved_for) if reserved_for is not None and kept is None else kept
            if machine == kept:
                is_kept_free = True
                shape.is_candidate.remove(heappop(shape.candidates))
            else:
                booking = Booking(machine=machine, request=request, gpus=self._machines[machine].take(request))
        if is_kept_free and kept is not None:
            shape.add(kept)
        return booking

    def release(self, booking: Booking) -> None:
        """Free what a finished job had."""
        self._machines[booking.machine].give_back(booking.request, booking.gpus)
        for shape in self._shapes.values():
            shape.add(booking.machine)

    def _shape(self, request: Resources) -> _Shape:
        if request not in self._shapes:
            able = [index for index, machine in enumerate(self._machines) if machine.could_fit(request)]
            self._shapes[request] = _Shape(frozenset(able), able.copy(), set(able))
        return self._shapes[request]

    def _first_free(self, shape: _Shape, request: Resources) -> int | None:
        """The first machine that a request fits on; those before it are full and no candidates any more."""
        while shape.candidates:
            if self._machines[shape.candidates[0]].fits(request):
                return shape.candidates[0]
            shape.is_candidate.remove(heappop(shape.candidates))
        return None

    def _soonest(self, request: Resources) -> int | None:
        """The machine with most free among those that are large enough."""
        able = sorted(self._shape(request).able)
        free = self._machines
        return max(able, key=lambda index: (sum(free[index].free_gpus), free[index].free_cpus), default=None)
