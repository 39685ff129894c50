"""One pass over what is left of a plan: what both executors, Ray Tune and this process, have in common."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from analysis.overview import Phase
from sweeps.admission import Ledger
from sweeps.estimates import Estimates, Kind, Place, kind_of, kind_of_logits
from sweeps.frontier import Claim, Frontier
from sweeps.logits_job import LogitsJob
from sweeps.plan import Plan, Task, blocked_by
from sweeps.progress import Progress
from sweeps.resources import Resources
from sweeps.step import Step
from sweeps.time_limit import always
from trainers.errors import ResourceError
from trainers.execution import Execution
from trainers.leases import FAULTS, Alone, Leasing
from trainers.result import Cause, Failure, Result
from trainers.space import is_full, room_bytes
from trainers.spec import Role
from trainers.storage import Attempt, Store, now

DEATHS = {
    Cause.MACHINE: "the worker process died (killed, or its machine was lost)",
    Cause.MEMORY: "out of memory: the worker process was killed because its machine had none left",
    Cause.DISK: "the disk was full, too full for the job to say so",
}
"""Of a job that could not say itself what it died of."""

GIVEN_UP = (Cause.MEMORY, Cause.DISK, Cause.HUNG)
"""What an immediate try would most likely meet again."""


@dataclass(frozen=True, kw_only=True)
class Setup:
    """How a sweep is carried out; nothing here changes a number. `estimates` decide what starts first.

    `readers` are the runs whose teachers' logits are written for them, `driver` is the token of whoever starts them.
    """

    resources: Mapping[Role, Resources]
    machines: tuple[Resources, ...]
    estimates: Estimates = field(default_factory=Estimates)
    max_concurrent: int | None = None
    allow_weak_teacher: bool = False
    git: tuple[str, bool] = ("", False)
    plugins: str = ""
    reads_logits: bool = True
    deterministic: bool = False
    readers: Collection[str] = ()
    driver: str = ""

    def request(self, job: Task) -> Resources:
        """What a job asks for; logits as many CPUs as those who read them, whose last bits threads may change."""
        if isinstance(job, LogitsJob):
            return replace(self.resources[job.role], cpus=self.resources[Role.STUDENT].cpus)
        return self.resources[job.role]

    def execution(self, job: Task) -> Execution:
        """What the training loop needs to know of this."""
        request = self.request(job)
        return Execution(
            num_threads=request.num_threads,
            uses_gpu=request.gpus > 0,
            allow_weak_teacher=self.allow_weak_teacher,
            git=self.git,
            plugins=self.plugins,
            reads_logits=self.reads_logits,
            deterministic=self.deterministic,
            driver=self.driver,
        )

    def place(self, job: Task) -> Place:
        """Where a job runs, as estimates tell places apart."""
        request = self.request(job)
        return Place(device="cuda" if request.gpus else "cpu", num_threads=request.num_threads)

    def kind(self, job: Task) -> Kind:
        """Jobs of one kind take equally long per picture."""
        if isinstance(job, LogitsJob):
            return kind_of_logits(job.request.spec)
        return kind_of(job.spec, reads_logits=job.id in self.readers)

    def epoch_seconds(self, job: Task) -> float:
        """Estimated duration of an epoch."""
        if isinstance(job, LogitsJob):
            return self.estimates.logits_seconds(job.request.spec, self.place(job))
        reads_logits = job.id in self.readers
        return self.estimates.epoch_seconds(job.spec, job.role, self.place(job), reads_logits=reads_logits)

    def cost(self, job: Task) -> float:
        """Estimated seconds of a job, what is outside of epochs included: decides what starts first."""
        return job.num_epochs * self.epoch_seconds(job) + self.estimates.history.extra_seconds

    def check_feasible(self, jobs: Iterable[Task]) -> None:
        """ResourceError for a job that no machine could ever run; Ray would wait for it for ever."""
        ledger = Ledger(self.machines)
        for job in jobs:
            request = self.request(job)
            if not ledger.can_ever_fit(request):
                have = ", ".join(f"{machine.cpus:g} CPUs and {machine.gpus:g} GPUs" for machine in self.machines)
                raise ResourceError(
                    f"job {job.name!r} ({job.role.value}) needs {request.cpus:g} CPUs and {request.gpus:g} GPUs; "
                    f"the largest machines have: {have}; lower --cpus-per-trial or --gpus-per-trial"
                )

    def num_slots(self, plan: Plan) -> int:
        """How many of the plan's jobs can run at once, for estimates."""
        ledger = Ledger(self.machines)
        smallest = min((self.request(job) for job in plan.jobs), key=lambda request: (request.gpus, request.cpus))
        most = min(len(plan.jobs), self.max_concurrent or len(plan.jobs))
        return max(1, sum(ledger.book(smallest) is not None for _ in range(most)))


