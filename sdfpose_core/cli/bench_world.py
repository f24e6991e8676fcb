"""`sdfpose bench world`: measure tracking in the world with a moving camera, or several ones."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any

import torch

from sdfpose_core.benchmark.world import (
    WorldRun,
    against_one_camera,
    summarise_world,
    track_world,
)
from sdfpose_core.benchmark.world_sequences import (
    DURATION_S,
    RATE_HZ,
    RIG_DURATION_S,
    RIG_RATE_HZ,
    ArmSequence,
    RigSequence,
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
from sdfpose_core.cli.progress import progress_bar
from sdfpose_core.estimation.estimator import PoseEstimator

__all__ = ["add_parser", "run"]


def add_parser(benchmarks: Any) -> None:
    """Declare the benchmark's arguments."""
    parser = benchmarks.add_parser(
        "world",
        help="measure tracking in the world with a camera on a moving arm, or with several cameras",
        description=(
            "Track six objects that stand on a simulated table with a camera that an arm moves "
            "round them at up to 0.5 m/s. From 10 s to 22 s, the camera looks away. Its poses have "
            "errors of 2 mm and 0.2 degrees. Compare the objects' poses in the world at the end "
            "with those from single images. With --cameras 2 or more, cameras stand round the "
            "table, neighbours 90 degrees apart, and take their images at the same times. The "
            "errors at the end are compared with those of each camera alone."
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
        "--cameras",
        type=integer(),
        default=1,
        metavar="N",
        help="number of cameras: 1 is the one on the arm (default: 1)",
    )
    parser.add_argument(
        "--duration",
        type=positive,
        metavar="S",
        help=f"duration of a sequence, seconds (default: {DURATION_S:.0f}; {RIG_DURATION_S:.0f} "
        "with several cameras)",
    )
    parser.add_argument(
        "--hz",
        type=positive,
        help=f"images per second of each camera (default: {RATE_HZ:.0f}; {RIG_RATE_HZ:.0f} with "
        "several cameras)",
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
    rig = args.cameras > 1
    duration_s = args.duration or (RIG_DURATION_S if rig else DURATION_S)
    rate_hz = args.hz or (RIG_RATE_HZ if rig else RATE_HZ)
    runs, alone = [], []
    with progress_bar() as bar:
        task = bar.add_task("tracking", total=args.count * (1 + args.cameras * rig))

        def advance(share: float) -> None:
            bar.advance(task, share)

        for number in range(args.seed, args.seed + args.count):
            if rig:
                both, each = _rig_runs(
                    estimator, number, args.cameras, duration_s, rate_hz, advance
                )
                runs.append(both)
                alone.append(each)
            else:
                arm = ArmSequence(number, duration_s=duration_s, rate_hz=rate_hz)
                runs.append(track_world(estimator, arm, progress=advance))
    document = {"cameras": args.cameras, "seed": args.seed, **summarise_world(runs)}
    if rig:
        document |= against_one_camera(runs, alone)
    if args.json is not None:
        write_json(args.json, document)
    _print(document)
    return 0


def _rig_runs(
    estimator: PoseEstimator,
    seed: int,
    cameras: int,
    duration_s: float,
    rate_hz: float,
    progress: Callable[[float], None],
) -> tuple[WorldRun, list[WorldRun]]:
    """A run with all cameras of a rig, and one with each camera alone."""

    def sequence(only: int | None) -> RigSequence:
        return RigSequence(seed, cameras, duration_s=duration_s, rate_hz=rate_hz, only=only)

    both = track_world(estimator, sequence(None), progress=progress)
    return both, [
        track_world(estimator, sequence(k), fronts=both.fronts, progress=progress)
        for k in range(cameras)
    ]


def _print(document: Mapping[str, Any]) -> None:
    console = wide_console()
    last = document["last"]
    if document["cameras"] == 1:
        other = f"of single images {_errors(document['single'])}"
    else:
        other = f"of one camera {_errors(document['one_camera'])}"
    for line in (
        f"{document['objects']} objects in {document['images']} images: "
        f"{document['id_switches']} id switches, {document['given_up']} given up; one id in "
        f"{_number(document['one_id'], 1)} % of the images",
        f"{_number(document['reidentified'], 1)} % of {document['returns']} returns under the "
        "former id within two images",
        f"median errors in the world: at the end {_errors(last)}, {other}; ratio "
        f"{_number(document['error_ratio'], 2)}",
    ):
        console.print(line, highlight=False)
    if document["cameras"] > 1:
        console.print(
            f"fronts found: {_number(document['front_found'], 1)} %, by one camera alone "
            f"{_number(document['front_found_alone'], 1)} %",
            highlight=False,
        )


def _errors(x: Mapping[str, float | None]) -> str:
    return f"{_number(x['degrees'], 2)} deg and {_number(x['centimetres'], 2)} cm"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
