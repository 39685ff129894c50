"""A user's folder as a value: what is in it, its digest, and its copy in the store."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from sweeps.trial import train
from trainers import plugins
from trainers.errors import CorruptFileError, PluginError
from trainers.execution import Execution
from trainers.plugin_folder import PluginFolder, read_folder, use
from trainers.plugins import Kind
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


def test_a_worker_that_misses_the_copy_says_so(store: Store, lab, make_spec) -> None:  # type: ignore[no-untyped-def]
    spec = make_spec(data=lab.data())
    store.write_spec(spec)
    assert list(train(store, run_id(spec), Execution(plugins="0123456789ab"))) == []
    failure = store.state(run_id(spec)).failure
    assert failure is not None
    assert "0123456789ab is damaged" in failure.reason and "run again with --plugins" in failure.reason
