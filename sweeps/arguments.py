"""The command line: every option, its help and its default."""

from __future__ import annotations

import argparse
import re

from trainers.shown import Parser

EXAMPLES = """\
examples:
  python sweeps/run_all.py                                 the report's eight rows on the embedded pictures
  python sweeps/run_all.py --plan                          what would run, and why; starts nothing
  python sweeps/run_all.py --seeds 0,1,2                   with intervals
  python sweeps/run_all.py --data parquet:photos/ --limit 10000 --pretrained source
  python sweeps/run_all.py --set optimizer.lr=0.001 --set teacher:epochs=12
  python sweeps/run_all.py --grid objective.temperature=1,4,20 --grid objective.weight=0.1,0.5,0.9
Run again to go on: what is finished is never trained twice, what was interrupted resumes.
exit codes: 0 all jobs are done; 1 a job failed, was blocked or not started; 2 wrong input; 130, 143 interrupted
"""

STORE_HELP = (
    "results: a folder (default: ./petite-store), or s3://BUCKET/PREFIX with AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, "
    "AWS_SECRET_ACCESS_KEY and AWS_REGION in the environment of every machine"
)


def whole_number(text: str) -> int:
    """Digits with or without a sign; Python alone would also take underscores and other scripts."""
    if not re.fullmatch("[+-]?[0-9]{1,18}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number (of 18 digits at most)")
    return int(text)


def make_parser() -> argparse.ArgumentParser:
    """The parser of `run_all.py`."""
    parser = Parser(
        prog="run_all.py",
        description="Train every network of a sweep, each when its parents are done; rank accuracy against size.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_what(parser.add_argument_group("what to train"))
    _add_how(parser.add_argument_group("how to train it"))
    _add_which(parser.add_argument_group("which jobs to run"))
    _add_where(parser.add_argument_group("where to run"))
    return parser


def _add_what(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--sweep", default="report", metavar="NAME", help="a file of sweeps/catalog (default: report)")
    group.add_argument(
        "--data",
        default="plates",
        metavar="NAME[:PATH]",
        help="a file of trainers/data: plates (embedded, default), images:PATH (class folders), parquet:PATH, "
        "food11:PATH, cifar10, cifar100, fashion_mnist, torchvision:NAME",
    )
    group.add_argument(
        "--image-size", type=whole_number, metavar="PIXELS", help="side of the square pictures (default: theirs)"
    )
    group.add_argument(
        "--resize",
        choices=("fit", "squash", "pad", "none"),
        default="fit",
        help="how other pictures become squares: fit (shorter side, then the centre; default), squash (both sides), "
        "pad (the whole picture, black beside it), none (kept as they are; squares are cut from them in training)",
    )
    group.add_argument(
        "--limit", type=whole_number, metavar="N", help="use N pictures in all, stratified by split and class"
    )
    group.add_argument("--skip-bad-images", action="store_true", help="leave out pictures that cannot be read")
    group.add_argument("--allow-leak", action="store_true", help="go on with pictures that are in two splits")
    group.add_argument(
        "--pretrained",
        metavar="CHOICE",
        help="start of the fine-tuned teacher: imagenet (torchvision's weights; default for real data), FILE (a "
        "torchvision ResNet18 state dict), source (a pretraining job on the data's source set; default for plates)",
    )
    group.add_argument(
        "--source-data",
        metavar="NAME[:PATH]",
        help="data to pretrain on (default: the data's own source set, or the pictures outside --limit)",
    )
    group.add_argument(
        "--teacher",
        metavar="FILE",
        help="weights of your own teacher, classifier included (PyTorch or safetensors), instead of trained ones; "
        "--set teacher_given:normalize=none if it was trained on pictures in 0..1",
    )
    group.add_argument("--teacher-model", metavar="NAME", help="the model of --teacher (default: resnet18)")
    group.add_argument(
        "--plugins", metavar="FOLDER", help="your own files, in FOLDER/models, objectives, data and sweeps"
    )
    group.add_argument("--list", action="store_true", help="list sweeps, data sets, models, objectives and recipes")


def _add_how(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--recipe", default="quick", metavar="NAME", help="quick (default), strong or course")
    group.add_argument("--seeds", default="0", metavar="0,1,2", help="one run of every job per seed (default: 0)")
    group.add_argument("--epochs", type=whole_number, metavar="N", help="epochs of every job")
    group.add_argument("--batch-size", type=whole_number, metavar="N", help="pictures per step")
    group.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="[WHO:]KEY=VALUE",
        help="any field of a spec, for all jobs or a role, label, model or objective: teacher:optimizer.lr=0.001",
    )
    group.add_argument(
        "--grid",
        action="append",
        default=[],
        metavar="[WHO:]KEY=V1,V2,...",
        help="the jobs that this field concerns once per value (repeatable: all combinations): "
        "objective.temperature=1,4,20",
    )
    group.add_argument(
        "--deterministic",
        action="store_true",
        help="allow only algorithms that give the same bits every time, which GPUs do not by default (slower there)",
    )
    group.add_argument("--allow-weak-teacher", action="store_true", help="distil even from a teacher at chance level")


def _add_which(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--budget-params",
        type=whole_number,
        metavar="N",
        help="students and variants may have N parameters at most; --plan counts them, a run refuses larger ones",
    )
    group.add_argument("--plan", action="store_true", help="show the jobs, what would run and why; start nothing")
    for option, text in (
        ("--only", "only this job, or all points of its grid, and what it depends on (repeatable; * and ? match)"),
        ("--exclude", "not this job, nor what depends on it (repeatable)"),
        ("--force", "train this job and what depends on it again (repeatable; LABEL@SEED means one seed)"),
    ):
        group.add_argument(option, action="append", default=[], metavar="LABEL", help=text)
    group.add_argument(
        "--rerun-changed", action="store_true", help="train again what is done but whose code or parent has changed"
    )


def _add_where(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--store", default="petite-store", metavar="FOLDER", help=STORE_HELP)
    group.add_argument("--address", metavar="HOST:PORT", help="join a running Ray cluster (or: auto)")
    group.add_argument("--serial", action="store_true", help="one job after the other in this process, without Ray")
    group.add_argument("--max-concurrent", type=whole_number, metavar="N", help="at most N jobs at a time")
    group.add_argument(
        "--max-hours",
        metavar="H",
        help="start no job that would not be done H hours from now; what runs by then finishes",
    )
    group.add_argument(
        "--teacher-logits",
        choices=("always", "auto", "never"),
        default="auto",
        help="write what a teacher says of every view once, for all students that learn from it: always, where "
        "several share it (auto, default), or never; on a CPU the numbers are the same to the last bit",
    )
    for kind in ("cpus", "gpus"):
        group.add_argument(
            f"--{kind}-per-trial",
            action="append",
            default=[],
            metavar="ROLE=X",
            help=f"{kind.upper()[:-1]}s of each job of a role (pretrain, teacher, student, variant); repeatable",
        )
    group.add_argument(
        "--no-report", action="store_true", help="do not write the page report/index.html, which shows the sweep"
    )
    group.add_argument(
        "--log",
        action="append",
        default=[],
        metavar="WHERE",
        help="show the sweep elsewhere while it runs: tensorboard (files in the store), tensorboard:FOLDER, or "
        "mlflow:URI of a server or sqlite:///FILE (repeatable)",
    )
    group.add_argument("--quiet", action="store_true", help="no progress, only the tables at the end")
