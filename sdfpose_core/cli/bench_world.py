"""`sdfpose bench world`: measure tracking in the world with a camera on a moving arm."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress

from sdfpose_core.benchmark.world import (
    DURATION_S,
    RATE_HZ,
    ArmSequence,
    summarise_world,
    track_world,
)
from sdfpose_core.cli.category_choice import given_packs
from sdfpose_core.cli.choices import (
    add_estimator_arguments,
    add_threads_argument,
    estimator_config,
)
from sdfpose_core.cli.numbers import integer, positive, seed
from sdfpose_core.cli.output import add_json_argument, wide_console, write_json
from sdfpose_core.cli.paths import check_output_file
from sdfpose_core.estimation.estimator import PoseEstimator

__all__ = ["add_parser", "run"]


def add_parser(benchmarks: Any) -> None:
    """Declare the benchmark's arguments."""
    parser = benchmarks.add_parser(
        "world",
        help="measure tracking in the world with a camera on a moving arm",
        description=(
            "Track six objects that stand on a simulated table with a camera that an arm moves "
            "round them at up to 0.5 m/s. From 10 s to 22 s, the camera looks away. Its poses have "
            "errors of 2 mm and 0.2 degrees. Compare the objects' poses in the world at the end "
            "with those from single images."
        ),
        epilog="Example: sdfpose bench world --seed 1 --json world.json",
    )
    parser.add_argument(
        "--seed", type=seed, default=0, help="random seed of the first sequence (default: 0)"
    )
    parser.add_argument(
        "--count", type=integer(), default=1, help="number of sequences (default: 1)"
    )
    parser.add_argument(
        "--duration",
        type=positive,
        default=DURATION_S,
        metavar="S",
        help="duration of a sequence, seconds (default: %(default)s)",
    )
    parser.add_argument(
        "--hz", type=positive, default=RATE_HZ, help="images per second (default: %(default)s)"
    )
    add_estimator_arguments(parser, device="cpu")
    add_json_argument(parser)
    add_threads_argument(parser)
    parser.set_defaults(benchmark=run)


def run(args: argparse.Namespace) -> int:
    """Run the world benchmark.

    Raises:
        SdfposeError: An argument is invalid, or the weights cannot be used.
    """
    check_output_file("--json", args.json)
    if args.threads > 0:
        torch.set_num_threads(args.threads)
    estimator = PoseEstimator(estimator_config(args), given_packs(args))
    runs = []
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("tracking", total=args.count)
        for number in range(args.count):
            sequence = ArmSequence(args.seed + number, duration_s=args.duration, rate_hz=args.hz)
            for item in sequence.objects:
                estimator.load(item.category)
            runs.append(
                track_world(estimator, sequence, progress=lambda share: bar.advance(task, share))
            )
    document = {"cameras": 1, "seed": args.seed, **summarise_world(runs)}
    if args.json is not None:
        write_json(args.json, document)
    _print(document)
    return 0


def _print(document: Mapping[str, Any]) -> None:
    console = wide_console()
    last, single = document["last"], document["single"]
    for line in (
        f"{document['objects']} objects in {document['images']} images: "
        f"{document['id_switches']} id switches, {document['given_up']} given up; one id in "
        f"{_number(document['one_id'], 1)} % of the images",
        f"{_number(document['reidentified'], 1)} % of {document['returns']} returns under the "
        "former id within two images",
        f"median errors in the world: at the end {_errors(last)}, of single images "
        f"{_errors(single)}; ratio {_number(document['error_ratio'], 2)}",
    ):
        console.print(line, highlight=False)


def _errors(x: Mapping[str, float | None]) -> str:
    return f"{_number(x['degrees'], 2)} deg and {_number(x['centimetres'], 2)} cm"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
