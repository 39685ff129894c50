"""The files in cluster/: a RayJob as KubeRay's reference describes it, and a batch script with stand-ins for Slurm."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

FOLDER = Path(__file__).resolve().parents[1] / "cluster"
RAYJOB, SBATCH = FOLDER / "kuberay-rayjob.yaml", FOLDER / "slurm.sbatch"


def rayjob() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(RAYJOB.read_text())
    return content


def pods(content: dict[str, Any]) -> Iterator[dict[str, Any]]:
    cluster = content["spec"]["rayClusterSpec"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        yield group["template"]["spec"]


def test_the_manifest_has_what_the_reference_of_rayjob_requires() -> None:
    """docs.ray.io, KubeRay CRD API reference, ray.io/v1: RayJobSpec, RayClusterSpec and the two group specs."""
    content = rayjob()
    assert (content["apiVersion"], content["kind"]) == ("ray.io/v1", "RayJob")
    assert re.fullmatch(r"[a-z0-9-]{1,47}", content["metadata"]["name"])
    spec = content["spec"]
    assert spec["submissionMode"] in ("K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode")
    assert isinstance(spec["backoffLimit"], int) and spec["shutdownAfterJobFinishes"] is True
    cluster = spec["rayClusterSpec"]
    assert {"rayStartParams", "template"} <= set(cluster["headGroupSpec"])
    for group in cluster["workerGroupSpecs"]:
        assert {"groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template"} <= set(group)
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())


def test_every_pod_has_the_same_image_and_sees_the_store_under_the_same_path() -> None:
    content = rayjob()
    store = re.search(r"--store (\S+)", content["spec"]["entrypoint"])
    assert store is not None
    images = set()
    for pod in pods(content):
        volumes = {volume["name"] for volume in pod["volumes"]}
        (container,) = pod["containers"]
        images.add(container["image"])
        mounts = [mount["mountPath"] for mount in container["volumeMounts"] if mount["name"] in volumes]
        assert any(store[1].startswith(f"{mount}/") for mount in mounts)
        assert container["resources"]["limits"]["memory"] == container["resources"]["requests"]["memory"]
    assert len(images) == 1


def test_the_cluster_asks_for_a_token_and_opens_no_port_to_the_outside() -> None:
    cluster = rayjob()["spec"]["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    assert cluster["headGroupSpec"]["serviceType"] == "ClusterIP"


def test_the_entry_point_is_a_command_that_we_know() -> None:
    from sweeps.arguments import make_parser

    _, script, *words = rayjob()["spec"]["entrypoint"].split()
    assert script.endswith("/sweeps/run_all.py")
    assert make_parser().parse_args(words).address == "auto"


STAND_INS = {
    "srun": 'printf "srun %s\\n" "$*" >> "$CALLS"\nwhile [[ "$1" == --* ]]; do shift; done\nexec "$@"',
    "scontrol": 'printf "scontrol %s\\n" "$*" >> "$CALLS"\nprintf "n%s\\n" 1 2 3 | head -"$HOSTS"',
    "hostname": 'echo "10.0.0.7 fe80::1"',
    "ray": 'printf "ray %s %s %s\\n" "$RAY_AUTH_MODE" "$RAY_AUTH_TOKEN" "$*" >> "$CALLS"\n'
    'case "$1" in start) exec sleep 60;; health-check) [ ! -e "$SICK" ] && '
    'until grep -q -- --head "$CALLS"; do sleep 0.01; done;; esac',
    "python": 'printf "python %s\\n" "$*" >> "$CALLS"\n[ "$1" = - ] || exit "$CODE"\ncat > "$CALLS.wait"\n'
    'until [ "$HOSTS" = 1 ] || grep -q "start --address" "$CALLS"; do sleep 0.01; done',
}


def submitted(folder: Path, *words: str, num_hosts: int = 3, code: int = 0, is_sick: bool = False) -> Any:
    """Run the script as Slurm would, on machines that are not there; what it called is in `calls`."""
    (folder / "bin").mkdir()
    for name, text in STAND_INS.items():
        (folder / "bin" / name).write_text(f"#!/bin/bash\n{text}\n")
        (folder / "bin" / name).chmod(0o755)
    if is_sick:
        (folder / "sick").touch()
    environment = {
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "CALLS": str(folder / "calls"),
        "SICK": str(folder / "sick"),
        "HOSTS": str(num_hosts),
        "CODE": str(code),
        "PETITE_WAIT_SECONDS": "0",
        "PETITE_PYTHON": str(folder / "bin" / "python"),
        "SLURM_SUBMIT_DIR": "/checkout",
        "SLURM_JOB_ID": "123456",
        "SLURM_JOB_NODELIST": "n[1-3]",
        "SLURM_CPUS_PER_TASK": "8",
        "SLURM_GPUS_PER_TASK": "a100:2",
    }
    done = subprocess.run(
        ["bash", str(SBATCH), *words], env=environment, capture_output=True, text=True, timeout=30, cwd=folder
    )
    return done, (folder / "calls").read_text().splitlines()


def test_slurm_starts_a_head_then_workers_and_then_the_sweep_with_the_users_words(tmp_path: Path) -> None:
    done, calls = submitted(tmp_path, "--store", "/shared/store", "--set", "student:epochs=2")
    assert done.returncode == 0, done.stderr
    port = 20000 + 123456 % 20000
    starts = [call for call in calls if re.match(r"ray \S+ \S+ start", call)]
    assert len(starts) == 2  # the stand-in for srun runs its command once, however many tasks it is asked for
    assert f"--head --node-ip-address=10.0.0.7 --port={port} " in starts[0]
    assert f"start --address=10.0.0.7:{port} " in starts[1]
    assert all("--num-cpus=8 --num-gpus=2" in start for start in starts)
    assert any("--nodes=2 --ntasks=2" in call and "--nodelist=n2,n3" in call for call in calls)
    assert calls[-1] == (
        f"python /checkout/sweeps/run_all.py --address 10.0.0.7:{port} --store /shared/store --set student:epochs=2"
    )
    compile((tmp_path / "calls.wait").read_text(), "what waits for the workers", "exec")


def test_slurms_ray_asks_for_a_token_that_no_command_line_shows(tmp_path: Path) -> None:
    _, calls = submitted(tmp_path)
    tokens = {call.split()[2] for call in calls if call.startswith("ray ")}
    assert {call.split()[1] for call in calls if call.startswith("ray ")} == {"token"}
    (token,) = tokens
    assert re.fullmatch(r"[0-9a-f]{64}", token)
    assert not [call for call in calls if call.startswith(("srun", "python")) and token in call]


def test_a_single_machine_gets_a_head_alone(tmp_path: Path) -> None:
    done, calls = submitted(tmp_path, num_hosts=1)
    assert done.returncode == 0, done.stderr
    assert len([call for call in calls if re.match(r"ray \S+ \S+ start", call)]) == 1


def test_the_sweeps_exit_code_is_the_jobs(tmp_path: Path) -> None:
    assert submitted(tmp_path, code=1)[0].returncode == 1


def test_a_head_that_does_not_start_ends_the_job_in_one_line(tmp_path: Path) -> None:
    done, calls = submitted(tmp_path, is_sick=True)
    assert done.returncode == 2
    assert done.stderr == "error: Ray's head on n1 did not start; see above\n"
    assert not [call for call in calls if "run_all.py" in call]


@pytest.mark.parametrize("file", [RAYJOB, SBATCH])
def test_launchers_say_where_to_run_and_nothing_about_training(file: Path) -> None:
    from sweeps.recipes import RECIPES

    keys = {setting.key.rpartition(".")[2] for recipe in RECIPES.values() for setting in recipe.settings()}
    assert not [key for key in keys - {"name"} if re.search(rf"\b{key}\b", file.read_text())]


def test_the_script_is_bash_and_its_options_come_before_its_first_command() -> None:
    assert subprocess.run(["bash", "-n", str(SBATCH)]).returncode == 0
    lines = SBATCH.read_text().splitlines()
    options = [number for number, line in enumerate(lines) if line.startswith("#SBATCH ")]
    first_command = next(number for number, line in enumerate(lines) if line and not line.startswith("#"))
    assert options and max(options) < first_command
    assert all(re.fullmatch(r"#SBATCH --[a-z-]+=\S+", lines[number]) for number in options)
    assert sys.platform != "linux" or lines[0] == "#!/bin/bash"
