"""Wrong input: exit code 2, one line that says what, what is allowed and what to do, and no traceback."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trainers.storage import Store


def refused(outcome: Any) -> str:
    """The one line of a refusal, without `error: `."""
    assert outcome.code == 2, outcome
    assert "Traceback" not in outcome.out + outcome.err
    (line,) = outcome.err.splitlines()
    assert line.startswith("error: ")
    return str(line.removeprefix("error: "))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sweep", "reprot"], "unknown sweep 'reprot'; have: "),
        (["--sweep", "../report"], "unknown sweep '../report'; have: "),
        (["--data", "platez"], "unknown data set 'platez'; have: cifar10, "),
        (["--data", ":photos"], "unknown data set ''; have: cifar10, "),
        (["--data", 300 * "x"], "; have: cifar10, "),
        (["--data", "."], "'.' is a path, not a data set; write images:. (a folder per class) or parquet:."),
        (["--source-data", "platez"], "unknown data set 'platez'; have: cifar10, "),
        (["--recipe", "coarse"], "unknown recipe 'coarse'; have: quick, strong, course"),
        (["--set", "model.name=resnt"], "unknown model 'resnt'; have: conv_depthwise, conv_group, conv_plain, "),
        (["--set", "model.name=resnet18:50"], "model 'resnet18' takes no '50' after its name"),
        (["--set", "model.name=torchvision:resnet51"], "unknown architecture 'resnet51'; torchvision has "),
        (["--set", "model.name=resnet_cifar:deep"], "resnet_cifar.depth is 'deep'; allowed: int, like its default 20"),
        (["--set", "objective.name=mse"], "unknown objective 'mse'; have: attention, cross_entropy, "),
        (["--set", "optimiser.lr=1"], "unknown key 'optimiser.lr'; have: augment.crop_padding, "),
        (["--set", "tutor:epochs=1"], "--set tutor:epochs: concerns no job; have: pretrain, teacher, "),
        (["--set", "epochs"], "--set 'epochs' is not KEY=VALUE; write for example "),
        (["--set", "epochs=many"], "epochs is 'many'; allowed: a whole number"),
        (["--set", "normalize=foo"], "normalize is 'foo'; allowed: none, imagenet"),
        (["--set", "student:optimizer.name=foo"], "optimizer.name is 'foo'; allowed: adamw, sgd"),
        (["--set", "schedule.name=foo"], "schedule.name is 'foo'; allowed: constant, cosine, one_cycle"),
        (["--set", "precision=bf16"], "precision is 'bf16'; allowed: float32, float16, bfloat16"),
        (
            ["--set", "augment.horizontal_flip=False"],
            "augment.horizontal_flip is 'False'; allowed: true or false, in small letters",
        ),
        (
            ["--set", "student_kd_pretrained/lr=0.1:epochs=4"],
            "a role, label, model or objective, never a grid's point; write student_kd_pretrained:KEY=VALUE",
        ),
        (["--set", "optimizer.lr=NaN"], "optimizer.lr is nan; allowed: finite numbers"),
        (["--set", "optimizer.lr=Infinity"], "optimizer.lr is inf; allowed: finite numbers"),
        (["--set", "model.stem_stride=null"], "stem_stride is None; allowed: int"),
        (["--set", "model.name=[1]"], "unknown model [1]; have: "),
        (["--set", "optimizer.lr={}"], "optimizer.lr is {}; allowed: a number"),
        (["--set", "optimizer.momentum=0.9"], "--set optimizer.momentum=0.9 has no effect with adamw"),
        (["--set", "teacher=5"], "unknown key 'teacher'; have: "),
        (["--epochs", "0"], "epochs is 0; allowed: 1 or more"),
        (["--batch-size", "1"], "batch_size is 1; allowed: 2 or more"),
        (["--seeds", "x"], "--seeds 'x' is not a list of numbers; write for example --seeds 0,1,2"),
        (["--seeds", ""], "--seeds '' is not a list of numbers; write for example --seeds 0,1,2"),
        (["--seeds", "0,0"], "--seeds '0,0'; allowed: numbers of 0 or more, each once"),
        (["--seeds=-1"], "--seeds '-1'; allowed: numbers of 0 or more, each once"),
        (["--only", "studnet"], "no job is called 'studnet'; have: "),
        (["--exclude", "studnet"], "no job is called 'studnet'; have: "),
        (["--force", "studnet"], "no job is called 'studnet'; have: "),
        (["--exclude", "*"], "no job is left after --only and --exclude; leave one of them out"),
        (["--cpus-per-trial", "tutor=1"], "--cpus-per-trial tutor=1: unknown role 'tutor'; have: pretrain, teacher, "),
        (["--gpus-per-trial", "student=half"], "--gpus-per-trial student=half: 'half' is not a number; write ROLE=X"),
        (["--gpus-per-trial", "student=1.5"], "--gpus-per-trial student=1.5; allowed: 0 to 1, or a whole number"),
        (["--cpus-per-trial", "student=0"], "--cpus-per-trial student=0; allowed: above 0"),
        (["--max-concurrent", "0"], "--max-concurrent is 0; allowed: 1 or more"),
        (["--max-concurrent=-3"], "--max-concurrent is -3; allowed: 1 or more"),
        (["--max-hours", "0"], "--max-hours is 0; allowed: a number above 0, as in 0.5"),
        (["--max-hours", "soon"], "--max-hours is soon; allowed: a number above 0, as in 0.5"),
        (["--limit", "0"], "--limit is 0; allowed: 1 or more"),
        (["--limit", "3"], "use a larger --limit or add pictures"),
        (["--image-size", "4"], "--image-size is 4; allowed: 8 or more"),
    ],
)
def test_a_wrong_option_is_one_line(petite: Any, arguments: list[str], message: str) -> None:
    line = refused(petite.main(*petite.report, "--serial", *arguments))
    assert message in line and "job '" not in line
    assert not Store(petite.store).plans()


@pytest.mark.parametrize("setting", ["normalize=foo", "epochs=0", "optimizer.lr=-1"])
def test_a_wrong_value_is_refused_before_anything_is_prepared(petite: Any, setting: str) -> None:
    assert "; allowed: " in refused(petite.main(*petite.report, "--serial", "--set", setting))
    assert not petite.store.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "optimiser.lr=1"], "unknown key 'optimiser.lr'"),
        (["--set", "tutor:epochs=1"], "tutor"),
        (["--set", "student:model.name=resnt"], "unknown model 'resnt'"),
        (["--only", "nobody"], "no job is called 'nobody'"),
    ],
)
def test_what_is_wrong_whatever_the_data_is_refused_before_it_is_prepared(
    petite: Any, arguments: list[str], message: str
) -> None:
    assert message in refused(petite.main(*petite.report, "--serial", *arguments))
    assert not list(petite.store.glob("data/*"))


@pytest.mark.parametrize("text", ["parquet", "parquet:", "parquet:/nowhere/photos.parquet", "parquet:/nowhere"])
def test_data_that_is_not_there_says_what_to_give(petite: Any, text: str) -> None:
    line = refused(petite.main("--data", text, "--pretrained", "source", "--limit", "9", "--serial"))
    assert "write --data parquet:PATH" in line or "no Parquet file at /nowhere" in line


@pytest.mark.parametrize("mode", ["--serial", "--plan"])
def test_data_that_is_no_parquet_names_the_file(petite: Any, tmp_path: Path, mode: str) -> None:
    file = tmp_path / "photos.parquet"
    file.write_text("not a table\n")
    outcome = petite.main("--data", f"parquet:{file}", "--pretrained", "source", "--limit", "9", mode)
    if mode == "--plan":  # which only looks at names and times
        assert (outcome.code, "not prepared yet" in outcome.out) == (0, True)
    else:
        assert f"{file} is not a readable Parquet file" in refused(outcome)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"picture": [b"x"], "label": [0]}, "has columns picture, label; needed: one of image, img"),
        ({"image": [b"x"], "label": [0]}, "column 'image' is binary; needed: a struct with a field 'bytes'"),
        ({"image": [{"bytes": b"x", "path": "a"}], "label": ["red"]}, "column 'label' is string; needed: integers"),
        ({"image": [{"bytes": b"x", "path": "a"}]}, "label"),
    ],
)
def test_a_table_of_another_layout_says_what_is_needed(
    petite: Any, tmp_path: Path, columns: dict[str, Any], message: str
) -> None:
    file = tmp_path / "photos.parquet"
    pq.write_table(pa.table(columns), file)
    arguments = ["--data", f"parquet:{file}", "--pretrained", "source", "--limit", "9", "--serial"]
    assert message in refused(petite.main(*arguments))


def test_a_picture_that_cannot_be_read_is_named_and_nothing_half_prepared_stays(petite: Any, tmp_path: Path) -> None:
    file = tmp_path / "photos.parquet"
    table = pq.read_table(petite.pictures / "train-00000-of-00001.parquet")
    rows = table.to_pylist()
    for row in rows[::2]:
        row["image"]["bytes"] = row["image"]["bytes"][:40]
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), file)
    arguments = ["--data", f"parquet:{file}", "--pretrained", "source", "--limit", "40", "--serial"]
    assert "image photos.parquet[" in refused(petite.main(*arguments))
    assert not Store(petite.store).run_ids()


def test_pretraining_on_source_data_that_nobody_named_lists_the_choices(petite: Any) -> None:
    line = refused(petite.main("--data", f"parquet:{petite.pictures}", "--pretrained", "source", "--serial"))
    assert "has no source set of its own; add --source-data NAME[:PATH], or --limit N" in line
    assert all(choice in line for choice in ("--pretrained imagenet", "--pretrained FILE", "--pretrained source"))


def test_a_data_set_that_declares_a_source_and_names_none_is_blamed_itself(petite: Any, tmp_path: Path) -> None:
    file = tmp_path / "own" / "data" / "alone.py"
    file.parent.mkdir(parents=True)
    file.write_text('PRETRAINED = "source"\n\ndef identity(path): ...\n\ndef read(path): ...\n')
    line = refused(petite.main("--plugins", str(tmp_path / "own"), "--data", "alone", "--plan"))
    assert line.startswith(f'{file} declares PRETRAINED = "source": alone has no source set of its own; add ')


def test_source_data_without_a_pretraining_on_it_is_refused(petite: Any) -> None:
    arguments = ["--data", f"parquet:{petite.pictures}", "--source-data", f"parquet:{petite.source}", "--serial"]
    expected = "--source-data is for --pretrained source, and this is --pretrained imagenet"
    assert refused(petite.main(*arguments)) == expected


def test_source_data_that_is_the_data_itself_is_refused(petite: Any) -> None:
    data = f"parquet:{petite.pictures}"
    line = refused(petite.main("--data", data, "--pretrained", "source", "--source-data", data, "--serial"))
    assert "is the data itself, and would show its test pictures to the teacher" in line


def test_a_limit_that_leaves_nothing_to_pretrain_on_asks_for_a_smaller_one(petite: Any) -> None:
    data = ["--data", f"parquet:{petite.pictures}", "--limit", "100000"]
    line = refused(petite.main(*data, "--pretrained", "source", "--serial"))
    assert line.endswith(": no picture is outside --limit 100000; use a smaller one")


def test_a_file_of_weights_that_is_not_there_lists_the_choices(petite: Any) -> None:
    data = f"parquet:{petite.pictures}"
    line = refused(petite.main("--data", data, "--pretrained", "/nowhere/resnet.pth", "--serial"))
    assert line.startswith("--pretrained /nowhere/resnet.pth cannot be read (No such file or directory); have: ")
    assert all(choice in line for choice in ("--pretrained imagenet", "--pretrained FILE", "--pretrained source"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("w.pth", b"not weights\n", "is not a file of weights"),
        ("w.pth", b"", "is not a file of weights"),
        ("w.safetensors", b"not weights\n", "is not a file of weights"),
        ("folder", None, "cannot be read (Is a directory)"),
    ],
)
def test_a_file_that_is_not_weights_is_refused_before_a_job_starts(
    petite: Any, tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    file = tmp_path / name
    file.mkdir() if content is None else file.write_bytes(content)
    arguments = ["--data", f"parquet:{petite.pictures}", "--pretrained", str(file), "--epochs", "1", "--serial"]
    line = refused(petite.main(*arguments))
    assert message in line and str(file) in line
    assert set(petite.num_attempts.values()) <= {0}


def test_weights_of_another_network_are_refused_with_the_first_tensor_that_differs(petite: Any, tmp_path: Path) -> None:
    import torch

    file = tmp_path / "other.pth"
    torch.save({"conv1.weight": torch.zeros(8, 3, 3, 3)}, file)
    arguments = ["--data", f"parquet:{petite.pictures}", "--pretrained", str(file), "--epochs", "1", "--serial"]
    line = refused(petite.main(*arguments))
    assert f"{file}: weights do not fit model 'resnet18'" in line
    assert line.endswith("; or --exclude teacher_pretrained (leaves out 2 of 8 jobs)")
    assert not Store(petite.store).plans() and not Store(petite.store).run_ids()


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No weights in the cache of torch, and nowhere to download them from."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr("trainers.pretrained.IMAGENET_URL", (tmp_path / "resnet18-f37072fd.pth").as_uri())


@pytest.mark.usefixtures("offline")
def test_missing_weights_are_said_before_pictures_are_prepared_with_the_jobs_that_need_them(petite: Any) -> None:
    arguments = ["--data", f"parquet:{petite.pictures}", "--epochs", "1", "--serial"]
    outcome = petite.main(*arguments)
    line = refused(outcome)
    assert "preparing" not in outcome.out and not list((petite.store / "data").glob("*"))
    assert line.endswith("; or --exclude teacher_pretrained (leaves out 2 of 8 jobs)")
    assert not Store(petite.store).plans()
    only = refused(petite.main(*arguments, "--only", "student_kd_pretrained"))
    assert "--exclude" not in only
    outcome = petite.main(*arguments, "--exclude", "teacher_pretrained", "--only", "conv_group")
    assert outcome.code == 0 and "pretraining" not in outcome.out


class Mischief:
    """Unpickling it leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


