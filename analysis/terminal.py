"""Ranking -> terminal tables and Markdown.

Nothing is cut off: where a terminal is too narrow for all columns, the rest follows in a second
table under the same labels. Accuracies are shown in percent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console
from rich.table import Table
from rich.text import Text

from analysis.cells import (
    duration_text,
    has_open_rank,
    interval_text,
    model_size_text,
    number_text,
    percent_text,
    published_text,
    rank_text,
    signed_text,
)
from analysis.gains import GAINS_SCHEMA
from analysis.rank import RANKING_SCHEMA
from analysis.reference import published
from analysis.tables import RUNS_SCHEMA, STATUSES, Row, count_line, from_frame, table_rows, to_list
from analysis.words import count_text, counted
from trainers.result import Status
from trainers.shown import one_line

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS = 200
"""Of one kind, that a terminal shows; nobody reads more there. The tables have them all."""

_GAP = 2


@dataclass(frozen=True, kw_only=True)
class _Column:
    header: str
    cells: list[str]
    is_text: bool = False

    @property
    def width(self) -> int:
        return max(Text(text).cell_len for text in (self.header, *self.cells))


def render(ranking: pd.DataFrame, gains: pd.DataFrame, runs: pd.DataFrame, console: Console) -> None:
    """Print the ranking with its count line, the gains of distillation, and every job without a result."""
    tables = (from_frame(ranking, RANKING_SCHEMA), from_frame(gains, GAINS_SCHEMA), from_frame(runs, RUNS_SCHEMA))
    render_tables(*tables, console)


def render_tables(ranking: pa.Table, gains: pa.Table, runs: pa.Table, console: Console) -> None:
    """`render`, of Arrow tables. Of each kind of rows the first MOST_ROWS are printed."""
    groups, legend = _numbered(table_rows(ranking.slice(0, MOST_ROWS)), console.width)
    variants = dict(zip(to_list(ranking["group_id"]), to_list(ranking["variant"]), strict=True))
    variants |= {row["group_id"]: row["variant"] for row in groups}
    statuses = runs["status"].to_pylist()
    _line(console, "Ranking by validation accuracy: " + count_line(statuses), style="bold")
    _print_columns(console, _ranking_columns(groups))
    _say_hidden(console, ranking.num_rows - len(groups), "group", "ranking.parquet has them, --markdown prints all")
    for note in (*legend, *_ranking_notes(groups)):
        _line(console, note)
    if gains.num_rows:
        _render_gains(_with_variants(gains.slice(0, MOST_ROWS), variants), console)
        _say_hidden(console, gains.num_rows - MOST_ROWS, "student", "kd_gains.parquet has them")
    for status in STATUSES[1:]:
        _render_missing(status, _with_variants(runs.filter(pc.equal(runs["status"], status)), variants), console)


def _with_variants(table: pa.Table, variants: Mapping[str, str | None]) -> list[Row]:
    return [{**row, "variant": variants.get(row["group_id"])} for row in table_rows(table)]


def _say_hidden(console: Console, number: int, what: str, where: str) -> None:
    if number > 0:
        _line(console, f"and {counted(number, f'more {what}')}: {where}")


def _numbered(groups: list[Row], width: int) -> tuple[list[Row], list[str]]:
    """The rows as they are, or with numbers for variants that leave no room for numbers beside them, and a legend."""
    texts = list(dict.fromkeys(row["variant"] for row in groups if row["variant"]))
    if max((len(_name(row)) for row in groups if row["variant"]), default=0) <= width // 2:
        return groups, []
    marks = {text: f"#{number}" for number, text in enumerate(texts, start=1)}
    return [{**row, "variant": marks.get(row["variant"])} for row in groups], [
        f"{mark}: {_clean(text)}" for text, mark in marks.items()
    ]


def to_markdown(ranking: pd.DataFrame) -> str:
    """The ranking as a Markdown table, with its notes below."""
    return markdown_of(from_frame(ranking, RANKING_SCHEMA))


def markdown_of(ranking: pa.Table) -> str:
    """`to_markdown`, of an Arrow table."""
    groups = table_rows(ranking)
    columns = _ranking_columns(groups)
    lines = [_markdown_row([column.header for column in columns])]
    lines.append(_markdown_row(["---" if column.is_text else "---:" for column in columns], is_plain=True))
    lines += [_markdown_row(cells) for cells in zip(*(column.cells for column in columns), strict=True)]
    notes = [f"Runs: {_count_line(groups)}.", *_ranking_notes(groups)]
    return "\n".join([*lines, "", " ".join(map(_escape_markdown, notes)), ""])


def _count_line(groups: list[Row]) -> str:
    """The count line of the runs behind the groups."""
    columns = zip(STATUSES, ("n", "num_failed", "num_blocked", "num_unfinished"), strict=True)
    return count_line([status for status, column in columns for row in groups for _ in range(row[column])])


def _ranking_columns(groups: list[Row]) -> list[_Column]:
    validation, test = ([interval_text(row, f"{kind}_accuracy") for row in groups] for kind in ("validation", "test"))
    data = _Column(header="data", cells=_data_cells(groups), is_text=True)
    is_mixed = len(set(filter(None, data.cells))) > 1
    has_reference = any(row["reference_accuracy"] is not None for row in groups)
    return [
        _Column(header="label", cells=[_name(row) for row in groups], is_text=True),
        _Column(header="rank", cells=[rank_text(row) for row in groups]),
        _Column(header="n", cells=[number_text(row["n"]) for row in groups]),
        _Column(header="validation %", cells=validation),
        _Column(header="test %", cells=test),
        _Column(header="params", cells=[number_text(row["num_params"]) for row in groups]),
        _Column(header="Pareto", cells=["*" if row["is_pareto"] else "" for row in groups]),
        _Column(header="size", cells=[model_size_text(row["size_bytes"]) for row in groups]),
        _Column(header="MACs", cells=[count_text(row["num_macs"]) for row in groups]),
        *(_reference_columns(groups) if has_reference else []),
        _Column(header="train time", cells=[duration_text(row["train_seconds_mean"]) for row in groups]),
        *([data] if is_mixed else []),
    ]


def _data_cells(groups: list[Row]) -> list[str]:
    """Name and size; the number of training pictures too where these do not tell the data apart."""
    sizes = {row["data_fingerprint"]: _data(row) for row in groups}
    is_limited = len(set(sizes.values())) < len(sizes)
    counts = [number_text(row["num_train_images"]) if is_limited else "" for row in groups]
    return [_data(row) + (f", {count} train" if count else "") for row, count in zip(groups, counts, strict=True)]


def _data(row: Row) -> str:
    size = row["image_size"]
    return _clean(row["data_name"]) + (f" {size} px" if size is not None else "")


def _reference_columns(groups: list[Row]) -> list[_Column]:
    differences = [signed_text(row["reference_difference"]) for row in groups]
    return [
        _Column(header="published %", cells=[published_text(row["reference_accuracy"]) for row in groups]),
        _Column(header="difference", cells=differences),
    ]


def _ranking_notes(groups: list[Row]) -> list[str]:
    """What a reader must know to read the numbers."""
    notes = ["validation: best over epochs, mean over n seeds; test: read once. * = no network as small is better."]
    if any(row["n"] > 1 for row in groups):
        notes.append("± is half of the 95 % t-interval of the mean.")
    if any(has_open_rank(row) for row in groups):
        notes.append(
            "In brackets: the ranks that the evidence leaves open, with 95 % confidence for all groups together."
        )
    single = [_name(row) for row in groups if row["n"] == 1]
    if single:
        is_all = all(row["n"] <= 1 for row in groups)
        notes.append("n = 1, so no spread is known" + ("." if is_all else f", for: {', '.join(single)}."))
        notes.append("Their open ranks are those that other pictures would leave, not other seeds.")
    for row in groups:
        reference = published(row["label"], row["num_params"])
        if row["reference_accuracy"] is not None and reference and reference.other_reading is not None:
            notes.append(
                f"{_name(row)}: the report also prints {published_text(reference.other_reading)} (tables swapped)."
            )
    return notes


def _render_gains(gains: list[Row], console: Console) -> None:
    _line(console, "\nGain of distillation over the scratch twin, points, paired by seed", style="bold")
    columns = [
        _Column(header="student", cells=[_name(row) for row in gains], is_text=True),
        _Column(header="n", cells=[number_text(row["n"]) for row in gains]),
        _Column(header="validation", cells=[interval_text(row, "validation_gain", is_signed=True) for row in gains]),
        _Column(header="test", cells=[interval_text(row, "test_gain", is_signed=True) for row in gains]),
        _Column(header="teacher", cells=[_clean(row["teacher_label"]) for row in gains], is_text=True),
        _Column(header="teacher val. %", cells=[percent_text(row["teacher_validation_accuracy"]) for row in gains]),
        _Column(header="scratch twin", cells=[_clean(row["twin_label"]) for row in gains], is_text=True),
    ]
    _print_columns(console, columns)
    if any(row["n"] == 1 for row in gains):
        _line(console, "n = 1, so no spread of the gain is known.")
    for row in gains:
        if row["note"]:
            _line(console, f"{_name(row)}: {_clean(row['note'])}")


def _render_missing(status: str, runs: list[Row], console: Console) -> None:
    """Every job without a result: what, why, and where to look."""
    if not runs:
        return
    _line(console, f"\n{status.upper()} ({len(runs)})", style="bold")
    for run in sorted(runs, key=lambda run: (_name(run), run["seed"] or 0))[:MOST_ROWS]:
        cause = f"blocked by {_clean(run['blocked_by'])}" if run["blocked_by"] else _clean(run["reason"])
        seed = "" if run["seed"] is None else f", seed {run['seed']}"
        _line(console, f"{_name(run)}{seed}: {cause}")
        if run["log_path"] and status == Status.FAILED.value:
            console.print(Text(f"  log: {_clean(run['log_path'])}"), soft_wrap=True)
    _say_hidden(console, len(runs) - MOST_ROWS, "run", "runs.parquet has them")


def _line(console: Console, text: str, *, style: str = "") -> None:
    console.print(Text(text, style=style), overflow="fold")


def _print_columns(console: Console, columns: list[_Column]) -> None:
    for index, part in enumerate(_split(columns, console.width)):
        if index:
            console.print()
        table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False, header_style="bold underline")
        for column in part:
            _add_column(table, column)
        for cells in zip(*(column.cells for column in part), strict=True):
            table.add_row(*map(Text, cells))
        console.print(table)


def _add_column(table: Table, column: _Column) -> None:
    """Text may fold, numbers may not."""
    if column.is_text:
        table.add_column(Text(column.header), overflow="fold")
    else:
        table.add_column(Text(column.header), justify="right", no_wrap=True, min_width=column.width)


def _split(columns: Sequence[_Column], width: int) -> list[list[_Column]]:
    """The columns in as many tables as the width asks for, each beginning with the first column."""
    head, parts = columns[0], [[columns[0]]]
    for column in columns[1:]:
        used = sum(known.width + _GAP for known in parts[-1])
        if used + column.width > width and len(parts[-1]) > 1:
            parts.append([head])
        parts[-1].append(column)
    return parts


def _name(row: Row) -> str:
    name = row["label"] or row.get("group_id") or row.get("run_id")
    return _clean(f"{name} ({row['variant']})" if row.get("variant") else name)


def _clean(value: str | None) -> str:
    return one_line(value or "")


def _markdown_row(cells: Sequence[str], *, is_plain: bool = False) -> str:
    return "| " + " | ".join(cells if is_plain else map(_escape_markdown, cells)) + " |"


def _escape_markdown(text: str) -> str:
    """Text as text: no cell border, no link, no emphasis, no HTML."""
    return "".join(f"\\{character}" if character in r"\`*[]<>|&~" else character for character in text)
