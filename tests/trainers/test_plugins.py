"""Plug-ins are found by their files, and looking at them imports nothing heavy."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import trainers
from trainers import plugins
from trainers.errors import PluginError, SpecError
from trainers.plugins import Kind, Required

ROOT = Path(trainers.__file__).parent.parent


def test_the_names_are_the_files() -> None:
    files = {file.stem for file in (ROOT / "trainers" / "models").glob("*.py")} - {"__init__"}
    assert plugins.names(Kind.MODEL) == tuple(sorted(files))
    assert {"conv_depthwise", "conv_group", "conv_plain", "resnet18", "student"} <= files
    assert {"cross_entropy", "kd"} <= set(plugins.names(Kind.OBJECTIVE))
    assert "parquet" in plugins.names(Kind.DATA)


@pytest.mark.parametrize(
    ("kind", "noun"),
    [(Kind.MODEL, "model"), (Kind.OBJECTIVE, "objective"), (Kind.DATA, "data set"), (Kind.SWEEP, "sweep")],
)
def test_an_unknown_name_is_answered_with_all_there_is(kind: Kind, noun: str) -> None:
    with pytest.raises(PluginError) as caught:
        plugins.load(kind, "resnt")
    assert str(caught.value) == f"unknown {noun} 'resnt'; have: {', '.join(plugins.names(kind))}"


@pytest.mark.parametrize("name", ["__init__", "../errors", "", "resnet18.py"])
def test_a_name_that_is_no_plug_in_reaches_no_file(name: str) -> None:
    with pytest.raises(PluginError, match="unknown model"):
        plugins.source_file(Kind.MODEL, name)


def test_arguments_are_read_with_their_defaults() -> None:
    assert plugins.arguments(Kind.MODEL, "resnet18") == {
        "num_classes": Required.REQUIRED,
        "image_size": Required.REQUIRED,
        "stem_stride": 2,
        "max_pool": True,
    }


def resolve(**args: Any) -> dict[str, Any]:
    return plugins.resolve(Kind.MODEL, "student", {"num_classes": 11, "image_size": 32, **args})


def test_defaults_are_filled_in_so_that_spelling_one_out_changes_nothing() -> None:
    assert resolve() == resolve(stem_stride=2, strides=(1, 2, 1, 2, 1, 2))
    assert resolve(width=1, channels=[16, 32, 32, 64, 64, 128]) == resolve()
    assert resolve(width=2)["width"] == 2.0
    assert list(resolve(stem_stride=1)) == ["num_classes", "image_size", "stem_stride", "strides"]
    assert resolve(stem_stride=1)["stem_stride"] == 1


def test_a_list_becomes_a_tuple_and_a_whole_number_a_float_where_one_is_meant() -> None:
    assert resolve(strides=[1] * 6)["strides"] == (1, 1, 1, 1, 1, 1)
    temperature = plugins.resolve(Kind.OBJECTIVE, "kd", {"temperature": 4})["temperature"]
    assert (temperature, type(temperature)) == (4.0, float)


REFUSED = [
    (
        {"depth": 2},
        "model 'student' has no argument 'depth'; have: num_classes, image_size, stem_stride, strides, channels, width",
    ),
    ({"stem_stride": 2.5}, "student.stem_stride is 2.5; allowed: int, like its default 2"),
    ({"stem_stride": True}, "student.stem_stride is True; allowed: int, like its default 2"),
    ({"strides": 2}, "student.strides is 2; allowed: tuple, like its default (1, 2, 1, 2, 1, 2)"),
]


@pytest.mark.parametrize(("args", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_a_wrong_argument_is_named_with_what_is_allowed(args: dict[str, Any], message: str) -> None:
    with pytest.raises(PluginError) as caught:
        resolve(**args)
    assert str(caught.value) == message


def test_a_missing_argument_is_named() -> None:
    with pytest.raises(PluginError, match="model 'student' needs image_size"):
        plugins.resolve(Kind.MODEL, "student", {"num_classes": 11})


def test_constants_are_read_without_importing() -> None:
    assert plugins.constant(Kind.MODEL, "resnet18", "HEAD", None) == "fc"
    assert plugins.constant(Kind.OBJECTIVE, "kd", "NEEDS_TEACHER", None) is True
    assert plugins.constant(Kind.DATA, "parquet", "SOURCE_DATA", "unset") is None
    assert plugins.constant(Kind.MODEL, "resnet18", "NOT_THERE", "default") == "default"


def test_a_digest_is_that_of_the_source_text() -> None:
    source = (ROOT / "trainers" / "models" / "resnet18.py").read_bytes()
    expected = hashlib.sha256(source).hexdigest()[:12]
    assert plugins.module_digest("trainers.models.resnet18") == expected
    assert plugins.module_digest("trainers.models.was_deleted") == ""


@pytest.fixture
def own_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands where the models are."""
    monkeypatch.setattr(plugins, "folders", lambda kind: (tmp_path,))
    return tmp_path


