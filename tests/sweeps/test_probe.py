"""What a node of a cluster must have: one that would spoil a sweep is named, in one line that says what to do."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from sweeps.probe import PACKAGES, Report, check, look, marked
from trainers.errors import ResourceError, StoreError
from trainers.storage import Store

ROOT = Path(__file__).resolve().parents[2]
VERSIONS = {"Python": "3.11.2", **dict.fromkeys(PACKAGES, "1.0")}


def report(node: str, **versions: str) -> Report:
    return Report(node=node, versions=VERSIONS | versions)


def test_nodes_that_are_alike_are_fit() -> None:
    assert check([report("a"), report("b"), report("c")]) == []
    assert check([]) == []


def test_this_machine_is_fit_and_leaves_nothing_in_the_store(tmp_path: Path) -> None:
    store = Store(tmp_path / "store").open()
    before = sorted(store.root.iterdir())
    with marked(store) as mark:
        found = look("10.0.0.1", mark)
    assert check([found]) == [] and found.store_problem == ""
    assert found.node.startswith("10.0.0.1 (")
    assert sorted(store.root.iterdir()) == before


@pytest.mark.parametrize("package", ["torch", "torchvision"])
def test_versions_that_change_numbers_are_refused_with_both_nodes(package: str) -> None:
    with pytest.raises(ResourceError) as caught:
        check([report("10.0.0.1 (head)"), report("10.0.0.2 (one)", **{package: "2.0"}), report("10.0.0.3 (two)")])
    assert str(caught.value).startswith(f"{package} is 1.0 on node 10.0.0.1 (head) and 2.0 on node 10.0.0.2 (one): ")
    assert "setup_commands" in str(caught.value)


def test_other_versions_that_differ_are_told_and_allowed() -> None:
    lines = check([report("a"), report("b", rich="13.8", Python="3.11.9")])
    assert lines == ["Python is 3.11.2 on node a and 3.11.9 on node b", "rich is 1.0 on node a and 13.8 on node b"]


def test_a_node_without_a_package_is_named_with_all_that_it_lacks() -> None:
    with pytest.raises(ResourceError, match=re.escape("node b lacks msgspec, obstore; install")):
        check([report("a"), report("b", obstore="", msgspec="")])


def test_a_folder_of_the_same_name_on_another_machine_is_not_the_store(tmp_path: Path) -> None:
    """The other machine's view of the path is a folder of its own: with nothing, or with somebody else's mark."""
    store, private = Store(tmp_path / "store").open(), Store(tmp_path / "private").open()
    with marked(store) as mark:
        seen = dataclasses.replace(mark, root=str(private.root))
        found = look("10.0.0.2", seen)
        with pytest.raises(StoreError, match=r"node 10\.0\.0\.2 .* has no store at .*private, or another"):
            check([found])
        (private.root / mark.name).write_bytes((store.root / mark.name).read_bytes())
        assert look("10.0.0.2", seen).store_problem == ""
        other = dataclasses.replace(seen, content="another content")
        assert "has another store at" in look("10.0.0.2", other).store_problem


def test_a_store_that_a_node_cannot_write_to_is_refused(tmp_path: Path, monkeypatch: Any) -> None:
    def refuse(*given: Any) -> None:
        raise PermissionError(13, "Permission denied")

    store = Store(tmp_path / "store").open()
    with marked(store) as mark:
        monkeypatch.setattr("sweeps.probe.write", refuse)
        found = look("10.0.0.2", mark)
    with pytest.raises(StoreError, match=r"cannot write to the store .* \(Permission denied\); give --store s3"):
        check([found])


def test_every_package_of_the_project_is_asked_for_but_what_draws_the_page() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    of_the_page = {"altair", "jinja2", "vl-convert-python"}
    asked_for = {re.split(r"[\[<>=]", requirement)[0] for requirement in project["dependencies"]}
    assert of_the_page < asked_for and set(PACKAGES) == asked_for - of_the_page
