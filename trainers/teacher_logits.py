"""What a teacher says of every view of the training pictures: the identity of such a set of logits.

Runs that see the same views of the same pictures, under the same teacher, can share one set, whatever their
network, temperature, weight or objective on logits.
"""

from __future__ import annotations

from dataclasses import dataclass

from trainers import plugins
from trainers.plugins import Kind
from trainers.spec import SCHEMA_VERSION, Augment, LogitsType, Precision, RunSpec, digest_of, run_id, to_dict
from trainers.texts import check_part


@dataclass(frozen=True, kw_only=True)
class LogitsSpec:
    """A teacher's logits over the views of `data` that `augment` and `view_seed` make, epoch by epoch.

    `precision` is that of the teacher's forward pass, `dtype` what its logits are rounded to. How many epochs there
    are is no part of it: a longer training reads on where a shorter one stopped.
    """

    teacher: RunSpec
    data: str
    augment: Augment
    view_seed: int
    precision: Precision
    dtype: LogitsType

    def __post_init__(self) -> None:
        check_part("data", self.data)

    @property
    def num_classes(self) -> int:
        """K, the width of a teacher's logits."""
        return int(self.teacher.model.args["num_classes"])  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True)
class LogitsRequest:
    """What is to be written: the views of epochs 1 to `num_epochs`."""

    spec: LogitsSpec
    num_epochs: int


def logits_id(spec: LogitsSpec) -> str:
    """The identity of a set of logits; the teacher counts by its run id."""
    views = {key: value for key, value in to_dict(spec).items() if key != "teacher"}
    return digest_of({"schema": SCHEMA_VERSION, "logits": views, "teacher": run_id(spec.teacher)})


def logits_read_by(spec: RunSpec) -> tuple[LogitsSpec, ...]:
    """One set for each teacher of a run; () without a teacher, or if the objective compares feature maps."""
    if not spec.teachers or plugins.says(Kind.OBJECTIVE, spec.objective.name, "NEEDS_FEATURES"):
        return ()
    return tuple(
        LogitsSpec(
            teacher=teacher,
            data=spec.data,
            augment=spec.augment,
            view_seed=spec.view_seed,
            precision=spec.precision,
            dtype=spec.logits_dtype,
        )
        for teacher in spec.teachers
    )
