"""Run again = go on: what is done stays, what changed runs, and an interruption leaves no trace in the weights."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from trainers.errors import SpecError
from trainers.result import Result
from trainers.storage import CURVES, WEIGHTS, Store

PROBE = """
import json, runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
except SystemExit as stop:
    print(json.dumps([stop.code, sorted(name for name in ("torch", "ray") if name in sys.modules)]))
"""


def result_of(petite: Any, label: str) -> Result:
    result = Store(petite.store).result(petite.labels[label])
    assert result is not None
    return result


def file_of(petite: Any, label: str, name: str) -> Path:
    store, run = Store(petite.store), petite.labels[label]
    result = result_of(petite, label)
    return store.attempt(run, result.attempt).folder / name


def begun(petite: Any, before: dict[str, int]) -> set[str]:
    """Names of the jobs, as the latest plan has them, that were begun since."""
    names = {run: name for name, run in petite.labels.items()}
    return {names[run] for run in petite.trained(before)}


def test_a_second_run_trains_nothing_and_starts_neither_torch_nor_ray(copied: Any) -> None:
    before, weights = copied.num_attempts, copied.weights
    command = copied.command(*copied.report)
    done = subprocess.run([sys.executable, "-c", PROBE, *command[1:]], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[0, []]", done.stdout + done.stderr
    assert "jobs: 9 planned, 9 done, 0 to run" in done.stdout
    assert copied.num_attempts == before
    assert copied.weights == weights


def test_a_plan_before_the_data_is_prepared_has_the_jobs_of_the_run(petite: Any) -> None:
    outcome = petite.main("--epochs", "2", "--plan")
    assert "9 jobs, 9 would run" in outcome.out and "the data is not prepared yet" in outcome.out
    rows = {line.split()[0]: line.split()[2] for line in outcome.out.splitlines() if "@0 " in line}
    assert rows["student_kd_scratch@0"] == "teacher_scratch@0"


def test_a_plan_of_what_is_done_says_so(copied: Any) -> None:
    outcome = copied.main(*copied.report, "--plan")
    assert outcome.code == 0
    assert "9 jobs, 0 would run, 9 are done" in outcome.out
    assert len(re.findall(r" no +done *$", outcome.out, re.MULTILINE)) == 9


def test_a_changed_teacher_is_trained_again_with_its_student_and_nothing_else(copied: Any) -> None:
    before, results = copied.num_attempts, copied.weights
    change = ["--set", "teacher_scratch:optimizer.weight_decay=0.5"]
    plan = copied.main(*copied.report, *change, "--plan")
    assert "2 would run, 7 are done" in plan.out
    reasons = {line.split()[0]: line.partition(" yes ")[2].strip() for line in plan.out.splitlines() if " yes " in line}
    assert reasons == {
        "teacher_scratch@0": "changed: optimizer.weight_decay 0.05 -> 0.5",
        "student_kd_scratch@0": "changed: teacher.optimizer.weight_decay 0.05 -> 0.5",
    }
    outcome = copied.main(*copied.report, *change, "--serial")
    assert outcome.code == 0
    new = {copied.labels[name] for name in ("teacher_scratch@0", "student_kd_scratch@0")}
    assert copied.trained(before) == new
    assert not new & set(before)
    assert {run: copied.weights[run] for run in results} == results


def test_force_trains_a_job_and_its_descendants_again(copied: Any) -> None:
    before, weights = copied.num_attempts, copied.weights
    outcome = copied.main(*copied.report, "--serial", "--force", "teacher_scratch")
    assert outcome.code == 0
    assert "teacher_scratch@0 runs again: forced" in outcome.out
    assert begun(copied, before) == {"teacher_scratch@0", "student_kd_scratch@0"}
    assert copied.weights == weights  # same spec, seed and machine: same bytes


def test_more_seeds_leave_those_that_are_done_alone(copied: Any) -> None:
    before = copied.num_attempts
    assert copied.main(*copied.report, "--seeds", "0,1", "--only", "conv_*", "--serial").code == 0
    assert begun(copied, before) == {f"{label}@1" for label in ("conv_plain", "conv_depthwise", "conv_group")}


def test_only_and_exclude_run_what_they_say(petite: Any) -> None:
    arguments = ["--only", "student_kd_scratch", "--only", "conv_*", "--exclude", "conv_plain", "--exclude", "conv_g*"]
    assert petite.main(*petite.report, "--serial", *arguments, "--quiet").code == 0
    assert begun(petite, {}) == {"teacher_scratch@0", "student_kd_scratch@0", "conv_depthwise@0"}


# Damage


def flip_last_byte(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize("name", [WEIGHTS, CURVES])
@pytest.mark.parametrize("damage", ["gone", "cut"])
def test_a_finished_run_with_a_damaged_file_is_trained_again_and_said_to_be(
    copied: Any, name: str, damage: str
) -> None:
    before, weights = copied.num_attempts, copied.weights
    file = file_of(copied, "conv_plain@0", name)
    file.write_bytes(file.read_bytes()[:-1]) if damage == "cut" else file.unlink()
    size = file.stat().st_size if file.exists() else 0
    outcome = copied.main(*copied.report, "--serial")
    assert outcome.code == 0
    what = f"has {size} bytes, not {size + 1}" if damage == "cut" else "is missing"
    assert f"conv_plain@0 runs again: damaged: {file} {what}\n" in outcome.out
    assert begun(copied, before) == {"conv_plain@0"}
    assert copied.weights == weights


@pytest.mark.parametrize("text", ["", "{", "[]", '{"sha256": "0", "content": {}}'])
def test_a_damaged_result_is_not_believed(copied: Any, text: str) -> None:
    before, weights = copied.num_attempts, copied.weights
    file = Store(copied.store).run_folder(copied.labels["conv_group@0"]) / "result.json"
    file.write_text(text)
    plan = copied.main(*copied.report, "--plan")
    assert "8 are done" in plan.out and "damaged: " in plan.out
    outcome = copied.main(*copied.report, "--serial")
    assert outcome.code == 0
    assert f"conv_group@0 runs again: damaged: {file}" in outcome.out
    assert begun(copied, before) == {"conv_group@0"}
    assert copied.weights == weights


def test_one_flipped_bit_in_the_curves_is_noticed(copied: Any) -> None:
    before = copied.num_attempts
    flip_last_byte(file_of(copied, "conv_plain@0", CURVES))
    assert copied.main(*copied.report, "--serial").code == 0
    assert begun(copied, before) == {"conv_plain@0"}


def test_one_flipped_bit_in_a_teachers_weights_is_noticed_before_a_student_learns_from_it(copied: Any) -> None:
    weights = copied.weights
    flip_last_byte(file_of(copied, "teacher_scratch@0", WEIGHTS))
    before = copied.num_attempts
    outcome = copied.main(*copied.report, "--serial", "--force", "student_kd_scratch")
    assert outcome.code == 0
    assert "does not match its checksum" in outcome.out
    assert begun(copied, before) == {"teacher_scratch@0", "student_kd_scratch@0"}
    assert copied.weights == weights


def test_a_damaged_spec_is_written_again(copied: Any) -> None:
    before = copied.num_attempts
    run = copied.labels["conv_plain@0"]
    (Store(copied.store).run_folder(run) / "spec.json").write_text("{}")
    assert copied.main(*copied.report, "--serial").code == 0
    assert Store(copied.store).spec(run).model.name == "conv_plain"
    assert copied.num_attempts == before


def test_one_flipped_bit_in_prepared_pictures_is_noticed_before_anything_trains_on_them(copied: Any) -> None:
    weights = copied.weights
    store = Store(copied.store)
    file = store.data_folder(store.spec(copied.labels["conv_plain@0"]).data) / "train_images.npy"
    flip_last_byte(file)
    before = copied.num_attempts
    assert copied.main(*copied.report, "--serial", "--only", "conv_plain").code == 0
    assert copied.num_attempts == before  # nothing trains, nothing is read
    outcome = copied.main(*copied.report, "--serial", "--force", "conv_plain", "--deterministic")
    assert outcome.code == 0
    assert f"{file} does not match its checksum; the data is prepared anew\n" in outcome.out
    assert begun(copied, before) == {"conv_plain@0"}
    assert copied.weights == weights
    assert result_of(copied, "conv_plain@0").environment.deterministic


# Interruption


def first_checkpoint(petite: Any) -> Any:
    """Whether some job has saved an epoch and is not done."""
    store = Store(petite.store)
    return [run for run in store.run_ids() if store.checkpoints(run) and not store.result(run)]


def test_a_killed_sweep_goes_on_to_the_same_bytes(petite: Any, finished: Any, start: Any, wait_for: Any) -> None:
    process = start(*petite.report, "--serial")
    (run,) = wait_for(lambda: first_checkpoint(petite))
    process.kill()
    process.wait()
    state = Store(petite.store).state(run)
    assert (state.result, state.num_epochs_saved) == (None, 1)
    plan = petite.main(*petite.report, "--plan")
    assert "unfinished at epoch 1 of 2" in plan.out
    before = petite.num_attempts
    done = set(petite.weights)
    assert petite.main(*petite.report, "--serial").code == 0
    assert petite.weights == finished.weights
    assert not petite.trained(before) & done
    result = Store(petite.store).result(run)
    assert result is not None and result.resumed_from_epochs == (1,)


def test_a_damaged_checkpoint_is_said_and_leads_to_the_same_bytes(
    petite: Any, finished: Any, start: Any, wait_for: Any
) -> None:
    process = start(*petite.report, "--serial")
    (run,) = wait_for(lambda: first_checkpoint(petite))
    process.kill()
    process.wait()
    file = Store(petite.store).checkpoints(run)[0]
    flip_last_byte(file)
    outcome = petite.main(*petite.report, "--serial")
    assert outcome.code == 0
    assert f"checkpoint {file} is damaged; an earlier one is used, or none" in outcome.out
    assert petite.weights == finished.weights


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_a_stopped_sweep_ends_with_a_clear_line_and_goes_on(
    petite: Any, start: Any, wait_for: Any, number: signal.Signals, code: int
) -> None:
    arguments = [*petite.report, "--only", "conv_*", "--epochs", "400", "--serial"]
    process = start(*arguments)
    (run,) = wait_for(lambda: first_checkpoint(petite))
    process.send_signal(number)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == code
    assert errors == "stopped; what is done is kept, and the same command goes on from here\n"
    state = Store(petite.store).state(run)
    assert state.result is None and state.num_epochs_saved >= 1
    assert state.failure is None
    (record,) = Store(petite.store).plans()
    assert record.command == shlex.join(["python", *petite.command(*arguments)[1:]])
    plan = petite.main(*arguments, "--plan")
    assert f"unfinished at epoch {state.num_epochs_saved} of 400" in plan.out


def test_a_stop_that_turns_into_an_error_of_what_it_met_is_still_a_stop(
    petite: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(models: object) -> None:
        """As torch does: its modes cannot be left in order when a signal comes while a network is built."""
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise SpecError("pop from empty mode stack") from None

    signal.signal(signal.SIGINT, signal.default_int_handler)  # tests in the background would ignore it
    monkeypatch.setattr("sweeps.driver.count_networks", interrupted)
    outcome = petite.main(*petite.report, "--serial")
    assert (outcome.code, outcome.err) == (
        130,
        "stopped; what is done is kept, and the same command goes on from here\n",
    )


# Failure


def test_a_loss_that_is_not_finite_fails_that_job_alone(petite: Any) -> None:
    bad = ["--set", "conv_group:optimizer.lr=1e30"]
    outcome = petite.main(*petite.report, "--only", "conv_*", "--serial", *bad)
    assert outcome.code == 1
    assert "2 ok, 1 failed, 0 blocked" in outcome.out
    assert "Traceback" not in outcome.out + outcome.err
    failure = Store(petite.store).state(petite.labels["conv_group@0"]).failure
    assert failure is not None and failure.is_permanent
    assert re.match(r"loss is (nan|inf) at epoch 1, step \d of 3, learning rate .*; lower optimizer.lr", failure.reason)
    said = "".join(outcome.out.split())
    assert "".join(failure.reason.split()) in said
    assert failure.log_path in said
    assert "FAILED" in outcome.out
    assert "TrainingError" in Path(failure.log_path).read_text()
    assert set(petite.num_attempts.values()) == {1}


def test_a_failed_teacher_blocks_its_students_and_they_say_by_whom(petite: Any) -> None:
    bad = ["--set", "teacher_scratch:optimizer.lr=1e30"]
    outcome = petite.main(*petite.report, *bad, "--serial", "--only", "student_kd_scratch", "--only", "conv_plain")
    assert outcome.code == 1
    assert "1 ok, 1 failed, 1 blocked" in outcome.out
    assert "student_kd_scratch@0: BLOCKED by teacher_scratch@0" in outcome.out
    assert begun(petite, {}) == {"teacher_scratch@0", "conv_plain@0"}
    again = petite.main(*petite.report, *bad, "--only", "student_kd_scratch", "--plan")
    assert "failed before: loss is" in again.out


def test_a_teacher_at_chance_is_refused_unless_it_is_allowed(petite: Any) -> None:
    untaught = ["--set", "teacher_scratch:optimizer.lr=1e-12", "--epochs", "1", "--only", "student_kd_scratch"]
    outcome = petite.main(*petite.report, "--serial", *untaught)
    assert outcome.code == 1
    assert "no better than guessing" in " ".join(outcome.out.split())
    before = petite.num_attempts
    outcome = petite.main(*petite.report, "--serial", *untaught, "--allow-weak-teacher")
    assert outcome.code == 0
    assert begun(petite, before) == {"student_kd_scratch@0"}


def test_quiet_says_only_the_tables(petite: Any) -> None:
    outcome = petite.main(*petite.report, "--serial", "--only", "conv_plain", "--quiet")
    assert outcome.code == 0
    assert outcome.err == ""
    assert outcome.out.startswith("Ranking")
    assert not any(word in outcome.out for word in ("preparing", "started", "epoch 1/2", "store:"))


def test_lines_are_printed_where_there_is_no_terminal(petite: Any) -> None:
    outcome = petite.main(*petite.report, "--serial", "--only", "conv_plain")
    events = re.findall(r"^\[\d+:\d\d\] conv_plain@0: (started|epoch \d/2|done) ?", outcome.out, re.MULTILINE)
    assert events == ["started", "epoch 1/2", "epoch 2/2", "done"]


def test_what_is_done_stays_done_when_a_forced_run_cannot_start(copied: Any) -> None:
    weights = copied.weights
    outcome = copied.main(*copied.report, "--force", "student_scratch", "--gpus-per-trial", "student=1")
    assert outcome.code == 2
    assert "needs 1 CPUs and 1 GPUs" in outcome.err
    assert copied.weights == weights
    assert "9 planned, 9 done" in copied.main(*copied.report).out
