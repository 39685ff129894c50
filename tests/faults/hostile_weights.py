"""Files of weights that mean harm, made by hand: `all_hostile(canary)` gives name -> (suffix, bytes).

Those that hold code would write the file `canary` if anybody ran it.
"""

from __future__ import annotations

import io
import json
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

State = dict[str, Tensor]


class Malicious:
    """Unpickling it writes a file."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return (exec, (f"import pathlib; pathlib.Path({str(self.canary)!r}).write_text('owned')",))


def all_hostile(canary: Path, state: State) -> Iterator[tuple[str, str, bytes]]:
    """Name, suffix and content of each, from a state dict that would be taken."""
    yield from _code(Malicious(canary), state)
    yield from _archives(state)
    yield from _tensors(state)
    yield from _headers(state)
    yield from _rubbish()


def saved(content: Any, **options: Any) -> bytes:
    """As torch.save writes it."""
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


def _code(malicious: Malicious, state: State) -> Iterator[tuple[str, str, bytes]]:
    for protocol in range(6):
        yield f"pickle of protocol {protocol}", ".pth", pickle.dumps(malicious, protocol=protocol)
    yield "pickle called safetensors", ".safetensors", pickle.dumps(malicious)
    yield "code in an archive", ".pt", saved(malicious)
    yield "code among tensors", ".pt", saved({**state, "x": malicious})
    yield "code as a name", ".pt", saved({**state, ("x", malicious): 1})
    yield "code in a wrap", ".pt", saved({"state_dict": state, "optimizer": malicious})
    yield "code in the old format", ".pt", saved({**state, "x": malicious}, _use_new_zipfile_serialization=False)
    yield "code in an archive called safetensors", ".safetensors", saved({**state, "x": malicious})
    yield "code in the oldest format", ".tar", _tar(malicious)
    yield "a whole module", ".pt", saved(nn.Linear(2, 2))
    yield "code in a NumPy array", ".npy", _npy(np.array([malicious], dtype=object))
    yield "code in a NumPy archive", ".npz", _npz(np.array([malicious], dtype=object))
    yield "code in a record of an archive", ".pt", _zipped({"archive/data.pkl": pickle.dumps(malicious, protocol=2)})
    yield "a program of TorchScript", ".pt", _script()


def _tar(malicious: Malicious) -> bytes:
    """As torch wrote it before 2017."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            content = pickle.dumps(malicious, protocol=2)
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def _npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def _npz(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, array)
    return buffer.getvalue()


def _script() -> bytes:
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2)), buffer)
    return buffer.getvalue()


def _zipped(records: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in records.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def _changed(content: bytes, change: Callable[[str, bytes], bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """An archive of torch with other records."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        records = {name: change(name, archive.read(name)) for name in archive.namelist()}
    return _zipped(records, compression)


def _archives(state: State) -> Iterator[tuple[str, str, bytes]]:
    whole = saved({**state, "classifier.weight": torch.zeros(1000)})
    big = saved({**state, "classifier.weight": torch.zeros(5_000_000)})
    yield "a compressed bomb", ".pt", _changed(big, lambda name, content: content, zipfile.ZIP_DEFLATED)
    yield (
        "records that are cut",
        ".pt",
        _changed(whole, lambda name, old: old[: len(old) // 2] if "/data/" in name else old),
    )
    yield "no records", ".pt", _changed(whole, lambda name, old: b"" if "/data/" in name else old)
    claims = whole_pickle_with(whole, b"M\xe8\x03", b"J\xff\xff\xff\x7f")  # BININT2 1000 -> BININT 2**31 - 1
    yield "a tensor of 8 GB in 4 kB", ".pt", claims
    yield "nested a million times", ".pt", _zipped({"a/data.pkl": b"\x80\x02" + b"(" * 10**6 + b"t" * 10**6 + b"."})
    yield "20,001 records", ".pt", _zipped({f"a/data/{number}": b"" for number in range(20_001)})
    yield "half an archive", ".pt", whole[: len(whole) // 2]
    yield "the end of an archive", ".pt", whole[-200:]


def whole_pickle_with(content: bytes, old: bytes, new: bytes) -> bytes:
    """An archive of torch whose pickle says something else."""
    return _changed(content, lambda name, record: record.replace(old, new) if name.endswith("data.pkl") else record)


def _tensors(state: State) -> Iterator[tuple[str, str, bytes]]:
    name = next(iter(state))
    shape = state[name].shape
    strange: dict[str, Tensor] = {
        "not a number": torch.full(shape, torch.nan),
        "infinite": torch.full(shape, torch.inf),
        "complex": torch.zeros(shape, dtype=torch.complex64),
        "without values": torch.zeros(shape, device="meta"),
        "sparse": torch.zeros(shape).to_sparse(),
        "of another shape": torch.zeros(*shape, 2),
        "of whole numbers": torch.zeros(shape, dtype=torch.int32),
    }
    for what, value in strange.items():
        yield f"tensor {what}", ".pt", saved({**state, name: value})
    endless = torch.zeros(1).expand(10**6, 10**6)
    yield "a terabyte out of four bytes", ".pt", saved({**state, "classifier.weight": endless})
    yield "names that are numbers", ".pt", saved(dict(enumerate(state.values())))
    yield "names within names", ".pt", saved({"a": {"b": {"c": state}}})
    yield "nothing at all", ".pt", saved({})
    yield "a list of tensors", ".pt", saved(list(state.values()))
    yield "names to the terminal", ".pt", saved({"\x1b[2J\nerror": state[name]})


def _headers(state: State) -> Iterator[tuple[str, str, bytes]]:
    whole = safetensors.torch.save(state)
    yield "half of safetensors", ".safetensors", whole[: len(whole) // 2]
    yield "an empty file", ".safetensors", b""
    yield "a header of 2**63 bytes", ".safetensors", struct.pack("<Q", 2**63) + b"{}"
    yield "a header without an end", ".safetensors", struct.pack("<Q", 50) + b'{"a": ' + b"[" * 44
    nested = b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    yield "a nested header", ".safetensors", struct.pack("<Q", len(nested)) + nested
    entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    headers = {
        "tensors on top of each other": {"a": entry, "b": entry},
        "a tensor beyond the end": {"a": {**entry, "data_offsets": [0, 2**40], "shape": [2**38]}},
        "a tensor before the beginning": {"a": {**entry, "data_offsets": [-8, 0]}},
        "a tensor that ends before it begins": {"a": {**entry, "data_offsets": [8, 0]}},
        "a shape that overflows": {"a": {**entry, "shape": [2**32, 2**32, 2**32]}},
        "an unknown kind of number": {"a": {**entry, "dtype": "PY_OBJECT"}},
        "a hole": {"a": {**entry, "data_offsets": [8, 16]}},
        "notes that are code": {"__metadata__": {"x": {"y": 1}}, "a": entry},
    }
    for name, header in headers.items():
        text = json.dumps(header).encode()
        yield name, ".safetensors", struct.pack("<Q", len(text)) + text + bytes(16)


def _rubbish() -> Iterator[tuple[str, str, bytes]]:
    yield "nothing", ".pth", b""
    yield "a page", ".pth", b"<!DOCTYPE html><html>404</html>"
    yield "zeros", ".pth", bytes(10_000)
    yield "a program", ".pth", b"#!/bin/sh\ntouch owned\n"
    yield "an empty archive", ".pt", b"PK\x05\x06" + bytes(18)
