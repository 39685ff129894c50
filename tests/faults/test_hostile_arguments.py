"""Arguments that nobody gives by mistake: one line on stderr, exit code 2, no traceback, and nothing is written."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.faults

NESTED = "[" * 1_800 + "]" * 1_800
DIGITS = "9" * 4_000
NUMBERS = ",".join(map(str, range(1, 102)))
RATES = ",".join(f"0.{number:03d}" for number in range(1, 102))

TEXTS: dict[str, tuple[list[str], str]] = {
    "NUL in a folder of pictures": (["--data", "images:a\0b"], "control character '\\x00'"),
    "NUL in a Parquet file": (["--data", "parquet:a\0b"], "control character"),
    "NUL in a copy of a set": (["--data", "torchvision:GTSRB:a\0b"], "control character"),
    "NUL in a teacher": (["--teacher", "a\0b"], "--teacher 'a\\x00b' has the control character"),
    "NUL in weights": (["--pretrained", "a\0b"], "control character"),
    "NUL in plug-ins": (["--plugins", "a\0b"], "control character"),
    "line ends in a label": (["--only", "a\nerror: all is well"], "control character '\\n'"),
    "escape sequence in a label": (["--only", "\x1b[2J"], "control character '\\x1b'"),
    "a name of 300 characters": (["--data", "images:" + "x" * 300], "File name too long"),
    "a book as a label": (["--only", "x" * 5_000], "has 5000 characters; allowed: 4096 at most"),
    "the home of nobody": (["--data", "images:~nobody-at-all/x"], "no user 'nobody-at-all'"),
    "a sweep elsewhere": (["--sweep", "../../etc/passwd"], "unknown sweep '../../etc/passwd'"),
    "a model elsewhere": (["--set", "model.name=../../x"], "unknown model '../../x'"),
    "a teacher's model elsewhere": (["--teacher", __file__, "--teacher-model", "/etc/x"], "unknown model '/etc/x'"),
    "Python's insides": (["--set", "__class__.__init__=1"], "unknown key '__class__.__init__'"),
    "a billion epochs": (["--epochs", "1000000000"], "epochs is 1000000000; allowed: 999999 at most"),
    "4,000 digits of epochs": (["--epochs", DIGITS], "is not a whole number (of 18 digits at most)"),
    "4,000 digits of a field": (["--set", f"epochs={DIGITS}"], "allowed: 999999 at most"),
    "an infinite rate": (["--set", "optimizer.lr=1e999"], "optimizer.lr is inf; allowed: finite numbers"),
    "a rate that is no number": (["--set", "optimizer.lr=NaN"], "optimizer.lr is nan; allowed: finite numbers"),
    "a temperature that is no number": (["--set", "objective.temperature=NaN"], "allowed: finite numbers"),
    "widths that are no numbers": (["--set", "model.channels=[1e999]"], "allowed: finite numbers"),
    "negative infinity": (["--grid", "optimizer.lr=-Infinity,1"], "allowed: finite numbers"),
    "another script's digit": (["--seeds", "٣"], "is not a list of numbers"),
    "a digit with an underscore": (["--epochs", "1_0"], "'1_0' is not a whole number"),
    "a seed beyond 64 bits": (["--seeds", "9" * 30], "is not a list of numbers"),
    "a million seeds": (["--seeds", ",".join(map(str, range(10**6)))], "names 1,000,000 seeds; allowed: 10,000 at"),
    "a million combinations": (
        ["--grid", f"optimizer.lr={RATES}", "--grid", f"epochs={NUMBERS}", "--grid", "batch_size=" + NUMBERS[2:]],
        "--grid makes 1,020,100 combinations (101 x 101 x 100); allowed: 10,000 at most",
    ),
    "nested lists": (["--set", f"epochs={NESTED}"], "allowed: a whole number"),
    "nested lists of a model": (["--set", f"model.name=resnet_cifar:{NESTED}"], "allowed: int, like its default 20"),
    "a pattern that takes for ever": (["--only", "*a" * 2_000], "no job is called"),
    "an unclosed pattern": (["--only", "[a" * 2_000], "no job is called"),
    "a picture of the size of a wall": (["--image-size", "1000000"], "--image-size is 1000000; allowed: 8000 at most"),
    "views beyond 64 bits": (["--set", f"view_seed={2**63}"], "view_seed is 9223372036854775808; allowed: 0 or more"),
    "time without end": (["--max-hours", "inf"], "--max-hours is inf; allowed"),
    "a share that is no number": (["--gpus-per-trial", "student=nan"], "student=nan; allowed"),
    "an address that is none": (["--address", "http://x/$(touch y)"], "allowed: HOST:PORT, or auto"),
    "an unknown option with a line end": (["--no\nsuch"], "unrecognized arguments: --no such"),
}
FILES: dict[str, tuple[str, str, str]] = {
    "a pipe as a teacher": ("--teacher", "fifo", "cannot be read (a pipe, socket or device, not a file)"),
    "zeros without end as a teacher": ("--teacher", "/dev/zero", "cannot be read (a pipe, socket or device"),
    "a socket as weights": ("--pretrained", "socket", "cannot be read (a pipe, socket or device"),
    "a folder as weights": ("--pretrained", ".", "cannot be read (Is a directory)"),
    "a link to itself as weights": ("--pretrained", "loop", "cannot be read (Too many levels of symbolic links)"),
    "a terabyte as a teacher": ("--teacher", "sparse", "cannot be read (1099.5 GB; at most 8.6 GB)"),
    "a pipe as Parquet": ("--data", "parquet:fifo", "no Parquet file at"),
    "a folder of pipes as Parquet": ("--data", "parquet:pipes", "no Parquet file at"),
    "a link to itself as plug-ins": ("--plugins", "loop", "has no plug-in"),
    "plug-ins that are no Python": ("--plugins", "wrong", "mine.py is not Python"),
    "a plug-in that calls itself": ("--plugins", "endless", "failed (RecursionError"),
}
STORES = {
    "a store with a NUL": ("a\0b", "control character"),
    "a store with a line end": ("a\nb", "control character"),
    "a store without a name": ("", "give a folder"),
    "a store at home with nobody": ("~nobody-at-all/x", "no user 'nobody-at-all'"),
    "a store of 300 characters": ("x" * 300, "File name too long"),
    "a file as a store": ("file", "cannot be written (it is no folder)"),
    "a link to itself as a store": ("loop", "cannot be written (it is no folder)"),
    "a store that swallows everything": ("/dev/null", "cannot be written (it is no folder)"),
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of things that are no files, in which the command is given."""
    monkeypatch.chdir(tmp_path)
    os.mkfifo("fifo")
    os.symlink("loop", "loop")
    Path("file").write_text("x")
    Path("pipes").mkdir()
    os.mkfifo("pipes/train.parquet")
    with open("sparse", "wb") as stream:
        stream.truncate(2**40)
    for name, text in (("wrong/models", "def build(:"), ("endless/sweeps", "def jobs(context):\n    return jobs(1)\n")):
        Path(name).mkdir(parents=True)
        Path(name, "mine.py").write_text(text)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        yield tmp_path


