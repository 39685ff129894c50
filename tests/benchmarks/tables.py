"""What all benchmarks share: rows become a Markdown table on the screen and a Parquet file, with the machine beside."""

from __future__ import annotations

import os
import platform
import statistics
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

Cell = str | int | float | bool | None
Row = Mapping[str, Cell]
PACKAGES = ("torch", "ray")


def write_table(name: str, rows: Sequence[Row], out: Path | None) -> Path:
    """Print rows as Markdown, with the machine under them, and write OUT/NAME.parquet; gives the file.

    Columns are the rows' keys in the order of their first use. Without OUT it goes into a folder of its own.
    """
    folder = Path(tempfile.mkdtemp(prefix="benchmark-")) if out is None else out
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.parquet"
    columns = list(dict.fromkeys(key for row in rows for key in row))
    table = pa.Table.from_pylist([{key: row.get(key) for key in columns} for row in rows])
    pq.write_table(table.replace_schema_metadata({"machine": machine_line()}), file)
    print(f"\n{markdown(rows)}\n\n{machine_line()}\nwritten: {file}", flush=True)
    return file


def markdown(rows: Sequence[Row]) -> str:
    """Rows as a Markdown table; numbers to the right, a missing cell empty."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    is_number = {key: all(not isinstance(row.get(key), str) for row in rows) for key in columns}
    rule = ["---:" if is_number[key] else "---" for key in columns]
    lines = [columns, rule, *([_text(row.get(key)) for key in columns] for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _text(value: Cell) -> str:
    """A cell as a person reads it: three digits, or all of those before the point."""
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return "" if value is None else str(value)


def spread(name: str, values: Iterable[float]) -> dict[str, float]:
    """The median of the rounds and, where there is more than one, the smallest and the largest, as columns."""
    measured = list(values)
    ends = {f"{name}, min": min(measured), f"{name}, max": max(measured)} if len(measured) > 1 else {}
    return {name: statistics.median(measured), **ends}


def machine_line() -> str:
    """The processor, its cores, and the versions that decide the figures."""
    versions = ", ".join(f"{package} {_version(package)}" for package in PACKAGES)
    return f"{_cpu_name()}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, {versions}"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
