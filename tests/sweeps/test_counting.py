"""Networks counted by another process, while this one starts Ray."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sweeps.counting import count_networks, counted_beside
from trainers.errors import PluginError, SpecError
from trainers.plugin_folder import PluginFolder, read_folder
from trainers.spec import Choice

ROOT = Path(__file__).resolve().parents[2]
SMALL = Choice(name="conv_plain", args={"num_classes": 3, "image_size": 32})
OWN = """from torch import nn
def build(*, num_classes, image_size):
    return nn.Sequential(nn.Conv2d(3, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, num_classes))
"""


def own(tmp_path: Path, text: str) -> PluginFolder:
    """A user's folder with the network `dot`."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "dot.py").write_text(text)
    return read_folder(tmp_path)


def test_another_process_counts_what_this_one_would() -> None:
    models = (SMALL, Choice(name="resnet18", args={"num_classes": 5, "image_size": 32}))
    with counted_beside(models, None) as counted:
        assert counted() == count_networks(models)


def test_a_users_network_is_counted_there_as_well(tmp_path: Path) -> None:
    model = Choice(name="dot", args={"num_classes": 3, "image_size": 4})
    with counted_beside([model], own(tmp_path, OWN)) as counted:
        assert counted() == ((model, 4 * 4 * 3 * 2 + 2 * 3, (3 * 2 + 2) + (2 * 3 + 3)),)


def test_a_network_that_cannot_take_its_pictures_is_refused_from_there() -> None:
    wrong = Choice(name="conv_plain", args={"num_classes": 3, "image_size": 1, "stem_stride": 2})
    deep = Choice(name="torchvision", args={"architecture": "squeezenet1_1", "num_classes": 3, "image_size": 8})
    for model in (wrong, deep):
        with counted_beside([model], None) as counted, pytest.raises((SpecError, PluginError)) as caught:
            counted()
        with pytest.raises(type(caught.value)) as here:
            count_networks([model])
        assert str(caught.value) == str(here.value)


def test_a_fault_in_a_users_network_is_told_as_such(tmp_path: Path) -> None:
    folder = own(tmp_path, OWN.replace("Flatten()", "Flaten()"))
    model = Choice(name="dot", args={"num_classes": 3, "image_size": 4})
    with counted_beside([model], folder) as counted, pytest.raises(PluginError, match=r"dot\.py, line 3: build\(\)"):
        counted()


def test_this_process_imports_no_torch_for_it() -> None:
    code = (
        "import json, sys\n"
        "from sweeps.counting import counted_beside\n"
        "from trainers.spec import Choice\n"
        "model = Choice(name='conv_plain', args={'num_classes': 3, 'image_size': 32})\n"
        "with counted_beside([model], None) as counted:\n"
        "    found = counted()\n"
        "print(json.dumps([found[0][1] > 0, 'torch' in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [True, False]
