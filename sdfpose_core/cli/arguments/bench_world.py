"""`sdfpose bench world`: measure tracking in the world with a moving camera, or several ones."""

from __future__ import annotations

from typing import Any

from sdfpose_core.benchmark.extents import DURATION_S, RATE_HZ, RIG_DURATION_S, RIG_RATE_HZ
from sdfpose_core.cli.arguments.work import run_of
from sdfpose_core.cli.choices import add_estimator_arguments, add_threads_argument
from sdfpose_core.cli.numbers import integer, positive, seed
from sdfpose_core.cli.output import add_json_argument

__all__ = ["add_parser"]


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
    parser.set_defaults(benchmark=run_of("sdfpose_core.cli.bench_world"))
