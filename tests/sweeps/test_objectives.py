"""Every objective from the command line: chosen by name for one row, and its gain over the scratch twin."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from trainers import plugins
from trainers.plugins import Kind
from trainers.storage import Store

TAUGHT = [
    name for name in plugins.names(Kind.OBJECTIVE) if plugins.constant(Kind.OBJECTIVE, name, "NEEDS_TEACHER", False)
]


@pytest.mark.parametrize("name", TAUGHT)
def test_an_objective_is_one_setting_away_and_is_compared_with_its_twin(copied: Any, name: str) -> None:
    views = ["--set", "student:augment.mixup_alpha=1"]
    needs_mixup = plugins.constant(Kind.OBJECTIVE, name, "NEEDS_MIXUP", False)
    chosen = ["--set", f"student_kd_scratch:objective.name={name}", *(views if needs_mixup else [])]
    jobs = ["--only", "student_scratch", "--only", "student_kd_scratch"]
    before = copied.num_attempts
    outcome = copied.main(*copied.report, *chosen, *jobs, "--serial")
    assert outcome.code == 0, outcome
    students = {"student_kd_scratch@0"} | ({"student_scratch@0"} if needs_mixup else set())
    assert copied.trained(before) == (set() if name == "kd" else {copied.labels[label] for label in students})
    (gain,) = pd.read_parquet(Store(copied.store).table_file("kd_gains")).to_dict("records")
    assert (gain["label"], gain["twin_label"], gain["n"]) == ("student_kd_scratch", "student_scratch", 1)
