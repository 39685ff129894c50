"""Role and hardware -> what a job needs; later a placement group, so the unit is Ray's: a CPU, a GPU."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from trainers.errors import ResourceError
from trainers.spec import Role


@dataclass(frozen=True, kw_only=True)
class Resources:
    """CPUs and GPUs of one job, or of one machine."""

    cpus: float
    gpus: float = 0.0

    @property
    def num_threads(self) -> int:
        """Threads for torch: as many as there are whole CPUs, so that trials do not get in each other's way."""
        return max(1, int(self.cpus))


def default_resources(*, has_gpu: bool) -> dict[Role, Resources]:
    """A CPU for everyone; on GPU machines a whole GPU for a teacher and a quarter for what is small."""
    whole, quarter = (1.0, 0.25) if has_gpu else (0.0, 0.0)
    return {
        Role.PRETRAIN: Resources(cpus=1, gpus=whole),
        Role.TEACHER: Resources(cpus=1, gpus=whole),
        Role.STUDENT: Resources(cpus=1, gpus=quarter),
        Role.VARIANT: Resources(cpus=1, gpus=quarter),
    }


def parse_per_role(option: str, texts: Iterable[str]) -> dict[Role, float]:
    """`ROLE=X` texts -> numbers by role; ResourceError names what is wrong and the roles there are."""
    roles = {role.value: role for role in Role}
    parsed: dict[Role, float] = {}
    for text in texts:
        name, _, number = text.partition("=")
        if name not in roles:
            raise ResourceError(f"{option} {text}: unknown role {name!r}; have: {', '.join(roles)}")
        try:
            parsed[roles[name]] = float(number)
        except ValueError as error:
            raise ResourceError(
                f"{option} {text}: {number!r} is not a number; write ROLE=X, as in teacher=1"
            ) from error
    return parsed


def resources_per_role(
    *, has_gpu: bool, cpus: Mapping[Role, float], gpus: Mapping[Role, float]
) -> dict[Role, Resources]:
    """The defaults with a user's wishes; ResourceError for what Ray could never place."""
    result = {}
    for role, default in default_resources(has_gpu=has_gpu).items():
        wanted = Resources(cpus=cpus.get(role, default.cpus), gpus=gpus.get(role, default.gpus))
        if not 0 < wanted.cpus < math.inf:
            raise ResourceError(f"--cpus-per-trial {role.value}={wanted.cpus:g}; allowed: above 0")
        if not (0 <= wanted.gpus <= 1 or (wanted.gpus > 1 and wanted.gpus.is_integer())):
            raise ResourceError(f"--gpus-per-trial {role.value}={wanted.gpus:g}; allowed: 0 to 1, or a whole number")
        result[role] = wanted
    return result
