"""What `--log mlflow:URI` tells a real MLflow server, read back through its REST interface by our own requests."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from analysis.log import check_log, main, open_log
from analysis.loggers import mlflow
from trainers.errors import LogError

HOSTILE = "student_<script>alert(1)</script>\x1b[2J\u202e'\" % `"
SECRET = "hunter2"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real server with a database of its own, started once: most of its ten seconds are MLflow's imports."""
    folder = tmp_path_factory.mktemp("mlflow")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder)]
    settings = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with open(folder / "log.txt", "w") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, cwd=folder, env={**os.environ, **settings}, start_new_session=True
        )
    try:
        wait_for(f"http://127.0.0.1:{port}", process, folder / "log.txt")
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for(server: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 240
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"{server}/health", timeout=10):
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(log.read_text())


def ask(server: str, path: str, content: dict[str, Any] | None = None, **arguments: str) -> dict[str, Any]:
    address = f"{server}/api/2.0/mlflow/{path}?{urlencode(arguments)}"
    data = None if content is None else json.dumps(content).encode()
    request = urllib.request.Request(address, data=data, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def runs_of(server: str, run: str) -> list[dict[str, Any]]:
    """All of the server's runs that are this run of ours."""
    experiment = ask(server, "experiments/get-by-name", experiment_name="petite")["experiment"]["experiment_id"]
    text = f"tags.`petite.run_id` = '{run}'"
    found: list[dict[str, Any]] = ask(server, "runs/search", {"experiment_ids": [experiment], "filter": text})["runs"]
    return found


def only_run(server: str, run: str) -> dict[str, Any]:
    (found,) = runs_of(server, run)
    return found


def named(entries: list[dict[str, Any]]) -> dict[str, Any]:
    return {one["key"]: one["value"] for one in entries}


def curve(server: str, mlflow_run: dict[str, Any], name: str) -> list[tuple[int, float, int]]:
    """Step, value and moment."""
    found = ask(server, "metrics/get-history", run_id=mlflow_run["info"]["run_id"], metric_key=name)["metrics"]
    return sorted((one["step"], one["value"], one["timestamp"]) for one in found)


def logged(lab: Any, server: str) -> None:
    assert main([str(lab.store.root), f"mlflow:{server}"]) == 0


def test_curves_parameters_tags_and_status_are_at_the_server(lab: Any, make_spec: Any, server: str) -> None:
    run = lab.finish(make_spec(seed=11), 0.75)
    lab.plan(("student_scratch", make_spec(seed=11)))
    logged(lab, server)
    found = only_run(server, run)
    assert (found["info"]["status"], found["info"]["run_name"]) == ("FINISHED", "student_scratch@11")
    begun = 1767225600_000  # 2026-01-01 in UTC; every epoch takes four seconds
    assert curve(server, found, "train_loss") == [(1, 1.0, begun + 4000), (2, 0.5, begun + 8000)]
    assert curve(server, found, "validation_accuracy") == [(1, 0.5, begun + 4000), (2, 0.75, begun + 8000)]
    assert [value for _, value, _ in curve(server, found, "loss_parts/soft")] == [0.75, 0.75]
    assert [value for _, value, _ in curve(server, found, "learning_rate")] == [1e-3, 1e-3]
    assert [value for _, value, _ in curve(server, found, "images_per_second")] == [250.0, 250.0]
    assert found["info"]["start_time"] == begun and found["info"]["end_time"] == begun + 8000
    metrics, params = named(found["data"]["metrics"]), named(found["data"]["params"])
    assert (metrics["final/best_validation_accuracy"], metrics["final/test_accuracy"]) == (0.75, 0.78)
    sizes = [metrics[f"final/{name}"] for name in ("num_params", "num_macs", "size_bytes")]
    assert sizes == [152_075, 5_000_000, 620_000]
    assert (params["optimizer.lr"], params["model.name"], params["epochs"]) == ("0.001", "student", "2")
    tags = named(found["data"]["tags"])
    assert (tags["petite.label"], tags["petite.role"], tags["petite.seed"]) == ("student_scratch", "student", "11")
    assert (tags["petite.sweep"], tags["petite.run_id"]) == ("report", run)


def test_the_same_command_again_adds_nothing(lab: Any, make_spec: Any, server: str) -> None:
    run = lab.finish(make_spec(seed=12))
    lab.plan(("student_scratch", make_spec(seed=12)))
    logged(lab, server)
    before = only_run(server, run)
    logged(lab, server)
    assert only_run(server, run) == before
    assert [step for step, *_ in curve(server, before, "train_loss")] == [1, 2]


def test_a_run_that_failed_is_marked_and_goes_on_where_it_ended(lab: Any, make_spec: Any, server: str) -> None:
    spec = make_spec(seed=13)
    run = lab.fail(spec, "loss is nan at epoch 1")
    lab.plan((HOSTILE, spec))
    logged(lab, server)
    found = only_run(server, run)
    tags = named(found["data"]["tags"])
    assert (found["info"]["status"], tags["petite.reason"]) == ("FAILED", "loss is nan at epoch 1")
    assert tags["petite.label"] == "student_<script>alert(1)</script>?[2J?'\" % `"
    lab.begin(spec, num_epochs=1)
    logged(lab, server)
    assert only_run(server, run)["info"]["status"] == "KILLED"
    lab.finish(spec, 0.75)
    logged(lab, server)
    found = only_run(server, run)
    assert (found["info"]["status"], named(found["data"]["tags"])["petite.reason"]) == ("FINISHED", "")
    assert [step for step, *_ in curve(server, found, "train_loss")] == [1, 2]


def test_a_password_is_read_from_the_environment_and_kept_nowhere(
    lab: Any, make_spec: Any, server: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "somebody")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", SECRET)
    lab.finish(make_spec(seed=14))
    lab.plan(("student_scratch", make_spec(seed=14)))
    logged(lab, server)
    assert main([str(lab.store.root), f"mlflow:http://somebody:{SECRET}@127.0.0.1:9"]) == 2
    shown = capsys.readouterr()
    assert "MLFLOW_TRACKING_PASSWORD" in shown.err and SECRET not in shown.out + shown.err
    files = [file for file in lab.store.root.rglob("*") if file.is_file()]
    assert files and not any(SECRET.encode() in file.read_bytes() for file in files)


def test_a_server_that_is_not_there_is_one_line(
    lab: Any, make_spec: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    lab.finish(make_spec())
    lab.plan(("student_scratch", make_spec()))
    assert main([str(lab.store.root), "mlflow:http://127.0.0.1:9"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: MLflow at http://127.0.0.1:9: ") and error.count("\n") == 1


def test_mlflows_own_waiting_is_bounded_where_the_user_sets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in mlflow._SETTINGS:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(LogError):
        open_log(None, "mlflow:http://127.0.0.1:9")  # type: ignore[arg-type]
    seconds, tries = (int(os.environ[f"MLFLOW_HTTP_REQUEST_{name}"]) for name in ("TIMEOUT", "MAX_RETRIES"))
    assert seconds * (1 + tries) <= 30 and os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("", "names no server and no file"),
        ("mlruns", "names no server and no file"),
        ("postgresql://host/base", "names no server and no file"),
        ("http://", "names no server and no file"),
        ("http://host:port", "cannot be read"),
        ("https://host/?token=hunter2", "set MLFLOW_TRACKING_USERNAME"),
        ("https://hunter2@host", "set MLFLOW_TRACKING_USERNAME"),
        ("sqlite:////no/such/folder/mlflow.db", "/no/such/folder is no folder"),
    ],
)
def test_a_uri_that_cannot_be_is_refused_without_repeating_a_secret(uri: str, words: str) -> None:
    with pytest.raises(LogError, match=words) as refused:
        check_log(f"mlflow:{uri}")
    assert SECRET not in str(refused.value)


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analysis.log.find_spec", lambda name: None)
    with pytest.raises(
        LogError, match=r"--log mlflow needs mlflow-skinny; install it: .* -m pip install mlflow-skinny"
    ):
        check_log("mlflow:http://localhost:5000")


def test_an_unknown_logger_is_refused_with_those_there_are() -> None:
    with pytest.raises(LogError, match="unknown logger 'wandb'; have: mlflow, tensorboard"):
        check_log("wandb")
