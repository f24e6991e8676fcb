"""Images of the benchmarks of masks and of rejection: simulated suites, or frame folders."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence

from sdfpose_core.benchmark.mask_cases import MaskCase, folder_cases, suite_cases
from sdfpose_core.cli.arguments.mask_images import SUITE
from sdfpose_core.errors import FrameError

__all__ = ["check_any_image", "image_cases"]


def image_cases(args: argparse.Namespace, problems: list[str]) -> Iterable[MaskCase]:
    """Read or simulate the images that the arguments name.

    Args:
        args: with the arguments of `add_image_arguments`.
        problems: receives one sentence for each dropped frame or skipped entry.
    """
    if args.data is None:
        return suite_cases(args.suite or SUITE, args.seed, args.count)
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
            f"{args.data or args.suite or SUITE}: no image can be used: expected frame folders, "
            f"or a simulated suite{'; ' + problems[-1] if problems else ''}"
        )
