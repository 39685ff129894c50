"""A user's folder as a value: what is in it, its digest, and its copy in the store."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeps.trial import train
from trainers import plugins
from trainers.errors import CorruptFileError, DataError, PluginError
from trainers.execution import Execution
from trainers.kept import KeptPlugins
from trainers.measure import check_networks
from trainers.plugin_folder import PluginFolder, read_folder, use
from trainers.plugins import Kind
from trainers.prepare import DataRequest, prepare
from trainers.result import Manifest
from trainers.spec import Choice, run_id
from trainers.storage import Store

MODEL = "def build(*, num_classes, image_size): ...\n"


def folder(path: Path, **models: str) -> PluginFolder:
    (path / "models").mkdir(parents=True, exist_ok=True)
    for name, text in models.items():
        (path / "models" / f"{name}.py").write_text(text)
    return read_folder(path)


def test_a_file_of_the_same_name_in_another_folder_is_read_anew_with_what_it_imports(tmp_path: Path) -> None:
    for size in ("6", "7"):
        shared = "from trainers.models import _sizes\n\n\ndef build(*, num_classes, image_size): return _sizes.SIZE\n"
        use(folder(tmp_path / size, mine=shared, _sizes=f"SIZE = {size}\n"))
        assert plugins.load(Kind.MODEL, "mine").build(num_classes=2, image_size=8) == int(size)


def test_a_subfolder_of_another_folder_is_read_anew_as_well(tmp_path: Path) -> None:
    for size in ("6", "7"):
        inner = tmp_path / size / "models" / "layers"
        inner.mkdir(parents=True)
        (inner / "sizes.py").write_text(f"SIZE = {size}\n")
        text = "from trainers.models.layers.sizes import SIZE\n\n\ndef build(*, num_classes, image_size): return SIZE\n"
        use(folder(tmp_path / size, mine=text))
        assert plugins.load(Kind.MODEL, "mine").build(num_classes=2, image_size=8) == int(size)


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("X = {}['a']", "KeyError: 'a'"),
        ("X = 1 / 0", "ZeroDivisionError: division by zero"),
        ("raise RuntimeError('no')", "RuntimeError: no"),
        ("import zipfile; raise zipfile.BadZipFile('no')", "BadZipFile: no"),
    ],
)
def test_a_fault_at_the_top_of_a_users_file_is_one_line(tmp_path: Path, line: str, what: str) -> None:
    use(folder(tmp_path, mine=f"{line}\n{MODEL}"))
    with pytest.raises(PluginError) as caught:
        plugins.load(Kind.MODEL, "mine")
    assert str(caught.value) == f"{tmp_path / 'models' / 'mine.py'}, line 1: cannot be imported: {what}"


def test_what_the_machine_refuses_explains_itself_and_may_be_tried_again(tmp_path: Path) -> None:
    use(folder(tmp_path, mine="open('/nowhere/at/all')\n" + MODEL))
    with pytest.raises(FileNotFoundError, match="/nowhere/at/all"):
        plugins.load(Kind.MODEL, "mine")


def test_a_fault_in_the_check_of_a_users_model_names_its_file(tmp_path: Path) -> None:
    use(folder(tmp_path, mine=MODEL + "def check(*, num_classes, image_size): return {}[num_classes]\n"))
    with pytest.raises(PluginError) as caught:
        plugins.resolve(Kind.MODEL, "mine", {"num_classes": 2, "image_size": 8})
    file = tmp_path / "models" / "mine.py"
    assert str(caught.value) == f"{file}, line 2: check() of model 'mine' failed (KeyError: 2)"


NETWORK = """from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.fc = nn.Linear(3, num_classes)

    def forward(self, x):
        return self.fc(x.mean((2, 3)))

def build(*, num_classes, image_size):
    return Net(num_classes)
"""


@pytest.mark.parametrize(
    ("old", "new", "place", "what"),
    [
        ("return Net", "return Nett", ", line 12: build()", "NameError: name 'Nett' is not defined"),
        ("Net(num_classes)", "{}[num_classes]", ", line 12: build()", "KeyError: 2"),
        ("return Net", "Net", ", line 11: build()", "TypeError: it gives NoneType, not nn.Module"),
        ("(3, num", "(1 / 0, num", ", line 6: build()", "ZeroDivisionError: division by zero"),
        ("self.fc(x", "self.fd(x", ", line 9: forward()", "AttributeError: 'Net' object has no attribute 'fd'"),
        ("(self, x)", "(self, x, y)", ": forward()", "TypeError: Net.forward() missing 1 required positional argument"),
        ("(3, num", "(4, num", ", line 9: forward()", "RuntimeError: "),
    ],
)
def test_a_fault_in_a_users_network_names_file_line_and_exception(
    tmp_path: Path, old: str, new: str, place: str, what: str
) -> None:
    (tmp_path / "models").mkdir()
    use(folder(tmp_path, net=NETWORK.replace(old, new)))
    with pytest.raises(PluginError) as caught:
        check_networks([Choice(name="net", args={"num_classes": 2, "image_size": 8})])
    assert str(caught.value).startswith(f"{tmp_path / 'models' / 'net.py'}{place} of model 'net' failed ({what}")


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


def test_a_copy_that_another_command_has_just_made_is_not_taken_away_for_a_moment(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, look, looks = folder(tmp_path / "own", mine=MODEL), KeptPlugins.folder, list[str]()

    def look_before_the_other_writes(self: KeptPlugins, digest: str) -> PluginFolder:
        looks.append(digest)
        if len(looks) == 1:
            raise CorruptFileError("not there yet")
        return look(self, digest)

    def never(folder: object) -> None:
        raise AssertionError(f"{folder} was removed")

    copy = store.write_plugins(given)
    monkeypatch.setattr(KeptPlugins, "folder", look_before_the_other_writes)
    monkeypatch.setattr("trainers.kept.remove_tree", never)
    assert store.write_plugins(given) == copy


DATA = """import numpy as np, struct, zipfile, xml.etree.ElementTree as ElementTree
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
        ("np.arange(600)", "zipfile.ZipFile(__file__)", "line 9: read()", "BadZipFile: File is not a zip file"),
        ("np.arange(600)", "struct.unpack('i', b'')", "line 9: read()", "error: unpack requires a buffer of 4 bytes"),
        ("np.arange(600)", "ElementTree.XML('<')", "line 9: read()", "ParseError: unclosed token"),
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
