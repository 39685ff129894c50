"""The same jobs as Ray Tune trials with Tune's defaults: a function trainable, a process per trial.

    python tests/benchmarks/peers/tune_default.py --jobs FILE.json [--stages]

FILE.json: a list of {"arguments" of notebook_loop.py, "waits_for": files, "stage"}, parents first. Without
`--stages` it is one `Tuner.fit()`, and a trial whose teacher is not there yet waits for it in its slot. With
`--stages` there is one `Tuner.fit()` per stage, as people do it: teachers, then students.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ray import tune

WAIT_SECONDS = 0.5


def main() -> None:
    """Run all jobs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--jobs", type=Path, required=True)
    parser.add_argument("--stages", action="store_true", help="one Tuner.fit() per stage")
    options = parser.parse_args()
    jobs: list[dict[str, Any]] = json.loads(options.jobs.read_text())
    stages = sorted({job["stage"] for job in jobs}) if options.stages else [None]
    with tempfile.TemporaryDirectory() as results:
        for stage in stages:
            fit([job for job in jobs if stage is None or job["stage"] == stage], results)


def fit(jobs: list[dict[str, Any]], results: str) -> None:
    """All of some jobs; RuntimeError if one failed."""
    tuner = tune.Tuner(
        trial,
        param_space={"job": tune.grid_search(jobs), "folder": str(Path(__file__).resolve().parent)},
        run_config=tune.RunConfig(storage_path=results),
    )
    errors = tuner.fit().errors
    if errors:
        raise RuntimeError(f"{len(errors)} trials failed, first: {errors[0]}")


def trial(config: dict[str, Any]) -> dict[str, Any]:
    """One job, as the notebook does it."""
    sys.path.insert(0, config["folder"])
    import notebook_loop

    while not all(Path(file).exists() for file in config["job"]["waits_for"]):
        time.sleep(WAIT_SECONDS)
    notebook_loop.main(config["job"]["arguments"])
    return {"finished": 1}


if __name__ == "__main__":
    main()