Refused = Callable[..., str]


@pytest.fixture
def refused(place: Path, capfd: pytest.CaptureFixture[str]) -> Refused:
    """Gives the one line with which arguments are refused, and sees that nothing was written."""
    from sweeps.run_all import main

    def refused_(*arguments: str, store: str = "store") -> str:
        before = sorted(place.rglob("*"))
        try:
            code: Any = main(["--store", store, *arguments])
        except SystemExit as exit_:
            code = exit_.code
        out, err = capfd.readouterr()
        assert code == 2, (code, out, err)
        (line,) = err.splitlines()
        assert line.startswith("error: ") and line.isprintable() and len(line) < 4_200
        assert sorted(place.rglob("*")) == before
        return line

    return refused_


@pytest.mark.parametrize(("arguments", "message"), TEXTS.values(), ids=TEXTS)
def test_a_hostile_text_is_refused_in_one_line(refused: Refused, arguments: list[str], message: str) -> None:
    assert message in refused(*arguments, "--plan")


@pytest.mark.parametrize(("option", "file", "message"), FILES.values(), ids=FILES)
def test_what_is_no_file_is_refused_in_one_line_and_never_read_for_ever(
    refused: Refused, option: str, file: str, message: str
) -> None:
    sweep = ["--sweep", "mine"] if file == "endless" else []
    assert message in refused(option, file, "--plan", *sweep)


@pytest.mark.parametrize(("store", "message"), STORES.values(), ids=STORES)
@pytest.mark.parametrize("mode", ["--plan", "--serial"])
def test_a_hostile_store_is_refused_in_one_line(refused: Refused, store: str, message: str, mode: str) -> None:
    assert message in refused(mode, store=store)


def test_a_store_that_cannot_be_written_is_refused_in_one_line(refused: Refused) -> None:
    assert "cannot be written" in refused("--serial", store="/proc/self")


def test_the_hostile_arguments_are_counted(inject: Callable[..., None]) -> None:
    number = len(TEXTS) + len(FILES) + 2 * len(STORES)
    assert number >= 30
    inject(
        fault="hostile argument",
        times=number,
        finished_lost=0,
        repeated="nothing",
        outcome="each refused in one line, exit code 2, nothing written",
    )
