"""The store: every path and file format under it. Nobody else joins strings or writes files there.

Records are JSON with a checksum. Files are written aside and renamed, so that a reader sees the old
one, the new one, or none; `result.json` is created once, by a hard link, and never overwritten.
"""

from __future__ import annotations

import os
import uuid
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec

from trainers.attempt import (
    ANY_CHECKPOINT,
    CURVES,
    LOG,
    PREDICTIONS,
    WEIGHTS,
    Attempt,
    epoch_of,
    new_token,
    now,
    read_checkpoint,
)
from trainers.cache import cache_folder, local_file
from trainers.data_store import DataStore
from trainers.errors import CorruptFileError, LogError, StoreError
from trainers.files import (
    check_file,
    checked_content,
    create,
    exists,
    first_look,
    is_folder,
    make_folder,
    matching,
    probe_writing,
    remove,
    rename,
    subfolders,
    write,
)
from trainers.kept import KeptPlugins, KeptWeights
from trainers.logits_folder import LogitsFolder
from trainers.plugin_folder import PluginFolder
from trainers.records import decode, decode_record, encode_record
from trainers.remote import Place, RemotePath, place_of
from trainers.result import Failure, Manifest, PlanRecord, Result, RunState
from trainers.spec import SCHEMA_VERSION, RunSpec, digest_of, group_id, run_id, to_dict

__all__ = ["CURVES", "LOG", "PREDICTIONS", "WEIGHTS", "Attempt", "Store", "now", "read_checkpoint"]


