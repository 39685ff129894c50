"""What the last gathering read of finished runs, so that the next one need not: the tables, and `seen.parquet`.

It may be deleted at any time. It counts only beside the very tables that it was written with, for the same place, and
for the code that wrote it; whatever else is wrong with it, all runs are read again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from analysis.facts import FACTS_SCHEMA, OF_FOLDER
from analysis.signature import Seen
from analysis.tables import CURVES_SCHEMA, RUNS_SCHEMA, Identity, write_tables
from trainers.files import identity_of, readable
from trainers.remote import Place
from trainers.spec import digest_of
from trainers.storage import Store

_NOTED = ("run_id", "attempt", "files", "signature", "own_data_name")
SEEN_SCHEMA = pa.schema([FACTS_SCHEMA.field(name) for name in _NOTED])
"""One row per finished run that need not be read again while its files have this signature."""

_KEY = b"petite.seen"
_PACKAGES = ("analysis", "trainers")


@dataclass(frozen=True, kw_only=True)
class Earlier:
    """What was noted (SEEN_SCHEMA) beside the tables of the store as they lie there."""

    noted: pa.Table
    store: Store

    def runs(self) -> list[Seen]:
        """What tells of each run whether it changed."""
        columns = [self.noted[name].to_pylist() for name in _NOTED[:4]]
        return list(zip(*columns, strict=True))

    def facts_and_curves(self, unchanged: Sequence[str]) -> tuple[pa.Table, pa.Table]:
        """Facts and curves of these runs; ArrowInvalid or OSError if the tables are damaged."""
        wanted = pa.array(unchanged, pa.string())
        tables = [_read(self.store.table_file(name)) for name in ("runs", "curves")]
        runs, curves = (table.filter(pc.is_in(table["run_id"], value_set=wanted)) for table in tables)
        if runs.num_rows != len(unchanged) or (runs.schema, curves.schema) != (RUNS_SCHEMA, CURVES_SCHEMA):
            raise pa.ArrowInvalid("the tables are not those that were noted")
        noted = self.noted.take(pc.index_in(runs["run_id"], value_set=self.noted["run_id"].combine_chunks()))
        known = {name: runs[name] for name in OF_FOLDER} | {name: noted[name] for name in _NOTED[1:]}
        known["is_finished"] = pa.array([True] * runs.num_rows)
        nothing = pa.nulls(runs.num_rows)
        columns = [known.get(field.name, nothing).cast(field.type) for field in FACTS_SCHEMA]
        return pa.table(columns, schema=FACTS_SCHEMA), curves


def load(store: Store) -> Earlier | None:
    """What the last gathering noted; None if there is nothing that can be trusted."""
    try:
        noted = _read(_file(store))
        is_for_these = (noted.schema.metadata or {}).get(_KEY) == _key(store, _tables(store))
    except (OSError, pa.ArrowException):
        return None
    return Earlier(noted=noted, store=store) if is_for_these and noted.schema.equals(SEEN_SCHEMA) else None


def save(store: Store, facts: pa.Table, tables: Mapping[str, pa.Table]) -> None:
    """Write the tables, and note of which runs they need not be read again; StoreError if that cannot be done."""
    written = write_tables({store.table_file(name): table for name, table in tables.items()})
    noted = facts.filter(facts["signature"].is_valid()).select(list(_NOTED))
    key = _key(store, [written[store.table_file(name)] for name in ("runs", "curves")])
    write_tables({_file(store): noted.replace_schema_metadata({_KEY: key})})


def _file(store: Store) -> Place:
    return store.table_file("seen")


def _read(file: Place) -> pa.Table:
    return pq.read_table(readable(file), page_checksum_verification=True, memory_map=False, partitioning=None)


def _tables(store: Store) -> list[Identity]:
    return [identity_of(store.table_file(name)) for name in ("runs", "curves")]


def _key(store: Store, tables: Sequence[Identity]) -> bytes:
    """Place, code, and which files the tables are."""
    files = [list(found) for found in tables]
    return digest_of([str(store.root), code_digest(), files]).encode()


@cache
def code_digest() -> str:
    """Changes with any line of the code that reads a store."""
    root = Path(__file__).resolve().parents[1]
    files = [file for package in _PACKAGES for file in sorted((root / package).glob("*.py"))]
    return digest_of([[file.name, file.read_text()] for file in files])
