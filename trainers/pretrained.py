"""Weights from outside: fetched or read, checked, and kept in the store by content as safetensors.

Nothing is unpickled: PyTorch files are read with `weights_only`, which takes tensors and plain
containers alone.
"""

from __future__ import annotations

import hashlib
import pickle
import struct
import warnings
import zipfile
from pathlib import Path
from typing import Any
from urllib.error import URLError

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from trainers.checkpoint import decode_weights
from trainers.errors import PRETRAINED_OPTIONS, TEACHER_OPTIONS, CorruptFileError, SpecError, WeightsError
from trainers.network import Network, build_body, load_body, load_complete
from trainers.spec import Choice, Normalization, Weights
from trainers.storage import Store

IMAGENET_URL = "https://download.pytorch.org/models/resnet18-f37072fd.pth"
WRAPS = ("state_dict", "model_state_dict", "model")
"""Under what name training scripts keep a state dict beside other things."""
PARALLEL = "module."
"""Before every name in what DataParallel saves."""
_UNREADABLE = (
    *(OSError, RuntimeError, EOFError, ValueError, LookupError, pickle.UnpicklingError, SafetensorError),
    *(TypeError, AttributeError, AssertionError, struct.error),  # torch's reader of bytes that are no pickle
    *(ArithmeticError, MemoryError, zipfile.BadZipFile),
)


MOST_RECORDS = 20_000
"""Of an archive of torch, which has one per tensor; networks have hundreds, a few of them thousands."""


def keep_weights(
    store: Store, weights: Weights, model: Choice, path: Path | None, *, is_complete: bool = False
) -> None:
    """Put weights where trials find them; without a path they are torchvision's, from its cache or a download.

    `is_complete`: their classifier is to be used as well. WeightsError if they do not fit the model, even if they
    are there already: they may have been kept for another.
    """
    options = TEACHER_OPTIONS if is_complete else PRETRAINED_OPTIONS
    is_kept = _kept(store, weights) is not None
    file, state = find_weights(store, weights, path, options)
    try:
        load = load_complete if is_complete else load_body
        body = build_body(model)
        state = _not_parallel(state, body.state_dict())
        load(Network(body, Normalization.NONE), model, state)
    except SpecError as error:
        raise WeightsError(f"{path or file}: {error}; {options}") from error
    if is_kept:
        return
    contiguous = {name: value.contiguous() for name, value in state.items()}
    store.write_weights(weights.digest, safetensors.torch.save(contiguous))


def find_weights(
    store: Store, weights: Weights, path: Path | None, options: str = PRETRAINED_OPTIONS
) -> tuple[Path, dict[str, Tensor]]:
    """The file of weights and what it holds, from the store if it is there; WeightsError if it cannot be had."""
    kept = _kept(store, weights)
    if kept is not None:
        return kept, _read_kept(kept)
    file = path or _imagenet_file(weights.digest)
    return file, read_state(file, options)


def _kept(store: Store, weights: Weights) -> Path | None:
    """The store's file; None for one that is damaged as well, which is then written anew."""
    try:
        return store.local_weights(weights.digest)
    except CorruptFileError:
        return None


def _read_kept(file: Path) -> dict[str, Tensor]:
    try:
        return decode_weights(file)
    except CorruptFileError as error:
        raise CorruptFileError(f"{error}; delete it and run again") from error


def _not_parallel(state: dict[str, Tensor], own: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state without DataParallel's prefix, unless the model's own names have it as well."""
    if any(not name.startswith(PARALLEL) for name in state) or all(name.startswith(PARALLEL) for name in own):
        return state
    return {name.removeprefix(PARALLEL): value for name, value in state.items()}


def read_state(file: Path, options: str = PRETRAINED_OPTIONS) -> dict[str, Tensor]:
    """The state dict in a safetensors or PyTorch file, out of its wrap; WeightsError if it is anything else."""
    try:
        content = _read(file)
    except _UNREADABLE as error:
        raise WeightsError(f"{file} is not a file of weights ({_why(error)}); {options}") from error
    inner = [content[wrap] for wrap in WRAPS if wrap in content] if isinstance(content, dict) else []
    state = next((one for one in inner if isinstance(one, dict)), content)
    if not isinstance(state, dict) or not state or not all(_is_entry(*item) for item in state.items()):
        raise WeightsError(f"{file} holds no state dict of tensors; {options}")
    for name, value in state.items():
        if wrong := _fault(value):
            raise WeightsError(f"{file}: tensor {name!r} {wrong}; {options}")
    return state


def _fault(value: Tensor) -> str:
    """Why a tensor is none of a network's; "" if nothing is wrong with it."""
    if value.layout is not torch.strided or value.device.type != "cpu" or value.is_quantized:
        return "is no plain tensor with values of its own"
    if value.is_complex():
        return f"is of {value.dtype}, and weights are real numbers"
    if value.numel() * value.element_size() > value.untyped_storage().nbytes():
        return f"stands for {value.numel()} numbers with fewer in the file"
    if value.is_floating_point() and not value.isfinite().all():
        return "has values that are not finite"
    return ""


def _why(error: Exception) -> str:
    """What torch's many lines about a file that it cannot read come to."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    if isinstance(error, pickle.UnpicklingError) and "Unsupported global" in str(error):
        return "it holds pickled code, which is never run; save model.state_dict() instead"
    return "damaged, or neither safetensors nor what torch.save(model.state_dict(), FILE) writes"


def _is_entry(name: Any, value: Any) -> bool:
    return isinstance(name, str) and isinstance(value, Tensor)


def _read(file: Path) -> Any:
    if file.suffix == ".safetensors":
        return safetensors.torch.load_file(file)
    _check_archive(file)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a plain pickle, which is refused
        return torch.load(file, weights_only=True, map_location="cpu")


def _check_archive(file: Path) -> None:
    """ValueError for a zip that would be more than itself once it is unpacked: torch compresses nothing."""
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            records = archive.infolist()
            size_bytes = sum(record.file_size for record in records)
        if size_bytes > file.stat().st_size or len(records) > MOST_RECORDS:
            raise ValueError(f"{len(records)} records of {size_bytes} bytes once unpacked")


def _imagenet_file(digest: str) -> Path:
    """torchvision's file in the torch hub cache, downloaded if need be, its SHA-256 compared."""
    file = Path(torch.hub.get_dir()) / "checkpoints" / IMAGENET_URL.rpartition("/")[2]
    try:
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(IMAGENET_URL, str(file), hash_prefix=digest, progress=False)
        content = file.read_bytes()
    except (URLError, OSError, RuntimeError) as error:
        raise WeightsError(
            f"ImageNet weights are neither at {file} nor to be had from {IMAGENET_URL} ({error}); without a network "
            "give --pretrained source --limit N (pretrains on the pictures beyond N), --pretrained source "
            "--source-data NAME[:PATH], or --pretrained FILE (a torchvision ResNet18 state dict)"
        ) from error
    if not hashlib.sha256(content).hexdigest().startswith(digest):
        raise WeightsError(f"{file} is damaged (its SHA-256 does not start with {digest}); delete it and run again")
    return file
