"""A user's folder as a value: what is in it, its digest, and its copy in the store."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sweeps.trial import train
from trainers import plugins
from trainers.errors import CorruptFileError, DataError, PluginError
from trainers.execution import Execution
from trainers.plugin_folder import PluginFolder, read_folder, use
from trainers.plugins import Kind
from trainers.prepare import DataRequest, prepare
from trainers.result import Manifest
from trainers.spec import run_id
from trainers.storage import Store

MODEL = "def build(*, num_classes, image_size): ...\n"


def folder(path: Path, **models: str) -> PluginFolder:
    (path / "models").mkdir(parents=True, exist_ok=True)
    for name, text in models.items():
        (path / "models" / f"{name}.py").write_text(text)
    return read_folder(path)


@pytest.fixture(autouse=True)
def ours_alone() -> Iterator[None]:
    yield
    for kind in Kind:
        del importlib.import_module(kind.value).__path__[1:]


def test_a_file_of_the_same_name_in_another_folder_is_read_anew_with_what_it_imports(tmp_path: Path) -> None:
    for size in ("6", "7"):
        shared = "from trainers.models import _sizes\n\n\ndef build(*, num_classes, image_size): return _sizes.SIZE\n"
        use(folder(tmp_path / size, mine=shared, _sizes=f"SIZE = {size}\n"))
        assert plugins.load(Kind.MODEL, "mine").build(num_classes=2, image_size=8) == int(size)


def test_the_digest_is_of_names_and_contents_wherever_the_folder_lies(tmp_path: Path) -> None:
    one = folder(tmp_path / "one", first=MODEL, second=MODEL).digest
    assert folder(tmp_path / "two", first=MODEL, second=MODEL).digest == one
    assert folder(tmp_path / "three", first=MODEL, third=MODEL).digest != one
    assert folder(tmp_path / "four", first=MODEL, second=MODEL + "#").digest != one


def test_only_python_files_of_the_four_kinds_count(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "draft.py").write_text("not Python")
    found = folder(tmp_path, mine=MODEL)
    (tmp_path / "models" / "weights.bin").write_bytes(b"x")
    assert read_folder(tmp_path) == found
    assert list(found.files) == ["models/mine.py"]


def test_a_folder_in_use_is_found_digested_and_told_apart_from_ours(tmp_path: Path) -> None:
    before = plugins.names(Kind.MODEL)
    use(folder(tmp_path, mine=MODEL))
    assert set(plugins.names(Kind.MODEL)) == {*before, "mine"}
    assert plugins.source_file(Kind.MODEL, "mine") == tmp_path / "models" / "mine.py"
    assert plugins.is_users_own(Kind.MODEL, "mine") and not plugins.is_users_own(Kind.MODEL, "student")
    assert len(plugins.module_digest("trainers.models.mine")) == 12


def test_another_folder_takes_its_place(tmp_path: Path) -> None:
    use(folder(tmp_path / "one", first=MODEL))
    use(folder(tmp_path / "two", second=MODEL))
    assert "second" in plugins.names(Kind.MODEL) and "first" not in plugins.names(Kind.MODEL)


def test_a_name_of_ours_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r"student\.py: there is a model 'student' already; give the file another"):
        folder(tmp_path, student=MODEL)


def test_the_store_keeps_a_copy_once_and_knows_when_it_was_altered(tmp_path: Path, store: Store) -> None:
    given = folder(tmp_path / "own", mine=MODEL)
    copy = store.write_plugins(given)
    assert copy.path.is_relative_to(store.root)
    assert (copy.files, copy.digest) == (given.files, given.digest)
    inode = (copy.path / "models").stat().st_ino
    assert store.write_plugins(given) == copy and (copy.path / "models").stat().st_ino == inode
    (copy.path / "models" / "more.py").write_text(MODEL)
    with pytest.raises(CorruptFileError, match="was altered"):
        store.plugins(given.digest)
    assert store.write_plugins(given) == copy
    assert not [entry for entry in copy.path.parent.iterdir() if entry.name.startswith(".")]


DATA = """import numpy as np
from trainers.images import array_data
from trainers.result import Split

