"""What a launcher file lets a cluster add, and how that file is found on a machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from sweeps.autoscaling import MOST, find_launcher_file, in_words, to_come
from sweeps.resources import Resources

SMALL, LARGE = Resources(cpus=2), Resources(cpus=8, gpus=1)
FILE: dict[str, Any] = {
    "max_workers": 4,
    "head_node_type": "head",
    "available_node_types": {
        "head": {"resources": {"CPU": 64}, "max_workers": 9},
        "small": {"resources": {"CPU": 2}, "max_workers": 3},
        "large": {"resources": {"CPU": 8, "GPU": 1}},
    },
}


@pytest.mark.parametrize(
    ("there", "coming"),
    [
        ([], [SMALL] * 3 + [LARGE]),
        ([SMALL], [SMALL] * 2 + [LARGE]),
        ([SMALL] * 3, [LARGE]),
        ([LARGE] * 4, []),
        ([Resources(cpus=1)] * 9, []),
    ],
)
def test_each_type_comes_as_often_as_the_file_says_and_not_more_in_all(there: Any, coming: Any) -> None:
    assert list(to_come(FILE, there)) == coming


def test_a_file_without_types_adds_nothing() -> None:
    assert to_come({}, []) == to_come({"max_workers": 3, "provider": {"type": "local"}}, []) == ()


def test_no_more_machines_than_admission_can_hold_are_reckoned_with() -> None:
    kinds = {"small": {"resources": {"CPU": 2}, "max_workers": 10**9}}
    assert len(to_come({"max_workers": 10**9, "available_node_types": kinds}, [])) == MOST


def test_machines_in_words() -> None:
    assert in_words([SMALL, SMALL, LARGE]) == "2 of 2 CPUs, 1 of 8 CPUs and 1 GPUs"


def process(folder: Path, number: int, *words: str) -> None:
    (folder / str(number)).mkdir(parents=True)
    (folder / str(number) / "cmdline").write_bytes("\0".join([*words, ""]).encode())


def test_the_file_of_the_right_head_is_found_among_all_processes(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(FILE))
    (tmp_path / "other.yaml").write_text("max_workers: 1")
    proc = tmp_path / "proc"
    process(proc, 1, "init")
    process(proc, 2, "python", "monitor.py", "--gcs-address=a:1", f"--autoscaling-config={tmp_path / 'other.yaml'}")
    process(proc, 3, "python", "monitor.py", "--gcs-address=b:1", f"--autoscaling-config={tmp_path / 'own.yaml'}")
    (proc / "4").mkdir()
    assert find_launcher_file("b:1", proc) == FILE
    assert find_launcher_file("c:1", proc) == {}


@pytest.mark.parametrize("content", ["- a\n- b\n", "a: [", "!!python/object/apply:os.system ['touch executed']\n"])
def test_a_file_that_is_no_launcher_file_is_none_and_executes_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / "file.yaml").write_text(content)
    process(tmp_path / "proc", 7, "--gcs-address=a:1", f"--autoscaling-config={tmp_path / 'file.yaml'}")
    assert find_launcher_file("a:1", tmp_path / "proc") == {}
    assert not Path("executed").exists()
