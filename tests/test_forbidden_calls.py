"""The product's own text: nowhere is anything unpickled, evaluated, or given to a shell."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = [file for package in ("trainers", "sweeps", "analysis") for file in sorted((ROOT / package).rglob("*.py"))]

NEVER = {
    *("pickle.load", "pickle.loads", "pickle.Unpickler", "cloudpickle.load", "cloudpickle.loads", "marshal.loads"),
    *("dill.load", "joblib.load", "shelve.open", "pd.read_pickle", "pandas.read_pickle", "torch.jit.load"),
    *("yaml.load", "yaml.unsafe_load", "yaml.full_load", "yaml.load_all"),
    *("eval", "exec", "compile", "__import__", "os.system", "os.popen", "subprocess.getoutput"),
    *("archive.extractall", "tarfile.extractall", "zipfile.extractall", "shutil.unpack_archive", "archive.extract"),
    *("torch.hub.load", "np.fromfile", "xml.etree.ElementTree.parse"),
}
METHODS = {"extractall", "unpack_archive", "read_pickle"}
"""Whatever they are called on."""


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Every call by the dotted name that stands there."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def given(call: ast.Call, keyword: str) -> str | None:
    """The text of a keyword's value."""
    return next((ast.unparse(one.value) for one in call.keywords if one.arg == keyword), None)


def faults(text: str) -> list[str]:
    """What a file does that it must not."""
    found = []
    for name, call in calls(ast.parse(text)):
        if name in NEVER or name.rpartition(".")[2] in METHODS:
            found.append(name)
        if name == "torch.load" and given(call, "weights_only") != "True":
            found.append("torch.load without weights_only=True")
        if name in ("np.load", "numpy.load") and given(call, "allow_pickle") != "False":
            found.append("np.load without allow_pickle=False")
        if given(call, "shell") not in (None, "False"):
            found.append(f"{name} with a shell")
        if name == "Image.open" and given(call, "formats") is None:
            found.append("Image.open of any format")
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_nothing_from_outside_is_run(file: Path) -> None:
    assert faults(file.read_text()) == []


@pytest.mark.parametrize("name", ["torch.load", "np.load", "Image.open", "safetensors.torch.load_file"])
def test_what_reads_files_from_outside_is_called_in_two_places_at_most(name: str) -> None:
    """So that a check at one border is not forgotten at another; the places are for weights and for checkpoints."""
    places = [file.name for file in FILES for called, _ in calls(ast.parse(file.read_text())) if called == name]
    allowed = {
        "torch.load": ["checkpoint.py", "pretrained.py"],
        "np.load": ["loaded.py"],
        "Image.open": ["images.py", "plates.py"],
        "safetensors.torch.load_file": ["checkpoint.py", "pretrained.py"],
    }
    assert set(places) <= set(allowed[name])


def test_forbidden_calls_are_seen() -> None:
    text = (
        "pickle.loads(x)\ntorch.load(f)\ntorch.load(f, weights_only=False)\nnp.load(f)\nnp.load(f, allow_pickle=True)\n"
        "subprocess.run(x, shell=True)\neval(x)\na.b.extractall(y)\nImage.open(f)\nyaml.load(f)\n"
    )
    assert len(faults(text)) == 10
    assert faults("torch.load(f, weights_only=True)\nnp.load(f, allow_pickle=False)\nyaml.safe_load(f)") == []


def test_yaml_is_read_safely_by_the_tests_too() -> None:
    texts = {file: file.read_text() for file in (ROOT / "tests").rglob("*.py") if file != Path(__file__)}
    names = {name for text in texts.values() for name, _ in calls(ast.parse(text)) if name.startswith("yaml.")}
    assert names <= {"yaml.safe_load", "yaml.safe_load_all", "yaml.safe_dump", "yaml.dump", "yaml.compose"}
