"""States of a training as bytes, read back without unpickling anything but tensors and plain values."""

from __future__ import annotations

import io
import pickle
import struct
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from trainers.errors import CorruptFileError
from trainers.remote import Place
from trainers.spec import canonical_json
from trainers.storage import read_checkpoint

_UNREADABLE = (
    *(RuntimeError, pickle.UnpicklingError, EOFError, ValueError, LookupError, OSError, MemoryError),
    *(TypeError, AttributeError, AssertionError, ArithmeticError, struct.error),
)
"""What torch's reader raises for bytes that torch.save did not write."""


def encode_state(state: dict[str, Any]) -> bytes:
    """Tensors, numbers, strings and containers of them -> bytes."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def snapshot(state: Any) -> Any:
    """The same values in memory of their own on the CPU: what trains on does not change them.

    Tensors keep their memory format, in which a fused optimizer wants its own.
    """
    if isinstance(state, Tensor):
        return state.detach().to("cpu", copy=True)
    if isinstance(state, dict):
        return {name: snapshot(value) for name, value in state.items()}
    if isinstance(state, list | tuple):
        return type(state)(snapshot(value) for value in state)
    return state


def decode_state(file: Place) -> dict[str, Any]:
    """The state in a checkpoint file, on the CPU; CorruptFileError if it is damaged or holds anything else."""
    payload = read_checkpoint(file)
    try:
        state: dict[str, Any] = torch.load(io.BytesIO(payload), weights_only=True, map_location="cpu")
    except _UNREADABLE as error:
        raise CorruptFileError(f"checkpoint {file} cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(state, dict):
        raise CorruptFileError(f"checkpoint {file} holds no state of a training")
    return state


def encode_weights(body: nn.Module, description: dict[str, Any]) -> bytes:
    """A body's state in the safetensors format, described in the header's key `petite`: equal content, equal bytes."""
    return safetensors.torch.save(copy_state(body), {"petite": canonical_json(description)})


def decode_weights(file: Path) -> dict[str, Tensor]:
    """The state in a safetensors file; CorruptFileError if it is not one."""
    try:
        return safetensors.torch.load_file(file)
    except (SafetensorError, OSError, ValueError) as error:
        raise CorruptFileError(f"{file} is not a safetensors file: {error}") from error


def copy_state(module: nn.Module) -> dict[str, Tensor]:
    """The module's state as contiguous tensors on the CPU that later training does not change."""
    return {
        name: value.detach().to("cpu", memory_format=torch.contiguous_format, copy=True)
        for name, value in module.state_dict().items()
    }
