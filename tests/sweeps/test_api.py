"""The command as functions: the same words in, tables out, and nothing of the caller's process changed."""

from __future__ import annotations

import logging
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sweeps.api import gather, plan, rank, run
from sweeps.request import Options, read_options
from trainers.errors import PlanError, ResourceError, SpecError, StoreError, SweepError
from trainers.storage import Store

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def options(petite: Any) -> dict[str, Any]:
    """A sweep that takes a second: two groups of convolutions over coloured squares."""
    data = {"data": f"parquet:{petite.pictures}", "source_data": f"parquet:{petite.source}", "pretrained": "source"}
    return {**data, "epochs": 2, "batch_size": 16, "only": ["conv_*"], "store": petite.store, "no_report": True}


def test_a_run_gives_the_tables_that_the_command_prints(petite: Any, options: dict[str, Any]) -> None:
    outcome = run(serial=True, seeds=(0, 1), grid={"conv_plain:epochs": (1, 2)}, **options)
    labels = ["conv_depthwise", "conv_group", "conv_plain/epochs=1", "conv_plain/epochs=2"]
    assert outcome.is_complete
    assert sorted(outcome.ranking["label"]) == labels and set(outcome.ranking["n"]) == {2}
    assert len(outcome.runs) == 8 and outcome.gains.empty
    out = petite.capture.readouterr().out
    assert "grid: conv_plain:epochs (2 values) multiplies conv_plain; 20 jobs instead of 18" in out
    assert "jobs: 8 planned, 0 done, 8 to run" in out
    command = petite.main("--plan", *petite.report, "--only", "conv_*", "--grid", "conv_plain:epochs=1,2")
    assert "4 jobs, 0 would run, 4 are done" in command.out


def test_a_second_call_trains_nothing_and_starts_no_ray(
    petite: Any, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(serial=True, quiet=True, **options)
    before = petite.num_attempts

    def refuse(*_: Any) -> Any:
        raise AssertionError("Ray is started for nothing")

    monkeypatch.setattr("sweeps.driver._started", refuse)
    second = run(quiet=True, **options)
    assert petite.num_attempts == before
    assert list(second.ranking["group_id"]) == list(first.ranking["group_id"])
    assert list(second.ranking["validation_accuracy_mean"]) == list(first.ranking["validation_accuracy_mean"])


def test_quiet_says_nothing_and_the_callers_process_stays_as_it_was(options: dict[str, Any], capfd: Any) -> None:
    signals = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    loggers = {name: logging.getLogger(name).handlers[:] for name in (None, "ray", "ray.tune")}
    run(serial=True, quiet=True, **{**options, "only": "conv_plain"})
    assert capfd.readouterr() == ("", "")
    assert {number: signal.getsignal(number) for number in signals} == signals
    assert {name: logging.getLogger(name).handlers for name in loggers} == loggers


def test_a_failed_job_is_in_the_outcome_and_not_raised(options: dict[str, Any]) -> None:
    outcome = run(serial=True, quiet=True, set={"conv_plain:optimizer.lr": 1e30}, **options)
    assert not outcome.is_complete
    assert dict(zip(outcome.runs["label"], outcome.runs["status"], strict=True)) == {
        "conv_plain": "failed",
        "conv_depthwise": "ok",
        "conv_group": "ok",
    }


def test_a_plan_is_a_table_and_writes_nothing(options: dict[str, Any]) -> None:
    planned = plan(**{**options, "only": "student_kd_scratch"})
    assert list(planned.jobs["job"]) == ["teacher_scratch@0", "student_kd_scratch@0"]
    assert list(planned.jobs["waits_for"]) == [[], ["teacher_scratch@0"]]
    assert list(planned.jobs["will_run"]) == [True, True]
    assert not Path(options["store"]).exists()


def test_gather_and_rank_read_a_store_by_its_path(options: dict[str, Any]) -> None:
    outcome = run(serial=True, quiet=True, **options)
    store = str(options["store"])
    assert set(gather(store).runs["status"]) == {"ok"}
    assert len(gather(store).curves) == 3 * 2
    assert rank(store).ranking.equals(outcome.ranking)
    assert len(rank(store, all_runs=True).ranking) == 3
    with pytest.raises(PlanError, match="unknown plan 'x'"):
        rank(store, plan_id="x")
    with pytest.raises(StoreError, match="no store at"):
        gather(f"{store}/nowhere")


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"sede": 3}, SpecError, "unknown option 'sede'; have: sweep, data, "),
        ({"limit": "330"}, SpecError, "limit is '330'; allowed: int"),
        ({"quiet": "yes"}, SpecError, "quiet is 'yes'; allowed: bool"),
        ({"set": 3}, SpecError, r"set is 3; allowed: str \| list\[str\] \| dict\[str, Any\]"),
        ({"sweep": "reprot"}, SweepError, "unknown sweep 'reprot'"),
        ({"resize": "blur"}, SpecError, "resize is 'blur'; allowed: fit, squash, pad, none"),
        ({"seeds": "x"}, SpecError, "--seeds 'x' is not a list of numbers"),
        ({"set": "epochs"}, SpecError, "--set 'epochs' is not KEY=VALUE"),
        ({"grid": {"epochs": 3}}, SpecError, "--grid 'epochs=3' has a single value"),
        ({"budget_params": 0}, SpecError, "--budget-params is 0; allowed: 1 or more"),
        ({"max_concurrent": 0}, ResourceError, "--max-concurrent is 0"),
        ({"cpus_per_trial": {"tutor": 1}}, ResourceError, "unknown role 'tutor'"),
    ],
)
def test_wrong_input_is_raised_before_anything_is_written(
    options: dict[str, Any], wrong: dict[str, Any], error: type[Exception], message: str
) -> None:
    for function in (plan, run):
        with pytest.raises(error, match=message):
            function(**{**options, **wrong})
        assert not list(Path(options["store"]).glob("runs/*"))


