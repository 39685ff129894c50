"""Published files: fetched once into the user's cache folder, and trusted only with the right SHA-256."""

from __future__ import annotations

import os
import shutil
import urllib.request
import uuid
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from trainers.errors import DataError
from trainers.files import file_digest

TIMEOUT_SECONDS = 30
"""Without an answer; a slow download may take longer."""


@dataclass(frozen=True, kw_only=True)
class Download:
    """A file that someone publishes; its name is the last part of the URL."""

    url: str
    sha256: str

    @property
    def name(self) -> str:
        """What the file is called in the cache folder, or wherever a user has it."""
        return self.url.rpartition("/")[2]


def cache_folder(data: str) -> Path:
    """Where files of a data set are kept that were downloaded; not made yet."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "petite" / data


def fetched(data: str, wanted: Download) -> Path:
    """The file in the cache folder; DataError says where to put it if it cannot be had."""
    file = cache_folder(data) / wanted.name
    if not file.exists():
        _download(wanted.url, file, f"put it into {file.parent}, or say where it is: --data {data}:PATH")
    if file_digest(file) != wanted.sha256:
        raise DataError(f"{file} is not the file that was published (SHA-256 {wanted.sha256[:12]}...); remove it")
    return file


def _download(url: str, file: Path, advice: str) -> None:
    aside = file.with_name(f".{file.name}-{uuid.uuid4().hex}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer, aside.open("wb") as stream:
            shutil.copyfileobj(answer, stream)
        os.replace(aside, file)
    except (OSError, HTTPException) as error:
        raise DataError(f"{url} cannot be downloaded ({error}); {advice}") from error
    finally:
        aside.unlink(missing_ok=True)
