"""Where and with what a training runs: recorded beside its numbers."""

from __future__ import annotations

import dataclasses
import platform
import socket
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType

import msgspec
import torch
import torchvision

from trainers import plugins
from trainers.execution import Execution
from trainers.plugins import Kind
from trainers.result import Environment
from trainers.spec import RunSpec, digest_of

LOOP = tuple(
    f"trainers.{name}"
    for name in (
        *("training", "batches", "augment", "criterion", "teaching", "features", "averaging", "optim"),
        *("network", "evaluate", "randomness", "resident", "process", "device", "pictures", "saved", "teacher_logits"),
    )
)
"""The modules of the loop that every run goes through."""

UNESSENTIAL = ("host", "git_commit", "git_is_dirty")
"""Fields that may differ between two attempts whose numbers are still the same bit for bit."""


def describe_environment(spec: RunSpec, device: torch.device, execution: Execution) -> Environment:
    """This process, its machine and the source of the plug-ins that the spec uses."""
    is_cuda = device.type == "cuda"
    return Environment(
        host=socket.gethostname(),
        device=device.type,
        hardware=torch.cuda.get_device_name(device) if is_cuda else _cpu_name(),
        num_threads=execution.num_threads,
        python=platform.python_version(),
        torch=str(torch.__version__),
        torchvision=str(torchvision.__version__),
        git_commit=execution.git[0],
        git_is_dirty=execution.git[1],
        source_digests=_source_digests(*_loaded(spec)),
        packages=_packages(spec),
        deterministic=execution.deterministic,
    )


def gives_same_numbers(one: Environment, other: Environment) -> bool:
    """Whether bit-identity may be expected between two environments."""
    neutral = {name: getattr(one, name) for name in UNESSENTIAL}
    if not (one.packages and other.packages):  # an older version did not record them
        neutral["packages"] = one.packages
    return dataclasses.replace(other, **neutral) == one


def numbers_digest(environment: Environment) -> str:
    """The same for two environments from which the same numbers may be expected, bit for bit."""
    content = msgspec.to_builtins(environment)
    unsaid = () if environment.deterministic else ("deterministic",)  # as before there was a choice
    return digest_of({name: value for name, value in content.items() if name not in (*UNESSENTIAL, *unsaid)})


def _chosen(spec: RunSpec) -> tuple[tuple[Kind, str], ...]:
    """The spec's plug-ins whose code trains."""
    return ((Kind.MODEL, spec.model.name), (Kind.OBJECTIVE, spec.objective.name))


def _packages(spec: RunSpec) -> dict[str, str]:
    """The versions of what the spec's plug-ins say that they require; "" for one that no installer knows."""
    required = [plugins.constant(kind, name, "REQUIRES", None) for kind, name in _chosen(spec)]
    return {package: _version(package) for package in required if package is not None}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _loaded(spec: RunSpec) -> tuple[ModuleType, ...]:
    return tuple(plugins.load(kind, name) for kind, name in _chosen(spec))


@cache
def _source_digests(*chosen: ModuleType) -> dict[str, str]:
    """Of the modules whose code decides a run's numbers; read once, since a process trains with what it imported.

    A user's module is another object once its file, or one that it shares, was forgotten for a changed one.
    """
    names = [(Kind(package), name) for package, _, name in (module.__name__.rpartition(".") for module in chosen)]
    shared = [module for kind, name in names for module in plugins.imported(kind, name)]
    return {name: plugins.module_digest(name) for name in (*(module.__name__ for module in chosen), *shared, *LOOP)}


@cache
def _cpu_name() -> str:
    """The processor's model, as far as the platform tells."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
