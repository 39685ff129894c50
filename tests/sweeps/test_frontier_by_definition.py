"""The frontier's heaps against its definition: look at all jobs that wait, and at all machines, every time."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from sweeps.admission import Ledger, Machine
from sweeps.frontier import Claim, Frontier
from sweeps.resources import Resources

REQUESTS = st.builds(Resources, cpus=st.sampled_from([0.5, 1.0, 2.0]), gpus=st.sampled_from([0.0, 0.25, 0.5, 1.0, 2.0]))
MACHINES = st.lists(
    st.builds(Resources, cpus=st.sampled_from([1.0, 2.0, 4.0]), gpus=st.sampled_from([0.0, 1.0, 2.0])),
    min_size=1,
    max_size=4,
)


@dataclass
class Definition:
    """Jobs by number, in the plan's order; of those that are ready the longest path first, by looking at them all."""

    parents: list[set[int]]
    wants: list[set[int]]
    requests: list[Resources]
    costs: list[int]
    machines: list[Machine]
    claims: dict[int, Claim] = field(default_factory=dict)
    refused: set[int] = field(default_factory=set)
    elsewhere: set[int] = field(default_factory=set)
    running: dict[int, tuple[Machine, list[int]]] = field(default_factory=dict)
    ok: set[int] = field(default_factory=set)
    lost: set[int] = field(default_factory=set)

    def path(self, job: int) -> int:
        below = [self.path(child) for child, up in enumerate(self.parents) if job in up | self.wants[child]]
        return self.costs[job] + max(below, default=0)

    def start_next(self) -> int | None:
        urgent: Resources | None = None
        over = self.ok | self.lost | self.elsewhere | set(self.running)
        waiting = [job for job in range(len(self.costs)) if job not in over]
        for job in sorted(waiting, key=lambda job: -self.path(job)):
            is_ready = self.parents[job] <= self.ok and self.wants[job] <= self.ok | self.lost
            if not is_ready or job in self.refused:
                continue
            request = self.requests[job]
            able = [machine for machine in self.machines if urgent and machine.could_fit(urgent)]
            kept = max(able, key=lambda one: (sum(one.free_gpus), one.free_cpus), default=None)
            free = [machine for machine in self.machines if machine is not kept and machine.fits(request)]
            if free and self.claims[job] is not Claim.OURS:
                (self.ok if self.claims[job] is Claim.DONE else self.elsewhere).add(job)
                return self.start_next()
            if free:
                self.running[job] = free[0], free[0].take(request)
                return job
            urgent = urgent or request
        given_up = {
            job
            for job in waiting
            if job in self.refused
            and self.parents[job] <= self.ok
            and self.wants[job] <= self.ok | self.lost
            and any(job in wanted for wanted in self.wants)
            and not any(job in hard for hard in self.parents)
        }
        if self.running or not given_up:
            return None
        self.lost |= given_up
        return self.start_next()

    def end(self, job: int, is_ok: bool) -> None:
        machine, gpus = self.running.pop(job)
        machine.give_back(self.requests[job], gpus)
        (self.ok if is_ok else self.lost).add(job)
        for child, parents in enumerate(self.parents):
            if parents & self.lost:
                self.lost.add(child)

    def check(self, job: int) -> None:
        """A job that has started: not before what it needs, and on no more than there is."""
        assert self.parents[job] <= self.ok and self.wants[job] <= self.ok | self.lost
        assert all(machine.free_cpus >= 0 and min([0, *machine.free_gpus]) >= 0 for machine in self.machines)

    def waits_for_elsewhere(self, job: int) -> bool:
        above = self.parents[job] | self.wants[job]
        return bool(above & self.elsewhere) or any(map(self.waits_for_elsewhere, above))


CLAIMS = st.sampled_from([*[Claim.OURS] * 4, Claim.ELSEWHERE, Claim.DONE])


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_the_heaps_start_the_same_jobs_in_the_same_order_as_the_definition(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 14))
    names = [str(job) for job in range(size)]
    above = [
        data.draw(st.sets(st.integers(0, job - 1), max_size=2)) if job and data.draw(st.booleans()) else set()
        for job in range(size)
    ]
    parents = [{parent for parent in up if data.draw(st.booleans())} for up in above]
    wants = [up - hard for up, hard in zip(above, parents, strict=True)]
    palette = data.draw(st.lists(REQUESTS, min_size=3, max_size=3))
    requests = [data.draw(st.sampled_from(palette)) for _ in range(size)]
    machines = data.draw(MACHINES)
    costs = [data.draw(st.integers(1, 5)) for _ in range(size)]
    claims = {job: data.draw(CLAIMS) for job in range(size)}
    definition = Definition(parents, wants, requests, costs, [Machine(machine) for machine in machines], claims)
    frontier = Frontier(
        names,
        {str(job): {str(parent) for parent in up} for job, up in enumerate(parents)},
        lambda run: requests[int(run)],
        Ledger(machines),
        lambda run: costs[int(run)],
        wants={str(job): {str(wanted) for wanted in up} for job, up in enumerate(wants)},
        may_start=lambda run: int(run) not in definition.refused,
        claim=lambda run: claims[int(run)],
    )
    while True:
        definition.refused = data.draw(st.just(set()) | st.sets(st.integers(0, size - 1), max_size=size))
        expected = definition.start_next()
        assert frontier.start_next() == (None if expected is None else str(expected))
        if expected is not None:
            definition.check(expected)
        if expected is None and not definition.running:
            break
        if expected is None or data.draw(st.booleans()):
            job, is_ok = data.draw(st.sampled_from(sorted(definition.running))), data.draw(st.integers(0, 3)) > 0
            definition.end(job, is_ok)
            frontier.end(str(job), is_ok=is_ok)
    assert frontier.num_running == 0
    feasible = {job for job in range(size) if any(machine.could_fit(requests[job]) for machine in definition.machines)}
    if not definition.refused and len(feasible) == size:
        over = definition.ok | definition.lost | definition.elsewhere
        assert all(definition.waits_for_elsewhere(job) for job in set(range(size)) - over), "nothing is lost"


def test_what_is_only_wanted_and_fails_lets_its_child_start_and_so_does_what_its_failure_blocks() -> None:
    """c wants b, and b needs a: a fails, so b never runs and c waits no longer; d needs b and never runs."""
    one = Resources(cpus=1)
    frontier = Frontier(
        ["a", "b", "c", "d"],
        {"b": ["a"], "d": ["b"]},
        lambda run: one,
        Ledger([Resources(cpus=4)]),
        lambda run: 1.0,
        wants={"c": ["b"]},
    )
    assert [frontier.start_next(), frontier.start_next()] == ["a", None]
    frontier.end("a", is_ok=False)
    assert [frontier.start_next(), frontier.start_next()] == ["c", None]
