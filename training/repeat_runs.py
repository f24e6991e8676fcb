#!/usr/bin/env python3
"""Repeat self-supervised training and evaluation with several seeds and average the figures.

    python training/repeat_runs.py --runs 6 --data PREPARED --images DATA --work WORK --json r.json
    python training/repeat_runs.py ... --losses paper --refine icp --iou repaired

Each run trains every category on ``--train`` and evaluates it with `sdfpose eval real275`; papers
report such averages. Completed runs are not repeated.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sdfpose_core.benchmark.nocs_parts import BENCHMARKS
from sdfpose_core.cli.category_choice import add_weights_argument, given_packs
from sdfpose_core.cli.choices import add_protocol_arguments
from sdfpose_core.cli.eval_benchmark import detections_folder
from sdfpose_core.cli.execution import execute
from sdfpose_core.cli.numbers import integer
from sdfpose_core.cli.output import write_json
from sdfpose_core.cli.paths import (
    check_input_folder,
    check_output_file,
    check_output_folder,
)
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.evaluation.nocs_results import average_metrics

HERE = Path(__file__).parent


def run_process(command: Sequence[str]) -> None:
    """Run a Python script or module in a separate process.

    Args:
        command: path of the script, or ``-m`` and the name of the module, and its arguments.

    Raises:
        ConfigurationError: it failed; its own output shows why.
    """
    if subprocess.run([sys.executable, *command], check=False).returncode != 0:
        raise ConfigurationError(
            f"{' '.join(command)}: failed: see its output above for the reason"
        )


def one_run(args: argparse.Namespace, categories: Sequence[str], seed: int) -> dict[str, Any]:
    """Train and evaluate all categories with one seed; return the figures of the evaluation."""
    folder = args.work / f"run{seed}"
    report = folder / "report.json"
    if not report.is_file():
        weights = folder / "weights"
        common = ["--device", args.device, "--threads", str(args.threads)]
        for category in categories:
            training = [category, *common, "--data", str(args.data), "--part", args.train]
            if args.weights:
                training += ["--weights", *map(str, args.weights)]
            training += ["--out", str(weights), "--work", str(folder), "--seed", str(seed)]
            training += ["--losses", args.losses]
            if args.config is not None:
                training += ["--config", str(args.config)]
            run_process([str(HERE / "self_supervise.py"), *training])
        evaluation = ["eval", args.benchmark, str(args.images), *common, "--weights", str(weights)]
        evaluation += ["--results", str(folder / "results"), "--json", str(report)]
        evaluation += ["--refine", args.refine, "--iou", args.iou, "--misses", args.misses]
        evaluation += ["--category", *categories]
        if args.detections is not None:
            evaluation += ["--detections", args.detections]
        run_process(["-m", "sdfpose_core.cli.main", *evaluation])
    figures: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    return figures


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--runs", type=integer(), default=6, help="number of seeds, from 0 on (default: 6)"
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the prepared data")
    parser.add_argument("--train", default="Real/train", help="part to train on")
    parser.add_argument(
        "--images", type=Path, required=True, help="folder of the NOCS data to evaluate on"
    )
    parser.add_argument("--benchmark", choices=BENCHMARKS, default="real275")
    parser.add_argument(
        "--detections", metavar="DIR", help="see 'sdfpose eval real275' (default: as there)"
    )
    parser.add_argument("--category", nargs="+", metavar="NAME", help="only these categories")
    add_weights_argument(parser)
    parser.add_argument("--work", type=Path, required=True, help="parent of the runs' folders")
    parser.add_argument("--losses", choices=("certified", "paper"), default="certified")
    parser.add_argument("--refine", choices=("sdf", "icp", "none"), default="sdf")
    add_protocol_arguments(parser)
    parser.add_argument("--config", type=Path, help="configuration for self_supervise.py")
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--threads", type=integer(0), default=0, help="CPU threads, 0 for all cores"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the averages")
    args = parser.parse_args(arguments)
    check_output_file("--json", args.json)
    check_output_folder("--work", args.work)
    check_input_folder("--train", args.data / args.train, "prepared images")
    part = BENCHMARKS[args.benchmark].part
    check_input_folder("--images", args.images / part, "the images of the benchmark")
    detections_folder(args.benchmark, args.images, args.detections)
    known = given_packs(args).categories
    categories = [known[name].name for name in args.category or known]
    document = average_metrics([one_run(args, categories, seed) for seed in range(args.runs)])
    if args.json is not None:
        write_json(args.json, document)
    print(json.dumps({"mean": document["mean"], "spread": document["spread"]}))
    return 0


if __name__ == "__main__":
    sys.exit(execute("repeat_runs", main))
