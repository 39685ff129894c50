"""`--budget-params`: no student or variant may have more parameters than this. Imports torch only when asked."""

from __future__ import annotations

from sweeps.plan import Plan
from trainers.errors import PlanError
from trainers.spec import Role, canonical_json, to_dict

ROLES = (Role.STUDENT, Role.VARIANT)
"""The networks that are meant to be small."""


def count_params(plan: Plan) -> dict[str, int]:
    """Parameters by run id, for the roles that have a budget; every different network is counted once."""
    from trainers.measure import count_params as count

    counted: dict[str, int] = {}
    params: dict[str, int] = {}
    for job in plan.jobs:
        if job.role in ROLES:
            network = canonical_json(to_dict(job.spec.model))
            counted[network] = counted.get(network) or count(job.spec.model)
            params[job.id] = counted[network]
    return params


def check_budget(plan: Plan, budget: int | None) -> None:
    """PlanError that names every label over the budget."""
    if budget is None:
        return
    over = {plan.by_id[run].label: params for run, params in count_params(plan).items() if params > budget}
    if over:
        named = ", ".join(f"{label} ({params:,})" for label, params in over.items())
        raise PlanError(
            f"more than --budget-params {budget:,} parameters: {named}; "
            "make them smaller (--set LABEL:model.KEY=VALUE), leave them out (--exclude LABEL) or raise the budget"
        )
