"""Every random draw of a training, as a function of (purpose, seed, epoch): nothing comes from a global generator."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def derived_seed(purpose: str, seed: int, epoch: int = 0) -> int:
    """A seed of 63 bits that differs for every purpose, seed and epoch."""
    return int.from_bytes(hashlib.sha256(f"{purpose}/{seed}/{epoch}".encode()).digest()[:8]) >> 1


def generator(purpose: str, seed: int, epoch: int = 0) -> torch.Generator:
    """A CPU generator of its own for one purpose and epoch."""
    return torch.Generator().manual_seed(derived_seed(purpose, seed, epoch))


@contextmanager
def seeded(purpose: str, seed: int, epoch: int = 0) -> Iterator[None]:
    """Global generators seeded inside (for initialisers and dropout, which take no other), restored after."""
    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
    with torch.random.fork_rng(devices=devices):
        # not torch.manual_seed: before CUDA is in use that only notes the seed, with a traceback, and forgets none
        torch.default_generator.manual_seed(derived_seed(purpose, seed, epoch))
        if devices:
            torch.cuda.manual_seed(derived_seed(purpose, seed, epoch))
        yield
