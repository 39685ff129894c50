"""TensorBoard's event files, one folder per run, under the store or in the FOLDER of `--log tensorboard:FOLDER`.

Written with tensorboardX, which needs neither torch nor TensorFlow. What was written so far is noted beside the files,
and every file is named after the epochs before it: a file that was cut short is written again, and never twice.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from analysis.logged import LoggedRun, Standing, series
from trainers.errors import LogError
from trainers.storage import Store

REQUIRES = "tensorboardX"
PACKAGE = "tensorboardX"
_NOTE = "logged.json"
_UNFIT = re.compile(r"[^A-Za-z0-9_.,=+@-]")
_TO_MARKDOWN = str.maketrans({sign: f"\\{sign}" for sign in r"\`*_{}[]<>()#+-.!|"})


def check(target: str) -> None:
    """LogError for a place that is no folder of this machine."""
    if "://" in target:
        raise LogError(f"--log tensorboard:{target[:200]} is no folder; TensorBoard's files need one on this machine")


def open_log(store: Store, target: str) -> TensorBoard:
    """Event files in the target, or in the store if there is none."""
    return TensorBoard(Path(target).expanduser().absolute() if target else store.tensorboard_folder())


class TensorBoard:
    """A folder of event files; those of running jobs stay open."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[str, tuple[Any, int]] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LogError(f"{folder} cannot be written ({error.strerror}); choose another folder") from error

    @property
    def place(self) -> str:
        """The command that shows it."""
        return f"tensorboard --logdir {self._folder}"

    def write(self, run: LoggedRun) -> None:
        """Append new epochs; write what the run came to into a folder of its own below."""
        folder = self._folder / f"{_UNFIT.sub('_', run.name)[:100]}-{run.run_id}"
        try:
            num_epochs, standing = _read_note(folder)
            if standing == run.standing and num_epochs >= len(run.curves):
                return
            self._write_epochs(folder, run, num_epochs)
            if run.standing is Standing.OK:
                _write_file(folder / "final", "final", _final_events(run))
            if run.standing is not Standing.RUNNING:
                self._close(run.run_id)
            _write_note(folder, max(num_epochs, len(run.curves)), run.standing)
        except OSError as error:
            self._close(run.run_id)
            raise LogError(f"{folder} cannot be written ({error.strerror or error})") from error

    def _write_epochs(self, folder: Path, run: LoggedRun, num_epochs: int) -> None:
        writer = self._writer(folder, run.run_id, num_epochs)
        if num_epochs == 0:
            _write(writer, "run", _table(run.tags), 0, run.moments[0])
        for record, moment in run.new(num_epochs):
            for name, value in series(record).items():
                _write(writer, name, value, record.epoch, moment)
        standing = f"{run.standing.value}: {run.reason}" if run.reason else run.standing.value
        _write(writer, "standing", standing.translate(_TO_MARKDOWN), len(run.curves), run.moments[-1])
        writer.flush()

    def _writer(self, folder: Path, run: str, num_epochs: int) -> Any:
        if run not in self._open:
            self._open[run] = _new_file(folder, f"{num_epochs:06d}"), num_epochs
        return self._open[run][0]

    def _close(self, run: str) -> None:
        if run in self._open:
            self._open.pop(run)[0].close()

    def close(self) -> None:
        """Close the files of runs that go on elsewhere."""
        for run in tuple(self._open):
            self._close(run)


def _new_file(folder: Path, name: str) -> Any:
    """A file that TensorBoard finds; it reads those of a folder in the order of their names."""
    from tensorboardX import RecordWriter
    from tensorboardX.proto.event_pb2 import Event

    folder.mkdir(parents=True, exist_ok=True)
    writer = RecordWriter(str(folder / f"events.out.tfevents.{name}"))
    writer.write(Event(wall_time=0.0, file_version="brain.Event:2").SerializeToString())
    return writer


def _write(writer: Any, name: str, value: float | str, step: int, moment: float) -> None:
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.summary import scalar, text

    summary = text(name, value) if isinstance(value, str) else scalar(name, value)
    writer.write(Event(wall_time=moment, step=step, summary=summary).SerializeToString())


def _write_file(folder: Path, name: str, events: list[Any]) -> None:
    writer = _new_file(folder, name)
    for event in events:
        writer.write(event.SerializeToString())
    writer.flush()
    writer.close()


def _final_events(run: LoggedRun) -> list[Any]:
    """Hyperparameters beside what they led to, as TensorBoard's HParams page reads them."""
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.summary import hparams, scalar

    finals = {f"final/{name}": value for name, value in run.finals.items()}
    told = dict(run.params) | {name: text for name, text in run.tags.items() if name not in run.params}
    summaries = [*hparams(told, finals), *(scalar(name, value) for name, value in finals.items())]
    return [Event(wall_time=run.moments[-1], step=len(run.curves), summary=summary) for summary in summaries]


def _table(tags: Mapping[str, str]) -> str:
    """Markdown, in which texts mean nothing but themselves."""
    rows = [f"| {name} | {text.translate(_TO_MARKDOWN)} |" for name, text in tags.items()]
    return "\n".join(["| | |", "|---|---|", *rows])


def _read_note(folder: Path) -> tuple[int, str]:
    """How many epochs are in the files, and how the run stood; nothing, if the note is not to be read."""
    try:
        note = json.loads((folder / _NOTE).read_text())
        return int(note["num_epochs"]), str(note["standing"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return 0, ""


def _write_note(folder: Path, num_epochs: int, standing: Standing) -> None:
    aside = folder / f".{_NOTE}"
    aside.write_text(json.dumps({"num_epochs": num_epochs, "standing": standing.value}))
    os.replace(aside, folder / _NOTE)
