#!/usr/bin/env python3
"""Repeat self-supervised training and evaluation with several seeds and average the figures.

    python training/repeat_runs.py --runs 6 --data PREPARED --work WORK --json runs.json
    python training/repeat_runs.py --runs 6 --data PREPARED --work WORK --losses paper --refine icp

Each run trains every category on ``--train`` and evaluates it on ``--test``; papers report such
averages. Completed runs are not repeated.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sdfpose_core.categories import default_categories
from sdfpose_core.cli.execution import execute
from sdfpose_core.cli.numbers import integer
from sdfpose_core.cli.output import write_json
from sdfpose_core.cli.paths import (
    check_input_folder,
    check_output_file,
    check_output_folder,
)
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.weights import SHIPPED

HERE = Path(__file__).parent


def run_script(name: str, arguments: Sequence[str]) -> None:
    """Run another training script in a separate process.

    Raises:
        ConfigurationError: the script failed; its own output shows why.
    """
    command = [sys.executable, str(HERE / f"{name}.py"), *arguments]
    if subprocess.run(command, check=False).returncode != 0:
        raise ConfigurationError(
            f"{name}.py failed: {' '.join(arguments)}: see its output above for the reason"
        )


def one_run(args: argparse.Namespace, categories: Sequence[str], seed: int) -> dict[str, Any]:
    """Train and evaluate all categories with one seed; return the report of evaluate.py."""
    folder = args.work / f"run{seed}"
    report = folder / "report.json"
    if not report.is_file():
        weights = folder / "weights"
        common = ["--data", str(args.data), "--device", args.device, "--threads", str(args.threads)]
        for category in categories:
            training = [category, *common, "--part", args.train, "--weights", str(args.weights)]
            training += ["--out", str(weights), "--work", str(folder), "--seed", str(seed)]
            training += ["--losses", args.losses]
            if args.config is not None:
                training += ["--config", str(args.config)]
            run_script("self_supervise", training)
        evaluation = [*common, "--part", args.test, "--weights", str(weights)]
        evaluation += ["--refine", args.refine, "--json", str(report), "--category", *categories]
        run_script("evaluate", evaluation)
    figures: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    return figures


def averages(reports: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Average every figure over the runs, by category and overall, with standard deviations."""
    names = list(reports[0]["per_category"])
    return {
        "runs": len(reports),
        "per_category": {
            name: _average([x["per_category"][name] for x in reports]) for name in names
        },
        "mean": _average([x["mean"] for x in reports]),
        "spread": _average([x["mean"] for x in reports], np.std),
    }


def _average(figures: Sequence[Mapping[str, Any]], of: Any = np.mean) -> dict[str, Any]:
    values = {name: [x[name] for x in figures] for name in figures[0]}
    return {name: None if None in some else float(of(some)) for name, some in values.items()}


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
    parser.add_argument("--test", default="Real/test", help="part to evaluate on")
    parser.add_argument("--category", nargs="+", metavar="NAME", help="only these categories")
    parser.add_argument("--weights", type=Path, default=SHIPPED, help="weights to start from")
    parser.add_argument("--work", type=Path, required=True, help="parent of the runs' folders")
    parser.add_argument("--losses", choices=("certified", "paper"), default="certified")
    parser.add_argument("--refine", choices=("sdf", "icp", "none"), default="sdf")
    parser.add_argument("--config", type=Path, help="configuration for self_supervise.py")
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--threads", type=integer(0), default=0, help="CPU threads, 0 for all cores"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the averages")
    args = parser.parse_args(arguments)
    check_output_file("--json", args.json)
    check_output_folder("--work", args.work)
    check_input_folder("--weights", args.weights, "CATEGORY.encoder.safetensors")
    for option, part in (("--train", args.train), ("--test", args.test)):
        check_input_folder(option, args.data / part, "prepared images")
    known = default_categories()
    categories = [known[name].name for name in args.category or known]
    document = averages([one_run(args, categories, seed) for seed in range(args.runs)])
    if args.json is not None:
        write_json(args.json, document)
    print(json.dumps({"mean": document["mean"], "spread": document["spread"]}))
    return 0


if __name__ == "__main__":
    sys.exit(execute("repeat_runs", main))
