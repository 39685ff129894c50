"""A user's own plug-ins: a folder with `models`, `objectives`, `data` or `sweeps`, whose files stand beside ours."""

from __future__ import annotations

import hashlib
import importlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from trainers import plugins
from trainers.errors import PluginError
from trainers.plugins import Kind
from trainers.spec import digest_of

SUBFOLDERS = {"models": Kind.MODEL, "objectives": Kind.OBJECTIVE, "data": Kind.DATA, "sweeps": Kind.SWEEP}
FUNCTIONS = {
    Kind.MODEL: ("build",),
    Kind.OBJECTIVE: ("build",),
    Kind.DATA: ("identity", "read"),
    Kind.SWEEP: ("jobs",),
}
"""What a file of a kind must define."""


@dataclass(frozen=True, kw_only=True)
class PluginFolder:
    """Its Python files, as `models/mine.py` -> content; those that begin with `_` are shared by the others."""

    path: Path
    files: Mapping[str, bytes]

    @property
    def digest(self) -> str:
        """The identity of its names and contents."""
        return digest_of({name: hashlib.sha256(content).hexdigest() for name, content in self.files.items()})


def read_folder(path: Path) -> PluginFolder:
    """Read and check a folder; PluginError for one that is none, and for the first file that is no plug-in."""
    folder = path.expanduser().absolute()
    found = {
        f"{name}/{file.name}": file.read_bytes() for name in SUBFOLDERS for file in sorted((folder / name).glob("*.py"))
    }
    if not found:
        kinds = ", ".join(SUBFOLDERS)
        raise PluginError(f"--plugins {path} has no plug-in; give a folder with Python files in any of: {kinds}")
    for name in found:
        _check(folder / name, SUBFOLDERS[name.partition("/")[0]])
    return PluginFolder(path=folder, files=found)


def use(folder: PluginFolder) -> None:
    """Have its files found beside ours, in this process, in the place of any other user's folder."""
    packages = {name: importlib.import_module(kind.value) for name, kind in SUBFOLDERS.items()}
    places = {name: [str(folder.path / name)] if (folder.path / name).is_dir() else [] for name in SUBFOLDERS}
    is_used = all(package.__path__[1:] == places[name] for name, package in packages.items())
    if is_used and folder.path.name == folder.digest:  # a store's copy: other content would lie elsewhere
        return
    for name, package in packages.items():
        package.__path__[1:] = places[name]
        _forget_others(package)
    importlib.invalidate_caches()


def _forget_others(package: ModuleType) -> None:
    """What was imported from an earlier folder, for a file of the same name may be another."""
    beginning = f"{package.__name__}."
    for name in [name for name in sys.modules if name.startswith(beginning)]:
        file = getattr(sys.modules[name], "__file__", None) or ""  # a folder without `__init__.py` has none
        if Path(file).parent != Path(package.__path__[0]):
            del sys.modules[name]
            vars(package).pop(name.removeprefix(beginning), None)


def _check(file: Path, kind: Kind) -> None:
    defined = plugins.functions(file)
    if file.name.startswith("_"):
        return
    if (plugins.folders(kind)[0] / file.name).exists():
        raise PluginError(f"{file}: there is a {kind.noun} {file.stem!r} already; give the file another name")
    for function in FUNCTIONS[kind]:
        if function not in defined:
            raise PluginError(f"{file} has no function {function}(), which every {kind.noun} has")
