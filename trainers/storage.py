"""The store: every path and file format under it. Nobody else joins strings or writes files there.

Records are JSON with a checksum. Files are written aside and renamed, so that a reader sees the old
one, the new one, or none; `result.json` is created once, by a hard link, and never overwritten.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from trainers.errors import CorruptFileError, DataError, SpecError, StoreError
from trainers.files import (
    check_file,
    create,
    decode,
    decode_record,
    encode_record,
    subfolders,
    write,
)
from trainers.locks import is_held, locked
from trainers.result import EpochRecord, Failure, FileRecord, Manifest, PlanRecord, Result, RunState, Started
from trainers.spec import SCHEMA_VERSION, RunSpec, canonical_json, from_dict, run_id, to_dict

WEIGHTS, CURVES, PREDICTIONS, LOG = "weights.safetensors", "curves.jsonl", "predictions.parquet", "log.txt"
_CHECKPOINT = "checkpoint-{epoch:06d}.pt"
_ANY_CHECKPOINT = "checkpoint-" + 6 * "[0-9]" + ".pt"
_DIGEST_LENGTH = 64
ABANDONED_SECONDS = 24 * 3600


def now() -> str:
    """The present in UTC, ISO 8601, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class Store:
    """A folder that holds everything the project writes; opening checks it, and the constructor does nothing."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root).expanduser().absolute()

    def open(self) -> Store:
        """Create or check the folder: StoreError if it cannot be written or a newer version made it."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            probe = self.root / f".probe-{uuid.uuid4().hex}"
            create(probe, b"")
            probe.unlink()
        except OSError as error:
            raise StoreError(f"store {self.root} cannot be written ({error}); choose another with --store") from error
        self.check_version()
        if not self._version_file.exists():
            write(self._version_file, encode_record({"schema_version": SCHEMA_VERSION}))
        return self

    def check_version(self) -> None:
        """StoreError if a newer version of the project wrote this store; a store that is not there yet is fine."""
        if not self._version_file.exists():
            return
        version = decode_record(self._version_file).get("schema_version")
        if not isinstance(version, int) or version > SCHEMA_VERSION:
            raise StoreError(
                f"store {self.root} has schema version {version!r}; this version reads up to {SCHEMA_VERSION}: "
                "update Petite or choose another --store"
            )

    @property
    def _version_file(self) -> Path:
        return self.root / "store.json"

    # Runs

    def run_folder(self, run: str) -> Path:
        """Where one run keeps its spec, attempts and result."""
        return self.root / "runs" / run

    def run_ids(self) -> tuple[str, ...]:
        """Every run that was ever started here, sorted."""
        return tuple(subfolders(self.root / "runs"))

    def write_spec(self, spec: RunSpec) -> None:
        """Record what a run is, before anything of it is trained; a damaged record is replaced."""
        run = run_id(spec)
        try:
            self.spec(run)
        except CorruptFileError:
            write(self.run_folder(run) / "spec.json", encode_record(to_dict(spec)))

    def spec(self, run: str) -> RunSpec:
        """The spec of a run; CorruptFileError if it is not the one its id names."""
        file = self.run_folder(run) / "spec.json"
        try:
            spec = from_dict(RunSpec, decode_record(file))
        except SpecError as error:
            raise CorruptFileError(f"{file} is not a spec: {error}") from error
        if run_id(spec) != run:
            raise CorruptFileError(f"{file} has id {run_id(spec)}; move it away and run again")
        return spec

    def result(self, run: str) -> Result | None:
        """The result of a finished run, None while there is none; CorruptFileError if it cannot be trusted.

        Curves are compared with their checksum, larger files by their size; `verified_file` reads them whole.
        """
        file = self.run_folder(run) / "result.json"
        if not file.exists():
            return None
        result = decode(file, Result)
        for name, expected in result.files.items():
            check_file(self.attempt(run, result.attempt).folder / name, expected, is_read=name == CURVES)
        return result

    def verified_file(self, run: str, name: str) -> Path:
        """A file of a finished run whose whole content was compared with the result's checksum."""
        result = self.result(run)
        if result is None:
            raise CorruptFileError(f"run {run} has no result; run it again")
        file = self.attempt(run, result.attempt).folder / name
        check_file(file, result.files[name], is_read=True)
        return file

    def state(self, run: str) -> RunState:
        """All that planning needs to know of a run; never raises for a damaged one."""
        if not self.run_folder(run).is_dir():
            return RunState()
        corrupt = None
        try:
            result = self.result(run)
            if result is not None:
                return RunState(result=result)
        except CorruptFileError as error:
            corrupt = str(error)
        saved = self.checkpoints(run)
        return RunState(
            num_epochs_saved=_epoch_of(saved[0]) if saved else 0, failure=self._failure(run), corrupt=corrupt
        )

    def set_aside(self, run: str) -> None:
        """Make a run unfinished: its result stays beside the attempt that made it, its checkpoints go."""
        file = self.run_folder(run) / "result.json"
        if file.exists():
            os.replace(file, self.run_folder(run) / f"set-aside-{uuid.uuid4().hex[:8]}.json")
        self.remove_checkpoints(run)

    # Attempts

    def attempt(self, run: str, token: str) -> Attempt:
        """One attempt of a run, by its token."""
        return Attempt(run=run, token=token, folder=self.run_folder(run) / "attempts" / token)

    def attempts(self, run: str) -> tuple[Attempt, ...]:
        """All attempts of a run, oldest first."""
        return tuple(self.attempt(run, token) for token in subfolders(self.run_folder(run) / "attempts"))

    def begin_attempt(self, run: str) -> Attempt:
        """A new, empty attempt that nobody else writes to."""
        attempt = self.attempt(run, f"{len(self.attempts(run)) + 1:04d}-{uuid.uuid4().hex[:8]}")
        attempt.folder.mkdir(parents=True)
        return attempt

    def checkpoints(self, run: str) -> tuple[Path, ...]:
        """Checkpoints of all attempts, the one with most epochs first."""
        files = (self.run_folder(run) / "attempts").glob(f"*/{_ANY_CHECKPOINT}")
        return tuple(sorted(files, key=lambda file: (_epoch_of(file), file.parent.name), reverse=True))

    def remove_checkpoints(self, run: str) -> None:
        """Free the space of a run that is finished or starts over."""
        for file in self.checkpoints(run):
            file.unlink(missing_ok=True)

    def finish(self, attempt: Attempt, result: Result) -> bool:
        """Publish a result; False, and nothing changed, if another attempt was first."""
        is_first = create(self.run_folder(attempt.run) / "result.json", encode_record(msgspec.to_builtins(result)))
        self.remove_checkpoints(attempt.run)
        return is_first

    def _failure(self, run: str) -> Failure | None:
        """Why the newest attempt failed; None if it did not fail (it may have been interrupted)."""
        attempts = self.attempts(run)
        file = attempts[-1].folder / "failure.json" if attempts else None
        try:
            return decode(file, Failure) if file is not None and file.exists() else None
        except CorruptFileError:
            return None

    # Plans

    def write_plan(self, plan: PlanRecord) -> None:
        """Keep what was asked for; the same plan again replaces its record."""
        write(self.root / "plans" / f"{plan.plan_id}.json", encode_record(msgspec.to_builtins(plan)))

    def plans(self) -> tuple[PlanRecord, ...]:
        """All plans, the latest last; a damaged one is left out (its runs remain)."""
        plans = []
        for file in sorted((self.root / "plans").glob("*.json")):
            try:
                plans.append(decode(file, PlanRecord))
            except CorruptFileError:
                continue
        return tuple(sorted(plans, key=lambda plan: plan.planned_at))

    # Data and weights

    def data_folder(self, fingerprint: str) -> Path:
        """Where a prepared data set lies."""
        return self.root / "data" / fingerprint

    def manifest(self, fingerprint: str) -> Manifest:
        """The description of a prepared data set; it is written last, so its presence means complete."""
        return decode(self.data_folder(fingerprint) / "manifest.json", Manifest)

    def prepared_data(self, request: str) -> Manifest | None:
        """The data set that a request (a digest of what was asked for) led to before, if it is complete."""
        index = self._request_file(request)
        try:
            return self.manifest(str(decode_record(index)["fingerprint"])) if index.exists() else None
        except (CorruptFileError, KeyError):
            return None

    @contextmanager
    def preparation(self, request: str) -> Iterator[Path]:
        """The folder of an unfinished preparation, for one process at a time; what is in it is from an earlier try.

        It goes when the preparation ends, be it with data that cannot be used; after a kill it stays, for the next try.
        """
        folder = self.root / "data" / f".preparing-{request}"
        self._remove_abandoned_data(but=folder)
        with locked(folder):
            try:
                yield folder
            except DataError:
                shutil.rmtree(folder)
                raise
            shutil.rmtree(folder)

    def _remove_abandoned_data(self, but: Path) -> None:
        """What killed preparations left, of which nobody has taken one up again for a day."""
        for folder in (self.root / "data").glob(".preparing-*"):
            age_seconds = time.time() - folder.stat().st_mtime
            if folder != but and age_seconds > ABANDONED_SECONDS and not is_held(folder):
                shutil.rmtree(folder, ignore_errors=True)

    def publish_data(self, folder: Path, manifest: Manifest, request: str) -> None:
        """Give a prepared folder its place; an equal one that is already there is kept."""
        write(folder / "manifest.json", encode_record(msgspec.to_builtins(manifest)))
        target = self.data_folder(manifest.fingerprint)
        try:
            os.replace(folder, target)
        except OSError:  # something lies there already: the same pictures, or what is left of them
            if self._has_data(manifest.fingerprint):
                shutil.rmtree(folder)
            else:
                shutil.rmtree(target)
                os.replace(folder, target)
        write(self._request_file(request), encode_record({"fingerprint": manifest.fingerprint}))

    def _has_data(self, fingerprint: str) -> bool:
        try:
            return bool(self.manifest(fingerprint))
        except CorruptFileError:
            return False

    def _request_file(self, request: str) -> Path:
        return self.root / "data" / "requests" / f"{request}.json"

    def weights_file(self, digest: str) -> Path:
        """Where weights from outside are kept, by content, once they were checked."""
        return self.root / "weights" / f"{digest}.safetensors"

    def write_weights(self, digest: str, content: bytes) -> None:
        """Keep weights from outside."""
        write(self.weights_file(digest), content)

    # Derived files and logs

    def table_file(self, name: str) -> Path:
        """A derived table; may be deleted at any time."""
        return self.root / "tables" / f"{name}.parquet"

    def log_folder(self) -> Path:
        """Where Ray's and Tune's own messages go."""
        folder = self.root / "logs"
        folder.mkdir(parents=True, exist_ok=True)
        return folder


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One try at one run; it writes only into its own folder."""

    run: str
    token: str
    folder: Path

    @property
    def log_file(self) -> Path:
        """What the attempt had to say, with the traceback of a failure."""
        return self.folder / LOG

    @property
    def curves_file(self) -> Path:
        """One line per epoch so far."""
        return self.folder / CURVES

    def write_started(self, started: Started) -> None:
        """Say who works here and since when."""
        write(self.folder / "started.json", encode_record(msgspec.to_builtins(started)))

    def started(self) -> Started | None:
        """Who worked here; None if the attempt died before it could say."""
        file = self.folder / "started.json"
        return decode(file, Started) if file.exists() else None

    def log(self, message: str) -> None:
        """Add a line, or several, to what this attempt has to say."""
        with self.log_file.open("a") as stream:
            stream.write(f"{now()} {message}\n")

    def write_failure(self, failure: Failure) -> None:
        """Say why this attempt ended without a result."""
        write(self.folder / "failure.json", encode_record(msgspec.to_builtins(failure)))

    def write_file(self, name: str, content: bytes) -> FileRecord:
        """Write one of the run's files; the record goes into the result."""
        write(self.folder / name, content)
        return FileRecord(size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())

    def write_curves(self, records: Iterable[EpochRecord]) -> FileRecord:
        """One JSON line per epoch."""
        lines = (canonical_json(msgspec.to_builtins(record)) + "\n" for record in records)
        return self.write_file(CURVES, "".join(lines).encode())

    def curves(self) -> tuple[EpochRecord, ...]:
        """The epochs so far; CorruptFileError if a line cannot be read."""
        file = self.curves_file
        try:
            return tuple(msgspec.json.decode(line, type=EpochRecord) for line in file.read_bytes().splitlines())
        except (OSError, msgspec.MsgspecError) as error:
            raise CorruptFileError(f"{file} cannot be read: {error}") from error

    def write_checkpoint(self, epoch: int, payload: bytes) -> None:
        """Save the state after an epoch behind its checksum, then drop all but the newest two of this attempt."""
        digest = hashlib.sha256(payload).hexdigest().encode()
        write(self.folder / _CHECKPOINT.format(epoch=epoch), digest + payload)
        for old in sorted(self.folder.glob(_ANY_CHECKPOINT))[:-2]:
            old.unlink(missing_ok=True)


def read_checkpoint(file: Path) -> bytes:
    """The payload of a checkpoint; CorruptFileError if its checksum does not hold."""
    try:
        content = file.read_bytes()
    except OSError as error:  # another attempt may have removed it since it was listed
        raise CorruptFileError(f"checkpoint {file} cannot be read: {error}") from error
    digest, payload = content[:_DIGEST_LENGTH], content[_DIGEST_LENGTH:]
    if hashlib.sha256(payload).hexdigest().encode() != digest:
        raise CorruptFileError(f"checkpoint {file} is damaged")
    return payload


def _epoch_of(checkpoint: Path) -> int:
    return int(checkpoint.stem.partition("-")[2])
