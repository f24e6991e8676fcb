"""Images of the benchmarks of masks and of rejection: simulated suites, or frame folders."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence

from sdfpose_core.benchmark.mask_cases import SUITES, MaskCase, folder_cases, suite_cases
from sdfpose_core.cli.choices import add_depth_unit_argument
from sdfpose_core.cli.numbers import integer, seed
from sdfpose_core.cli.paths import path_argument
from sdfpose_core.errors import FrameError

__all__ = ["add_image_arguments", "check_any_image", "image_cases"]

_SUITE = "clutter"
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
        choices=tuple(SUITES),
        help=(
            "simulated images with true masks of all objects: clutter, objects of the "
            "categories among others; empty, rooms without objects of a category (default: "
            f"{_SUITE})"
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


def image_cases(args: argparse.Namespace, problems: list[str]) -> Iterable[MaskCase]:
    """Read or simulate the images that the arguments name.

    Args:
        args: with the arguments of `add_image_arguments`.
        problems: receives one sentence for each dropped frame or skipped entry.
    """
    if args.data is None:
        return suite_cases(args.suite or _SUITE, args.seed, args.count)
    return folder_cases(args.data, problems, depth_unit=args.depth_unit)


def check_any_image(
    args: argparse.Namespace, outcomes: Sequence[object], problems: Sequence[str]
) -> None:
    """Check that there is a result.

    Raises:
        FrameError: no image could be used.
    """
    if not outcomes:
        raise FrameError(
            f"{args.data or args.suite or _SUITE}: no image can be used: expected frame folders, "
            f"or a simulated suite{'; ' + problems[-1] if problems else ''}"
        )
