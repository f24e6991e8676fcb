"""Images of the benchmarks of masks and of rejection: simulated suites, or frame folders."""

from __future__ import annotations

import argparse
from typing import get_args

from sdfpose_core.benchmark.extents import SuiteName
from sdfpose_core.cli.choices import add_depth_unit_argument
from sdfpose_core.cli.numbers import integer, seed
from sdfpose_core.cli.paths import path_argument

__all__ = ["SUITE", "add_image_arguments"]

SUITE: SuiteName = "clutter"


_COUNT = 100


def add_image_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare ``--data``, ``--suite``, ``--count``, ``--seed`` and ``--depth-unit``."""
    images = parser.add_mutually_exclusive_group()
    images.add_argument(
        "--data",
        type=path_argument,
        metavar="DIR",
        help="frame folders [frames/]NAME/ instead of simulated images",
    )
    images.add_argument(
        "--suite",
        choices=get_args(SuiteName),
        help=(
            "simulated images with true masks of all objects: clutter, objects of the "
            "categories among others; empty, rooms without objects of a category (default: "
            f"{SUITE})"
        ),
    )
    parser.add_argument(
        "--count",
        type=integer(),
        default=_COUNT,
        help="number of simulated images (default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=seed, default=0, help="random seed of simulated images (default: 0)"
    )
    add_depth_unit_argument(parser)
