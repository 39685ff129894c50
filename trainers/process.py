"""What of a process every training finds the same, whatever a training before it, or a user's plug-in, left behind."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch.backends import cuda, cudnn

from trainers.errors import SpecError

CUBLAS = "CUBLAS_WORKSPACE_CONFIG"
CUBLAS_SETTING = ":4096:8"
"""With which cuBLAS gives the same bits every time (NVIDIA's cuBLAS manual, "Results Reproducibility")."""


@contextmanager
def own_settings(num_threads: int, *, deterministic: bool = False) -> Iterator[None]:
    """torch's settings of the whole process as a training has them; afterwards as they were, and memory given back.

    SpecError for an operation that has no deterministic form, if `deterministic` asks for it.
    """
    with ExitStack() as stack:
        stack.callback(release_memory)
        for read, set_to, value in _settings(num_threads, deterministic):
            stack.callback(set_to, read())
            set_to(value)
        try:
            yield
        except RuntimeError as error:
            if not deterministic or "deterministic" not in str(error):
                raise
            operation = str(error).split()[0]
            raise SpecError(
                f"{operation} has no deterministic form on this device; leave out --deterministic"
            ) from error


def _settings(num_threads: int, deterministic: bool) -> list[tuple[Callable[[], Any], Callable[[Any], Any], Any]]:
    """How each is read and set, and its value."""
    return [
        (torch.get_num_threads, torch.set_num_threads, num_threads),
        (torch.get_default_dtype, torch.set_default_dtype, torch.float32),
        (torch.is_grad_enabled, torch.set_grad_enabled, True),
        (torch.is_anomaly_enabled, torch.set_anomaly_enabled, False),
        (torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms, deterministic),
        (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, "highest"),
        # float32 in a spec means float32: TensorFloat-32 has 10 bits of mantissa, no more than float16
        _attribute(cuda.matmul, "allow_tf32", False),
        _attribute(cudnn, "allow_tf32", False),
        # it would choose kernels by a race, so that two runs of a spec could differ
        _attribute(cudnn, "benchmark", False),
        _attribute(cudnn, "deterministic", deterministic),
        # read by cuBLAS when it starts in this process, and by torch to see whether it may use it
        (partial(os.environ.get, CUBLAS), _set_cublas, CUBLAS_SETTING if deterministic else os.environ.get(CUBLAS)),
    ]


def _set_cublas(value: str | None) -> None:
    if value is None:
        os.environ.pop(CUBLAS, None)
    else:
        os.environ[CUBLAS] = value


def _attribute(owner: Any, name: str, value: Any) -> tuple[Callable[[], Any], Callable[[Any], Any], Any]:
    return lambda: getattr(owner, name), lambda new: setattr(owner, name, new), value


def release_memory() -> None:
    """Give a GPU's memory that nobody uses any more back to the other jobs on it; on a CPU there is nothing to do."""
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        gc.collect()
        torch.cuda.empty_cache()
