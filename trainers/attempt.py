"""One try at one run: the files that it writes into its own folder, and how its checkpoints are read back."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import msgspec

from trainers.errors import CorruptFileError
from trainers.files import append, exists, matching, read, remove, write
from trainers.records import decode, encode_record
from trainers.remote import Place, RemotePath
from trainers.result import EpochRecord, Failure, FileRecord, Started
from trainers.space import check_room
from trainers.spec import canonical_json

WEIGHTS, CURVES, PREDICTIONS, LOG = "weights.safetensors", "curves.jsonl", "predictions.parquet", "log.txt"
ANY_CHECKPOINT = "checkpoint-" + 6 * "[0-9]" + ".pt"
_CHECKPOINT = "checkpoint-{epoch:06d}.pt"
_DIGEST_LENGTH = 64
_EPOCH_DECODER = msgspec.json.Decoder(EpochRecord)


def now() -> str:
    """The present in UTC, ISO 8601, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def new_token(number: int, driver: str) -> str:
    """A name that no other attempt has: the how manieth it is, whose it is, and a draw."""
    return "-".join(filter(None, (f"{number:04d}", driver, uuid.uuid4().hex[:8])))


def after(moment: str) -> str:
    """A millisecond after a moment as `now` gives it, so that what follows sorts behind it whatever the clock says."""
    try:
        next_one = datetime.fromisoformat(moment) + timedelta(milliseconds=1)
    except (ValueError, OverflowError):
        return ""
    return next_one.isoformat(timespec="milliseconds")


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One try at one run; it writes only into its own folder."""

    run: str
    token: str
    folder: Place
    _lines: list[str] = field(default_factory=list, repr=False, compare=False)
    """Of the log, on an object store, where nothing can be added to a file."""

    @property
    def driver(self) -> str:
        """Token of the driver that started it; "" if it does not say."""
        return "-".join(self.token.split("-")[1:-1])

    @property
    def log_file(self) -> Place:
        """What the attempt had to say, with the traceback of a failure."""
        return self.folder / LOG

    @property
    def curves_file(self) -> Place:
        """One line per epoch so far."""
        return self.folder / CURVES

    def write_started(self, started: Started) -> None:
        """Say who works here and since when; no later decision rests on it, so that nobody waits for the disk."""
        write(self.folder / "started.json", encode_record(msgspec.to_builtins(started)), is_synced=False)

    def started(self) -> Started | None:
        """Who worked here; None if the attempt died before it could say."""
        file = self.folder / "started.json"
        return decode(file, Started) if exists(file) else None

    def log(self, message: str) -> None:
        """Add a line, or several, to what this attempt has to say; on an object store `save_log` puts them there."""
        line = f"{now()} {message}\n"
        if isinstance(self.log_file, RemotePath):
            self._lines.append(line)
        else:
            append(self.log_file, line)

    def save_log(self) -> None:
        """See to it that the whole log so far is in the store."""
        if self._lines:
            write(self.log_file, "".join(self._lines).encode())

    def failure(self) -> Failure | None:
        """Why it failed; None if it did not (it may have been interrupted), or cannot say."""
        file = self.folder / "failure.json"
        try:
            return decode(file, Failure) if exists(file) else None
        except CorruptFileError:
            return None

    def write_failure(self, failure: Failure) -> None:
        """Say why this attempt ended without a result."""
        self.save_log()
        write(self.folder / "failure.json", encode_record(msgspec.to_builtins(failure)))

    def write_file(self, name: str, content: bytes) -> FileRecord:
        """Write one of the run's files; the record goes into the result, before which `Store.finish` syncs the file."""
        write(self.folder / name, content, is_synced=False)
        return FileRecord(size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())

    def write_curves(self, records: Iterable[EpochRecord]) -> FileRecord:
        """One JSON line per epoch."""
        lines = (canonical_json(msgspec.to_builtins(record)) + "\n" for record in records)
        return self.write_file(CURVES, "".join(lines).encode())

    def curves(self) -> tuple[EpochRecord, ...]:
        """The epochs so far; CorruptFileError if a line cannot be read."""
        try:
            return self.decoded_curves(read(self.curves_file))
        except OSError as error:
            raise CorruptFileError(f"{self.curves_file} cannot be read: {error}") from error

    def decoded_curves(self, content: bytes) -> tuple[EpochRecord, ...]:
        """The epochs in the content of a file of curves; CorruptFileError if a line cannot be read."""
        try:
            return tuple(map(_EPOCH_DECODER.decode, content.splitlines()))
        except msgspec.MsgspecError as error:
            raise CorruptFileError(f"{self.curves_file} cannot be read: {error}") from error

    def write_checkpoint(self, epoch: int, payload: bytes, *, is_synced: bool = True) -> None:
        """Save the state after an epoch behind its checksum, then drop the run's that are older than the one before.

        That one was written by this attempt, or read by it to go on from: two that are sound stay, whoever wrote them,
        and many attempts leave no more than a few.
        """
        digest = hashlib.sha256(payload).hexdigest().encode()
        file = self.folder / _CHECKPOINT.format(epoch=epoch)
        check_room(file, len(payload))
        write(file, digest + payload, is_synced=is_synced)
        for old in matching(self.folder.parent, f"*/{ANY_CHECKPOINT}"):
            if epoch_of(old) < epoch - 1:
                remove(old)
        self.save_log()


def read_checkpoint(file: Place) -> bytes:
    """The payload of a checkpoint; CorruptFileError if its checksum does not hold."""
    try:
        content = read(file)
    except OSError as error:  # another attempt may have removed it since it was listed
        raise CorruptFileError(f"checkpoint {file} cannot be read: {error}") from error
    digest, payload = content[:_DIGEST_LENGTH], content[_DIGEST_LENGTH:]
    if hashlib.sha256(payload).hexdigest().encode() != digest:
        raise CorruptFileError(f"checkpoint {file} is damaged")
    return payload


def epoch_of(checkpoint: Place) -> int:
    """After which epoch a checkpoint was saved."""
    return int(checkpoint.stem.partition("-")[2])
