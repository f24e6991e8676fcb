"""`sdfpose bench shapes`: measure accuracy of shape reconstruction and speed of meshing."""

from __future__ import annotations

from typing import Any

from sdfpose_core.cli.arguments.work import run_of
from sdfpose_core.cli.category_choice import add_weights_argument
from sdfpose_core.cli.choices import add_device_argument, add_threads_argument
from sdfpose_core.cli.numbers import integer, seed
from sdfpose_core.cli.output import add_json_argument
from sdfpose_core.cli.paths import path_argument

__all__ = ["add_parser"]


def add_parser(suites: Any) -> None:
    """Declare the benchmark's arguments."""
    shapes = suites.add_parser(
        "shapes",
        help="measure accuracy of shape reconstruction and speed of meshing",
        description=(
            "Reconstruct held-out procedural shapes and the meshes of --data by optimising the "
            "latent code, from points on the whole surface and from a single noisy "
            "simulated depth view at the true pose. Distances are relative to the diagonal of the "
            "bounding box: in per cent in the table, as fractions in the JSON file."
        ),
        epilog="Example: sdfpose bench shapes --category mug --count 8",
    )
    shapes.add_argument(
        "--data",
        type=path_argument,
        metavar="DIR",
        help="folder with [meshes/]CATEGORY/NAME.obj, in metres",
    )
    add_json_argument(shapes)
    shapes.add_argument("--category", nargs="+", metavar="NAME", help="categories (default: all)")
    add_weights_argument(shapes)
    shapes.add_argument(
        "--count", type=integer(), default=24, help="procedural shapes per category (default: 24)"
    )
    shapes.add_argument(
        "--seed", type=seed, default=0, help="random seed of shapes and views (default: 0)"
    )
    add_device_argument(shapes, "cpu")
    add_threads_argument(shapes)
    shapes.set_defaults(benchmark=run_of("sdfpose_core.cli.bench_shapes"))
