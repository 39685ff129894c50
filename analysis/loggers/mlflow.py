"""An MLflow server or database: `--log mlflow:URI`, one MLflow run per run, in the experiment `petite`.

Runs are found again by their tag `petite.run_id`. A password is never part of the URI: MLflow reads it from
MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or a token from MLFLOW_TRACKING_TOKEN.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from analysis.logged import LoggedRun, Standing, series
from trainers.errors import LogError
from trainers.shown import one_line
from trainers.storage import Store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

REQUIRES = "mlflow"
PACKAGE = "mlflow-skinny"
EXPERIMENT = "petite"
RUN_ID = "petite.run_id"
METRICS_PER_REQUEST, PARAMS_PER_REQUEST = 1000, 100
"""MLflow's limits (REST API, "Log Batch")."""

_STATUSES = {
    Standing.RUNNING: "RUNNING",
    Standing.INTERRUPTED: "KILLED",
    Standing.FAILED: "FAILED",
    Standing.OK: "FINISHED",
}
_SETTINGS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
"""MLflow's own settings, where the user has none: a dead server is waited for by seconds, not by its hours; and nobody
else is told what is logged."""


def check(target: str) -> None:
    """LogError for a URI that MLflow cannot use, or that holds a password or the like, which is not repeated."""
    how = "write mlflow:http://HOST:PORT, https://HOST or sqlite:///FILE"
    try:
        uri = urlsplit(target)
        is_bare = uri.username is uri.password is None and not uri.query and not uri.fragment and uri.port != 0
    except ValueError:
        raise LogError(f"the URI of --log mlflow cannot be read; {how}") from None
    if not is_bare:
        raise LogError(
            "the URI of --log mlflow has a user, a password or arguments in it, which plans would keep; "
            "give it without, and set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        )
    if uri.scheme in ("http", "https") and uri.hostname:
        return
    if uri.scheme not in ("sqlite", "file") or not uri.path.strip("/"):
        raise LogError(f"--log mlflow:{one_line(target)[:200]} names no server and no file; {how}")
    if uri.scheme == "sqlite" and not _file_of(target).parent.is_dir():
        raise LogError(f"{_file_of(target).parent} is no folder; give --log mlflow:sqlite:/// a file in one that is")


def _file_of(target: str) -> Path:
    """sqlite:///a is relative, sqlite:////a is not."""
    return Path(target.removeprefix("sqlite:///"))


def open_log(store: Store, target: str) -> MLflow:
    """A client of the place, which has answered once."""
    return MLflow(target)


class MLflow:
    """An experiment of a tracking server."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        for name, value in _SETTINGS.items():
            os.environ.setdefault(name, value)
        with _told(uri):
            from mlflow import MlflowClient

            for library in ("mlflow", "alembic"):
                logging.getLogger(library).setLevel(logging.ERROR)
            self._client: MlflowClient = MlflowClient(tracking_uri=uri)
            self._experiment = _experiment(self._client)
            self._known = {run.data.tags[RUN_ID]: run for run in _all_runs(self._client, self._experiment)}

    @property
    def place(self) -> str:
        """Where to look."""
        return f"experiment {EXPERIMENT} of {self._uri}"

    def write(self, run: LoggedRun) -> None:
        """Log new epochs, and how the run stands; one that is finished there stays as it is."""
        with _told(self._uri):
            found = self._known.get(run.run_id) or self._found(run) or self._created(run)
            if found.info.status == _STATUSES[Standing.OK]:
                return
            mlflow_run, num_epochs = found.info.run_id, self._num_epochs(found)
            for metrics in _batches(run, num_epochs):
                self._client.log_batch(mlflow_run, metrics=metrics)
            self._client.set_tag(mlflow_run, "petite.reason", run.reason)
            self._end(mlflow_run, run)
            self._known[run.run_id] = self._client.get_run(mlflow_run)

    def _end(self, mlflow_run: str, run: LoggedRun) -> None:
        """The status last: whoever is finished is told of no more."""
        status = _STATUSES[run.standing]
        if run.standing is Standing.RUNNING:
            self._client.update_run(mlflow_run, status=status)
        else:
            self._client.set_terminated(mlflow_run, status=status, end_time=_milliseconds(run.moments[-1]))

    def _num_epochs(self, found: Run) -> int:
        """How many are there already."""
        if "train_loss" not in found.data.metrics:
            return 0
        return max(int(metric.step) for metric in self._client.get_metric_history(found.info.run_id, "train_loss"))

    def _found(self, run: LoggedRun) -> Run | None:
        """By another command since this one began."""
        text = f"tags.`{RUN_ID}` = '{run.run_id}'"
        return next(iter(self._client.search_runs([self._experiment], filter_string=text, max_results=1)), None)

    def _created(self, run: LoggedRun) -> Run:
        from mlflow.entities import Param

        tags = {f"petite.{name}": text for name, text in run.tags.items()}
        begun = _milliseconds(run.moments[0])
        made = self._client.create_run(self._experiment, start_time=begun, tags=tags, run_name=run.name)
        params = [Param(name, str(value)) for name, value in run.params.items()]
        for start in range(0, len(params), PARAMS_PER_REQUEST):
            self._client.log_batch(made.info.run_id, params=params[start : start + PARAMS_PER_REQUEST])
        return made

    def close(self) -> None:
        """Nothing is held open."""


@contextmanager
def _told(uri: str) -> Iterator[None]:
    """LogError for all that MLflow raises."""
    try:
        yield
    except ImportError as error:
        raise LogError(f"MLflow cannot use {uri} ({error}); install it: python -m pip install mlflow") from error
    except Exception as error:  # MLflow's own, its HTTP client's or its database's: it names none
        raise LogError(f"MLflow at {uri}: {one_line(error)[:300]}") from error


def _experiment(client: MlflowClient) -> str:
    """Its id; another command may make it at the same time."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(EXPERIMENT)
    if found is None:
        try:
            return str(client.create_experiment(EXPERIMENT))
        except MlflowException:
            found = client.get_experiment_by_name(EXPERIMENT)
            if found is None:
                raise
    return str(found.experiment_id)


def _all_runs(client: MlflowClient, experiment: str) -> Iterator[Run]:
    """Those of ours."""
    token: str | None = None
    while True:
        page = client.search_runs([experiment], max_results=1000, page_token=token)
        yield from (run for run in page if RUN_ID in run.data.tags)
        token = page.token
        if not token:
            return


def _batches(run: LoggedRun, num_epochs: int) -> Iterator[list[Metric]]:
    """Metrics of new epochs, whole epochs in a request, and then what the run came to."""
    from mlflow.entities import Metric

    epochs: list[Sequence[Any]] = [
        [Metric(_fit(name), value, _milliseconds(moment), record.epoch) for name, value in series(record).items()]
        for record, moment in run.new(num_epochs)
    ]
    end = _milliseconds(run.moments[-1])
    epochs.append([Metric(f"final/{name}", value, end, len(run.curves)) for name, value in run.finals.items()])
    batch: list[Metric] = []
    for metrics in epochs:
        if len(batch) + len(metrics) > METRICS_PER_REQUEST:
            yield batch
            batch = []
        batch += metrics
    if batch:
        yield batch


def _fit(name: str) -> str:
    """MLflow's names have letters, digits, and the signs _ - . : / and blanks."""
    return "".join(sign if sign.isascii() and (sign.isalnum() or sign in "_-.:/ ") else "_" for sign in name)[:250]


def _milliseconds(moment: float) -> int:
    return round(moment * 1000)
