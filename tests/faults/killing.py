"""A tiny sweep, killed at each boundary of its files and run again: a process that has torch ready and forks for each.

    python tests/faults/killing.py FOLDER NUMBER COMMAND...

FOLDER gets the stores; NUMBER boundaries are drawn (0: all), every kind of file and operation among them. COMMAND are
the sweep's arguments but for `--store`. Prints one line of JSON per boundary.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).resolve().parent)]

from boundaries import Boundaries  # noqa: E402
from sameness import problems_of, summary  # noqa: E402

TIMEOUT_SECONDS = 120


WARM = (
    *("torch", "analysis.terminal", "analysis.verify", "sweeps.driver", "sweeps.history", "sweeps.run_all"),
    *("sweeps.serial", "trainers.loop", "trainers.prepare", "trainers.pretrained"),
)
"""What every child needs; nothing is computed with it, since a forked child cannot take over torch's threads."""


def forked(act: Callable[[], int], output: Path) -> int | None:
    """Run in a child whose output goes to a file; its exit code, minus a signal's number, or None if it hung."""
    child = os.fork()
    if child == 0:
        target = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(target, 1)
        os.dup2(target, 2)
        try:
            code = act()
        except BaseException:  # noqa: BLE001  # a child must not go on as its parent
            traceback.print_exc()
            code = 99
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return waited(child)


def waited(child: int) -> int | None:
    """How a child ended; None, and it is killed, if it has not within the time."""
    end = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def run(arguments: list[str], store: Path, fatal: int, notes: Path) -> int | None:
    """The command in a child; boundaries and trained epochs go to the notes."""

    def act() -> int:
        descriptor = os.open(notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        note_epochs(lambda text: os.write(descriptor, f"{text}\n".encode()))
        Boundaries(store, fatal, lambda text: os.write(descriptor, f"{text}\n".encode())).watch()
        from sweeps.run_all import main

        return main(["--store", str(store), "--serial", "--no-report", *arguments])

    return forked(act, notes.with_suffix(".out"))


def note_epochs(note: Callable[[str], Any]) -> None:
    """Tell every epoch of a training that came to its end."""
    from trainers.training import Training

    real = Training.run_epoch

    def run_epoch(self: Training, epoch: int) -> Any:
        record = real(self, epoch)
        note("trained epoch")
        return record

    Training.run_epoch = run_epoch  # type: ignore[method-assign]


def lines(notes: Path) -> tuple[list[str], int]:
    """The boundaries that were reached, and how many epochs were trained."""
    text = notes.read_text().splitlines() if notes.exists() else []
    return [line for line in text if line != "trained epoch"], text.count("trained epoch")


def chosen(reached: list[str], number: int) -> list[int]:
    """Boundaries, counted from 1: all, or one of every kind and then any, up to a number."""
    if number == 0:
        return list(range(1, len(reached) + 1))
    draw = random.Random(0)
    kinds = {kind: [at for at, one in enumerate(reached, 1) if one == kind] for kind in dict.fromkeys(reached)}
    files = list(dict.fromkeys(kind.rpartition(" ")[2] for kind in kinds))
    per_file = [draw.choice([kind for kind in kinds if kind.rpartition(" ")[2] == file]) for file in files]
    points = [draw.choice(kinds[kind]) for kind in per_file]
    rest = [at for at in range(1, len(reached) + 1) if at not in points]
    return sorted([*points, *draw.sample(rest, max(0, min(len(rest), number - len(points))))])


def result_files(store: Path) -> dict[str, bytes]:
    """Every result that is there."""
    return {str(file): file.read_bytes() for file in sorted(store.glob("runs/*/result.json"))}


def trial(folder: Path, arguments: list[str], number: int, expected: dict[str, Any]) -> dict[str, Any]:
    """Kill at one boundary, read everything, run the same command again, compare."""
    store, notes = folder / "store", folder / "notes"
    code = run(arguments, store, number, notes)
    at = (lines(notes)[0] or [""])[-1]
    finished = result_files(store)
    read = folder / "read.out"
    wrong = [] if forked(lambda: readable(store, expected), read) == 0 else [f"reading: {read.read_text()[-2000:]}"]
    again = run(arguments, store, 0, notes.with_name("again"))
    said = notes.with_name("again.out").read_text()
    if again != expected["code"] or "Traceback" in said:
        wrong.append(f"again: code {again}: {said[-2000:]}")
    lost = [file for file, content in finished.items() if not same_bytes(Path(file), content)]
    num_epochs = sum(lines(file)[1] for file in (notes, notes.with_name("again")))
    wrong += different(store, folder / "summary.json", expected["summary"])
    return {
        "number": number,
        "at": at,
        "was_killed": code == -signal.SIGKILL,
        "hung": code is None or again is None,
        "lost": len(lost),
        "repeated": num_epochs - expected["num_epochs"],
        "wrong": wrong,
    }


def same_bytes(file: Path, content: bytes) -> bool:
    return file.exists() and file.read_bytes() == content


def readable(store: Path, expected: dict[str, Any]) -> int:
    """1 if a reader says anything that is not true of what the kill left."""
    wrong = list(problems_of(store, expected["summary"]))
    print("\n".join(wrong))
    return 1 if wrong else 0


def different(store: Path, output: Path, expected: dict[str, Any]) -> list[str]:
    """What the store has other than the undisturbed one."""
    found = summarised(store, output)
    keys = {*found, *expected}
    return [
        f"{key}: {str(found.get(key))[:300]} is not {str(expected.get(key))[:300]}"
        for key in sorted(keys)
        if found.get(key) != expected.get(key)
    ]


def summarised(store: Path, output: Path) -> dict[str, Any]:
    """A summary, made by a child."""

    def act() -> int:
        output.write_text(json.dumps(summary(store)))
        return 0

    code = forked(act, output.with_suffix(".out"))
    if code != 0:
        return {"no summary": output.with_suffix(".out").read_text()[-2000:]}
    loaded: dict[str, Any] = json.loads(output.read_text())
    return loaded


def trials(folder: Path, number: int, arguments: list[str]) -> Iterator[dict[str, Any]]:
    """The undisturbed sweep, then one with a kill for each chosen boundary."""
    whole = folder / "whole"
    whole.mkdir(parents=True)
    code = run(arguments, whole / "store", 0, whole / "notes")
    reached, num_epochs = lines(whole / "notes")
    found = summarised(whole / "store", whole / "summary.json")
    expected = {"code": code, "num_epochs": num_epochs, "summary": found}
    yield {"boundaries": len(reached), "kinds": sorted(set(reached)), "code": code, "num_epochs": num_epochs}
    for point in chosen(reached, number):
        place = folder / f"at-{point}"
        place.mkdir()
        one = trial(place, arguments, point, expected)
        yield one
        if not one["wrong"]:
            shutil.rmtree(place)


def main() -> None:
    folder, number, *arguments = sys.argv[1:]
    for name in WARM:
        importlib.import_module(name)
    for line in trials(Path(folder), int(number), arguments):
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
