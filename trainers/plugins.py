"""Plug-ins by file name: `trainers/models/resnet18.py` is the model `resnet18`, and no list knows it.

Names, docstrings, arguments and constants are read from the source text, so that a plan can be
made and checked without importing torch.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
from enum import Enum, StrEnum
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from trainers.errors import PluginError


class Kind(StrEnum):
    """The kinds of plug-in; the value is the package that holds their files."""

    MODEL = "trainers.models"
    OBJECTIVE = "trainers.objectives"
    DATA = "trainers.data"
    SWEEP = "sweeps.catalog"

    @property
    def noun(self) -> str:
        """The word for messages."""
        return {"MODEL": "model", "OBJECTIVE": "objective", "DATA": "data set", "SWEEP": "sweep"}[self.name]


class Required(Enum):
    """Marks an argument without a default."""

    REQUIRED = "required"


def names(kind: Kind) -> tuple[str, ...]:
    """All plug-ins of a kind, sorted."""
    return tuple(sorted(file.stem for file in _folder(kind).glob("[!_]*.py")))


def source_file(kind: Kind, name: str) -> Path:
    """The file of a plug-in; PluginError lists the names there are."""
    if name not in names(kind):
        raise PluginError(f"unknown {kind.noun} {name!r}; have: {', '.join(names(kind))}")
    return _folder(kind) / f"{name}.py"


def load(kind: Kind, name: str) -> ModuleType:
    """Import a plug-in's module."""
    source_file(kind, name)
    return importlib.import_module(f"{kind.value}.{name}")


def docstring(kind: Kind, name: str) -> str:
    """The plug-in's module docstring."""
    return ast.get_docstring(_tree(source_file(kind, name))) or ""


def module_digest(module: str) -> str:
    """First 12 hexadecimal digits of the SHA-256 of a module's source; "" if there is no such module any more."""
    package, _, name = module.rpartition(".")
    found = importlib.util.find_spec(package)
    folders = [] if found is None else list(found.submodule_search_locations or [])
    file = Path(folders[0]) / f"{name}.py" if folders else Path(name)
    return hashlib.sha256(file.read_bytes()).hexdigest()[:12] if file.is_file() else ""


def constant(kind: Kind, name: str, variable: str, default: Any) -> Any:
    """The literal that the plug-in assigns to a module variable, or the default."""
    for node in _tree(source_file(kind, name)).body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == [variable]:
            return ast.literal_eval(node.value)
    return default


def arguments(kind: Kind, name: str) -> dict[str, Any]:
    """Keyword arguments of the plug-in's `build` function with their literal defaults, or REQUIRED."""
    for node in _tree(source_file(kind, name)).body:
        if isinstance(node, ast.FunctionDef) and node.name == "build":
            known = node.args.kwonlyargs
            return {arg.arg: _default(value) for arg, value in zip(known, node.args.kw_defaults, strict=True)}
    raise PluginError(f"{kind.noun} {name!r} has no function build(*, ...); add one to {source_file(kind, name)}")


def resolve(kind: Kind, name: str, args: dict[str, Any]) -> dict[str, Any]:
    """The complete arguments of a plug-in: defaults filled in, names and types checked.

    An argument that came after runs were stored stays out while it has the value that means what was before
    (the file's `ADDED_ARGUMENTS = {"width": 1.0}`), so that those runs keep their ids.
    """
    known = arguments(kind, name)
    for key in args:
        if key not in known:
            raise PluginError(f"{kind.noun} {name!r} has no argument {key!r}; have: {', '.join(known)}")
    resolved = {key: _typed(f"{name}.{key}", args.get(key, default), default) for key, default in known.items()}
    missing = [key for key, value in resolved.items() if value is Required.REQUIRED]
    if missing:
        raise PluginError(f"{kind.noun} {name!r} needs {', '.join(missing)}")
    added = constant(kind, name, "ADDED_ARGUMENTS", {})
    return {key: value for key, value in resolved.items() if key not in added or value != added[key]}


def _typed(key: str, value: Any, default: Any) -> Any:
    """The value in the type of its default: 1 becomes 1.0 where a float is meant, so that ids agree."""
    if default is Required.REQUIRED:
        return value
    if isinstance(default, float) and type(value) is int:
        return float(value)
    if isinstance(default, tuple) and isinstance(value, (list, tuple)):
        return tuple(value)
    if type(value) is not type(default):
        raise PluginError(f"{key} is {value!r}; allowed: {type(default).__name__}, like its default {default!r}")
    return value


def _default(node: ast.expr | None) -> Any:
    return Required.REQUIRED if node is None else ast.literal_eval(node)


@cache
def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text())


@cache
def _folder(kind: Kind) -> Path:
    found = importlib.util.find_spec(kind.value)
    if found is None or not found.submodule_search_locations:
        raise PluginError(f"the package {kind.value} is missing; run from a complete checkout")
    return Path(next(iter(found.submodule_search_locations)))