@pytest.mark.parametrize("function", [plan, run])
def test_a_store_that_is_no_path_is_one_line(function: Any) -> None:
    with pytest.raises(SpecError, match=r"^store is None; allowed: str \| Path, a folder$"):
        function(store=None)


def test_what_plan_and_run_give_shows_itself_as_one_line(options: dict[str, Any]) -> None:
    store = options["store"]
    assert repr(plan(**options)) == f"Planned(report: 3 jobs, 3 would run; store {store})"
    outcome = run(serial=True, quiet=True, **{**options, "only": "conv_group"})
    assert repr(outcome) == f"Outcome(report: 1 job, 1 ok; store {store})"


@pytest.mark.parametrize(
    ("native", "text"),
    [
        ({"seeds": (0, 2)}, {"seeds": "0,2"}),
        ({"seeds": 3}, {"seeds": "3"}),
        ({"set": {"teacher:epochs": 5, "model.strides": (1, 2)}}, {"set": ["teacher:epochs=5", "model.strides=[1,2]"]}),
        ({"set": {"model.name": "student"}}, {"set": "model.name=student"}),
        ({"grid": {"epochs": (3, 6), "model.strides": [[1], [2]]}}, {"grid": ["epochs=3,6", "model.strides=[1],[2]"]}),
        ({"only": ("a", "b")}, {"only": ["a", "b"]}),
        ({"gpus_per_trial": {"teacher": 0.5}}, {"gpus_per_trial": ["teacher=0.5"]}),
        ({"limit": None, "set": []}, {}),
    ],
)
def test_native_values_mean_what_the_command_lines_texts_do(native: Any, text: Any) -> None:
    assert read_options(native) == read_options(text)


def test_every_option_of_the_command_line_is_one_of_the_functions() -> None:
    from sweeps.arguments import make_parser

    names = set(vars(make_parser().parse_args([])))
    assert names - {"store", "plan", "list"} == set(Options.__annotations__)


def test_importing_the_functions_imports_neither_torch_nor_ray_nor_pandas() -> None:
    code = "import sys, sweeps.api; print([name for name in ('torch', 'ray', 'pandas') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "[]\n", done.stderr


# --list and --budget-params of the command


def test_the_list_has_all_that_a_sweep_says_and_a_line_of_the_others(petite: Any) -> None:
    from trainers import plugins
    from trainers.plugins import Kind

    out = petite.main("--list").out
    for name in plugins.names(Kind.SWEEP):
        lines = [f"    {line}".rstrip() for line in plugins.docstring(Kind.SWEEP, name).splitlines()]
        assert f"  {name}\n" + "\n".join(lines) + "\n" in out
    assert "Hinton" not in out.partition("models")[2].partition("objectives (")[0]
    assert re.search(r"^  kd +Knowledge distillation \(Hinton", out, re.MULTILINE)


def test_networks_over_the_budget_are_marked_in_the_plan_and_refused_in_a_run(petite: Any) -> None:
    assert petite.main(*petite.report, "--serial", "--only", "conv_plain").code == 0  # prepares the data
    outcome = petite.main(*petite.report, "--plan", "--budget-params", "200000")
    rows = {line.split()[0]: line for line in outcome.out.splitlines() if "@0 " in line}
    over = {name for name, line in rows.items() if "OVER" in line}
    # plain: 264,075 with 11 classes, 2,049 fewer for each of the 8 classes that are not here
    assert "OVER 247,683" in rows["conv_plain@0"]
    assert over == {"conv_plain@0", "conv_depthwise@0"}
    assert re.search(r"\b149,507\b", rows["student_kd_scratch@0"])  # 152,075 - 8 * 321
    assert not re.search(r"11,\d", rows["teacher_scratch@0"])
    before = petite.num_attempts
    outcome = petite.main(*petite.report, "--serial", "--budget-params", "200000")
    assert outcome.code == 2 and petite.num_attempts == before
    (line,) = outcome.err.splitlines()
    assert line.startswith(
        "error: more than --budget-params 200,000 parameters: conv_plain (247,683), conv_depthwise ("
    )
    assert "--exclude LABEL" in line


