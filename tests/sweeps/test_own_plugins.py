"""`--plugins FOLDER`: a user's model, loss, data and sweep, planned, shipped to workers, recorded; and bad ones."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from analysis.show import loading_code
from trainers.find_plugins import find_plugins
from trainers.plugin_folder import read_folder
from trainers.records import encode_record
from trainers.storage import Store

ROOT = Path(__file__).resolve().parents[2]
FILES = {
    "models/dot.py": '''"""One convolution and a classifier."""
from torch import nn

from trainers.models._sizes import CHANNELS


def build(*, num_classes: int, image_size: int) -> nn.Module:
    body = nn.Sequential(nn.Conv2d(3, CHANNELS, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(body, nn.Linear(CHANNELS, num_classes))
''',
    "models/_sizes.py": "CHANNELS = 6\n",
    "objectives/mimic.py": '''"""Squared distance to the teacher's logits."""
from torch.nn import functional as F

NEEDS_TEACHER: bool = True


def build(*, scale: float = 1.0):
    def objective(logits_NK, teacher_logits_NK, labels_N):
        return {"loss": scale * F.mse_loss(logits_NK, teacher_logits_NK) + F.cross_entropy(logits_NK, labels_N)}

    return objective
''',
    "data/stripes.py": '''"""Dark and bright pictures."""
import numpy as np
from PIL import Image

from trainers.images import RawData
from trainers.result import Split

PRETRAINED, SOURCE_DATA = "imagenet", None


def identity(path):
    return {"version": 1}


def read(path):
    labels = {split: np.arange(12) % 2 for split in Split}

    def decode(split, index):
        return Image.new("RGB", (8, 8), (40 + 150 * (index % 2), 9 * index, 30 * len(split)))

    return RawData(class_names=("dark", "bright"), labels=labels, decode=decode, origin="stripes")
''',
    "sweeps/pair.py": '''"""A teacher and its student."""
from trainers.spec import Choice, Role


def jobs(context):
    return tuple(job for seed in context.seeds for job in _pair(context, seed))


def _pair(context, seed):
    teacher = context.job("big", role=Role.TEACHER, model=Choice(name="mobilenet_v3:small"), seed=seed)
    small = Choice(name="dot")
    taught = context.job("small", role=Role.STUDENT, model=small, seed=seed, objective="mimic", teacher=teacher)
    return teacher, taught
