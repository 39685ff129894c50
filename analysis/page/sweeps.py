"""The sweeps of one store beside each other: how far each came, its best network, and its best under a budget."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from analysis.stats import Summary, summarize
from analysis.tables import UNFINISHED, Row
from trainers.result import PlanRecord, Status
from trainers.spec import Role

MOST_PLANS = 50
"""The latest ones."""


def compared(plans: Sequence[PlanRecord], runs: Mapping[str, Row], shown: str | None, budget_bytes: int) -> list[Row]:
    """A row per plan, the latest first; `runs` are all of the store, by run id."""
    return [_compared(plan, runs, shown, budget_bytes) for plan in plans[: -MOST_PLANS - 1 : -1]]


def _compared(plan: PlanRecord, runs: Mapping[str, Row], shown: str | None, budget_bytes: int) -> Row:
    statuses = Counter(runs[job.run_id]["status"] if job.run_id in runs else UNFINISHED for job in plan.jobs)
    groups: dict[str, list[Row]] = defaultdict(list)
    for job in plan.jobs:
        run = runs.get(job.run_id)
        if run is not None and run["status"] == Status.OK.value and job.role is not Role.PRETRAIN:
            groups[job.group_id].append({**run, "label": job.label})
    names = ("plan_id", "sweep", "command", "data_name", "planned_at")
    small = {key: members for key, members in groups.items() if members[0]["size_bytes"] <= budget_bytes}
    return {
        **{name: getattr(plan, name) for name in names},
        "num_jobs": len(plan.jobs),
        "counts": ", ".join(f"{number} {status}" for status, number in statuses.most_common()),
        "is_shown": shown in (None, plan.plan_id),
        "best": _best(groups),
        "best_small": _best(small),
    }


def _best(groups: Mapping[str, list[Row]]) -> Row | None:
    """The group with the highest mean validation accuracy over seeds; of equals the one that is ranked first."""
    found = {key: _accuracy(members) for key, members in groups.items()}
    if not found:
        return None

    def place(key: str) -> tuple[float, int, str, str]:
        return -(found[key].mean or 0.0), groups[key][0]["num_params"], groups[key][0]["label"], key

    key = min(found, key=place)
    first = groups[key][0]
    names = ("label", "size_bytes", "epochs")
    return {"group_id": key, **{name: first[name] for name in names}, "accuracy": found[key]}


def _accuracy(members: Sequence[Row]) -> Summary:
    """One value per seed: runs of one seed over other views are no independent evidence."""
    by_seed: dict[int, list[float]] = defaultdict(list)
    for run in members:
        by_seed[run["seed"]].append(run["best_validation_accuracy"])
    return summarize([sum(same) / len(same) for same in by_seed.values()])
