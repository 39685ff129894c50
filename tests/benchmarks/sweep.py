"""A whole sweep, against a shell loop of notebooks, Tune with its defaults, and Tune in stages: wall seconds.

    python tests/benchmarks/sweep.py [--sweeps report,grid] [--epochs 2] [--rounds 1] [--out FOLDER] [--quick]

`report`: the report's rows with three seeds. `grid`: a teacher and twelve students, temperature by weight. Peers train
the jobs of our plan with peers/notebook_loop.py: the same networks, pictures, epochs and batches (`--epochs 0`: the
recipe's own). Pictures are prepared before, for all. Every figure is from the start of a command to its end.

shell                one process per job, as many at once as there are cores; parents a stage before their children
shell with loaders   the same with two loader processes each
one by one           one process per job, one after the other, a thread per core, two loader processes
Tune in one fit      a trial per job; a student waits in its slot until its teacher is there
Tune in stages       a `Tuner.fit()` per stage

`over the bound` compares the time from our first job's start to the last one's end with max(work / slots, longest
chain), from the seconds that the jobs report for their epochs, and those of writing teachers' logits.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import product
import tables

if TYPE_CHECKING:
    from sweeps.plan import Job, Plan

OURS = "ours"
TEMPERATURES, WEIGHTS = "1,4,20", "0.1,0.5,0.7,0.9"
SWEEPS: dict[str, dict[str, object]] = {
    "report": {"sweep": "report", "seeds": "0,1,2"},
    "grid": {
        "sweep": "report",
        "only": "student_kd_scratch",
        "grid": [f"objective.temperature={TEMPERATURES}", f"objective.weight={WEIGHTS}"],
    },
}
MIN_GAIN = {"report": 2.0, "grid": 4.0}
"""Targets: the fastest shell loop over ours."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One sweep: the options of our command, its plan, the store with its pictures, and slots."""

    name: str
    options: dict[str, object]
    plan: Plan
    store: Path
    num_slots: int


@dataclass(frozen=True, kw_only=True)
class Figure:
    """Wall seconds of a whole sweep, pictures that it trained on, and of ours how far it is from its bound."""

    seconds: float
    num_images: int
    over_bound: float | None = None


Measure = Callable[[Case, Path], Figure]