''',
}
SWEEP = [
    "--sweep",
    "pair",
    "--data",
    "stripes",
    "--epochs",
    "2",
    "--batch-size",
    "4",
    "--allow-weak-teacher",
]
SWEEP += ["--seeds", "0,1"]


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder with one file of each kind and one that they share."""
    return write(tmp_path / "own")


def write(folder: Path) -> Path:
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def refused(outcome: Any) -> str:
    assert outcome.code == 2, outcome
    (line,) = outcome.err.splitlines()
    return str(line.removeprefix("error: "))


def test_a_plan_knows_them_and_starts_nothing(petite: Any, own: Path) -> None:
    outcome = petite.main("--plugins", str(own), *SWEEP, "--plan")
    assert outcome.code == 0, outcome
    assert "4 jobs, 4 would run" in outcome.out
    assert not petite.store.exists()


def test_a_plan_with_them_imports_neither_torch_nor_ray(own: Path, petite: Any) -> None:
    arguments = ["--store", str(petite.store), "--plugins", str(own), *SWEEP]
    arguments += ["--set", "small:model.name=torchvision:resnet18", "--plan"]
    code = f"import sys; from sweeps.run_all import main; assert main({arguments!r}) == 0; "
    code += "print(sorted({'torch', 'ray', 'torchvision'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1:] == ["[]"], done.stdout + done.stderr


def test_the_list_marks_them_as_the_users_own(petite: Any, own: Path) -> None:
    lines = petite.main("--plugins", str(own), "--list").out.splitlines()
    (dot,) = [line for line in lines if line.split()[:1] == ["dot"]]
    assert dot.endswith(f"One convolution and a classifier. (yours: {own / 'models' / 'dot.py'})")
    assert sum("(yours: " in line for line in lines) == 4
    assert not any("_sizes" in line for line in lines)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of the sweep, run once in one process; the folder of plug-ins is gone."""
    store, folder = tmp_path_factory.mktemp("own") / "store", write(tmp_path_factory.mktemp("own"))
    command = [sys.executable, str(ROOT / "sweeps" / "run_all.py"), "--store", str(store), "--plugins", str(folder)]
    done = subprocess.run([*command, *SWEEP, "--serial"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    shutil.rmtree(folder)
    return store


@pytest.fixture
def serial(petite: Any, trained: Path) -> Any:
    """The command with a copy of that store."""
    shutil.copytree(trained, petite.store)
    return petite


def test_a_serial_run_keeps_a_copy_and_records_what_was_used(serial: Any, own: Path) -> None:
    store = Store(serial.store)
    (plan,) = store.plans()
    copy = store.plugins(plan.plugins)
    assert {name: content.decode() for name, content in copy.files.items()} == FILES
    student = store.result(serial.labels["small@0"])
    assert student is not None
    digests = student.environment.source_digests
    for module in ("models.dot", "models._sizes", "objectives.mimic"):
        file = f"{module.replace('.', '/')}.py"
        assert digests[f"trainers.{module}"] == hashlib.sha256(FILES[file].encode()).hexdigest()[:12]


def test_the_lines_that_show_prints_load_a_users_model_in_a_fresh_python(serial: Any) -> None:
    """The folder that the sweep was given is gone; the store's copy is not."""
    store, run = Store(serial.store), serial.labels["small@0"]
    (copy,) = (serial.store / "plugins").iterdir()
    imported, loading, _ = loading_code(store, run)
    assert loading == f"run = load_run({str(serial.store)!r}, {run!r}, plugins={str(copy)!r})"
    python = f"{imported}\n{loading}\nfrom PIL import Image\nprint(run.predict(Image.new('RGB', (9, 9))).shape)"
    done = subprocess.run([sys.executable, "-c", python], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "torch.Size([1, 2])\n", done.stderr
    without = subprocess.run(
        [sys.executable, "-c", python.replace(", plugins=", ") #")], cwd=ROOT, capture_output=True, text=True
    )
    assert f"give load_run(..., plugins={str(copy)!r})" in without.stderr.splitlines()[-1]
    assert loading_code(store, serial.labels["big@0"])[1].endswith(f"{serial.labels['big@0']!r})")


def test_the_copy_that_a_run_is_loaded_with_has_the_model_as_it_was_trained(serial: Any, own: Path) -> None:
    """A changed folder came later, under the same plan."""
    store, run = Store(serial.store), serial.labels["small@0"]
    trained_with = find_plugins(store, run)
    (own / "models" / "_sizes.py").write_text("CHANNELS = 7\n")
    changed = store.write_plugins(read_folder(own))
    (plan,) = store.plans()
    store.write_plan(dataclasses.replace(plan, plugins=changed.digest))
    assert find_plugins(store, run) == trained_with != changed.path
    shutil.rmtree(str(trained_with))
    assert find_plugins(store, run) is None


def test_again_nothing_runs_and_changed_code_is_shown(serial: Any, own: Path) -> None:
    again = serial.process("--plugins", str(own), *SWEEP, "--serial")
    assert "4 done, 0 to run" in again.out
    (own / "objectives" / "mimic.py").write_text(FILES["objectives/mimic.py"] + "# another comment\n")
    plan = serial.main("--plugins", str(own), *SWEEP, "--plan")
    assert plan.out.count("code changed: trainers/objectives/mimic.py") == 2, plan.out


def test_a_damaged_copy_in_the_store_is_written_again(serial: Any, own: Path) -> None:
    store = Store(serial.store)
    (plan,) = store.plans()
    (store.plugins(plan.plugins).path / "models" / "dot.py").write_text("def build(*): pass")
    outcome = serial.process("--plugins", str(own), *SWEEP, "--serial", "--force", "small")
    assert outcome.code == 0, outcome.out + outcome.err
    assert {name: content.decode() for name, content in store.plugins(plan.plugins).files.items()} == FILES


@pytest.mark.ray
def test_ray_ships_them_to_two_workers_and_gives_the_same_bytes(serial: Any, own: Path, tmp_path: Path) -> None:
    under_ray = dataclasses.replace(serial, store=tmp_path / "ray")
    outcome = under_ray.process("--plugins", str(own), *SWEEP, "--max-concurrent", "2")
    assert outcome.code == 0, outcome.out + outcome.err
    assert "4 ok, 0 failed, 0 blocked" in outcome.out
    assert under_ray.weights == serial.weights
    store = Store(under_ray.store)
    started = [attempt.started() for run in store.run_ids() for attempt in store.attempts(run)]
    assert len({record.pid for record in started if record is not None}) >= 2


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("models/bad.py", "def build(*, width=3 +): ...", "bad.py is not Python: invalid syntax"),
        ("models/bad.py", "WIDTH = 3", "bad.py has no function build(), which every model has"),
        ("objectives/bad.py", "", "bad.py has no function build(), which every objective has"),
        ("data/bad.py", "def read(path): ...", "bad.py has no function identity(), which every data set has"),
        ("sweeps/bad.py", "def job(context): ...", "bad.py has no function jobs(), which every sweep has"),
        ("models/_bad.py", "x ===", "_bad.py is not Python: invalid syntax"),
        ("models/student.py", FILES["models/dot.py"], "student.py: there is a model 'student' already; give the file"),
    ],
)
@pytest.mark.parametrize("mode", ["--serial", "--plan", "--list"])
def test_a_file_that_is_no_plug_in_is_one_line(
    petite: Any, own: Path, name: str, text: str, message: str, mode: str
) -> None:
    (own / name).write_text(text)
    line = refused(petite.main("--plugins", str(own), *SWEEP, mode))
    assert message in line
    assert str(own / name) in line
    assert not petite.store.exists()


def test_a_sweep_that_cannot_be_imported_is_one_line(petite: Any, own: Path) -> None:
    (own / "sweeps" / "pair.py").write_text("import nowhere_at_all\n\ndef jobs(context): ...\n")
    line = refused(petite.main("--plugins", str(own), *SWEEP, "--plan"))
    why = "ModuleNotFoundError: No module named 'nowhere_at_all'"
    assert line == f"{own / 'sweeps' / 'pair.py'}, line 1: cannot be imported: {why}"


def test_a_fault_in_a_users_network_ends_a_sweep_with_one_line(petite: Any, own: Path) -> None:
    file = own / "models" / "dot.py"
    file.write_text(FILES["models/dot.py"].replace("nn.ReLU()", "nn.Relu()"))
    line = refused(petite.main("--plugins", str(own), *SWEEP, "--serial"))
    assert line.startswith(f"{file}, line 8: build() of model 'dot' failed (AttributeError: ")


SWEEP_OF_ONE = """from trainers.spec import Role

def jobs(context):
    return {returned}

def one(context, **more):
    return context.job("one", role=Role.STUDENT, model="dot", seed=0, **more)
"""


def of_one(folder: Path, returned: str) -> Path:
    """The user's sweep, which returns this."""
    file = folder / "sweeps" / "pair.py"
    file.write_text(SWEEP_OF_ONE.format(returned=returned))
    return file


@pytest.mark.parametrize("mode", ["--serial", "--plan"])
@pytest.mark.parametrize(
    ("returned", "number", "message"),
    [
        ("[one(context, objectiv='kd')]", 7, "TypeError: Context.job() got an unexpected keyword argument 'objectiv'"),
        ("[nothing]", 4, "NameError: name 'nothing' is not defined"),
        ("(1 / 0 for seed in context.seeds)", 4, "ZeroDivisionError: division by zero"),
        ("None", 3, "TypeError: it gives a NoneType; allowed: a tuple of what context.job(...) gives"),
        ("()", 3, "TypeError: it gives nothing; allowed: a tuple of what context.job(...) gives"),
        ("one(context)", 3, "TypeError: it gives a Job; allowed: a tuple of what context.job(...) gives"),
        ("'one'", 3, "TypeError: it gives a str that holds 'o'; allowed: a tuple of what context.job(...) gives"),
    ],
)
def test_a_mistake_in_a_sweep_is_one_line_that_names_the_file(
    petite: Any, own: Path, returned: str, number: int, message: str, mode: str
) -> None:
    file = of_one(own, returned)
    line = refused(petite.main("--plugins", str(own), *SWEEP, mode))
    assert line.startswith(f"{file}, line {number}: jobs() of sweep 'pair' failed ({message}")


def test_the_model_of_a_job_may_be_a_name(petite: Any, own: Path) -> None:
    of_one(own, "[one(context)]")
    outcome = petite.main("--plugins", str(own), *SWEEP, "--plan")
    assert outcome.code == 0 and "1 job, 1 would run" in outcome.out, outcome


def test_a_sweep_that_looks_at_the_pictures_runs_though_no_plan_can_be_made_before_they_are_there(
    petite: Any, own: Path
) -> None:
    of_one(own, "[one(context)] if context.data.num_images['train'] == 12 else None")
    arguments = ["--plugins", str(own), *SWEEP]
    assert refused(petite.main(*arguments, "--plan")).endswith("failed (KeyError: 'train')")
    outcome = petite.main(*arguments, "--serial")
    assert outcome.code == 0, outcome


def test_a_label_may_depend_on_data_that_is_not_prepared_yet(petite: Any, own: Path) -> None:
    of_one(own, "[context.job(f'of_{context.data.image_size}', role=Role.STUDENT, model='dot', seed=0)]")
    outcome = petite.main("--plugins", str(own), *SWEEP, "--only", "of_8", "--serial")
    assert outcome.code == 0, outcome


def test_whether_a_sweep_pretrains_may_depend_on_data_that_is_not_prepared_yet(petite: Any, own: Path) -> None:
    start = "start=context.pretraining(0, 'dot') if context.data.image_size == 8 else None"
    of_one(
        own,
        f"(context.pretraining(0, 'dot'), one(context, {start})) if context.data.image_size == 8 else [one(context)]",
    )
    outcome = petite.main(
        "--plugins", str(own), *SWEEP, "--source-data", f"parquet:{petite.source}", "--pretrained", "source", "--serial"
    )
    assert outcome.code == 0, outcome
    assert "pretraining: a job on" in outcome.out


def test_a_run_names_the_users_file_and_not_the_copy(petite: Any, own: Path) -> None:
    (own / "models" / "dot.py").write_text("WIDTH = 3\n\ndef build(*, width=WIDTH, **sizes): ...\n")
    lines = [refused(petite.main("--plugins", str(own), *SWEEP, mode)) for mode in ("--plan", "--serial")]
    assert lines[0] == lines[1] and lines[0].startswith(str(own / "models" / "dot.py"))


@pytest.mark.parametrize("content", [None, {}, {"model/dot.py": FILES["models/dot.py"]}])
def test_a_folder_without_plug_ins_is_refused(petite: Any, tmp_path: Path, content: dict[str, str] | None) -> None:
    folder = tmp_path / "other"
    for name, text in (content or {}).items():
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text(text)
    if content == {}:
        folder.mkdir()
    line = refused(petite.main("--plugins", str(folder), "--plan"))
    assert line.startswith(f"--plugins {folder} has no plug-in; give a folder with Python files in any of: models, ")


def test_a_plan_from_before_there_were_plugins_is_still_read(serial: Any) -> None:
    (file,) = (serial.store / "plans").glob("*.json")
    content = json.loads(file.read_text())["content"]
    del content["plugins"]
    file.write_bytes(encode_record(content))
    (plan,) = Store(serial.store).plans()
    assert plan.plugins == ""