def test_a_file_of_weights_is_never_unpickled(petite: Any, tmp_path: Path) -> None:
    import torch

    file, mark = tmp_path / "evil.pth", tmp_path / "mark"
    torch.save({"conv1.weight": Mischief(mark)}, file)
    arguments = ["--data", f"parquet:{petite.pictures}", "--pretrained", str(file), "--epochs", "1", "--serial"]
    assert "is not a file of weights" in refused(petite.main(*arguments))
    assert not mark.exists()


def test_weights_that_no_job_needs_are_not_read(petite: Any, tmp_path: Path) -> None:
    file = tmp_path / "w.pth"
    file.write_text("not weights\n")
    arguments = ["--data", f"parquet:{petite.pictures}", "--pretrained", str(file), "--epochs", "1", "--serial"]
    assert petite.main(*arguments, "--only", "conv_group").code == 0


def test_a_network_too_deep_for_the_pictures_is_refused_before_anything_trains(petite: Any) -> None:
    arguments = ["--only", "conv_plain", "--only", "conv_group", "--set", "conv_group:model.name=torchvision:alexnet"]
    line = refused(petite.main(*petite.report, "--serial", *arguments))
    assert line.startswith("model torchvision:alexnet cannot take pictures of 16 pixels (")
    assert set(petite.num_attempts.values()) <= {0}


