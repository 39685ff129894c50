"""Every file of a tiny sweep's store cut short and with flipped bits: who reads it notices, or nothing differs.

    python tests/faults/damaging.py FOLDER all|some FLIPS MENDED COMMAND...

FLIPS bits are flipped in every file, or in one of each kind, one at a time. Then MENDED damages, a kind of file after
the other, are mended by the same command. Prints one line of JSON per file.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import shutil
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).resolve().parent)]

from boundaries import kind_of  # noqa: E402
from killing import WARM, different, forked, lines, run, summarised  # noqa: E402
from sameness import COLUMNS_OF_THE_WAY, of_run  # noqa: E402

NO_NUMBER_RESTS_ON_IT = ("log.txt", "lock")


def files_of(store: Path) -> list[Path]:
    """All but hidden ones and Ray's messages, of every kind one after the other."""
    return [file for file in sorted(store.rglob("*")) if file.is_file() and not is_left_out(file.relative_to(store))]


def is_left_out(path: Path) -> bool:
    return path.parts[0] == "logs" or any(part.startswith(".") for part in path.parts)


def cuts(content: bytes) -> dict[str, bytes]:
    """Cut to nothing, to one byte, to half, and by one byte; those that change anything."""
    found = {"0": b"", "1": content[:1], "half": content[: len(content) // 2], "all but one": content[:-1]}
    return {f"cut to {name}": cut for name, cut in found.items() if cut != content}


def flips(content: bytes, number: int, name: str) -> dict[str, bytes]:
    """One bit flipped, at places that the file's name decides."""
    draw, found = random.Random(name), dict[str, bytes]()
    for _ in range(number if content else 0):
        bit = draw.randrange(8 * len(content))
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        found[f"bit {bit}"] = bytes(changed)
    return found


def put(file: Path, content: bytes) -> None:
    """Change a file as a disk does that rots: its time stays."""
    times = file.stat()
    file.write_bytes(content)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


def verdict(root: Path, file: Path, expected: dict[str, Any]) -> tuple[str, list[str]]:
    """`noticed`, `harmless` or `NOT NOTICED`, and whatever a reader says that is wrong."""
    from analysis.verify import parts
    from trainers.storage import Store

    store, place = Store(root), file.relative_to(root).parts
    wrong = list(wrong_numbers(store, expected)) if place[0] in ("runs", "plans", "tables") else []
    concerned = [part for part in parts(store) if Path(place[1] if len(place) > 1 else "").stem == part.name.split()[1]]
    problems = [problem for part in concerned for problem in part.check() if not problem.is_note]
    if problems or is_refused(store, file):
        return "noticed", wrong
    return ("harmless" if is_harmless(store, file, expected) else "NOT NOTICED"), wrong


def wrong_numbers(store: Any, expected: dict[str, Any]) -> Iterator[str]:
    """Numbers in results or tables that are not those of the undisturbed sweep; what is missing is not wrong."""
    from analysis.rank import write_ranking
    from trainers.errors import SweepError

    for run_ in store.run_ids():
        if store.state(run_).result is not None:
            found, true = of_run(store, run_), expected[f"run {run_}"]
            yield from (f"{run_} {key}" for key in ("result", "curves") if found[key] != true[key])
    try:
        written = write_ranking(store)
    except SweepError:
        return
    for name, frame, key in (("runs", written.runs, "run_id"), ("ranking", written.ranking, "group_id")):
        true = {row[key]: row for row in json.loads(expected[f"table {name}"])}
        for row in json.loads(frame.to_json(orient="records", double_precision=15, default_handler=str)):
            yield from (f"table {name}: {row}" for _ in [0] if not is_true(row, true.get(row[key], {})))


def is_true(row: dict[str, Any], true: dict[str, Any]) -> bool:
    """Whether a row's numbers are the true ones, or are not there."""
    names = ("accuracy", "num_params", "num_macs", "size_bytes", "best_epoch")
    numbers = {key: value for key, value in row.items() if any(name in key for name in names)}
    numbers = {key: value for key, value in numbers.items() if not key.startswith(COLUMNS_OF_THE_WAY)}
    return all(value is None or value == true.get(key) for key, value in numbers.items())


def is_refused(store: Any, file: Path) -> bool:
    """Whether those say so who read what `verify` does not: the version, plug-ins, requests for data."""
    from trainers.errors import SweepError

    kind = file.relative_to(store.root).parts[0]
    try:
        if file.name == "store.json":
            store.check_version()
        if kind == "plugins":
            store.plugins(file.relative_to(store.root).parts[1])
        return "requests" in file.parts and store.prepared_data(file.stem) is None
    except SweepError:
        return True


def is_harmless(store: Any, file: Path, expected: dict[str, Any]) -> bool:
    """Whether the content means what it meant, or it is derived and was made anew, or no number rests on it."""
    from trainers.errors import SweepError
    from trainers.records import decode_record

    if file.name in NO_NUMBER_RESTS_ON_IT or file.parent.name == "tables":
        return True
    if file.suffix != ".json":
        return False
    try:
        return bool(decode_record(file) == expected["records"][str(file.relative_to(store.root))])
    except SweepError:
        return False


def records_of(store: Path) -> dict[str, Any]:
    """The content of every record."""
    from trainers.records import decode_record

    return {str(file.relative_to(store)): decode_record(file) for file in files_of(store) if file.suffix == ".json"}


def tried(store: Path, file: Path, number: int, expected: dict[str, Any]) -> dict[str, Any]:
    """All damages of one file, read one by one; the file is whole again afterwards."""
    content = file.read_bytes()
    name = str(file.relative_to(store))
    verdicts: dict[str, int] = {}
    wrong: list[str] = []
    for damage, changed in {**cuts(content), **flips(content, number, name)}.items():
        put(file, changed)
        said, found = verdict(store, file, expected)
        verdicts[said] = verdicts.get(said, 0) + 1
        wrong += [f"{damage}: {one}" for one in found] + [f"{damage}: {said}"] * (said == "NOT NOTICED")
        put(file, content)
    return {"file": name, "kind": kind_of(str(file), str(store)), "verdicts": verdicts, "wrong": wrong}


def mended(folder: Path, file: str, damage: str, content: bytes, expected: dict[str, Any]) -> dict[str, Any]:
    """One damage, mended by the same command, or by doing first what `verify` says."""
    store = folder / "mended"
    shutil.copytree(folder / "whole" / "store", store, copy_function=shutil.copy2)
    put(store / file, content)
    wrong, way = [], "the same command"
    code = again(folder, store, expected)
    if forked(lambda: follow_advice(store, file), folder / "advice.out") == 0 or code is not None:
        way = "what verify or the command says, and the same command"
        wrong += [text] if (text := again(folder, store, expected)) else []
    # of logits nothing is wrong that has its name, and what is gone is written again once somebody wants to read it
    found = different(store, folder / "mended.json", expected["summary"])
    wrong += [text for text in found if not text.startswith("logits/")]
    shutil.rmtree(store)
    return {"mended": file, "damage": damage, "way": way, "wrong": wrong}


def again(folder: Path, store: Path, expected: dict[str, Any]) -> str | None:
    """Run the command; what was wrong with how it ended."""
    notes = folder / "again"
    notes.with_suffix(".out").unlink(missing_ok=True)
    code, said = run(expected["arguments"], store, 0, notes), notes.with_suffix(".out").read_text()
    return None if code == expected["code"] and "Traceback" not in said else f"code {code}: {said[-1500:]}"


def follow_advice(store: Path, file: str) -> int:
    """Delete what `verify` says should be; 0 if there was anything. A damaged version file the command itself names."""
    from analysis.verify import parts
    from trainers.storage import Store

    problems = [one for part in parts(Store(store)) for one in part.check() if not one.is_note]
    for problem in problems:
        kind, name = problem.about.split()
        if "folder" in problem.to_do:
            shutil.rmtree(store / {"run": "runs", "data": "data"}[kind] / name)
        elif "delete" in problem.to_do:
            (store / file).unlink()
    if file == "store.json" and "delete the file" in (store.parent / "again.out").read_text():
        (store / file).unlink()
        return 0
    return 0 if problems else 1


def one_of_each_kind(files: list[Path], store: Path) -> list[Path]:
    return list({kind_of(str(file), str(store)): file for file in files}.values())


def damages(files: list[Path], store: Path, number: int) -> Iterator[tuple[str, str, bytes]]:
    """A number of them: of a file of each kind one, then another one of each."""
    draw = random.Random(0)
    full = [file for file in files if file.stat().st_size]
    rounds = (file for _ in range(number) for file in one_of_each_kind(draw.sample(full, len(full)), store))
    for file in islice(rounds, number):
        content, name = file.read_bytes(), str(file.relative_to(store))
        damage, changed = draw.choice(list({**cuts(content), **flips(content, 2, name)}.items()))
        yield name, damage, changed


def trials(folder: Path, which: str, num_flips: int, num_mended: int, arguments: list[str]) -> Iterator[dict[str, Any]]:
    """Files read while they are damaged; then some mended."""
    whole = folder / "whole"
    whole.mkdir(parents=True)
    store = whole / "store"
    code = run(arguments, store, 0, whole / "notes")
    expected = {"code": code, "arguments": arguments, "summary": summarised(store, whole / "summary.json")}
    yield {"code": code, "num_epochs": lines(whole / "notes")[1]}
    true = {**expected["summary"], "records": records_of(store)}
    files = files_of(store)
    for file in files if which == "all" else one_of_each_kind(files, store):
        yield tried_apart(folder / "tried.json", store, file, num_flips, true)
    for name, damage, content in damages(files, store, num_mended):
        yield mended(folder, name, damage, content, expected)


def tried_apart(output: Path, store: Path, file: Path, num_flips: int, true: dict[str, Any]) -> dict[str, Any]:
    """`tried`, by a child that may be broken by what it reads."""

    def act() -> int:
        output.write_text(json.dumps(tried(store, file, num_flips, true)))
        return 0

    code = forked(act, output.with_suffix(".out"))
    if code == 0:
        loaded: dict[str, Any] = json.loads(output.read_text())
        return loaded
    return {
        "file": str(file),
        "kind": "",
        "verdicts": {},
        "wrong": [f"{code}: {output.with_suffix('.out').read_text()[-2000:]}"],
    }


def main() -> None:
    folder, which, num_flips, num_mended, *arguments = sys.argv[1:]
    for name in WARM:
        importlib.import_module(name)
    for line in trials(Path(folder), which, int(num_flips), int(num_mended), arguments):
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
