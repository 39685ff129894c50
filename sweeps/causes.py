"""What a job failed of, by the error that ended it: the job itself, or what is around it."""

from __future__ import annotations

from trainers.errors import CorruptFileError, SweepError, UnreachableError
from trainers.result import Cause
from trainers.space import is_full

NO_MEMORY = ("OutOfMemoryError", "not enough memory", "can't allocate memory", "Cannot allocate memory")
"""Of a GPU by the name of torch's error, of a CPU in the words of its allocator and of the system."""

FAULT_OF_A_DEVICE = "AcceleratorError"
"""torch's error, by name, after which the process must not be used again and another try may succeed."""


def cause_of(error: BaseException) -> Cause:
    """Only a job that failed of its own would fail again; errors of ours are such but for files found damaged."""
    if is_full(error):
        return Cause.DISK
    if _is_of_memory(error):
        return Cause.MEMORY
    if isinstance(error, UnreachableError):  # for longer than our patience; the bucket may answer another machine
        return Cause.MACHINE
    is_ours = isinstance(error, SweepError) and not isinstance(error, CorruptFileError)
    is_of_machine = isinstance(error, OSError) or type(error).__name__ == FAULT_OF_A_DEVICE
    return Cause.MACHINE if is_of_machine and not is_ours else Cause.OWN


def is_worth_another_try_at_once(error: BaseException) -> bool:
    """Whether the same job may succeed right away, in another process; not so while a parent is damaged."""
    return cause_of(error) is Cause.MACHINE and not isinstance(error, CorruptFileError)


def _is_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError):
        return True
    told = f"{type(error).__name__}: {error}"
    return isinstance(error, OSError | RuntimeError) and any(words in told for words in NO_MEMORY)
