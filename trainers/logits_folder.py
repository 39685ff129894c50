"""One teacher's logits on disk: a file per epoch, whose name holds its checksum, so that a file is whole or not there.

    <store>/logits/<id>/request.json                    what is wanted, by the latest request
                        attempts/<token>/               logs and failures of the jobs that write here
                        <source>/epoch-000001-<SHA-256>.npy     (N, K), in the order of the pictures

A source is a teacher's very weights together with the hardware and versions that ran them: what another teacher or
another machine would say differently, be it in the last bit, lies in another folder.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainers.attempt import Attempt, new_token, now
from trainers.cache import local_file
from trainers.errors import CorruptFileError
from trainers.files import exists, make_folder, matching, remove, size_of, subfolders, write
from trainers.loaded import load_array
from trainers.records import decode, decode_record, encode_record
from trainers.remote import Place
from trainers.result import Failure, FileRecord
from trainers.spec import to_dict
from trainers.teacher_logits import LogitsRequest

Logits = npt.NDArray[np.floating]
_ANY_EPOCH = f"epoch-{6 * '[0-9]'}-*.npy"


@dataclass(frozen=True, kw_only=True)
class LogitsFolder:
    """The logits of one set, `id`, that jobs write and students read."""

    id: str
    folder: Place

    @property
    def is_requested(self) -> bool:
        """Whether a job was ever planned for this set."""
        return exists(self._request_file)

    @property
    def _request_file(self) -> Place:
        return self.folder / "request.json"

    def request(self) -> LogitsRequest:
        """What is to be written here; CorruptFileError if that cannot be read."""
        return decode(self._request_file, LogitsRequest)

    def write_request(self, request: LogitsRequest) -> None:
        """Ask for a set; the latest request counts, and what is there already stays."""
        write(self._request_file, encode_record(to_dict(request)))

    # Attempts to write it

    def attempts(self) -> tuple[Attempt, ...]:
        """All attempts, oldest first."""
        folder = self.folder / "attempts"
        return tuple(Attempt(run=self.id, token=token, folder=folder / token) for token in subfolders(folder))

    def begin_attempt(self, driver: str = "") -> Attempt:
        """A new, empty attempt that nobody else writes to, started by a driver."""
        token = new_token(len(self.attempts()) + 1, driver)
        attempt = Attempt(run=self.id, token=token, folder=self.folder / "attempts" / token)
        make_folder(attempt.folder)
        return attempt

    def finish(self, attempt: Attempt) -> None:
        """Say that an attempt came to its end, and when."""
        write(attempt.folder / "done.json", encode_record({"finished_at": now()}))

    def finished_at(self, attempt: Attempt) -> str | None:
        """When an attempt came to its end; None if it has not, or cannot say."""
        try:
            return str(decode_record(attempt.folder / "done.json")["finished_at"])
        except (CorruptFileError, KeyError):
            return None

    # Epochs, by their source

    def epochs(self, source: str) -> frozenset[int]:
        """The epochs that are there, counted from 1."""
        return frozenset(int(file.name.split("-")[1]) for file in matching(self._of(source), _ANY_EPOCH))

    def all_epochs(self) -> tuple[tuple[str, int], ...]:
        """Every (source, epoch) that is there."""
        sources = [name for name in subfolders(self.folder) if name != "attempts"]
        return tuple((source, epoch) for source in sources for epoch in sorted(self.epochs(source)))

    def write_epoch(self, source: str, epoch: int, logits_NK: Logits) -> None:
        """Publish the logits of one epoch as one step."""
        buffer = io.BytesIO()
        np.save(buffer, logits_NK)
        digest = hashlib.sha256(buffer.getbuffer()).hexdigest()
        write(self._of(source) / f"epoch-{epoch:06d}-{digest}.npy", buffer.getvalue())

    def read_epoch(self, source: str, epoch: int) -> Logits | None:
        """The logits (N, K) of one epoch, mapped into memory; None if they are not there.

        CorruptFileError for a file that is not what was written. Writing to the array changes no file.
        """
        damage: CorruptFileError | None = None
        for file in matching(self._of(source), f"epoch-{epoch:06d}-*.npy"):
            try:
                return _mapped(file)
            except CorruptFileError as error:
                damage = error
        if damage is not None:
            raise damage
        return None

    def remove_epoch(self, source: str, epoch: int) -> None:
        """Take a damaged epoch away, so that it is written anew; what another job has written meanwhile stays."""
        for file in matching(self._of(source), f"epoch-{epoch:06d}-*.npy"):
            try:
                _mapped(file)
            except CorruptFileError:
                remove(file)

    def failure(self) -> Failure | None:
        """Why the newest attempt failed; None if it did not."""
        attempts = self.attempts()
        return attempts[-1].failure() if attempts else None

    def _of(self, source: str) -> Place:
        return self.folder / source


def _mapped(file: Place) -> Logits:
    """A file, or its copy on this machine, whose content was compared with its name."""
    try:
        expected = FileRecord(size_bytes=size_of(file), sha256=file.stem.rpartition("-")[2])
        logits_NK: Logits = load_array(local_file(file, expected), mmap_mode="c")
    except CorruptFileError:
        raise
    except OSError as error:
        raise CorruptFileError(f"{file} cannot be read: {error}") from error
    return logits_NK