@pytest.mark.parametrize("inside", ["", "below/it"])
def test_a_store_that_cannot_be_written_is_named(petite: Any, tmp_path: Path, inside: str) -> None:
    file = tmp_path / "in-the-way"
    file.write_text("precious")
    line = refused(petite.main(*petite.report, "--serial", "--store", str(file / inside)))
    assert line.startswith(f"store {file / inside} cannot be written (") and line.endswith("with --store")
    assert file.read_text() == "precious"


@pytest.mark.parametrize("mode", ["--serial", "--plan"])
def test_a_store_of_a_newer_version_is_left_alone(petite: Any, mode: str) -> None:
    store = Store(petite.store).open()
    from trainers.records import encode_record

    newer = encode_record({"schema_version": 2})
    (store.root / "store.json").write_bytes(newer)
    line = refused(petite.main(*petite.report, mode))
    assert "has schema version 2; this version reads up to 1: update Petite or choose another --store" in line
    assert (store.root / "store.json").read_bytes() == newer
    assert not (store.root / "runs").exists()


def test_a_store_whose_version_is_damaged_is_refused(petite: Any) -> None:
    store = Store(petite.store).open()
    (store.root / "store.json").write_text(json.dumps({"schema_version": 1}))
    assert f"{store.root / 'store.json'} cannot be read" in refused(petite.main(*petite.report, "--serial"))


