"""`sdfpose bench rejection`: measure which masks get a confident estimate and which should not."""

from __future__ import annotations

from typing import Any

from sdfpose_core.cli.arguments.mask_images import add_image_arguments
from sdfpose_core.cli.arguments.work import run_of
from sdfpose_core.cli.choices import add_estimator_arguments, add_threads_argument
from sdfpose_core.cli.numbers import real
from sdfpose_core.cli.output import add_json_argument
from sdfpose_core.cli.paths import path_argument
from sdfpose_core.estimation.options import EstimatorOptions
from sdfpose_core.masks.sources import FILE, MASK_SOURCES

__all__ = ["TRUTH", "add_parser"]

TRUTH = "truth"


_CONFIDENCE = 0.5


def add_parser(benchmarks: Any) -> None:
    """Declare the benchmark's arguments."""
    parser = benchmarks.add_parser(
        "rejection",
        help="measure the rejection of things of no category",
        description=(
            "Estimate images with masks of everything in them and count confident estimates: the "
            "share of the true objects that is kept, and the share of distractors and background "
            "that is called an object. Real frames of --data, whose mask.png may not show "
            "everything: list the confident estimates; those on no true mask are unmatched."
        ),
        epilog="Example: sdfpose bench rejection --data DIR --masks network --draw out/rejection",
    )
    add_image_arguments(parser)
    sources = (TRUTH, *(x for x in MASK_SOURCES if x != FILE))
    parser.add_argument(
        "--masks",
        choices=sources,
        default=TRUTH,
        help=(
            "source of the masks: truth takes the true masks of all things without their "
            "categories, with --data those of mask.png; others as for 'sdfpose estimate' "
            "(default: %(default)s)"
        ),
    )
    parser.add_argument(
        "--confidence",
        type=real(0.0, 1.0),
        default=_CONFIDENCE,
        help="estimates with at least this confidence count (default: %(default)s)",
    )
    parser.add_argument(
        "--draw",
        type=path_argument,
        metavar="DIR",
        help="draw the masks of confident estimates in each image to DIR/NAME.png",
    )
    add_json_argument(parser)
    add_estimator_arguments(parser, device=EstimatorOptions().device)
    add_threads_argument(parser)
    parser.set_defaults(benchmark=run_of("sdfpose_core.cli.bench_rejection"))
