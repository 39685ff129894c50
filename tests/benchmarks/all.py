"""All benchmarks of this folder, one after the other: every table on the screen and, as Parquet, in one folder.

    python tests/benchmarks/all.py [--quick] [--out FOLDER] [--only kd,memory]

A benchmark is a file beside this one that has a `main`; it is run with the options of these that its --help knows.
With `--quick`, only those that know it are run.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FOLDER = Path(__file__).resolve().parent


def main() -> int:
    """Run them; 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="seconds each, to see that they work")
    parser.add_argument("--out", type=Path, help="folder of the Parquet files (default: a new one)")
    parser.add_argument("--only", help="names, with commas between them (default: all)")
    options = parser.parse_args()
    out = options.out or Path(tempfile.mkdtemp(prefix="benchmarks-"))
    names = [file.stem for file in benchmarks()] if options.only is None else options.only.split(",")
    failed = [name for name in names if not _ran_well(FOLDER / f"{name}.py", options.quick, out)]
    print(f"\n{len(names) - len(failed)} of {len(names)} benchmarks ran; tables in {out}")
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def benchmarks() -> list[Path]:
    """The files of this folder that can be run, without this one."""
    files = [file for file in sorted(FOLDER.glob("*.py")) if file.name != Path(__file__).name]
    return [file for file in files if re.search(r"^def main\(", file.read_text(), flags=re.MULTILINE)]


def _ran_well(file: Path, is_quick: bool, out: Path) -> bool:
    """Run one, its output on the screen; True as well for one that has no quick form and was left out."""
    known = set(re.findall(r"--[a-z-]+", _help(file)))
    print(f"\n## {file.stem}\n", flush=True)
    if is_quick and "--quick" not in known:
        print("left out: it has no --quick", flush=True)
        return True
    words = [sys.executable, str(file), *(["--quick"] if is_quick else [])]
    words += ["--out", str(out)] if "--out" in known else []
    start = time.perf_counter()
    code = subprocess.run(words).returncode
    print(f"{file.stem}: {time.perf_counter() - start:.0f} s, exit code {code}", flush=True)
    return code == 0


def _help(file: Path) -> str:
    return subprocess.run([sys.executable, str(file), "--help"], capture_output=True, text=True).stdout


if __name__ == "__main__":
    sys.exit(main())
