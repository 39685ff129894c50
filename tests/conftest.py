"""What every test leaves behind: our plug-ins alone."""

from __future__ import annotations

import importlib
from collections.abc import Iterator

import pytest

from trainers.plugins import Kind


@pytest.fixture(autouse=True)
def ours_alone() -> Iterator[None]:
    """A user's folder that a test put beside our files is not found afterwards."""
    yield
    for kind in Kind:
        del importlib.import_module(kind.value).__path__[1:]
