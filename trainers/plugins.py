"""Plug-ins by file name: `trainers/models/resnet18.py` is the model `resnet18`, and no list knows it.

Names, docstrings, arguments and constants are read from the source text, so that a plan can be
made and checked without importing torch. A user's own files stand beside ours (`trainers.plugin_folder`).
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import json
import os
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import Enum, StrEnum
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from trainers.errors import PluginError, SpecError, SweepError

OF_THE_MACHINE = (OSError, MemoryError)
"""What is no fault of a file: it explains itself, and another try may succeed. Anything else that one raises is."""


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
    return tuple(sorted({file.stem for folder in folders(kind) for file in folder.glob("[!_]*.py")}))


def source_file(kind: Kind, name: str) -> Path:
    """The file of a plug-in; PluginError lists the names there are."""
    files = [f"{folder}/{name}.py" for folder in folders(kind)]  # a plan asks a hundred times for each of its jobs
    found = [file for file in files if os.path.isfile(file)]
    if not found or name.startswith("_") or "/" in name:
        raise PluginError(f"unknown {kind.noun} {name!r}; have: {', '.join(names(kind))}")
    return Path(found[0])


def folders(kind: Kind) -> tuple[Path, ...]:
    """Where plug-ins of a kind lie: ours first, then a user's own."""
    found = importlib.util.find_spec(kind.value)
    if found is None or not found.submodule_search_locations:
        raise PluginError(f"the package {kind.value} is missing; run from a complete checkout")
    return _paths(tuple(found.submodule_search_locations))


@cache
def _paths(texts: tuple[str, ...]) -> tuple[Path, ...]:
    return tuple(map(Path, texts))


def is_users_own(kind: Kind, name: str) -> bool:
    """Whether a plug-in is not one of ours."""
    return source_file(kind, name).parent != folders(kind)[0]


def load(kind: Kind, name: str) -> ModuleType:
    """Import a plug-in's module; PluginError names file, line and exception if it cannot be."""
    file = source_file(kind, name)
    try:
        return importlib.import_module(f"{kind.value}.{name}")
    except OF_THE_MACHINE:
        raise
    except Exception as error:
        raise PluginError(f"{_at(file, _lines(file, error))}: cannot be imported: {_what(error)}") from error


@contextmanager
def calling(kind: Kind, name: str, function: str) -> Iterator[None]:
    """While a plug-in's function runs: a fault in it becomes a PluginError that names file, line and exception."""
    try:
        yield
    except (SweepError, *OF_THE_MACHINE):
        raise
    except Exception as error:
        place = _place(source_file(kind, name), function, error)
        raise PluginError(f"{place}: {function}() of {kind.noun} {name!r} failed ({_what(error)})") from error


def _what(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _place(file: Path, function: str, error: Exception) -> str:
    """The file with the last of its lines that an error came through, else that of the function if it is at its top."""
    lines = _lines(file, error) or [node.lineno for name, node in functions(file).items() if name == function]
    return _at(file, lines)


def _at(file: Path, lines: Sequence[int]) -> str:
    return f"{file}, line {lines[-1]}" if lines else str(file)


def _lines(file: Path, error: Exception) -> list[int]:
    """The lines of a file that an error came through."""
    frames = traceback.extract_tb(error.__traceback__)
    return [frame.lineno for frame in frames if frame.filename == str(file) and frame.lineno is not None]


def parse(kind: Kind, text: str) -> tuple[str, dict[str, Any]]:
    """`NAME` or `NAME:VALUE`, where VALUE (JSON or text) is the argument that the file calls its MAIN_ARGUMENT."""
    name, colon, value = text.partition(":") if isinstance(text, str) else (text, "", "")
    if not colon:
        return name, {}
    main = constant(kind, name, "MAIN_ARGUMENT", None)
    if main is None:
        raise PluginError(f"{kind.noun} {name!r} takes no {value!r} after its name; its arguments are set by name")
    try:
        return name, {main: json.loads(value)}
    except (ValueError, RecursionError):
        return name, {main: value}


def docstring(kind: Kind, name: str) -> str:
    """The plug-in's module docstring."""
    return ast.get_docstring(_tree(source_file(kind, name))) or ""


def module_digest(module: str) -> str:
    """First 12 hexadecimal digits of the SHA-256 of a module's source; "" if there is no such module any more."""
    package, _, name = module.rpartition(".")
    found = importlib.util.find_spec(package)
    places = [] if found is None else list(found.submodule_search_locations or [])
    files = [file for place in places if (file := Path(place) / f"{name}.py").is_file()]
    return content_digest(files[0].read_bytes()) if files else ""


def content_digest(source: bytes) -> str:
    """First 12 hexadecimal digits of the SHA-256 of a source file."""
    return hashlib.sha256(source).hexdigest()[:12]


def imported(kind: Kind, name: str) -> tuple[str, ...]:
    """The modules of this project, a user's shared files among them, that a plug-in's file imports."""
    nodes = [node for node in ast.walk(_tree(source_file(kind, name))) if isinstance(node, ast.ImportFrom)]
    found = {f"{node.module}{end}" for node in nodes for end in ("", *(f".{alias.name}" for alias in node.names))}
    return tuple(sorted(module for module in found if module.startswith("trainers.") and module_digest(module)))


def constant(kind: Kind, name: str, variable: str, default: Any) -> Any:
    """The literal that the plug-in assigns to a module variable, or the default."""
    file = source_file(kind, name)
    for node in _tree(file).body:
        for target, value in _assigned(node):
            if target == variable:
                return _literal(file, variable, value)
    return default


def _assigned(node: ast.stmt) -> Iterator[tuple[str, ast.expr]]:
    """What a statement assigns, by variable: `A = 1`, `A: int = 1`, `A, B = 1, 2`."""
    if not isinstance(node, (ast.Assign, ast.AnnAssign)) or node.value is None:
        return
    for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
        if isinstance(target, ast.Tuple) and all(isinstance(inner, ast.Name) for inner in target.elts):
            given = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value] * len(target.elts)
            yield from zip(map(ast.unparse, target.elts), given, strict=False)
        else:
            yield ast.unparse(target), node.value


