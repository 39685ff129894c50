"""Watching a store in a bucket: a listing per look, and one request for each object that is read and has changed."""

from __future__ import annotations

import io
from typing import Any

import pytest

from analysis.lookout import Lookout
from analysis.overview import Phase
from trainers.heartbeat import write_record
from trainers.leases import DriverRecord
from trainers.result import EpochRecord, PlannedJob, PlanRecord
from trainers.snapshot import Snapshot
from trainers.spec import Role, group_id, run_id


def planned(lab: Any, num_jobs: int) -> list[str]:
    """A plan of some networks alone, with their specs."""
    specs = [lab.spec(seed=seed, view_seed=seed) for seed in range(num_jobs)]
    for spec in specs:
        lab.store.write_spec(spec)
    jobs = tuple(
        PlannedJob(
            run_id=run_id(spec), group_id=group_id(spec), label="plain", role=Role.VARIANT, seed=spec.seed, parents=()
        )
        for spec in specs
    )
    record = PlanRecord(
        plan_id="p", sweep="report", command="again", data_name="bright", planned_at="2026-01-01", jobs=jobs
    )
    lab.store.write_plan(record)
    return [job.run_id for job in jobs]


def epoch(number: int) -> EpochRecord:
    figures = dict.fromkeys(("train_loss", "train_accuracy", "validation_loss", "learning_rate"), 0.5)
    seconds = {"images_per_second": 8.0, "epoch_seconds": 3.0}
    return EpochRecord(epoch=number, loss_parts={}, validation_accuracy=0.25 * number, **figures, **seconds)


def test_a_look_takes_a_listing_and_what_has_changed(lab: Any, make_proxy: Any) -> None:
    """First: plan, driver, spec of the group and curves of an attempt. Then nothing, then the curves alone."""
    runs = planned(lab, 10)
    record = DriverRecord(token="d1", host="box", pid=7, started_at="2026", beats=1, machine="other", begun="1")
    write_record(lab.store, record)
    attempt = lab.store.begin_attempt(runs[0], "d1")
    attempt.write_curves([epoch(1)])
    proxy = make_proxy()
    lookout = Lookout(lab.store.root)
    overview = lookout.look()
    assert overview.counts == {Phase.RUNNING: 1, Phase.WAITING: 9}
    assert overview.jobs[runs[0]].num_epochs_done == 1
    assert sorted(request.split(" ")[0] for request in proxy.requests) == ["GET"] * 5, proxy.requests
    assert sum("list-type" in request for request in proxy.requests) == 1
    proxy.requests.clear()
    assert lookout.look().jobs[runs[0]].num_epochs_done == 1
    assert len(proxy.requests) == 1
    attempt.write_curves([epoch(1), epoch(2)])
    proxy.requests.clear()
    job = lookout.look().jobs[runs[0]]
    assert (job.num_epochs_done, job.validation_accuracy, job.images_per_second) == (2, 0.5, 8.0)
    assert len(proxy.requests) == 2 and all(request.startswith("GET ") for request in proxy.requests)


def test_a_snapshot_says_what_the_bucket_says_and_cannot_be_written_to(lab: Any) -> None:
    planned(lab, 2)
    snapshot = Snapshot(lab.store.root)
    snapshot.look()
    seen, root = snapshot.root, lab.store.root
    for way in ("", "plans", "runs", "none"):
        one, other = (seen / way, root / way) if way else (seen, root)
        assert one.subfolders() == other.subfolders() and one.is_dir() == other.is_dir()
        assert [path.uri for path in one.iterdir()] == [path.uri for path in other.iterdir()]
        assert [found.path.uri for found in one.listed()] == [found.path.uri for found in other.listed()]
    assert [path.uri for path in (seen / "plans").glob("*.json")] == [f"{root}/plans/p.json"]
    assert (seen / "plans" / "p.json").read_bytes() == (root / "plans" / "p.json").read_bytes()
    assert (seen / "plans" / "p.json").size() == (root / "plans" / "p.json").size()
    assert not (seen / "plans" / "q.json").exists()
    for write in (
        lambda: seen.write_bytes(b""),
        lambda: seen.create(b""),
        lambda: seen.copy_to(root),
        seen.unlink,
        seen.remove_all,
        lambda: seen.probe("x"),
    ):
        with pytest.raises(io.UnsupportedOperation):
            write()
