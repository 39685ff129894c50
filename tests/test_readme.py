"""The README's four "Add a ..." examples, as they stand there, are plug-ins that work together."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {"model": "models", "loss": "objectives", "data set": "data", "sweep": "sweeps"}


def examples() -> dict[str, str]:
    """Folder of a kind of plug-in -> the Python code under its heading."""
    sections = re.split(r"^### Add a (.+)$", (ROOT / "README.md").read_text(), flags=re.MULTILINE)[1:]
    return {FOLDERS[name]: code(text) for name, text in zip(sections[::2], sections[1::2], strict=True)}


def code(section: str) -> str:
    """The indented block, which starts with its docstring."""
    lines = section.partition("\n## ")[0].splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith('    """'))
    block = [line for line in lines[first:] if not line or line.startswith("    ")]
    return "\n".join(line.removeprefix("    ") for line in block) + "\n"


def test_the_examples_train_a_network_with_a_loss_on_data_in_a_sweep(tmp_path: Path) -> None:
    for folder, text in examples().items():
        (tmp_path / "own" / folder).mkdir(parents=True)
        (tmp_path / "own" / folder / "mine.py").write_text(text)
    command = [sys.executable, str(ROOT / "sweeps" / "run_all.py"), "--plugins", "own", "--serial", "--epochs", "1"]
    command += ["--sweep", "mine", "--data", "mine", "--set", "student:model.name=mine"]
    command += ["--set", "taught:objective.name=mine", "--allow-weak-teacher"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    runs = pq.read_table(tmp_path / "petite-store" / "tables" / "runs.parquet").to_pylist()
    made = {run["label"]: (run["model"], run["objective"]) for run in runs}
    assert made == {
        "teacher": ("resnet18", "cross_entropy"),
        "alone": ("mine", "cross_entropy"),
        "taught": ("mine", "mine"),
    }
