"""`--log` of a real sweep: what TensorBoard reads is what the tables say, and the sweep is the one without it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer

from sweeps.api import gather, plan, run
from trainers.errors import LogError


@pytest.fixture
def options(petite: Any) -> dict[str, Any]:
    """One small network over coloured squares."""
    data = {"data": f"parquet:{petite.pictures}", "source_data": f"parquet:{petite.source}", "pretrained": "source"}
    return {
        **data,
        "epochs": 2,
        "batch_size": 16,
        "only": ["conv_plain"],
        "serial": True,
        "quiet": True,
        "no_report": True,
    }


def test_tensorboard_shows_the_curves_of_the_tables_and_the_weights_are_those_without_it(
    petite: Any, options: dict[str, Any], tmp_path: Path
) -> None:
    first = run(store=tmp_path / "logged", log="tensorboard", **options)
    second = run(store=tmp_path / "plain", **options)
    assert list(first.runs["weights_sha256"]) == list(second.runs["weights_sha256"])
    found = EventMultiplexer().AddRunsFromDirectory(str(tmp_path / "logged" / "tensorboard"))
    found.Reload()
    curves = gather(tmp_path / "logged").curves
    name = f"conv_plain@0-{curves['run_id'][0]}"
    drawn = [event.value for event in found.Scalars(name, "validation_accuracy")]
    assert drawn == [np.float32(value) for value in curves["validation_accuracy"]] and len(drawn) == 2


def test_a_logger_that_fails_leaves_the_sweep_whole_and_says_so(
    petite: Any, options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("analysis.loggers.tensorboard._write_note", fail)
    assert run(store=tmp_path / "store", log="tensorboard", **options).is_complete
    lines = petite.capture.readouterr().out.splitlines()
    assert [line.startswith("--log tensorboard: ") and "no space left" in line for line in lines] == [True]


@pytest.mark.parametrize("log", ["tensorbord", "mlflow:nowhere", ["tensorboard", "mlflow:ftp://host"]])
def test_a_logger_that_cannot_be_is_refused_before_anything_is_made(
    options: dict[str, Any], tmp_path: Path, log: Any
) -> None:
    for act in (run, plan):
        with pytest.raises(LogError):
            act(store=tmp_path / "store", log=log, **options)
    assert not (tmp_path / "store").exists()
