"""What a user does with the store of a real sweep: look, load, make room, and run the sweep again."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

from analysis.store import main
from trainers.storage import Store

ROOT = Path(__file__).resolve().parents[2]


def test_a_real_sweep_verifies_and_its_prepared_pictures_are_covered(copied: Any) -> None:
    store = Store(copied.store)
    assert main([str(copied.store), "verify"]) == 0
    for fingerprint in {store.spec(run).data for run in store.run_ids()}:
        files = store.manifest(fingerprint).files
        folder = store.data_folder(fingerprint)
        assert set(files) == {file.name for file in folder.iterdir()} - {"manifest.json"}
        for name, record in files.items():
            content = (folder / name).read_bytes()
            assert (record.size_bytes, record.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    images = folder / "train_images.npy"
    content = bytearray(images.read_bytes())
    content[-1] ^= 1
    images.write_bytes(content)
    assert main([str(copied.store), "verify"]) == 1


def test_the_lines_that_show_prints_load_the_network_in_a_fresh_process(finished: Any, capsys: Any) -> None:
    assert main([str(finished.store), "show", "student_kd_pretrained@0"]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()[-3:]]
    before = "from PIL import Image\npictures = [Image.new('RGB', (40, 20), 'red'), Image.new('RGB', (16, 16), 'blue')]"
    after = "print(run.class_names, tuple(probabilities.shape), probabilities.sum(dim=1).round(decimals=5).tolist())"
    code = "\n".join([before, *lines, after])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "('red', 'green', 'blue') (2, 3) [1.0, 1.0]\n", done.stderr


def test_what_was_pruned_by_force_is_trained_again_and_nothing_else(copied: Any, finished: Any) -> None:
    assert main([str(copied.store), "prune", "--keep-best", "1", "--force"]) == 0
    left = set(copied.weights)
    assert 0 < len(left) < 9
    before = copied.num_attempts
    assert copied.main(*copied.report, "--serial").code == 0
    assert copied.trained(before) == set(finished.weights) - left
    assert copied.weights == finished.weights


def test_pruning_what_no_plan_names_changes_nothing_for_the_sweep(copied: Any) -> None:
    files = sorted(copied.store.rglob("*"))
    assert main([str(copied.store), "prune", "--unreferenced"]) == 0
    assert copied.capture.readouterr().out.endswith("0 things removed: 0 bytes\n")
    assert sorted(copied.store.rglob("*")) == files
