"""`sdfpose bench pose`: measure accuracy, calibration and speed of pose estimation."""

from __future__ import annotations

from typing import Any

from sdfpose_core.benchmark.ablation import FORMER_PARTS, PARTS, RANKING
from sdfpose_core.benchmark.extents import SEQUENCES
from sdfpose_core.cli.arguments.work import run_of
from sdfpose_core.cli.choices import (
    add_depth_unit_argument,
    add_estimator_arguments,
    add_threads_argument,
)
from sdfpose_core.cli.numbers import integer, seed
from sdfpose_core.cli.output import add_json_argument
from sdfpose_core.cli.paths import path_argument

__all__ = ["INSTANCES", "add_parser"]

INSTANCES = 300
"""Default number of instances per category."""


def add_parser(benchmarks: Any) -> None:
    """Declare the benchmark's arguments."""
    parser = benchmarks.add_parser(
        "pose",
        help="measure accuracy, calibration and speed of pose estimation",
        description=(
            "Estimate instances with known poses, each from a single image and its mask. Average "
            "precisions are in per cent and follow the NOCS benchmark with oriented boxes: "
            "detections are ordered by confidence, and a missed object lowers the recall."
        ),
        epilog="Example: sdfpose bench pose --suite synthetic --category mug can --count 50",
    )
    parser.add_argument(
        "--suite",
        required=True,
        choices=("synthetic", "meshes", "real", "sequence"),
        help=(
            "synthetic: unseen procedural objects on simulated tables; meshes: the meshes of "
            "--data on simulated tables; real: the labelled frames of --data; sequence: tracking "
            "of moving simulated objects"
        ),
    )
    parser.add_argument(
        "--data",
        type=path_argument,
        metavar="DIR",
        help="folder with meshes/CATEGORY/NAME.obj (suite meshes) or frames/NAME/ (suite real)",
    )
    parser.add_argument("--category", nargs="+", metavar="NAME", help="categories (default: all)")
    parser.add_argument(
        "--count",
        type=integer(),
        help=(
            f"simulated instances per category (default: {INSTANCES}), or number of sequences "
            f"for the suite sequence (default: {SEQUENCES})"
        ),
    )
    parser.add_argument(
        "--seed", type=seed, default=0, help="random seed of the test set (default: 0)"
    )
    add_estimator_arguments(parser, device="cpu")
    add_depth_unit_argument(parser)
    parser.add_argument(
        "--any",
        action="store_true",
        help="do not tell the category: all categories are tried",
    )
    parser.add_argument(
        "--camera-poses",
        action="store_true",
        help=(
            "suite sequence: tell the camera's poses, with errors as of TF, so that objects are "
            "tracked in the world"
        ),
    )
    parser.add_argument(
        "--without",
        nargs="+",
        default=[],
        type=_part,
        choices=(*PARTS, RANKING),
        metavar="PART",
        help=(
            f"switch off parts of the estimator, for an ablation: {', '.join((*PARTS, RANKING))}"
        ),
    )
    add_json_argument(parser)
    parser.add_argument(
        "--save-outcomes",
        type=path_argument,
        metavar="FILE",
        help=(
            "write the errors of each instance as JSON; instances of runs with the same suite, "
            "categories, count and seed are the same, in the same order"
        ),
    )
    add_threads_argument(parser)
    parser.set_defaults(benchmark=run_of("sdfpose_core.cli.bench_pose"))


def _part(name: str) -> str:
    """Return the current name of a part; former names are accepted."""
    return FORMER_PARTS.get(name, name)
