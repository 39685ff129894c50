"""A tiny sweep on a small disk that something else fills at a random moment, and run again once there is room.

    unshare --mount python tests/faults/filling.py FOLDER NUMBER COMMAND...

Disks are mounted below FOLDER, where nobody else sees them; COMMAND are the sweep's arguments but for `--store`. Prints
one line of JSON for each time.
"""

from __future__ import annotations

import errno
import importlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE)]

from killing import WARM, different, forked, lines, readable, result_files, run, same_bytes, summarised  # noqa: E402

DISK_BYTES = 24 * 2**20
AT_ONCE = 2**18
"""Bytes that the filler adds at a time."""


def fill_after(seconds: float, file: Path, left: int) -> int:
    """Start a process that waits and then takes all of a disk but so many bytes; gives its id."""
    child = os.fork()
    if child == 0:
        time.sleep(seconds)
        with file.open("wb", buffering=0) as stream:
            try:
                while True:
                    stream.write(bytes(AT_ONCE))
            except OSError as error:
                assert error.errno == errno.ENOSPC
            stream.truncate(max(0, stream.tell() - left))
        os._exit(0)
    return child


def trial(
    folder: Path, arguments: list[str], moment: float, draw: random.Random, expected: dict[str, Any]
) -> dict[str, Any]:
    """Fill the disk while the sweep runs, read everything, make room, run the same command again, compare."""
    disk, notes = folder / "disk", folder / "notes"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "small", str(disk)], check=True)
    store, filler = disk / "store", disk / "filler"
    child = fill_after(moment, filler, draw.choice([0, 1, 5_000, 60_000]))
    code = run(arguments, store, 0, notes)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    said, finished = notes.with_suffix(".out").read_text(), result_files(store)
    filler.unlink(missing_ok=True)
    wrong = list(wrong_in(code, said, expected["code"]))
    read = folder / "read.out"
    if store.exists() and forked(lambda: readable(store, expected), read) != 0:
        wrong.append(f"reading: {read.read_text()[-2000:]}")
    again = run(arguments, store, 0, notes.with_name("again"))
    if again != expected["code"]:
        wrong.append(f"again: code {again}: {notes.with_name('again.out').read_text()[-2000:]}")
    lost = [file for file, content in finished.items() if not same_bytes(Path(file), content)]
    num_epochs = sum(lines(file)[1] for file in (notes, notes.with_name("again")))
    wrong += different(store, folder / "summary.json", expected["summary"])
    subprocess.run(["umount", str(disk)], check=True)
    return {
        "moment": moment,
        "was_stopped": code == 2,
        "hung": code is None or again is None,
        "lost": len(lost),
        "repeated": num_epochs - expected["num_epochs"],
        "said": said.splitlines()[-1:],
        "wrong": wrong,
    }


def wrong_in(code: int | None, said: str, expected: int) -> Iterator[str]:
    """What the user should not have seen."""
    if code not in (2, expected) or "Traceback" in said:
        yield f"code {code}: {said[-3000:]}"
    told = [line for line in said.splitlines() if line.startswith("error: ")]
    if code == 2 and (len(told) != 1 or "free some space" not in told[0]):
        yield f"told {told}"


def main() -> None:
    folder, number, *arguments = sys.argv[1:]
    arguments += ["--teacher-logits", "never"]  # which a small disk has no room for anyway
    for name in WARM:
        importlib.import_module(name)
    whole = Path(folder) / "whole"
    whole.mkdir(parents=True)
    begun = time.monotonic()
    code = run(arguments, whole / "store", 0, whole / "notes")
    seconds = time.monotonic() - begun
    found = summarised(whole / "store", whole / "summary.json")
    expected = {
        "code": code,
        "seconds": seconds,
        "num_epochs": lines(whole / "notes")[1],
        "summary": found,
    }
    draw = random.Random(int(number))
    for turn in range(int(number)):
        place = Path(folder) / f"turn-{turn}"
        place.mkdir()
        moment = draw.uniform(0, seconds) if turn else 0.0  # a machine that is slow once would find all of them late
        print(json.dumps(trial(place, arguments, moment, draw, expected)), flush=True)
        shutil.rmtree(place)


if __name__ == "__main__":
    main()
