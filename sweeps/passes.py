"""One pass over what is left of a plan: what both executors, Ray Tune and this process, have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from sweeps.admission import Ledger
from sweeps.frontier import Frontier
from sweeps.plan import Job, Plan, blocked_by
from sweeps.progress import Phase, Progress
from sweeps.resources import RELATIVE_COST, Resources
from sweeps.time_limit import always
from trainers.errors import ResourceError
from trainers.execution import Execution
from trainers.result import Failure, RunState
from trainers.spec import Role
from trainers.storage import Store, now


@dataclass(frozen=True, kw_only=True)
class Setup:
    """How a sweep is carried out; nothing here changes a number. `num_images` (training, by data) is for estimates."""

    resources: Mapping[Role, Resources]
    machines: tuple[Resources, ...]
    num_images: Mapping[str, int] = field(default_factory=dict)
    max_concurrent: int | None = None
    allow_weak_teacher: bool = False
    git: tuple[str, bool] = ("", False)
    plugins: str = ""

    def request(self, job: Job) -> Resources:
        """What a job asks for."""
        return self.resources[job.role]

    def execution(self, job: Job) -> Execution:
        """What the training loop needs to know of this."""
        request = self.request(job)
        return Execution(
            num_threads=request.num_threads,
            uses_gpu=request.gpus > 0,
            allow_weak_teacher=self.allow_weak_teacher,
            git=self.git,
            plugins=self.plugins,
        )

    def epoch_cost(self, job: Job) -> float:
        """Rough duration of an epoch, relative to other jobs'."""
        return RELATIVE_COST[job.role] * self.num_images.get(job.spec.data, 1)

    def cost(self, job: Job) -> float:
        """Rough duration of a job, relative to others': decides what starts first."""
        return job.spec.epochs * self.epoch_cost(job)

    def check_feasible(self, jobs: Iterable[Job]) -> None:
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

    `later` are jobs of passes to come: those that a failure blocks are shown as such at once.
    """

    def __init__(
        self,
        plan: Plan,
        to_run: set[str],
        store: Store,
        setup: Setup,
        progress: Progress,
        may_start: Callable[[Job], bool] = always,
        later: Iterable[str] = (),
    ) -> None:
        self.done: set[str] = set()
        self._shown = to_run | set(later)
        self.plan, self.to_run, self.store, self.setup, self._progress = plan, to_run, store, setup, progress
        self._may_start = may_start
        self._num_attempts_before: dict[str, int] = {}

    def frontier(self) -> Frontier:
        """A fresh frontier over the jobs of this pass."""
        setup = self.setup
        ledger = Ledger(setup.machines)
        return Frontier(
            self.plan, self.to_run, setup.request, ledger, setup.cost, setup.max_concurrent, self._may_start
        )

    def can_start(self) -> bool:
        """Whether any job could start at present; not so when the time is up."""
        return self.frontier().start_next() is not None

    def on_start(self, run: str) -> None:
        """A job was given its resources."""
        self._num_attempts_before[run] = len(self.store.attempts(run))
        self._progress.started(run)

    def on_epoch(self, run: str, epoch: int, validation_accuracy: float, epoch_seconds: float) -> None:
        """A job finished an epoch."""
        self._progress.epoch(run, epoch, validation_accuracy, epoch_seconds)

    def on_end(self, run: str) -> bool:
        """Whether the store has a result; tells the progress, and of a failure what it blocks."""
        state = self.store.state(run)
        if state.result is not None:
            test = state.result.test_accuracy
            shown = "" if test is None else f", test {test:.1%}"
            self._progress.ended(run, Phase.DONE, f"validation {state.result.best_validation_accuracy:.1%}{shown}")
            self.done.add(run)
            return True
        has_begun = len(self.store.attempts(run)) > self._num_attempts_before.get(run, 0)
        failure = (state.failure if has_begun else None) or self._record_crash(run, state, has_begun)
        self._progress.ended(run, Phase.FAILED, failure.reason)
        for child, blocker in blocked_by(self.plan, [run]).items():
            if child in self._shown:
                self._progress.ended(child, Phase.BLOCKED, f"by {self.plan.by_id[blocker].name}")
        return False

    def _record_crash(self, run: str, state: RunState, has_begun: bool) -> Failure:
        """A worker that died could not say why; say so in its place."""
        attempt = self.store.attempts(run)[-1] if has_begun else self.store.begin_attempt(run)
        failure = Failure(
            reason=state.corrupt or "the worker process died (killed, out of memory, or its machine was lost)",
            is_permanent=False,
            log_path=str(attempt.log_file),
            failed_at=now(),
        )
        attempt.write_failure(failure)
        return failure
