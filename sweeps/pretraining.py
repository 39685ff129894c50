"""`--pretrained`: what a fine-tuned network starts from. Torch-free, so that a plan can name it.

It is an explicit choice with a fixed default per data set, never what happens to be reachable.
"""

from __future__ import annotations

import dataclasses
import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from sweeps.context import GivenTeacher
from trainers import plugins
from trainers.errors import PRETRAINED_OPTIONS, DataError, WeightsError
from trainers.files import file_digest
from trainers.plugins import Kind
from trainers.prepare import DataRequest, parse_data
from trainers.selection import Part
from trainers.spec import Choice, Weights

IMAGENET = Weights(name="imagenet: torchvision ResNet18_Weights.IMAGENET1K_V1", digest="f37072fd")
"""The digest is the start of the file's SHA-256, as torchvision's file name states it."""


MOST_WEIGHTS_BYTES = 2**33
"""torchvision's largest file of weights has 2.6 GB."""


@dataclass(frozen=True, kw_only=True)
class Pretraining:
    """Either weights (of torchvision, or of the file at `path`) or a request for data to pretrain on."""

    weights: Weights | None = None
    path: Path | None = None
    source: DataRequest | None = None


def given_teacher(file: str | None, model_name: str | None) -> GivenTeacher | None:
    """`--teacher FILE --teacher-model NAME`; WeightsError if it cannot be read, PluginError for no such model."""
    if file is None:
        if model_name is not None:
            raise WeightsError(f"--teacher-model {model_name} is for --teacher FILE, and there is none; give one")
        return None
    model = model_name or "resnet18"
    plugins.source_file(Kind.MODEL, plugins.parse(Kind.MODEL, model)[0])
    try:
        digest = _digest(Path(file).expanduser().absolute())
    except OSError as error:
        raise WeightsError(f"--teacher {file} cannot be read ({error.strerror}); give a file of weights") from error
    return GivenTeacher(weights=Weights(name="file", digest=digest), model=Choice(name=model))


def _digest(file: Path) -> str:
    """SHA-256 of a file of weights; OSError for one that would be read for ever."""
    found = file.stat()
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "a pipe, socket or device, not a file")
    if found.st_size > MOST_WEIGHTS_BYTES:
        raise OSError(errno.EFBIG, f"{found.st_size / 1e9:.1f} GB; at most {MOST_WEIGHTS_BYTES / 1e9:.1f} GB")
    return file_digest(file)


def choose_pretraining(choice: str | None, source_data: str | None, data: DataRequest) -> Pretraining:
    """The user's choice or the data set's default; an error names all options."""
    chosen = choice or str(plugins.constant(Kind.DATA, data.name, "PRETRAINED", "imagenet"))
    if source_data is not None and chosen != "source":
        raise WeightsError(f"--source-data is for --pretrained source, and this is --pretrained {chosen}")
    if chosen == "source":
        file = plugins.source_file(Kind.DATA, data.name)
        reason = "--pretrained source" if choice else f'{file} declares PRETRAINED = "source"'
        return Pretraining(source=_source_request(source_data, data, reason))
    if chosen == "imagenet":
        return Pretraining(weights=IMAGENET)
    file = Path(chosen).expanduser().absolute()
    try:
        return Pretraining(weights=Weights(name="file", digest=_digest(file)), path=file)
    except OSError as error:
        raise WeightsError(f"--pretrained {chosen} cannot be read ({error.strerror}); {PRETRAINED_OPTIONS}") from error


def _source_request(source_data: str | None, data: DataRequest, reason: str) -> DataRequest:
    """Given, or the data set's own source set, or the pictures outside its limit."""
    if source_data is not None:
        name, path = parse_data(source_data)
        if (name, _resolved(path)) == (data.name, _resolved(data.path)):
            raise DataError(
                f"--source-data {source_data} is the data itself, and would show its test pictures to the teacher; "
                "give other data, or --limit N to pretrain on the pictures outside it"
            )
        return DataRequest(name=name, path=path, image_size=data.image_size)
    own = plugins.constant(Kind.DATA, data.name, "SOURCE_DATA", None)
    if own is not None:
        name, path = parse_data(str(own))
        return DataRequest(name=name, path=path, image_size=data.image_size, limit=data.limit)
    if data.limit is None:
        raise DataError(
            f"{reason}: {data.name} has no source set of its own; add --source-data NAME[:PATH], "
            f"or --limit N to pretrain on the pictures outside it; {PRETRAINED_OPTIONS}"
        )
    return dataclasses.replace(data, part=Part.OUTSIDE_LIMIT)


def _resolved(path: str | None) -> str | None:
    return None if path is None else str(Path(path).expanduser().resolve())