class Pass:
    """The jobs of one pass, and what becomes of each, as the store tells.

    `later` are jobs of passes to come: those that a failure blocks are shown as such at once. `elsewhere` are the jobs
    that another driver was found to be at, `started` those that were not.
    """

    def __init__(
        self,
        plan: Plan,
        to_run: set[str],
        store: Store,
        setup: Setup,
        progress: Progress,
        may_start: Callable[[Task], bool] = always,
        later: Iterable[str] = (),
        leases: Leasing | None = None,
    ) -> None:
        self.done, self.started, self.elsewhere = set[str](), set[str](), set[str]()
        self.failures: dict[str, Failure] = {}
        self.most_at_once, self._running = 0, set[str]()
        self._leases: Leasing = leases or Alone()
        self._shown = to_run | set(later)
        self.plan, self.to_run, self.store, self.setup, self._progress = plan, to_run, store, setup, progress
        self._may_start = may_start
        self._num_attempts_before: dict[str, int] = {}

    def frontier(self) -> Frontier:
        """A fresh frontier over the jobs of this pass that are not done."""
        setup, tasks = self.setup, self.plan.tasks
        return Frontier(
            [task for task in tasks if task in self.to_run - self.done],
            {task: tasks[task].parents for task in self.to_run},
            lambda task: setup.request(tasks[task]),
            Ledger(setup.machines),
            lambda task: setup.cost(tasks[task]),
            wants=self.plan.wishes,
            max_concurrent=setup.max_concurrent,
            may_start=lambda task: self._may_start(tasks[task]),
            claim=self.claim,
        )

    def can_start(self) -> bool:
        """Whether any job could start at present; not so when the time is up, or other drivers are at them all."""
        return self.frontier().start_next() is not None

    def claim(self, run: str) -> Claim:
        """Take the lease of a job that could start, unless another driver has it, or has finished the job since."""
        if not self._leases.take(run):
            self.elsewhere.add(run)
            self._progress.elsewhere(run, self._whereabouts(run))
            return Claim.ELSEWHERE
        result = None if isinstance(self.plan.tasks[run], LogitsJob) else self.store.state(run).result
        if result is None:
            return Claim.OURS
        self._leases.release(run)
        self._progress.ended(run, Phase.DONE, f"by another driver: {in_words(result)}")
        self.done.add(run)
        return Claim.DONE

    def _whereabouts(self, run: str) -> str:
        """Who is at a job of another driver, as far as the store can be asked."""
        try:
            holder = self._leases.holders([run]).get(run)
        except FAULTS:
            holder = None
        return f"another driver on {holder.place}" if holder else "another driver"

    def on_start(self, run: str) -> None:
        """A job was given its resources."""
        self._running.add(run)
        self.most_at_once = max(self.most_at_once, len(self._running))
        self.started.add(run)
        self._num_attempts_before[run] = len(self._attempts(run))
        self._progress.started(run)

    def on_epoch(self, run: str, step: Step) -> None:
        """A job finished an epoch."""
        self._progress.epoch(run, step)

    def on_end(self, run: str) -> bool:
        """Whether the job was done; tells the progress, and of a failure what it blocks."""
        self._running.discard(run)
        done, failure = self._outcome(run)
        self._leases.release(run)
        if failure is None:
            self._progress.ended(run, Phase.DONE, done)
            self.done.add(run)
            return True
        self.failures[run] = failure
        show_failure(self._progress, self.plan, run, failure, self._shown)
        return False

    def on_death(self, run: str, cause: Cause) -> bool:
        """Whether a job whose process has just died of this is to be given up in this pass, instead of tried at once.

        So it is where it or its watchdog said why, and where memory was short, which it would be again.
        """
        latest = self.latest_attempt(run)
        failure = None if latest is None else latest.failure()
        if failure is None and cause is Cause.MEMORY:
            failure = self._record_crash(run, None, cause)
        return failure is not None and failure.cause in GIVEN_UP

    @property
    def short_of_memory(self) -> set[str]:
        """The jobs that memory did not suffice for."""
        return {run for run, failure in self.failures.items() if failure.cause is Cause.MEMORY}

    def _outcome(self, run: str) -> tuple[str, Failure | None]:
        """How a job ended, in words; why, if it failed."""
        corrupt, latest = None, self.latest_attempt(run)
        if isinstance(self.plan.tasks[run], LogitsJob):
            if latest is not None and self.store.logits(run).finished_at(latest):
                return "written", None
        else:
            state = self.store.state(run)
            if state.result is not None:
                return in_words(state.result), None
            corrupt = state.corrupt
        failure = None if latest is None else latest.failure()
        return "", failure or self._record_crash(run, corrupt)

    def latest_attempt(self, run: str) -> Attempt | None:
        """The newest that this start of a job has made; one of another driver is none of ours."""
        return next(reversed(self._attempts(run)[self._num_attempts_before.get(run, 0) :]), None)

    def _attempts(self, run: str) -> tuple[Attempt, ...]:
        """Those of this driver, oldest first."""
        is_logits = isinstance(self.plan.tasks[run], LogitsJob)
        every = self.store.logits(run).attempts() if is_logits else self.store.attempts(run)
        return tuple(attempt for attempt in every if attempt.driver == self.setup.driver)

    def _begin_attempt(self, run: str) -> Attempt:
        is_logits = isinstance(self.plan.tasks[run], LogitsJob)
        driver = self.setup.driver
        return self.store.logits(run).begin_attempt(driver) if is_logits else self.store.begin_attempt(run, driver)

    def _record_crash(self, run: str, corrupt: str | None, cause: Cause = Cause.MACHINE) -> Failure:
        """A worker that died could not say why; say so in its place."""
        cause = Cause.DISK if room_bytes(self.store.root) <= 0 else cause
        reason = corrupt or DEATHS[cause]
        failure = Failure(reason=reason, is_permanent=False, log_path="", failed_at=now(), cause=cause)
        try:
            attempt = self.latest_attempt(run) or self._begin_attempt(run)
            failure = replace(failure, log_path=str(attempt.log_file))
            attempt.write_failure(failure)
        except OSError as error:
            if not is_full(error):
                raise
        return failure


def in_words(result: Result) -> str:
    """What came out of a run."""
    test = result.test_accuracy
    return f"validation {result.best_validation_accuracy:.1%}" + ("" if test is None else f", test {test:.1%}")


def show_failure(progress: Progress, plan: Plan, run: str, failure: Failure, shown: Collection[str]) -> None:
    """Tell of a failure, and which of the jobs that are `shown` it blocks."""
    progress.ended(run, Phase.FAILED, failure.reason)
    for child, blocker in blocked_by(plan, [run]).items():
        if child in shown:
            progress.ended(child, Phase.BLOCKED, f"by {plan.tasks[blocker].name}")
