"""The procedural objects of a benchmark."""

from __future__ import annotations

import argparse

from sdfpose_core.cli.numbers import integer, seed

__all__ = ["add_object_arguments"]

_COUNT = 20


def add_object_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare ``--category``, ``--count`` and ``--seed``."""
    parser.add_argument(
        "--category", nargs="+", metavar="NAME", help="categories of the objects (default: all)"
    )
    parser.add_argument(
        "--count",
        type=integer(),
        default=_COUNT,
        help="objects per category (default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=seed, default=0, help="random seed of the objects (default: 0)"
    )
