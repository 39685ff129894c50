"""What a cluster may add to itself: machines that the launcher file of its autoscaler allows, beyond those there are.

Ray tells its programs nothing of this, so the file is looked up where the autoscaler runs, on the head.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sweeps.resources import Resources

OPTION = "--autoscaling-config="
MOST = 1000
"""Machines to reckon with: admission keeps a record of each."""


def find_launcher_file(gcs_address: str, processes: Path = Path("/proc")) -> dict[str, Any]:
    """The content of the file that the autoscaler of the head at HOST:PORT was started with; {} if there is none."""
    import yaml

    for words in _command_lines(processes):
        files = [word.removeprefix(OPTION) for word in words if word.startswith(OPTION)]
        if files and f"--gcs-address={gcs_address}" in words:
            try:
                content = yaml.safe_load(Path(files[0]).expanduser().read_text())
            except (OSError, ValueError, yaml.YAMLError):
                return {}
            return content if isinstance(content, dict) else {}
    return {}


def _command_lines(processes: Path) -> Iterable[list[str]]:
    for folder in sorted(processes.glob("[0-9]*")):
        try:
            yield (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:  # it has ended
            continue


def to_come(file: Mapping[str, Any], workers: Iterable[Resources]) -> tuple[Resources, ...]:
    """What may be added to the workers that are there, per type and in all."""
    there = Counter(workers)
    left = min(_count(file.get("max_workers")), MOST) - there.total()
    found: list[Resources] = []
    for name, kind in (file.get("available_node_types") or {}).items():
        resources = _resources(kind.get("resources") or {})
        most = 0 if name == file.get("head_node_type") else _count(kind.get("max_workers", file.get("max_workers")))
        found += [resources] * max(0, min(most, MOST) - there[resources])
    return tuple(found[: max(0, left)])


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _resources(given: Mapping[str, Any]) -> Resources:
    return Resources(cpus=float(given.get("CPU", 0)), gpus=float(given.get("GPU", 0)))


def in_words(machines: Sequence[Resources]) -> str:
    """In words: `3 of 4 CPUs, 2 of 8 CPUs and 1 GPUs`."""
    counts = Counter(machines)
    return ", ".join(
        f"{number} of {kind.cpus:g} CPUs" + (f" and {kind.gpus:g} GPUs" if kind.gpus else "")
        for kind, number in counts.items()
    )
