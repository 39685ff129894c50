"""Where a split's pictures live while a network trains, and how a batch of them gets to its device without waiting.

Shapes: N pictures, B of a batch, S pixels per side.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from trainers.pictures import Pictures

SHARE_OF_FREE = 0.25
"""Of a GPU's free memory, which pictures may fill: the rest is for the network, and for jobs that share the GPU."""

PICTURES_PER_COPY = 1000
"""So that the whole split is never in this process's own memory."""


def resident(pictures: Pictures, device: torch.device) -> Pictures | Tensor:
    """Squares on a GPU that has room for them: uint8 (N, S, S, 3) there; else the mapped file, as it is."""
    if device.type != "cuda" or pictures.varies:
        return pictures
    free_bytes, _ = torch.cuda.mem_get_info(device)
    if len(pictures) * pictures.size**2 * 3 > SHARE_OF_FREE * free_bytes:
        return pictures
    there_NSSC = torch.empty(len(pictures), pictures.size, pictures.size, 3, dtype=torch.uint8, device=device)
    for start in range(0, len(pictures), PICTURES_PER_COPY):
        part = np.arange(start, min(start + PICTURES_PER_COPY, len(pictures)))
        there_NSSC[start : start + len(part)] = torch.from_numpy(pictures.take(part))
    return there_NSSC


def home_of(pictures: Pictures | Tensor) -> torch.device:
    """Where pictures, their labels and their views are chosen from."""
    return pictures.device if isinstance(pictures, Tensor) else torch.device("cpu")


def taken(pictures: Pictures | Tensor, indices_B: Tensor, where_B2: Tensor | None) -> Tensor:
    """Some pictures, uint8 (B, S, S, 3), where they live; `where_B2` as in `Pictures.take`."""
    if isinstance(pictures, Tensor):
        return pictures[indices_B]
    return torch.from_numpy(pictures.take(indices_B.numpy(), None if where_B2 is None else where_B2.numpy()))


def sent(values: Tensor, device: torch.device) -> Tensor:
    """The same values on a device; the copy to a GPU goes on beside what the caller does next."""
    if values.is_cuda or device.type != "cuda":
        return values.to(device)
    return values.pin_memory().to(device, non_blocking=True)  # from other memory the copy would block