def test_a_new_file_is_a_new_model_without_another_edit(own_models: Path) -> None:
    (own_models / "tiny.py").write_text('"""Tiny."""\n\n\ndef build(*, num_classes: int, width: int = 3):\n    ...\n')
    (own_models / "_private.py").write_text("")
    (own_models / "notes.txt").write_text("")
    assert plugins.names(Kind.MODEL) == ("tiny",)
    assert plugins.docstring(Kind.MODEL, "tiny") == "Tiny."
    assert plugins.resolve(Kind.MODEL, "tiny", {"num_classes": 2}) == {"num_classes": 2, "width": 3}


def test_a_file_without_build_is_told_what_to_add(own_models: Path) -> None:
    (own_models / "empty.py").write_text("")
    with pytest.raises(PluginError, match=r"model 'empty' has no function build\(\*, \.\.\.\); add one to .*empty\.py"):
        plugins.arguments(Kind.MODEL, "empty")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def build(*, width=3 +): ...", r"bad\.py is not Python: .*line 1"),
        ("def build(width=3): ...", r"bad\.py: build takes arguments by position; write build\(\*, \.\.\.\)"),
        ("def build(*, width=WIDTH): ...", r"bad\.py: width is WIDTH; a plan can read literals only"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(own_models: Path, source: str, message: str) -> None:
    (own_models / "bad.py").write_text(source)
    with pytest.raises(PluginError, match=message):
        plugins.arguments(Kind.MODEL, "bad")


def test_a_file_that_changes_is_read_again(own_models: Path) -> None:
    for width in (3, 4):
        (own_models / "moving.py").write_text(f"def build(*, width={width}): ...")
        assert plugins.arguments(Kind.MODEL, "moving") == {"width": width}


def test_what_a_file_imports_of_ours_is_known_however_it_is_written(own_models: Path) -> None:
    lines = ("import torch", "from trainers import convolutions", "from trainers.errors import SpecError", "import re")
    (own_models / "one.py").write_text("\n".join(lines))
    assert plugins.imported(Kind.MODEL, "one") == ("trainers.convolutions", "trainers.errors")


def test_a_constant_may_carry_its_type(own_models: Path) -> None:
    (own_models / "typed.py").write_text('HEAD: str = "fc"\nWIDTH: int\n')
    assert plugins.constant(Kind.MODEL, "typed", "HEAD", None) == "fc"
    assert plugins.constant(Kind.MODEL, "typed", "WIDTH", "unset") == "unset"


def test_constants_may_be_assigned_several_at_once(own_models: Path) -> None:
    (own_models / "pair.py").write_text('PRETRAINED, SOURCE_DATA = "imagenet", None\nHEAD = NAME = "fc"\n')
    names = ("PRETRAINED", "SOURCE_DATA", "HEAD", "NAME")
    assert [plugins.constant(Kind.MODEL, "pair", name, "unset") for name in names] == ["imagenet", None, "fc", "fc"]
    (own_models / "made.py").write_text("PRETRAINED, SOURCE_DATA = defaults()\n")
    with pytest.raises(PluginError, match=r"SOURCE_DATA is defaults\(\); a plan can read literals only"):
        plugins.constant(Kind.MODEL, "made", "SOURCE_DATA", None)


def test_a_value_after_the_name_is_the_main_argument() -> None:
    assert plugins.parse(Kind.MODEL, "torchvision:resnet50") == ("torchvision", {"architecture": "resnet50"})
    assert plugins.parse(Kind.MODEL, "resnet_cifar:32") == ("resnet_cifar", {"depth": 32})
    assert plugins.parse(Kind.MODEL, "student") == ("student", {})
    with pytest.raises(PluginError, match="model 'resnet18' takes no '50' after its name"):
        plugins.parse(Kind.MODEL, "resnet18:50")
    with pytest.raises(PluginError, match="unknown model 'torchvisoin'; have: "):
        plugins.parse(Kind.MODEL, "torchvisoin:resnet50")


def test_a_package_that_a_file_requires_and_that_is_missing_is_named(own_models: Path) -> None:
    (own_models / "exotic.py").write_text('REQUIRES = "no_such_package"\ndef build(*, num_classes): ...\n')
    with pytest.raises(PluginError, match=r"'exotic' needs the package no_such_package, .*pip install no_such_package"):
        plugins.resolve(Kind.MODEL, "exotic", {"num_classes": 2})


def test_an_unknown_architecture_is_answered_with_near_ones() -> None:
    with pytest.raises(SpecError) as caught:
        plugins.resolve(Kind.MODEL, "torchvision", {"num_classes": 2, "image_size": 32, "architecture": "resnet51"})
    assert str(caught.value).startswith("model 'torchvision': unknown architecture 'resnet51'; torchvision has ")
    assert "resnet50" in str(caught.value)


def test_the_vocabulary_and_the_data_import_neither_torch_nor_ray() -> None:
    light = (
        "errors",
        "spec",
        "result",
        "storage",
        "files",
        "plugins",
        "plugin_folder",
        "architectures",
        "prepare",
        "images",
    )
    modules = [f"trainers.{name}" for name in light]
    modules += [f"trainers.data.{name}" for name in plugins.names(Kind.DATA)]
    code = f"import {', '.join(modules)}, sys; print(sorted({{'torch', 'ray', 'torchvision'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
