"""More than two hundred bad images: each is what a person sees or is counted by its name; nothing hangs or bursts."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainers.data import images
from trainers.errors import DataError
from trainers.result import Split
from trainers.storage import Store

pytestmark = pytest.mark.faults

ROOT = Path(__file__).resolve().parents[2]
SECONDS, MOST_MEGABYTES = 30, 500
AS_PAINTED = ("really-a-", "moving.", "two-views", "no-suffix", "SHOUTED", "exif-turned-0", "exif-turned-99")


def _load(name: str) -> Any:
    """A module beside this file, which no package holds."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


bad_images = _load("bad_images")
Fate = bad_images.Fate


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes: `bad` with all of them and folders that are called pictures, `good` with pictures of one colour."""
    root: Path = tmp_path_factory.mktemp("images")
    bad_images.write_all(root / "bad")
    (root / "bad" / "again.jpg").symlink_to(root / "bad", target_is_directory=True)
    (root / "bad" / "empty.jpg").mkdir()
    (root / "bad" / "self").symlink_to("self")
    (root / "good").mkdir()
    for seed in range(40):
        (root / "good" / f"{seed}.png").write_bytes(bad_images.saved(bad_images.picture(seed=1000 + seed), "png"))
    return root


@contextmanager
def time_limit() -> Iterator[None]:
    """TimeoutError for what takes too long, as a pipe would that is read for ever."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"it took more than {SECONDS} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def test_every_bad_image_is_what_a_person_sees_or_is_refused_by_its_name(folder: Path) -> None:
    raw = images.read(str(folder))
    fates = {bad.name: bad.fate for bad in bad_images.all_bad()} | {"self": Fate.REFUSED}
    painted = np.asarray(bad_images.picture()).astype(int)
    names = [raw.name(Split.TRAIN, index) for index in range(len(raw.labels[Split.TRAIN]))]
    mine = {index: name.removeprefix("bad/") for index, name in enumerate(names) if name.startswith("bad/")}
    assert sorted(mine.values()) == sorted(fates), "a file was dropped without a word"
    for index, name in mine.items():
        with time_limit():
            try:
                seen = raw.decode(Split.TRAIN, index)
            except DataError as error:
                assert fates[name] is not Fate.SEEN, error
                assert str(error).startswith(f"image bad/{name} ") and "\n" not in str(error).replace(name, "")
                continue
        assert fates[name] is not Fate.REFUSED, name
        assert seen.mode == "RGB"
        if name.startswith(AS_PAINTED):
            assert np.abs(np.asarray(seen) - painted).mean() < 10, name


@pytest.mark.parametrize(
    "name", ["bomb.png", "bomb.gif", "bomb.tif", "bomb.bmp", "bomb.jpg", "bomb.ppm", "bomb.webp", "one-too-many.png"]
)
def test_a_bomb_is_refused_with_what_it_declares_and_what_is_allowed(folder: Path, name: str) -> None:
    raw = images.read(str(folder))
    index = next(i for i in range(len(raw.labels[Split.TRAIN])) if raw.name(Split.TRAIN, i) == f"bad/{name}")
    with pytest.raises(DataError, match=rf"image bad/{name} declares \d+ x \d+ pixels; at most 64000000"):
        raw.decode(Split.TRAIN, index)


DECODE_ALL = """
import json, re, sys
from pathlib import Path
from trainers.data import images
from trainers.errors import DataError
from trainers.result import Split
raw, num_refused = images.read(sys.argv[1]), 0
for index in range(len(raw.labels[Split.TRAIN])):
    try:
        raw.decode(Split.TRAIN, index)
    except DataError:
        num_refused += 1
peak_kb = int(re.search("VmHWM:[^0-9]*([0-9]+) kB", Path("/proc/self/status").read_text())[1])
print(json.dumps([num_refused, peak_kb // 1024]))
"""
"""The peak is the kernel's for this program: `ru_maxrss` would count what the process was before it began, pytest."""


def test_all_of_them_are_decoded_within_half_a_gigabyte(folder: Path) -> None:
    command = [sys.executable, "-c", DECODE_ALL, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, cwd=ROOT)
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    num_refused, peak_megabytes = json.loads(done.stdout)
    assert num_refused > 80 and peak_megabytes < MOST_MEGABYTES


def test_a_sweep_over_them_names_the_bad_ones_and_goes_on_where_it_may(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], inject: Callable[..., None]
) -> None:
    from sweeps.run_all import main

    store = tmp_path / "store"
    options = ["--data", f"images:{folder}", "--image-size", "16", "--epochs", "1", "--serial", "--allow-leak"]
    options += ["--only", "student_scratch", "--store", str(store)]
    assert main(options) == 2
    line = _last_line(capfd.readouterr().err)
    assert line.startswith("error: pictures in ") and "pictures cannot be read: image bad/" in line
    assert line.isprintable() and "--skip-bad-images" in line
    assert not Store(store).run_ids()
    assert main([*options, "--skip-bad-images"]) == 0
    out, err = capfd.readouterr()
    assert "Traceback" not in out + err and all(line.isprintable() for line in out.split("\n"))
    (data,) = (store / "data").glob("[0-9a-f]*")
    manifest = Store(store).manifest(data.name)
    num_bad = len(manifest.skipped)
    assert f"data: {num_bad} unreadable pictures were left out: image bad/" in out
    assert sum(manifest.num_images.values()) + num_bad == len(bad_images.all_bad()) + 1 + 40
    assert not Path("/tmp/owned").exists()
    inject(
        fault="bad image",
        times=len(bad_images.all_bad()),
        finished_lost=0,
        repeated="nothing",
        outcome=f"{num_bad} left out by name, the others seen; no hang, no traceback",
    )


def _last_line(text: str) -> str:
    """Without what the library of a format (libtiff) says by itself."""
    return text.splitlines()[-1]


def test_there_are_two_hundred_of_them() -> None:
    assert len({bad.name for bad in bad_images.all_bad()}) >= 200
    assert os.sep not in "".join(bad.name for bad in bad_images.all_bad())