def main() -> None:
    """Print and write a row per sweep and way to run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sweeps", default="report,grid")
    parser.add_argument("--data", default="plates", help="as run_all.py takes it")
    parser.add_argument("--image-size", type=int, help="pixels per side")
    parser.add_argument("--limit", type=int, help="pictures in all")
    parser.add_argument("--seeds", default="0,1,2", help="of the report")
    parser.add_argument("--epochs", type=int, default=2, help="of every job; 0: the recipe's")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--ways", default=",".join(WAYS), help="which to run, ours always")
    parser.add_argument("--out", type=Path, help="folder of the Parquet file")
    parser.add_argument("--quick", action="store_true", help="tiny, to see that it works")
    options = parser.parse_args()
    if options.quick:
        options.limit, options.epochs, options.seeds, options.ways = 330, 1, "0", "shell"
    with tempfile.TemporaryDirectory() as folder:
        cases = [make_case(name, options, Path(folder)) for name in options.sweeps.split(",")]
        rows = [row for case in cases for row in _rows(case, options, Path(folder))]
    tables.write_table("sweep", rows, options.out)


def make_case(name: str, options: argparse.Namespace, folder: Path) -> Case:
    """Prepare the pictures and make the plan."""
    from sweeps.request import read_options
    from sweeps.sweep import prepared_sweep
    from trainers.storage import Store

    chosen = {**SWEEPS[name], "data": options.data, "image_size": options.image_size, "limit": options.limit}
    chosen |= {"epochs": options.epochs or None, "batch_size": options.batch_size, "allow_weak_teacher": True}
    if name == "report":
        chosen["seeds"] = options.seeds
    store = folder / "prepared"
    sweep = prepared_sweep(Store(store).open(), read_options(chosen)[0], lambda data, done, total: None)
    return Case(name=name, options=chosen, plan=sweep.plan, store=store, num_slots=os.cpu_count() or 1)


def _rows(case: Case, options: argparse.Namespace, folder: Path) -> list[dict[str, tables.Cell]]:
    """Ours and its peers in turn, round after round; ratios are within a round."""
    names = [OURS, *(name.strip() for name in options.ways.split(",") if name.strip() != OURS)]
    rounds = []
    for number in range(options.rounds):
        figures = {}
        for name in names:
            with tempfile.TemporaryDirectory(dir=folder) as work:
                figures[name] = WAYS[name](case, Path(work))
            print(f"{case.name}, {name}: {figures[name].seconds:.1f} s", file=sys.stderr, flush=True)
        rounds.append(figures)
        print(f"{case.name}: round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
    return [_row(case, name, rounds) for name in names]


def _row(case: Case, name: str, rounds: list[dict[str, Figure]]) -> dict[str, tables.Cell]:
    row: dict[str, tables.Cell] = {"sweep": case.name, "jobs": len(case.plan.jobs), "way": name}
    row |= tables.spread("seconds", [figures[name].seconds for figures in rounds])
    row["pictures trained on"] = rounds[0][name].num_images
    if name != OURS:
        row |= tables.spread("over ours", [figures[name].seconds / figures[OURS].seconds for figures in rounds])
        return row
    row |= tables.spread("over the bound", [figures[name].over_bound or 0.0 for figures in rounds])
    loops = [way for way in rounds[0] if way in SHELL_LOOPS]
    if loops:
        gains = [min(figures[loop].seconds for loop in loops) / figures[OURS].seconds for figures in rounds]
        row |= {**tables.spread("fastest shell loop over ours", gains), "target": MIN_GAIN[case.name]}
    return row


def measure_ours(case: Case, work: Path) -> Figure:
    """The command in a store that has the pictures and nothing else."""
    from sweeps.api import gather

    store = work / "store"
    shutil.copytree(case.store, store)
    seconds = product.run(product.command(store, case.options))
    gathered = gather(store)
    per_epoch = {job.id: _num_images_per_epoch(case, job) for job in case.plan.jobs}
    num_images = sum(per_epoch[run] for run in gathered.curves["run_id"])
    runs = gathered.runs.set_index("run_id")
    start, end = min(map(_time, runs["started_at"])), max(map(_time, runs["finished_at"]))
    bound = lower_bound(case.plan, runs["train_seconds"].to_dict(), case.num_slots, _logits_seconds(store))
    return Figure(seconds=seconds, num_images=num_images, over_bound=(end - start) / bound)


def _logits_seconds(folder: Path) -> float:
    """What writing teachers' logits took, from its attempts' first file to their last."""
    attempts = folder.glob("logits/*/attempts/*/done.json")
    return sum(done.stat().st_mtime - (done.parent / "started.json").stat().st_mtime for done in attempts)


def _time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _num_images_per_epoch(case: Case, job: Job) -> int:
    """Whole batches only, as all do it."""
    from trainers.storage import Store

    num_images: int = Store(case.store).manifest(job.spec.data).num_images["train"]
    return num_images // job.spec.batch_size * job.spec.batch_size


def lower_bound(plan: Plan, seconds: dict[str, float], num_slots: int, other_seconds: float) -> float:
    """No schedule ends sooner: all work and what else was done over all slots, or the longest chain of trainings."""
    ends: dict[str, float] = {}
    for job in plan.jobs:  # parents come first
        ends[job.id] = seconds[job.id] + max((ends[parent] for parent in job.parents), default=0.0)
    return max((sum(seconds.values()) + other_seconds) / num_slots, max(ends.values()))


def notebook_arguments(case: Case, job: Job, work: Path, threads: int = 1, workers: int = 0) -> list[str]:
    """A job of our plan as options of notebook_loop.py."""
    from trainers.spec import run_id
    from trainers.storage import Store

    spec = job.spec
    words: dict[str, object] = {
        "data": Store(case.store).data_folder(spec.data),
        "model": spec.model.name,
        "model-args": json.dumps(spec.model.args),
        "epochs": spec.epochs,
        "batch-size": spec.batch_size,
        "seed": spec.seed,
        "threads": threads,
        "workers": workers,
        "out": work / f"{job.id}.pt",
    }
    if spec.init_run is not None:
        words["init"] = work / f"{run_id(spec.init_run)}.pt"
    if spec.teacher is not None:
        words |= {"teacher": work / f"{run_id(spec.teacher)}.pt", **_loss(job)}
    return [word for name, value in words.items() for word in (f"--{name}", str(value))]


def _loss(job: Job) -> dict[str, object]:
    return {name: job.spec.objective.args[name] for name in ("temperature", "weight")}


def stages(plan: Plan) -> list[list[Job]]:
    """Jobs by the number of generations above them."""
    depth: dict[str, int] = {}
    for job in plan.jobs:
        depth[job.id] = 1 + max((depth[parent] for parent in job.parents), default=-1)
    return [[job for job in plan.jobs if depth[job.id] == stage] for stage in range(max(depth.values()) + 1)]


def measure_shell(case: Case, work: Path, workers: int = 0) -> Figure:
    """`xargs -P SLOTS` over the jobs of each stage."""
    seconds = 0.0
    for jobs in stages(case.plan):
        lines = "\n".join(json.dumps(notebook_arguments(case, job, work, workers=workers)) for job in jobs)
        seconds += product.run(_xargs(case.num_slots), stdin=lines)
    return Figure(seconds=seconds, num_images=_num_images(work))


def _xargs(num_slots: int) -> list[str]:
    """A notebook per line, NUM_SLOTS at a time; a line is the JSON of its arguments, so that it needs no quotes."""
    code = f"import sys, json; sys.path.insert(0, {str(product.PEERS)!r}); import notebook_loop; "
    code += "notebook_loop.main(json.loads(sys.argv[1]))"
    return ["xargs", "-d", "\\n", "-n", "1", "-P", str(num_slots), sys.executable, "-c", code]


def measure_one_by_one(case: Case, work: Path) -> Figure:
    """Jobs in their order, each with all cores."""
    threads = case.num_slots
    environment = {"OMP_NUM_THREADS": str(threads)}
    seconds = sum(
        product.run(product.peer("notebook_loop", *notebook_arguments(case, job, work, threads, 2)), environment)
        for job in case.plan.jobs
    )
    return Figure(seconds=seconds, num_images=_num_images(work))


def measure_tune(case: Case, work: Path, *options: str) -> Figure:
    """All jobs as trials."""
    jobs = [
        {
            "arguments": notebook_arguments(case, job, work),
            "waits_for": [str(work / f"{parent}.json") for parent in job.parents],
            "stage": stage,
        }
        for stage, jobs in enumerate(stages(case.plan))
        for job in jobs
    ]
    file = work / "jobs of Tune"
    file.write_text(json.dumps(jobs))
    seconds = product.run(product.peer("tune_default", "--jobs", file, *options), {})
    return Figure(seconds=seconds, num_images=_num_images(work))


def measure_tune_stages(case: Case, work: Path) -> Figure:
    """A fit per stage."""
    return measure_tune(case, work, "--stages")


def measure_shell_with_loaders(case: Case, work: Path) -> Figure:
    """Two loader processes per notebook."""
    return measure_shell(case, work, workers=2)


def _num_images(work: Path) -> int:
    """What the notebooks say that they trained on."""
    return sum(epoch["num_images"] for file in work.glob("*.json") for epoch in json.loads(file.read_text()))


SHELL_LOOPS: dict[str, Measure] = {
    "shell": measure_shell,
    "shell with loaders": measure_shell_with_loaders,
    "one by one": measure_one_by_one,
}
WAYS: dict[str, Measure] = {
    OURS: measure_ours,
    **SHELL_LOOPS,
    "Tune in one fit": measure_tune,
    "Tune in stages": measure_tune_stages,
}


if __name__ == "__main__":
    main()
