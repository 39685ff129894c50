"""DESIGN.md's layer table, held against the imports in the code (those inside functions too), and against a run."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("sweeps", "trainers", "analysis")

WORDS = {"trainers.errors", "trainers.shown", "trainers.texts"}
LANGUAGE = WORDS | {"trainers.spec", "trainers.fields", "trainers.plugins"}
RECORDS = LANGUAGE | {"trainers.plugin_folder", "trainers.result", "trainers.files", "trainers.attempt"}
RECORDS |= {"trainers.remote", "trainers.cache", "trainers.records"}
RECORDS |= {"trainers.locks", "trainers.processes", "trainers.storage", "trainers.removal"}
RECORDS |= {"trainers.teacher_logits", "trainers.logits_folder", "trainers.loaded"}
RECORDS |= {"trainers.space", "trainers.find_run", "trainers.find_plugins", "trainers.titles"}
RECORDS |= {"trainers.whereabouts", "trainers.leases", "trainers.heartbeat", "trainers.snapshot"}
TRAINING = {
    f"trainers.{name}"
    for name in (
        *("augment", "optim", "evaluate", "checkpoint", "measure", "latency", "network", "randomness", "environment"),
        *("pretrained", "training", "batches", "features", "criterion", "averaging", "saved", "outcome"),
        *("device", "teaching", "process", "resident", "writing"),
    )
}
SOURCES = {f"trainers.{name}" for name in ("images", "folders", "downloads", "cifar")}
PREPARING = {f"trainers.{name}" for name in ("selection", "coverage", "decoding", "leaks", "arrays")}
PLANNING = {f"sweeps.{name}" for name in ("plan", "recipes", "resources", "context", "pretraining", "admission")}
PLANNING |= {"sweeps.labels", "sweeps.logits_job", "sweeps.share_logits", "sweeps.estimates", "sweeps.history"}
PLANNING |= {"sweeps.frontier", "sweeps.graph", "sweeps.grid", "sweeps.jobs", "sweeps.request", "sweeps.time_limit"}
RUNNING = {f"sweeps.{name}" for name in ("searcher", "execute", "passes", "serial", "trial", "sweep", "weights")}
RUNNING |= {"sweeps.tries", "sweeps.progress", "sweeps.board", "sweeps.step", "sweeps.forecast", "sweeps.connect"}
RUNNING |= {"sweeps.nodes", "sweeps.losses"}
RUNNING |= {"sweeps.causes", "sweeps.space", "sweeps.memory", "sweeps.hanging"}
RUNNING |= {"sweeps.company", "sweeps.report", "sweeps.event_lines"}
SHOWING = {"analysis.words", "analysis.overview", "analysis.screen", "sweeps.notebook"}
TORCH, IMAGES = {"torch", "torchvision", "safetensors"}, {"numpy", "PIL", "pyarrow"}
TABLES = {"pandas", "pyarrow", "numpy", "scipy", "rich", "plotly", "matplotlib"}

ALLOWED: dict[str, set[str]] = {
    # layer 0 and 1: the vocabulary
    "trainers.errors": set(),
    "trainers.shown": set(),
    "trainers.texts": {"trainers.errors"},
    "trainers.execution": set(),
    "trainers.watchdog": set(),
    "trainers.architectures": set(),
    "trainers.spec": WORDS | {"msgspec"},
    "trainers.fields": WORDS | {"trainers.spec"},
    "trainers.plugins": WORDS,
    # layer 2: records and the store
    "trainers.plugin_folder": LANGUAGE,
    "trainers.result": LANGUAGE | {"numpy", "pyarrow"},
    "trainers.remote": WORDS | {"trainers.bucket"},
    "trainers.snapshot": {"trainers.remote"},
    "trainers.bucket": WORDS | {"trainers.remote", "obstore"},
    "trainers.space": WORDS | {"trainers.remote"},
    "trainers.files": WORDS | {"trainers.result", "trainers.remote", "trainers.space"},
    "trainers.records": LANGUAGE | {"trainers.files", "trainers.remote", "msgspec"},
    "trainers.cache": LANGUAGE | {"trainers.result", "trainers.files", "trainers.locks", "trainers.remote"},
    "trainers.attempt": LANGUAGE
    | {"trainers.result", "trainers.files", "trainers.records", "trainers.remote", "trainers.space", "msgspec"},
    "trainers.data_store": RECORDS | {"msgspec"},
    "trainers.kept": RECORDS | {"msgspec"},
    "trainers.locks": set(),
    "trainers.teacher_logits": LANGUAGE,
    "trainers.loaded": WORDS | {"numpy"},
    "trainers.logits_folder": LANGUAGE
    | {"trainers.result", "trainers.files", "trainers.records", "trainers.attempt", "trainers.teacher_logits", "numpy"}
    | {"trainers.loaded"}
    | {"trainers.remote", "trainers.cache"},
    "trainers.processes": set(),
    "trainers.storage": RECORDS | {"trainers.data_store", "trainers.kept", "msgspec"},
    "trainers.removal": LANGUAGE
    | {
        "trainers.remote",
        "trainers.result",
        "trainers.files",
        "trainers.records",
        "trainers.attempt",
        "trainers.storage",
    }
    | {"trainers.leases"},
    "trainers.whereabouts": set(),
    "trainers.leases": WORDS | {"trainers.files", "trainers.records", "trainers.storage", "trainers.whereabouts"},
    "trainers.heartbeat": {
        "trainers.attempt",
        "trainers.files",
        "trainers.records",
        "trainers.leases",
        "trainers.storage",
    }
    | {"trainers.whereabouts"},
    "trainers.titles": LANGUAGE | {"trainers.storage"},
    "trainers.find_plugins": LANGUAGE | {"trainers.storage", "trainers.plugin_folder"},
    "trainers.find_run": LANGUAGE | {"trainers.storage", "trainers.titles"},
    # layer 3: pictures
    "trainers.images": RECORDS | IMAGES,
    "trainers.folders": RECORDS | IMAGES | {"trainers.images"},
    "trainers.downloads": RECORDS,
    "trainers.cifar": RECORDS | IMAGES | {"trainers.images", "trainers.folders", "trainers.downloads"},
    "trainers.data.*": RECORDS | IMAGES | SOURCES | {"torchvision"},
    "trainers.selection": RECORDS | {"numpy"},
    "trainers.coverage": RECORDS | {"numpy", "trainers.images", "trainers.selection"},
    "trainers.leaks": RECORDS,
    "trainers.arrays": RECORDS | {"numpy"},
    "trainers.decoding": RECORDS | IMAGES | {"trainers.images", "msgspec"},
    "trainers.prepare": RECORDS | IMAGES | PREPARING | {"trainers.images"},
    "trainers.pictures": RECORDS | IMAGES | {"trainers.arrays"},
    # layers 4 and 5: networks and their training
    "trainers.convolutions": {"torch"},
    "trainers.models.*": LANGUAGE | {"trainers.convolutions", "trainers.architectures", "torch", "torchvision", "timm"},
    "trainers.objectives.*": LANGUAGE | {"torch"},
    **{
        name: RECORDS | TRAINING | TORCH | {"trainers.pictures", "trainers.execution", "numpy", "msgspec"}
        for name in TRAINING
    },
    "trainers.load_run": RECORDS | TRAINING | IMAGES | {"trainers.images", "trainers.pictures", "torch"},
    "trainers.loop": RECORDS | TRAINING | {"trainers.execution", "torch"},
    # layers 6 and 7: what to run, and in what order
    "sweeps.graph": set(),
    "sweeps.labels": set(),
    "sweeps.logits_job": RECORDS | {"sweeps.labels"},
    "sweeps.plan": RECORDS | {"sweeps.graph", "sweeps.labels", "sweeps.logits_job"},
    "sweeps.share_logits": RECORDS | {"sweeps.plan", "sweeps.logits_job"},
    "sweeps.recipes": RECORDS,
    "sweeps.resources": RECORDS,
    "sweeps.estimates": LANGUAGE | {"trainers.teacher_logits"},
    "sweeps.history": RECORDS | {"sweeps.estimates", "msgspec", "pyarrow"},
    "sweeps.forecast": {"analysis.words"},
    "sweeps.notebook": {"rich", "IPython"},
    "sweeps.company": {"sweeps.labels", "trainers.leases"},
    "sweeps.step": set(),
    "sweeps.board": LANGUAGE | {"sweeps.plan", "sweeps.estimates", "sweeps.step", "analysis.overview"},
    "sweeps.context": RECORDS | {"sweeps.labels", "sweeps.plan", "sweeps.recipes"},
    "sweeps.grid": RECORDS | {"sweeps.labels", "sweeps.plan", "sweeps.recipes", "sweeps.context"},
    "sweeps.request": RECORDS
    | {"trainers.images", "sweeps.grid", "sweeps.recipes", "sweeps.resources", "sweeps.time_limit"}
    | {"sweeps.share_logits"},
    "sweeps.pretraining": RECORDS | {"trainers.prepare", "trainers.selection", "sweeps.context"},
    "sweeps.admission": RECORDS | {"sweeps.resources"},
    "sweeps.time_limit": RECORDS | {"sweeps.plan"},
    "sweeps.frontier": {"sweeps.graph", "sweeps.resources", "sweeps.admission"},
    "sweeps.catalog.*": LANGUAGE | {"sweeps.plan", "sweeps.recipes", "sweeps.context"},
    "sweeps.jobs": RECORDS | {"sweeps.plan", "sweeps.context"},
    # layer 8: running it
    **{name: RECORDS | PLANNING | RUNNING | SHOWING | {"rich"} for name in RUNNING},
    "sweeps.sweep": RECORDS | PLANNING | RUNNING | {"trainers.images", "trainers.prepare"},
    "sweeps.report": {"trainers.storage"},
    "sweeps.weights": RECORDS | {"sweeps.labels", "sweeps.plan", "sweeps.pretraining", "trainers.pretrained"},
    "sweeps.causes": RECORDS,
    "sweeps.hanging": RECORDS | {"trainers.execution", "trainers.watchdog"},
    "sweeps.trial": RECORDS
    | {"sweeps.causes", "sweeps.hanging", "sweeps.step"}
    | {"trainers.execution", "trainers.loop", "trainers.teaching"},
    "sweeps.passes": RECORDS | PLANNING | {"sweeps.progress", "sweeps.step", "analysis.overview", "trainers.execution"},
    "sweeps.serial": RECORDS | PLANNING | RUNNING | {"torch"},
    "sweeps.searcher": RECORDS | PLANNING | {"ray"},
    "sweeps.probe": RECORDS,
    "sweeps.autoscaling": {"sweeps.resources", "yaml"},
    "sweeps.nodes": RECORDS | {"sweeps.autoscaling", "sweeps.probe", "sweeps.resources", "ray", "grpc"},
    "sweeps.losses": WORDS | {"sweeps.resources", "ray"},
    "sweeps.connect": RECORDS
    | {"sweeps.allocator", "sweeps.losses", "sweeps.nodes", "sweeps.resources", "sweeps.trial", "ray"},
    "sweeps.execute": RECORDS | PLANNING | RUNNING | {"trainers.execution", "ray"},
    "sweeps.arguments": WORDS,
    "sweeps.allocator": set(),
    "sweeps.simulation": {"sweeps.admission", "sweeps.frontier", "sweeps.graph", "sweeps.resources"},
    "sweeps.outlook": RECORDS | PLANNING | {"sweeps.simulation", "sweeps.passes", "analysis.words"},
    "sweeps.replay": RECORDS | {"sweeps.simulation", "sweeps.resources"},
    "sweeps.simulate": RECORDS
    | PLANNING
    | {"sweeps.simulation", "sweeps.replay", "sweeps.passes", "analysis.words", "sweeps.sweep", "trainers.prepare"}
    | {"sweeps.outlook"},
    # layer 6': what came out
    "analysis.*": RECORDS | TABLES | {"analysis", "msgspec"},
    "analysis.charts.*": {"analysis.charts", "altair", "vl_convert"},
    "analysis.page.*": RECORDS
    | TABLES
    | {"analysis", "msgspec", "jinja2", "markupsafe", "vl_convert", "trainers.pictures", "PIL"},
    "analysis.loggers.*": WORDS | {"trainers.storage", "analysis", "mlflow", "tensorboardX"},
    # layer 9
    "sweeps.budget": RECORDS | {"sweeps.plan", "trainers.measure"},
    "sweeps.counting": LANGUAGE | {"trainers.plugin_folder", "trainers.processes", "trainers.measure"},
    "sweeps.driver": RECORDS
    | PLANNING
    | RUNNING
    | {"analysis.overview", "sweeps.allocator", "sweeps.counting", "rich"},
    "sweeps.api": RECORDS
    | PLANNING
    | RUNNING
    | {"sweeps.budget", "sweeps.driver", "sweeps.outlook", "analysis", "rich", "pandas"},
    "sweeps.show": RECORDS | PLANNING | {"sweeps.api", "sweeps.budget", "analysis.words", "rich"},
    "sweeps.run_all": WORDS
    | {"trainers.space"}
    | {"sweeps.allocator", "sweeps.arguments", "sweeps.labels", "sweeps.api", "sweeps.show", "analysis", "rich"},
}


def modules() -> dict[str, Path]:
    """Every module of ours by its full name."""
    files = [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))]
    found = {".".join(file.relative_to(ROOT).with_suffix("").parts): file for file in files}
    return {name: file for name, file in found.items() if not name.endswith("__init__")}


MODULES = modules()


def rule_of(module: str) -> str | None:
    """The row of the table that holds for a module: its own, or its package's."""
    package = f"{module.rpartition('.')[0]}.*"
    return module if module in ALLOWED else package if package in ALLOWED else None


