"""`sdfpose bench grasps`: measure how many grasp candidates hold the true object."""

from __future__ import annotations

from typing import Any

from sdfpose_core.benchmark.extents import GRASP_CONFIDENCE, GRASPS
from sdfpose_core.cli.arguments.grasps import add_gripper_arguments
from sdfpose_core.cli.arguments.procedural_objects import add_object_arguments
from sdfpose_core.cli.arguments.work import run_of
from sdfpose_core.cli.choices import add_estimator_arguments, add_threads_argument
from sdfpose_core.cli.output import add_json_argument

__all__ = ["add_parser"]


def add_parser(benchmarks: Any) -> None:
    """Declare the benchmark's arguments."""
    parser = benchmarks.add_parser(
        "grasps",
        help="measure how many grasp candidates hold",
        description=(
            "Estimate procedural objects on simulated tables, each from a single image, and close "
            f"a gripper at the best {GRASPS} grasp candidates of each on the true mesh. Shares are "
            "in per cent: of objects with any candidate, of candidates that hold by force closure "
            f"(also of estimates with a confidence of at least {GRASP_CONFIDENCE}, and of the best "
            "of each object), slip, close on nothing or start inside the object, "
            "and whose open gripper goes through the table."
        ),
        epilog="Example: sdfpose bench grasps --category mug bowl --count 10 --json grasps.json",
    )
    add_object_arguments(parser)
    add_gripper_arguments(parser)
    add_json_argument(parser)
    add_estimator_arguments(parser, device="cpu")
    add_threads_argument(parser)
    parser.set_defaults(benchmark=run_of("sdfpose_core.cli.bench_grasps"))
