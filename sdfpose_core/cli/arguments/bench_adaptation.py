"""`sdfpose bench adaptation`: measure the gain from unlabelled images of another domain."""

from __future__ import annotations

from typing import Any

from sdfpose_core.cli.arguments.work import run_of
from sdfpose_core.cli.numbers import integer
from sdfpose_core.cli.output import add_json_argument
from sdfpose_core.cli.paths import path_argument
from sdfpose_core.weights import MILD

__all__ = ["add_parser"]

_SEEDS = 3


def add_parser(benchmarks: Any) -> None:
    """Declare the benchmark's arguments."""
    parser = benchmarks.add_parser(
        "adaptation",
        help="measure the gain from unlabelled images of another domain",
        description=(
            "Start from networks trained on procedural shapes seen by a good camera. Train them on "
            "half of the meshes in --data, seen by a poor camera, with and without labels, and "
            "evaluate on the other half. Every training gets the same time."
        ),
        epilog="Example: sdfpose bench adaptation --data data/ --category mug --quick",
    )
    parser.add_argument(
        "--data",
        type=path_argument,
        required=True,
        metavar="DIR",
        help="folder with meshes/CATEGORY/NAME.obj",
    )
    parser.add_argument("--category", nargs="+", metavar="NAME", help="categories (default: all)")
    parser.add_argument(
        "--start",
        type=path_argument,
        default=MILD,
        metavar="DIR",
        help="folder of the initial encoders, CATEGORY/encoder.safetensors (default: %(default)s)",
    )
    parser.add_argument(
        "--seeds", type=integer(), default=_SEEDS, help="number of seeds (default: %(default)s)"
    )
    parser.add_argument(
        "--quick", action="store_true", help="use one seed, fewer views and less time"
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda[:N] (default: %(default)s)")
    parser.add_argument(
        "--workers", type=integer(), default=2, help="parallel processes (default: %(default)s)"
    )
    add_json_argument(parser)
    parser.set_defaults(benchmark=run_of("sdfpose_core.cli.bench_adaptation"))