@pytest.mark.parametrize(
    ("wish", "needs"),
    [
        (["--cpus-per-trial", "teacher=1e9", "--gpus-per-trial", "teacher=99"], "needs 1e+09 CPUs and 99 GPUs"),
        (["--gpus-per-trial", "variant=64"], "needs 1 CPUs and 64 GPUs"),
    ],
)
def test_more_than_this_machine_has_is_refused_before_a_job_starts(petite: Any, wish: list[str], needs: str) -> None:
    line = refused(petite.main(*petite.report, "--serial", *wish))
    assert needs in line and line.endswith("lower --cpus-per-trial or --gpus-per-trial")
    assert not Store(petite.store).plans() and not Store(petite.store).run_ids()


def test_options_that_do_not_exist_end_with_code_2(petite: Any) -> None:
    outcome = petite.main("--epoch", "3")
    assert outcome.code == 2
    assert outcome.err == "error: unrecognized arguments: --epoch 3; --help lists what there is\n"


@pytest.mark.parametrize("option", ["--epochs", "--limit", "--image-size", "--batch-size", "--max-concurrent"])
def test_a_number_that_is_none_is_named(petite: Any, option: str) -> None:
    outcome = petite.main(option, "many")
    wrong = "'many' is not a whole number (of 18 digits at most); --help lists what there is"
    assert (outcome.code, outcome.err) == (2, f"error: argument {option}: {wrong}\n")
