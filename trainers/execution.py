"""How a run is carried out. Nothing here is meant to change its numbers, so nothing here is in a spec."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Execution:
    """Threads for torch, whether the job was given a GPU, and the commit and dirty flag of the driver's checkout.

    `plugins` is the digest of the user's own plug-ins, which the store holds. With `reads_logits` a student takes its
    teachers' logits from the store where a job has written them. `deterministic` allows torch no algorithm whose result
    may differ from one time to the next, as some of a GPU's do. `epoch_seconds` is the longest estimate of an epoch of
    jobs like this, and with `is_own_process` the process may be ended if no epoch comes. Attempts are named after
    the `driver`, by its token.
    """

    num_threads: int = 1
    uses_gpu: bool = False
    allow_weak_teacher: bool = False
    git: tuple[str, bool] = ("", False)
    plugins: str = ""
    reads_logits: bool = True
    epoch_seconds: float = 0.0
    is_own_process: bool = False
    deterministic: bool = False
    driver: str = ""
