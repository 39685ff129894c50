"""Texts that a user gives, refused at the border if no path, name or value can be meant: the same for every option."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from trainers.errors import SpecError

MOST_CHARACTERS = 4_096
"""Of one text; Linux allows as many in a path. `--seeds` may be longer, and is counted."""
_HOME = re.compile(r"(?:^|:)(~[^/:]+)")


def check_texts(options: Mapping[str, Any]) -> None:
    """SpecError for a text, at any depth of what an option was given, that cannot be meant."""
    for name, value in options.items():
        for text in _texts(value):
            check_text(f"--{name.replace('_', '-')}", text, is_limited=name != "seeds")


def check_text(option: str, text: str, *, is_limited: bool = True) -> None:
    """SpecError for control characters (NUL and line ends among them), a very long text, or an unknown user's home."""
    if is_limited and len(text) > MOST_CHARACTERS:
        raise SpecError(f"{option} {text[:40]!r}... has {len(text)} characters; allowed: {MOST_CHARACTERS} at most")
    found = next((one for one in text if unicodedata.category(one) in ("Cc", "Zl", "Zp")), None)
    if found is not None:
        raise SpecError(f"{option} {text[:200]!r} has the control character {found!r}; write it without")
    for home in _HOME.findall(text):
        try:
            Path(home).expanduser()
        except RuntimeError as error:
            raise SpecError(f"{option} {text[:200]!r}: no user {home[1:]!r}; give a path that exists") from error


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, (str, Path)):
        yield str(value)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from (*_texts(key), *_texts(inner))
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _texts(inner)


_PART = re.compile(r"[^/\x00-\x1f\x7f]{1,300}")


def check_part(what: str, name: str) -> None:
    """SpecError for a name in a record that is more than one part of a path, and so could lead out of its folder."""
    if not _PART.fullmatch(name) or name in (".", ".."):
        raise SpecError(f"{what} is {name[:200]!r}; allowed: a single name, without a slash")
