"""A job beside the trainings of a plan: a teacher's logits are written once, for all students that learn from them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from sweeps.labels import num_jobs
from trainers.spec import Role, run_id
from trainers.teacher_logits import LogitsRequest, logits_id


@dataclass(frozen=True, kw_only=True)
class LogitsJob:
    """Write what `request` says; `readers` are the run ids that wait for it, and can do without.

    `num_bytes` is what the files take, estimated; None while the number of pictures is not known.
    """

    teacher_label: str
    request: LogitsRequest
    readers: tuple[str, ...]
    num_bytes: int | None = None

    @cached_property
    def id(self) -> str:
        """The id of the set of logits."""
        return logits_id(self.request.spec)

    @property
    def label(self) -> str:
        """What it is called."""
        return f"logits({self.teacher_label})"

    @property
    def name(self) -> str:
        """Label and view seed: `logits(teacher_pretrained)@0`."""
        return f"{self.label}@{self.request.spec.view_seed}"

    @property
    def role(self) -> Role:
        """Whose network it runs."""
        return Role.TEACHER

    @property
    def shape(self) -> str:
        """Jobs of one shape ask for the same."""
        return "logits"

    @property
    def num_epochs(self) -> int:
        """Epochs whose views are run through the teacher."""
        return self.request.num_epochs

    @property
    def about(self) -> str:
        """For whom and how much: `for 9 jobs (24 epochs, 4.8 MB)`."""
        size = "" if self.num_bytes is None else f", {self.num_bytes / 1e6:,.1f} MB"
        return f"for {num_jobs(len(self.readers))} ({self.num_epochs} epochs{size})"

    @cached_property
    def parents(self) -> tuple[str, ...]:
        """The teacher's run id."""
        return (run_id(self.request.spec.teacher),)
