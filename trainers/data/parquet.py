"""Images in Parquet as Hugging Face lays them out: `parquet:PATH`, one file or a folder of shards.

Column `image` or `img` is a struct of `bytes` and `path`, column `label` an integer; class names
come from the schema's metadata. Splits come from the names of files or of their folders
(`train-00000-of-00002.parquet`, `default/test/0000.parquet`); where no name says one, all is training.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from trainers.errors import DataError
from trainers.folders import split_in_name
from trainers.images import RawData, decode_image
from trainers.result import Split

PRETRAINED = "imagenet"
SOURCE_DATA = None

MAX_ROWS = 20_000_000
"""ImageNet-21k has 14 million pictures, in thousands of files."""
MAX_GROUP_BYTES = 2**32
"""One is read at a time; Hugging Face's have a hundred pictures or a few hundred megabytes."""
MAX_CLASSES = 100_000
"""ImageNet-21k has 21,841."""

IMAGE_COLUMNS = ("image", "img")
LABEL_COLUMN = "label"


def identity(path: str | None) -> dict[str, object]:
    """Names, sizes and times of the files: changes whenever they do, without reading them."""
    files = _files(path)
    return {"files": [[str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns] for file in files]}


def read(path: str | None) -> RawData:
    """Labels and undecoded pictures per split; DataError names the file and column that is wrong."""
    shards: dict[Split, list[_Shard]] = {}
    names: list[str] = []
    files = _files(path)
    splits = _splits(files, Path(str(path)).expanduser())
    for file in files:
        shard = _Shard(file)
        shards.setdefault(splits[file], []).append(shard)
        if names and shard.class_names and names != shard.class_names:
            raise DataError(f"{file} names other classes than the files before it; a folder must hold one data set")
        names = names or shard.class_names
    labels = {split: np.concatenate([shard.labels for shard in parts]) for split, parts in shards.items()}
    return RawData(
        class_names=_class_names(names, labels.values()),
        labels=labels,
        decode=lambda split, index: _Shard.decode(*_at(shards[split], index)),
        origin=f"Parquet {path}",
        name=lambda split, index: _Shard.name(*_at(shards[split], index)),
    )


class _Shard:
    """One Parquet file: its labels, and its pictures by row, of which one row group at a time is in memory."""

    def __init__(self, file: Path) -> None:
        self.file = file
        try:
            self._parquet = pq.ParquetFile(file)
            schema = self._parquet.schema_arrow
            _check_size(file, self._parquet.metadata)
            self._image_column = _image_column(file, schema)
            table = self._parquet.read(columns=[LABEL_COLUMN])
        except (pa.ArrowException, OSError) as error:
            raise _unreadable(file, error) from error
        self.class_names = _names_in_metadata(schema)
        self.labels = _labels(file, table[LABEL_COLUMN])
        metadata = self._parquet.metadata
        self._ends = np.cumsum([metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)])
        self._group, self._pictures = -1, pa.chunked_array([], pa.null())

    def decode(self, row: int) -> Image.Image:
        """The picture in a row, RGB."""
        content = self._content(row)
        name = self.name(row)
        if not content or not content.get("bytes"):
            raise DataError(f"image {name} has no bytes; export the data set with its images embedded")
        return decode_image(content["bytes"], name)

    def name(self, row: int) -> str:
        """What a message calls the picture in a row."""
        return f"{self.file.name}[{row}]"

    def _content(self, row: int) -> Any:
        group = bisect_right(self._ends, row)
        if group != self._group:
            try:
                table = self._parquet.read_row_group(group, columns=[self._image_column])
            except (pa.ArrowException, OSError) as error:
                raise _unreadable(self.file, error) from error
            self._group, self._pictures = group, table[self._image_column]
        return self._pictures[row - (int(self._ends[group - 1]) if group else 0)].as_py()


def _check_size(file: Path, metadata: pq.FileMetaData) -> None:
    """DataError before more is read than any data set has: a few bytes can stand for thousands of millions of rows."""
    if metadata.num_rows > MAX_ROWS:
        raise DataError(f"{file} has {metadata.num_rows} rows; at most {MAX_ROWS}")
    groups = [metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups)]
    if max(groups, default=0) > MAX_GROUP_BYTES:
        raise DataError(f"{file} has row groups of {max(groups)} bytes; at most {MAX_GROUP_BYTES}")


def _unreadable(file: Path, error: Exception) -> DataError:
    return DataError(f"{file} is not a readable Parquet file: {' '.join(str(error).split())}")


def _files(path: str | None) -> list[Path]:
    if not path:
        raise DataError("parquet needs a path; write --data parquet:PATH (one file or a folder of shards)")
    root = Path(path).expanduser()
    files = sorted(root.rglob("*.parquet")) if root.is_dir() else [root]
    if not files or not any(file.is_file() for file in files):
        raise DataError(f"no Parquet file at {root}; give one file or a folder of *.parquet")
    wrong = [file for file in files if not file.is_file()]
    if wrong:
        raise DataError(f"{wrong[0]} is no file (a pipe, or a link that leads nowhere?); remove it")
    return files


def _splits(files: list[Path], root: Path) -> dict[Path, Split]:
    """Every file's split; all training if no file names one, DataError if only some do."""
    named = {file: split_in_name(file.relative_to(root) if root.is_dir() else Path(file.name)) for file in files}
    silent = [file for file, split in named.items() if split is None]
    if silent and len(silent) < len(files):
        raise DataError(f"{silent[0]} names no split and others do; put train, validation or test in its name")
    return {file: split or Split.TRAIN for file, split in named.items()}


def _image_column(file: Path, schema: pa.Schema) -> str:
    if LABEL_COLUMN not in schema.names:
        raise DataError(f"{file} has columns {', '.join(schema.names)}; needed: {LABEL_COLUMN}")
    for name in IMAGE_COLUMNS:
        if name in schema.names:
            kind = schema.field(name).type
            if not (pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0):
                raise DataError(f"{file}: column {name!r} is {kind}; needed: a struct with a field 'bytes'")
            return name
    raise DataError(f"{file} has columns {', '.join(schema.names)}; needed: one of {', '.join(IMAGE_COLUMNS)}")


def _labels(file: Path, column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    if not pa.types.is_integer(column.type):
        raise DataError(f"{file}: column {LABEL_COLUMN!r} is {column.type}; needed: integers")
    if column.null_count:
        raise DataError(f"{file}: {column.null_count} rows have no label; remove them")
    return np.asarray(column.to_numpy(), dtype=np.int64)


def _names_in_metadata(schema: pa.Schema) -> list[str]:
    """Class names that the Hugging Face library left in the schema; [] if there are none."""
    try:
        described = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        return [str(name) for name in described["info"]["features"][LABEL_COLUMN]["names"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        return []


def _class_names(names: list[str], labels: Iterable[npt.NDArray[np.int64]]) -> tuple[str, ...]:
    largest = max((int(part.max()) for part in labels if len(part)), default=-1)
    if max(largest, len(names)) >= MAX_CLASSES:
        raise DataError(f"label {largest} of {len(names)} named classes; at most {MAX_CLASSES} classes")
    if names and largest >= len(names):
        raise DataError(f"label {largest} has no name; the metadata names {len(names)} classes")
    return tuple(names) or tuple(str(label) for label in range(largest + 1))


def _at(shards: list[_Shard], index: int) -> tuple[_Shard, int]:
    """The shard that holds a picture of a split, and its row there."""
    ends = np.cumsum([len(shard.labels) for shard in shards])
    position = bisect_right(ends, index)
    return shards[position], index - (int(ends[position - 1]) if position else 0)