def identity(path):
    return {"version": 1}

def read(path):
    labels = np.arange(600) % 2
    pictures = np.random.default_rng(0).integers(0, 256, (600, 8, 8, 3), dtype=np.uint8)
    return array_data(("a", "b"), {Split.TRAIN: pictures}, {Split.TRAIN: labels}, "noise")
"""


def data_folder(path: Path, text: str) -> None:
    """Use a folder with the data set `noise`."""
    (path / "data").mkdir(parents=True)
    (path / "data" / "noise.py").write_text(text)
    use(read_folder(path))
    sys.modules.pop("trainers.data.noise", None)


def prepare_noise(store: Store) -> Manifest:
    return prepare(store, DataRequest(name="noise"), lambda done, total: None, num_workers=2)


def test_processes_that_decode_find_a_users_data_set(tmp_path: Path, store: Store) -> None:
    data_folder(tmp_path / "own", DATA)
    assert sum(prepare_noise(store).num_images.values()) == 600


@pytest.mark.parametrize(
    ("old", "new", "place", "what"),
    [
        ('return {"version": 1}', "return path + 1", "line 6: identity()", "TypeError: unsupported operand type(s)"),
        ("identity(path)", "identity()", "line 5: identity()", "TypeError: identity() takes 0 positional arguments"),
        ('{"version": 1}', "{1, 2}", "line 5: identity()", "TypeError: Object of type set is not JSON serializable"),
        ("np.arange(600)", "path['x']", "line 9: read()", "TypeError: 'NoneType' object is not subscriptable"),
        ("read(path)", "read()", "line 8: read()", "TypeError: read() takes 0 positional arguments"),
        ("return array_data", "array_data", "line 8: read()", "TypeError: it gives NoneType, not RawData"),
    ],
)
def test_a_fault_in_a_users_data_set_names_file_line_and_exception(
    tmp_path: Path, store: Store, old: str, new: str, place: str, what: str
) -> None:
    data_folder(tmp_path / "own", DATA.replace(old, new))
    with pytest.raises(PluginError) as caught:
        prepare_noise(store)
    file = tmp_path / "own" / "data" / "noise.py"
    assert str(caught.value).startswith(f"{file}, {place} of data set 'noise' failed ({what}")


def test_what_a_users_data_set_refuses_itself_is_said_in_its_own_words(tmp_path: Path, store: Store) -> None:
    refusal = "raise DataError('too noisy')\n    labels ="
    text = DATA.replace("import numpy", "from trainers.errors import DataError\nimport numpy")
    data_folder(tmp_path / "own", text.replace("labels =", refusal))
    with pytest.raises(DataError, match=r"^too noisy$"):
        prepare_noise(store)


def test_a_worker_refuses_a_copy_that_was_altered(tmp_path: Path, store: Store, lab, make_spec) -> None:  # type: ignore[no-untyped-def]
    copy = store.write_plugins(folder(tmp_path / "own", mine=MODEL))
    (copy.path / "models" / "mine.py").write_text(MODEL + "# more\n")
    spec = make_spec(data=lab.data())
    store.write_spec(spec)
    assert list(train(store, run_id(spec), Execution(plugins=copy.digest))) == []
    failure = store.state(run_id(spec)).failure
    assert failure is not None and f"{copy.path} was altered" in failure.reason


def test_a_worker_that_misses_the_copy_says_so(store: Store, lab, make_spec) -> None:  # type: ignore[no-untyped-def]
    spec = make_spec(data=lab.data())
    store.write_spec(spec)
    assert list(train(store, run_id(spec), Execution(plugins="0123456789ab"))) == []
    failure = store.state(run_id(spec)).failure
    assert failure is not None
    assert "0123456789ab is damaged" in failure.reason and "run again with --plugins" in failure.reason
