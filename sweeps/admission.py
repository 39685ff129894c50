"""A ledger of what is free on which machine. Pure: it never asks Ray, so that it can be tested and simulated.

Pending placement groups compete, so a job is started only when its request fits. The job with the
longest path below it is never overtaken into starvation: while it waits, the machine that can
serve it soonest is reserved for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

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
        share, count = min(1.0, wanted), max(1, int(wanted))
        able = [gpu for gpu, free in enumerate(self.free_gpus) if free + TOLERANCE >= share]
        if wanted == 0:
            return []
        return sorted(able, key=lambda gpu: self.free_gpus[gpu])[:count] if len(able) >= count else None


@dataclass(frozen=True, kw_only=True)
class Booking:
    """Where a request was booked."""

    machine: Machine
    request: Resources
    gpus: list[int]


class Ledger:
    """The machines of a cluster and what is booked on them."""

    def __init__(self, machines: Iterable[Resources]) -> None:
        self._machines = [Machine(capacity) for capacity in machines]

    def can_ever_fit(self, request: Resources) -> bool:
        """Whether any machine is large enough."""
        return any(machine.could_fit(request) for machine in self._machines)

    def book(self, request: Resources, reserved_for: Resources | None = None) -> Booking | None:
        """Book a request where it fits, leaving alone the machine that is kept for a more urgent one."""
        kept = None if reserved_for is None else self._soonest(reserved_for)
        for machine in self._machines:
            if machine is not kept and machine.fits(request):
                return Booking(machine=machine, request=request, gpus=machine.take(request))
        return None

    def release(self, booking: Booking) -> None:
        """Free what a finished job had."""
        booking.machine.give_back(booking.request, booking.gpus)

    def _soonest(self, request: Resources) -> Machine | None:
        """The machine with most free among those that are large enough."""
        able = [machine for machine in self._machines if machine.could_fit(request)]
        return max(able, key=lambda machine: (sum(machine.free_gpus), machine.free_cpus), default=None)
