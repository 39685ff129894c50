"""cluster.yaml, held against the validator of Ray's own launcher; the cloud variant in its comments too."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

FILE = Path(__file__).resolve().parents[1] / "cluster.yaml"
CLOUD = "# cloud: "
REPLACED = ("provider", "auth", "min_workers", "max_workers")


def on_premise() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(FILE.read_text())
    return content


def cloud() -> dict[str, Any]:
    """What a user gets who follows the comment: its lines in place of what they replace."""
    lines = [line.removeprefix(CLOUD) for line in FILE.read_text().splitlines() if line.startswith(CLOUD)]
    kept = {key: value for key, value in on_premise().items() if key not in REPLACED}
    content: dict[str, Any] = kept | yaml.safe_load("\n".join(lines))
    return content


def check(content: dict[str, Any]) -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    validate_config(prepare_config(content))


@pytest.mark.ray
@pytest.mark.parametrize("variant", [on_premise, cloud])
def test_rays_own_validator_accepts_it(variant: Any) -> None:
    check(variant())


@pytest.mark.ray
@pytest.mark.parametrize(("variant", "key"), [(on_premise, "provider"), (cloud, "provider"), (cloud, "head_node_type")])
def test_rays_validator_would_notice_a_missing_key(variant: Any, key: str) -> None:
    content = variant()
    del content[key]
    with pytest.raises(Exception):  # noqa: B017  # each key has an error type of its own
        check(content)


def test_the_on_premise_file_has_what_the_validator_does_not_ask_for() -> None:
    content = on_premise()
    assert set(content["provider"]) == {"type", "head_ip", "worker_ips"}
    assert content["provider"]["type"] == "local"
    assert content["auth"]["ssh_user"]
    assert "available_node_types" not in content
    assert content["min_workers"] == content["max_workers"] == len(content["provider"]["worker_ips"])


def test_the_cloud_variant_names_region_and_machines() -> None:
    content = cloud()
    assert content["provider"]["type"] == "aws" and content["provider"]["region"]
    assert content["head_node_type"] in content["available_node_types"]
    assert all(kind["node_config"]["InstanceType"] for kind in content["available_node_types"].values())
    assert content["auth"]["ssh_user"]


@pytest.mark.parametrize("key", ["head_start_ray_commands", "worker_start_ray_commands"])
def test_start_commands_name_ray_by_its_path_and_ask_for_tokens(key: str) -> None:
    commands = on_premise()[key]
    assert all(re.search(r"(^|\s)[~/]\S*/bin/ray (start|stop)", command) for command in commands)
    assert all("RAY_AUTH_MODE=token" in command for command in commands if "ray start" in command)


def test_it_says_where_to_run_and_nothing_about_training() -> None:
    from sweeps.recipes import RECIPES

    text = FILE.read_text()
    keys = {setting.key.rpartition(".")[2] for recipe in RECIPES.values() for setting in recipe.settings()}
    assert not [key for key in keys - {"name"} if re.search(rf"\b{key}\b", text)]


def test_setup_installs_this_project_with_all_that_it_asks_for_and_rays_launcher() -> None:
    content = on_premise()
    (copied,) = content["file_mounts"]
    (install,) = [command for command in content["setup_commands"] if "pip install" in command]
    assert re.search(rf"-e {copied}(\s|$)", install)
    assert content["file_mounts"][copied] == "." and (FILE.parent / "pyproject.toml").exists()
    assert "ray[default]" in install
