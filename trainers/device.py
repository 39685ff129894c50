"""On which device and in which number format a network runs."""

from __future__ import annotations

import torch

from trainers.execution import Execution
from trainers.spec import Precision


def choose_device(execution: Execution) -> torch.device:
    """CUDA for a job that was given a GPU, if torch sees one (a cluster may count GPUs that are not there)."""
    return torch.device("cuda" if execution.uses_gpu and torch.cuda.is_available() else "cpu")


def autocast(precision: Precision, device: torch.device) -> torch.autocast:
    """A context in which forward passes are of a precision; weights stay float32."""
    dtype = torch.float16 if precision is Precision.FLOAT16 else torch.bfloat16
    return torch.autocast(device.type, dtype=dtype, enabled=precision is not Precision.FLOAT32)