class Store:
    """A folder that holds everything the project writes; opening checks it, and the constructor does nothing."""

    def __init__(self, root: str | Place) -> None:
        self.root = place_of(root)
        self._runs = self.root / "runs"
        self._data, self._weights = DataStore(self.root / "data"), KeptWeights(self.root / "weights")
        self._plugins = KeptPlugins(self.root / "plugins")

    def open(self) -> Store:
        """Create or check the folder: StoreError if it cannot be written or a newer version made it.

        UnreachableError, within seconds, for a bucket that cannot be used.
        """
        try:
            probe_writing(self.root)
        except OSError as error:
            raise StoreError(f"store {self.root} cannot be written ({error}); choose another with --store") from error
        if not self.check_version():
            write(self._version_file, encode_record({"schema_version": SCHEMA_VERSION}))
        return self

    def check_version(self) -> bool:
        """Whether there is a store here yet; StoreError if a newer version of the project wrote it."""
        first_look(self.root)
        if not exists(self._version_file):
            return False
        try:
            version = decode_record(self._version_file).get("schema_version")
        except CorruptFileError as error:
            raise CorruptFileError(
                f"{error}; if no newer Petite wrote this store, delete the file and run again"
            ) from error
        if not isinstance(version, int) or version > SCHEMA_VERSION:
            raise StoreError(
                f"store {self.root} has schema version {version!r}; this version reads up to {SCHEMA_VERSION}: "
                "update Petite or choose another --store"
            )
        return True

    @property
    def _version_file(self) -> Place:
        return self.root / "store.json"

    # Runs

    def run_folder(self, run: str) -> Place:
        """Where one run keeps its spec, attempts and result."""
        return self._runs / run

    def run_ids(self) -> tuple[str, ...]:
        """Every run that was ever started here, sorted."""
        return tuple(subfolders(self._runs))

    def has_runs(self) -> bool:
        """Whether there is any run, found without listing them all."""
        if isinstance(self._runs, RemotePath):
            return self._runs.is_dir()
        try:
            with os.scandir(self._runs) as entries:
                return any(not entry.name.startswith(".") and entry.is_dir() for entry in entries)
        except (FileNotFoundError, NotADirectoryError):
            return False

    def write_spec(self, spec: RunSpec) -> None:
        """Record what a run is, before anything of it is trained; a damaged record is replaced.

        Thousands are written at once and not synchronised: `finish` does that, and until then nothing rests on one.
        """
        run = run_id(spec)
        try:
            self.spec(run)
        except CorruptFileError:
            write(self.run_folder(run) / "spec.json", encode_record(to_dict(spec)), is_synced=False)

    def spec(self, run: str) -> RunSpec:
        """The spec of a run; CorruptFileError if it is not the one its id names."""
        return self.spec_and_group(run)[0]

    def spec_and_group(self, run: str) -> tuple[RunSpec, str]:
        """`spec`, and its group id, which comes from the same reading."""
        file = self._runs / f"{run}/spec.json"
        spec = decode(file, RunSpec)
        found = run_id(spec)
        if found != run:
            raise CorruptFileError(f"{file} has id {found}; move it away and run again")
        return spec, group_id(spec)

    def has_result(self, run: str) -> bool:
        """Whether any attempt has finished a run; cheap, and says nothing of whether the result can be trusted."""
        return exists(self.result_file(run))

    def result_file(self, run: str) -> Place:
        """Where a finished run's result is."""
        return self._runs / f"{run}/result.json"

    def result(self, run: str) -> Result | None:
        """The result of a finished run, None while there is none; CorruptFileError if it cannot be trusted.

        Curves are compared with their checksum, larger files by their size; `verified_file` reads them whole.
        """
        found = self.result_and_curves(run)
        return None if found is None else found[0]

    def result_and_curves(self, run: str) -> tuple[Result, bytes] | None:
        """`result`, with the content of its curves (empty where nothing was trained), which was read to check them."""
        file = self.result_file(run)
        if not exists(file):
            return None
        result = decode(file, Result)
        folder, curves = self.attempt(run, result.attempt).folder, b""
        for name, expected in result.files.items():
            if name == CURVES:
                curves = checked_content(folder / name, expected)
            else:
                check_file(folder / name, expected, is_read=False)
        return result, curves

    def verified_file(self, run: str, name: str) -> Path:
        """A file of a finished run whose whole content was compared with the result's checksum."""
        result = self.result(run)
        if result is None:
            raise CorruptFileError(f"run {run} has no result; run it again")
        return local_file(self.attempt(run, result.attempt).folder / name, result.files[name])

    def state(self, run: str) -> RunState:
        """All that planning needs to know of a run; never raises for a damaged one."""
        return self.state_and_curves(run)[0]

    def state_and_curves(self, run: str) -> tuple[RunState, bytes]:
        """`state`, with the content of the curves of a finished run."""
        if not is_folder(self.run_folder(run)):
            return RunState(), b""
        corrupt = None
        try:
            found = self.result_and_curves(run)
            if found is not None:
                return RunState(result=found[0]), found[1]
        except CorruptFileError as error:
            corrupt = str(error)
        saved = self.checkpoints(run)
        num_epochs = epoch_of(saved[0]) if saved else 0
        return RunState(num_epochs_saved=num_epochs, failure=self._failure(run), corrupt=corrupt), b""

    def set_aside(self, run: str, made_by: str | None = None) -> None:
        """Make a run unfinished: its result stays beside the attempt that made it, its checkpoints go.

        Only the result `made_by` an attempt, if that is given: another one is newer than what the caller has seen.
        """
        file = self.result_file(run)
        if made_by is not None and self._is_by_another(file, made_by):
            return
        if exists(file):
            rename(file, f"set-aside-{uuid.uuid4().hex[:8]}.json")
        self.remove_checkpoints(run)

    def _is_by_another(self, result_file: Place, attempt: str) -> bool:
        """Whether a sound result names another attempt."""
        try:
            return decode(result_file, Result).attempt != attempt
        except CorruptFileError:
            return False

    # Attempts

    def attempt(self, run: str, token: str) -> Attempt:
        """One attempt of a run, by its token."""
        return Attempt(run=run, token=token, folder=self._runs / f"{run}/attempts/{token}")

    def attempts(self, run: str) -> tuple[Attempt, ...]:
        """All attempts of a run, oldest first."""
        return tuple(self.attempt(run, token) for token in subfolders(self._runs / f"{run}/attempts"))

    def begin_attempt(self, run: str, driver: str = "") -> Attempt:
        """A new, empty attempt that nobody else writes to, started by a driver."""
        attempt = self.attempt(run, new_token(len(self.attempts(run)) + 1, driver))
        make_folder(attempt.folder)
        return attempt

    def checkpoints(self, run: str) -> tuple[Place, ...]:
        """Checkpoints of all attempts, the one with most epochs first."""
        files = matching(self.run_folder(run) / "attempts", f"*/{ANY_CHECKPOINT}")
        return tuple(sorted(files, key=lambda file: (epoch_of(file), file.parent.name), reverse=True))

    def remove_checkpoints(self, run: str) -> None:
        """Free the space of a run that is finished or starts over."""
        for file in self.checkpoints(run):
            remove(file)

    def finish(self, attempt: Attempt, result: Result) -> bool:
        """Publish a result; False, and nothing changed, if another attempt was first.

        What it names, and the spec, are on the disk before it is there.
        """
        folder = self.run_folder(attempt.run)
        named = [attempt.folder / name for name in result.files]
        spec = folder / "spec.json"
        content = encode_record(msgspec.to_builtins(result))
        is_first = create(folder / "result.json", content, after=[*named, *([spec] if exists(spec) else [])])
        self.remove_checkpoints(attempt.run)
        return is_first

    def _failure(self, run: str) -> Failure | None:
        """Why the newest attempt failed; None if it did not fail (it may have been interrupted)."""
        attempts = self.attempts(run)
        return attempts[-1].failure() if attempts else None

    # Teachers' logits

    def logits(self, logits: str) -> LogitsFolder:
        """One set of them, by its id."""
        return LogitsFolder(id=logits, folder=self.root / "logits" / logits)

    def logits_ids(self) -> tuple[str, ...]:
        """All sets, sorted."""
        return tuple(subfolders(self.root / "logits"))

    # Plans

    def write_plan(self, plan: PlanRecord) -> None:
        """Keep what was asked for; the same plan again replaces its record."""
        write(self.plan_file(plan.plan_id), encode_record(msgspec.to_builtins(plan)))

    def plan_file(self, plan: str) -> Place:
        """Where a plan is kept, by its id."""
        return self.root / "plans" / f"{plan}.json"

    def plan_ids(self) -> tuple[str, ...]:
        """All plans, damaged ones too, sorted."""
        return tuple(file.stem for file in matching(self.root / "plans", "[!.]*.json"))

    def plans(self) -> tuple[PlanRecord, ...]:
        """All plans, the latest last; a damaged one is left out (its runs remain)."""
        plans = []
        for plan in self.plan_ids():
            try:
                plans.append(decode(self.plan_file(plan), PlanRecord))
            except CorruptFileError:
                continue
        return tuple(sorted(plans, key=lambda plan: plan.planned_at))

    # Drivers, and what they are at

    def driver_file(self, token: str) -> Place:
        """Where a driver shows that it lives."""
        return self.root / "drivers" / f"{token}.json"

    def driver_tokens(self) -> tuple[str, ...]:
        """All drivers that have not ended cleanly, sorted."""
        return tuple(file.stem for file in matching(self.root / "drivers", "[!.]*.json"))

    def remove_driver(self, token: str) -> None:
        """A driver has ended."""
        remove(self.driver_file(token))

    def lease_file(self, task: str) -> Place:
        """Where a driver says that it is at a job."""
        return self.root / "leases" / f"{task}.json"

    def lease_ids(self) -> tuple[str, ...]:
        """All jobs that a driver says to be at, sorted."""
        return tuple(file.stem for file in matching(self.root / "leases", "[!.]*.json"))

    def remove_lease(self, task: str) -> None:
        """Nobody is at a job any more."""
        remove(self.lease_file(task))

    # Prepared data

    def data_folder(self, fingerprint: str) -> Place:
        """Where a prepared data set lies."""
        return self._data.folder(fingerprint)

    def local_data(self, fingerprint: str) -> Path:
        """Where its files can be mapped into memory: there, or in a copy on this machine."""
        return self._data.local_folder(fingerprint)

    def manifest(self, fingerprint: str) -> Manifest:
        """The description of a prepared data set; it is written last, so its presence means complete."""
        return self._data.manifest(fingerprint)

    def prepared_data(self, request: str) -> Manifest | None:
        """The data set that a request (a digest of what was asked for) led to before, if it is complete.

        Its origin is the request's own: the same pictures may lie in another place as well.
        """
        return self._data.of_request(request)

    def preparation(self, request: str) -> AbstractContextManager[Path]:
        """The folder of an unfinished preparation, for one process of a machine at a time."""
        return self._data.preparation(request)

    def publish_data(self, folder: Path, manifest: Manifest, request: str) -> Manifest:
        """Give a prepared folder its place, its files' checksums noted; an equal one that is there already is kept."""
        return self._data.publish(folder, manifest, request)

    def set_damaged_data_aside(self, fingerprint: str) -> None:
        """DamagedDataError if a data set's files, read whole, are not what was written; it is removed then.

        A run would train on altered pixels without noticing. What an older version prepared has no checksums.
        """
        self._data.set_damaged_aside(fingerprint)

    # Weights from outside, and a user's own plug-ins

    def weights_file(self, digest: str) -> Place:
        """Where weights from outside are kept, by content, once they were checked."""
        return self._weights.file(digest)

    def local_weights(self, digest: str) -> Path | None:
        """Their file, or a copy of it on this machine; None if they are not kept yet."""
        return self._weights.local_file(digest)

    def write_weights(self, digest: str, content: bytes) -> None:
        """Keep weights from outside, and beside them the checksum of what is kept (`digest` is of their source)."""
        self._weights.write(digest, content)

    def weights_record(self, digest: str) -> Place:
        """Size and checksum of a file of weights."""
        return self._weights.record(digest)

    def plugins(self, digest: str) -> PluginFolder:
        """The store's copy of a user's plug-ins; CorruptFileError if it is not what its name says."""
        return self._plugins.folder(digest)

    def plugin_digests(self) -> tuple[str, ...]:
        """All copies of users' plug-ins, sorted."""
        return self._plugins.digests()

    def write_plugins(self, folder: PluginFolder) -> PluginFolder:
        """Copy a user's plug-ins to where every worker finds them; gives the copy."""
        return self._plugins.write(folder)

    # Derived files and logs

    def table_file(self, name: str) -> Place:
        """A derived table; may be deleted at any time."""
        return self.root / "tables" / f"{name}.parquet"

    def report_file(self, name: str) -> Place:
        """The page that shows the store, or a figure beside it; may be deleted at any time."""
        return self.root / "report" / name

    def tensorboard_folder(self) -> Path:
        """Where TensorBoard's event files go; LogError in a bucket, which holds no files that grow."""
        if isinstance(self.root, RemotePath):
            raise LogError(f"store {self.root} is a bucket; give TensorBoard's files a folder: tensorboard:FOLDER")
        return self.root / "tensorboard"

    def log_folder(self) -> Path:
        """Where Ray's and Tune's own messages go; a folder of this machine in any case."""
        logs = cache_folder() / "logs" / digest_of(str(self.root))[:12]
        folder = logs if isinstance(self.root, RemotePath) else self.root / "logs"
        folder.mkdir(parents=True, exist_ok=True)
        return folder
