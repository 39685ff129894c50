"""The plan as a Ray Tune searcher: Tune asks what to start next, and the frontier answers.

Tune gives resources, placement and retries; the store gives truth: whether a job succeeded is read
there when Tune says that its trial ended.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.search import Searcher

from sweeps.frontier import Frontier
from trainers.errors import UnreachableError


class PassOver(Exception):
    """Every job of the pass has ended."""


class EndPass(tune.Callback):  # type: ignore[misc]  # ray ships no types for it
    """Leaves Tune's loop by PassOver once the searcher is done.

    Of its own accord Tune would first describe every trial in JSON, write that, read it back and make tables of it:
    half its work at a thousand trials, and most of its memory, for what the store knows already.
    """

    def __init__(self, searcher: PlanSearcher, gives_up: Callable[[str, str], bool] = lambda run, told: False) -> None:
        self._searcher, self._gives_up = searcher, gives_up

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial failed and Tune is about to start it again: where that would be in vain, it ends at once, undone.

        `gives_up` is told the job and what Ray said, and decides.
        """
        file = trial.error_file
        told = Path(file).read_text(errors="replace") if file and os.path.exists(file) else ""
        try:
            if self._gives_up(trial.config["run_id"], told):
                trial.config["gives_up"] = True
        except OSError as store_error:
            self._searcher.error = self._searcher.error or store_error

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Asked after every event."""
        if self._searcher.is_over:
            raise PassOver

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Forget what Tune keeps of every metric of a trial: its extremes and its last results.

        These are no public names: where another version has others, its memory grows as it did.
        """
        kept = getattr(trial, "run_metadata", None)
        for name in ("metric_analysis", "metric_n_steps"):
            getattr(kept, name, {}).clear()


class PlanSearcher(Searcher):  # type: ignore[misc]  # ray ships no types for it
    """Suggests one job per trial. `None` only while something runs, since Tune would block on it otherwise."""

    def __init__(
        self,
        frontier: Frontier,
        on_start: Callable[[str], None],
        on_epoch: Callable[[str, dict[str, Any]], None],
        on_end: Callable[[str], bool],
        shape_of: Callable[[str], str],
    ) -> None:
        super().__init__(metric="validation_accuracy", mode="max")
        self._frontier, self._on_start, self._on_epoch, self._on_end = frontier, on_start, on_epoch, on_end
        self._shape_of, self._runs = shape_of, dict[str, str]()
        self.error: OSError | UnreachableError | None = None
        self.is_over = False

    def set_max_concurrency(self, max_concurrent: int) -> bool:
        """The frontier limits concurrency itself; Tune's own limiter would swallow completions."""
        return True

    def suggest(self, trial_id: str) -> dict[str, str] | str | None:  # type: ignore[override]
        """The next job that fits, None while jobs wait for what runs, FINISHED when nothing is left to start."""
        run = self._frontier.start_next() if self.error is None else None
        if run is not None:
            self._runs[trial_id] = run
            self._on_start(run)
            return {"run_id": run, "shape": self._shape_of(run)}
        self.is_over = not self._frontier.num_running
        finished: str = Searcher.FINISHED
        return finished if self.is_over else None

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """An epoch ended somewhere."""
        if trial_id in self._runs and "epoch" in result:
            self._on_epoch(self._runs[trial_id], result)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """A trial ended, for good: what it was for is done or failed.

        Tune swallows what is raised here and would wait for ever, so an error of the store is kept in
        `error`, and nothing more is started.
        """
        run = self._runs.pop(trial_id, None)
        if run is None:
            return
        is_ok = False
        try:
            if result is not None and "epoch" in result:  # the last epoch's, which Tune tells here alone
                self._on_epoch(run, result)
            is_ok = self._on_end(run)
        except (OSError, UnreachableError) as store_error:
            self.error = self.error or store_error
        finally:
            self._frontier.end(run, is_ok=is_ok)

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the next start plans again from the store."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore."""