def says(kind: Kind, name: str, declaration: str) -> bool:
    """Whether the plug-in declares something of itself, as `NEEDS_TEACHER = True`."""
    return bool(constant(kind, name, declaration, False))


def arguments(kind: Kind, name: str) -> dict[str, Any]:
    """Keyword arguments of the plug-in's `build` function with their literal defaults, or REQUIRED."""
    file = source_file(kind, name)
    function = functions(file).get("build")
    if function is None:
        raise PluginError(f"{kind.noun} {name!r} has no function build(*, ...); add one to {file}")
    if function.args.posonlyargs or function.args.args:
        raise PluginError(f"{file}: build takes arguments by position; write build(*, ...)")
    pairs = zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
    return {arg.arg: Required.REQUIRED if node is None else _literal(file, arg.arg, node) for arg, node in pairs}


def functions(file: Path) -> dict[str, ast.FunctionDef]:
    """The functions that a file defines at its top; PluginError if it is not Python."""
    return {node.name: node for node in _tree(file).body if isinstance(node, ast.FunctionDef)}


def resolve(kind: Kind, name: str, args: dict[str, Any]) -> dict[str, Any]:
    """The complete arguments of a plug-in: defaults filled in, names and types checked.

    An argument that came after runs were stored stays out while it has the value that means what was before
    (the file's `ADDED_ARGUMENTS = {"width": 1.0}`), so that those runs keep their ids. What a file `REQUIRES`
    (a package) must be installed, and its function `check`, if it has one, sees all arguments while a plan is made.
    """
    known = arguments(kind, name)
    for key in args:
        if key not in known:
            raise PluginError(f"{kind.noun} {name!r} has no argument {key!r}; have: {', '.join(known)}")
    resolved = {key: _typed(f"{name}.{key}", args.get(key, default), default) for key, default in known.items()}
    missing = [key for key, value in resolved.items() if value is Required.REQUIRED]
    if missing:
        raise PluginError(f"{kind.noun} {name!r} needs {', '.join(missing)}")
    _check(kind, name, resolved)
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


def _check(kind: Kind, name: str, resolved: dict[str, Any]) -> None:
    package = constant(kind, name, "REQUIRES", None)
    if package is not None and importlib.util.find_spec(package) is None:
        raise PluginError(f"{kind.noun} {name!r} needs the package {package}, which is missing: pip install {package}")
    if "check" in functions(source_file(kind, name)):
        module = load(kind, name)
        with calling(kind, name, "check"):
            try:
                module.check(**resolved)
            except ValueError as error:
                raise SpecError(f"{kind.noun} {name!r}: {error}") from error


def _literal(file: Path, name: str, node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError as error:
        raise PluginError(f"{file}: {name} is {ast.unparse(node)}; a plan can read literals only") from error


def _tree(file: Path) -> ast.Module:
    return _parse(file, file.read_bytes())


@cache
def _parse(file: Path, content: bytes) -> ast.Module:
    try:
        return ast.parse(content)
    except (SyntaxError, ValueError) as error:
        raise PluginError(f"{file} is not Python: {error}") from error