def test_a_plan_before_the_data_is_prepared_says_why_it_counts_nothing(petite: Any) -> None:
    outcome = petite.main("--plan", "--budget-params", "9")
    assert outcome.code == 0 and "parameters the networks have" in outcome.out and "OVER" not in outcome.out
    rows = {line.split()[0]: line.split() for line in outcome.out.splitlines() if "@0 " in line}
    assert "parameters" in outcome.out.splitlines()[0].split()
    assert {name for name, row in rows.items() if "?" in row} == {
        *("student_scratch@0", "student_kd_scratch@0", "student_kd_pretrained@0"),
        *("conv_plain@0", "conv_depthwise@0", "conv_group@0"),
    }


def test_one_job_is_not_called_jobs(petite: Any) -> None:
    assert "1 job, 1 would run, 0 are done" in petite.main(*petite.report, "--plan", "--only", "conv_group").out


def test_what_nobody_pretrains_on_is_neither_prepared_nor_named(petite: Any) -> None:
    outcome = petite.main(*petite.report, "--serial", "--only", "conv_group")
    assert outcome.code == 0
    assert "pretraining" not in outcome.out
    assert len(list((petite.store / "data").glob("*/manifest.json"))) == 1
    assert "0 to run" in petite.main(*petite.report, "--serial", "--only", "conv_group").out


def test_a_reader_that_goes_away_does_not_end_the_sweep(petite: Any, start: Any) -> None:
    process = start(*petite.report, "--serial", "--only", "conv_*")
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=120) == 0, process.stderr.read()
    assert process.stderr.read() == ""
    assert len(petite.weights) == 3


def test_a_network_is_counted_once_however_many_jobs_have_it(
    petite: Any, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainers import measure

    run(serial=True, quiet=True, **{**options, "only": "conv_group"})
    counted: list[Any] = []
    count = measure.count_params
    monkeypatch.setattr(measure, "count_params", lambda model: counted.append(model) or count(model))
    planned = plan(**{**options, "only": "student_*", "budget_params": 10**6, "seeds": (0, 1, 2)})
    assert len(counted) == 1
    assert len(planned.num_params) == 9 and len(set(planned.num_params.values())) == 1


def test_labels_of_one_training_are_said_in_the_plan_and_in_the_run(petite: Any) -> None:
    same = ["--set", "conv_depthwise:model.name=conv_plain", "--only", "conv_depthwise"]
    assert "new; also: conv_depthwise" in petite.main(*petite.report, "--plan", *same).out
    said = "conv_plain@0 is also conv_depthwise: the same training, done once"
    assert said in petite.main(*petite.report, "--serial", *same).out
    assert len(Store(petite.store).run_ids()) == 1


TWICE = """
import logging, sys
import ray
from sweeps.api import run
pictures, source, store, other_code = sys.argv[1:]
options = dict(data=f"parquet:{pictures}", source_data=f"parquet:{source}", pretrained="source", store=store,
               epochs=1, batch_size=16, only="conv_plain", quiet=True)
first = run(**options)
print("own Ray gone:", not ray.is_initialized(), logging.getLogger("ray.tune").handlers == [], first.is_complete)
ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
second = run(seeds=1, **options)
print("given Ray kept:", ray.is_initialized(), second.is_complete)
ray.shutdown()
ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, runtime_env={"env_vars": {"PYTHONPATH": other_code}})
try:
    run(seeds=2, **options)
except ValueError as error:
    print("refused:", error)
"""


@pytest.mark.ray
def test_ray_is_gone_after_a_call_and_one_that_was_there_is_used_and_kept(petite: Any, tmp_path: Path) -> None:
    other = tmp_path / "other" / "sweeps"  # hides our code, be it installed or not
    other.mkdir(parents=True)
    (other / "__init__.py").touch()
    (other / "connect.py").write_text("raise ImportError('other code')")
    places = [str(place) for place in (petite.pictures, petite.source, petite.store, other.parent)]
    command = [sys.executable, "-W", "error::ResourceWarning", "-c", TWICE, *places]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=300, env=environment)
    own, given, refused = done.stdout.splitlines()
    assert (own, given) == ("own Ray gone: True True True", "given Ray kept: True True"), done.stderr
    assert refused.startswith("refused: the Ray that this process is connected to does not find Petite's code")
