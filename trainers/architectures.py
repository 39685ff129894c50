"""Names of a package's networks, read from its source text, so that a plan is checked without importing torch."""

from __future__ import annotations

import difflib
import importlib.util
import re
from functools import cache
from pathlib import Path

_REGISTERED = re.compile(r"^@register_model(?:\(\))?\n(?:(?!def ).*\n)*?def (\w+)\(", re.MULTILINE)
"""How torchvision and timm mark the functions in `models/*.py` that build a network by name."""

EXAMPLES = {"torchvision": "mobilenet_v3_small", "timm": "mobilenetv3_small_050"}
"""A network of each package."""


def check_architecture(package: str, name: str) -> None:
    """ValueError, with the nearest names, for a network that the package does not have, and for none."""
    if not name:
        raise ValueError(f"which network of {package}? write its name after a colon, as {package}:{EXAMPLES[package]}")
    known = registered(package)
    if known and name not in known:  # none: the package is marked up otherwise, and must answer for itself
        near = difflib.get_close_matches(name, known, n=3)
        hint = f"did you mean {', '.join(near)}" if near else f"for example {', '.join(known[:3])}"
        raise ValueError(f"unknown architecture {name!r}; {package} has {len(known)}, {hint}")


@cache
def registered(package: str) -> tuple[str, ...]:
    """The networks that an installed package builds by name, sorted."""
    found = importlib.util.find_spec(package)
    folders = [] if found is None else list(found.submodule_search_locations or [])
    files = [file for folder in folders for file in Path(folder, "models").glob("*.py")]
    return tuple(sorted(name for file in files for name in _REGISTERED.findall(file.read_text(encoding="utf-8"))))