def imports_of(node: ast.AST) -> Iterator[str]:
    """Full names of imported modules, everywhere but under `if TYPE_CHECKING:`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "relative import"
            inner = [f"{child.module}.{alias.name}" for alias in child.names]
            found = [name for name in inner if name in MODULES]
            yield from found or [str(child.module)]
        else:
            yield from imports_of(child)


def imported(module: str) -> set[str]:
    """What a module imports besides the standard library."""
    names = set(imports_of(ast.parse(MODULES[module].read_text())))
    return {name for name in names if name.partition(".")[0] not in sys.stdlib_module_names}


def is_allowed(name: str, allowed: set[str]) -> bool:
    """Whether a name, or a package that it lies in, is in the row; our packages only where they are named."""
    parts = name.split(".")
    return name in PACKAGES or any(".".join(parts[:end]) in allowed for end in range(1, len(parts) + 1))


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_what_its_layer_may_and_nothing_else(module: str) -> None:
    rule = rule_of(module)
    assert rule is not None, f"{module} is in no layer; add a row to this table and to DESIGN.md"
    wrong = {name for name in imported(module) if not is_allowed(name, ALLOWED[rule])}
    assert not wrong, f"{module} (row {rule}) must not import {sorted(wrong)}"


@pytest.mark.parametrize("package", ["trainers.data", "trainers.models", "trainers.objectives", "sweeps.catalog"])
def test_plugins_import_no_siblings(package: str) -> None:
    plugins = [module for module in MODULES if module.startswith(f"{package}.")]
    assert plugins
    siblings = {module: {name for name in imported(module) if name.startswith(package)} for module in plugins}
    assert not any(siblings.values()), siblings


def test_nobody_imports_the_command_line() -> None:
    assert [module for module in MODULES if "sweeps.run_all" in imported(module)] == []


@pytest.mark.parametrize(
    ("package", "never"), [("trainers", {"sweeps", "analysis"}), ("analysis", {"sweeps", "torch", "ray"})]
)
def test_a_package_never_imports_what_stands_above_it(package: str, never: set[str]) -> None:
    roots = {
        module: {name.partition(".")[0] for name in imported(module)} & never
        for module in MODULES
        if module.startswith(f"{package}.")
    }
    assert not any(roots.values()), roots


def test_ray_is_imported_by_what_runs_a_pass_and_what_connects_alone() -> None:
    users = {module for module in MODULES if any(name.partition(".")[0] == "ray" for name in imported(module))}
    assert users == {"sweeps.searcher", "sweeps.execute", "sweeps.connect", "sweeps.nodes", "sweeps.losses"}


def test_torchvision_is_imported_inside_functions_of_data_files_only() -> None:
    for module in MODULES:
        if module.startswith("trainers.data."):
            top = ast.parse(MODULES[module].read_text()).body
            outer = [node for node in top if isinstance(node, ast.Import | ast.ImportFrom)]
            assert not any("torchvision" in ast.unparse(node) for node in outer)


def test_every_row_of_the_table_is_about_something() -> None:
    assert {rule_of(module) for module in MODULES} == set(ALLOWED)


def test_imports_inside_functions_are_seen_and_those_for_type_checkers_are_not() -> None:
    text = (
        "if TYPE_CHECKING:\n    import ray\ndef f():\n    from torch import nn\n    if x:\n        import rich.table\n"
    )
    assert set(imports_of(ast.parse(text))) == {"torch", "rich.table"}


PROBE = """
import json, sys
sys.argv[0] = {path!r}
sys.path.insert(0, {folder!r})
import runpy
code = 0
try:
    runpy.run_path({path!r}, run_name="__main__")
except SystemExit as stop:
    code = stop.code
print(json.dumps([code, sorted(name for name in ("torch", "ray", "torchvision") if name in sys.modules)]))
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--list"],
        ["--plan"],
        ["--plan", "--seeds", "0,1,2"],
        ["--plan", "--sweep", "conv_matched", "--grid", "epochs=1,2"],
    ],
)
def test_help_list_and_plan_start_neither_torch_nor_ray(arguments: list[str], tmp_path: Path) -> None:
    path = str(ROOT / "sweeps" / "run_all.py")
    code = PROBE.format(path=path, folder=str(ROOT / "sweeps"))
    done = subprocess.run(
        [sys.executable, "-c", code, "--store", "store", *arguments], capture_output=True, text=True, cwd=tmp_path
    )
    assert json.loads(done.stdout.splitlines()[-1]) == [0, []], done.stdout + done.stderr
    assert not (tmp_path / "store").exists()
