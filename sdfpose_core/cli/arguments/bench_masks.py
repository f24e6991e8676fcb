"""`sdfpose bench masks`: measure accuracy and speed of instance masks."""

from __future__ import annotations

from typing import Any

from sdfpose_core.cli.arguments.mask_images import add_image_arguments
from sdfpose_core.cli.arguments.work import run_of
from sdfpose_core.cli.choices import add_device_argument, add_threads_argument
from sdfpose_core.cli.output import add_json_argument
from sdfpose_core.cli.paths import path_argument
from sdfpose_core.masks.sources import FILE, MASK_SOURCES

__all__ = ["add_parser"]


def add_parser(benchmarks: Any) -> None:
    """Declare the benchmark's arguments."""
    parser = benchmarks.add_parser(
        "masks",
        help="measure accuracy and speed of instance masks",
        description=(
            "Segment images, each on its own, and compare the masks with the true ones. Figures "
            "are shares of the true objects: found at an IoU of 0.5 and 0.75, missed, merged with "
            "another one, split; and the number of false masks per image. Frames of --data "
            "without mask.png are segmented and drawn, but do not count."
        ),
        epilog="Example: sdfpose bench masks --data DIR --source tabletop --draw out/masks",
    )
    add_image_arguments(parser)
    sources = tuple(x for x in MASK_SOURCES if x != FILE)
    parser.add_argument(
        "--source",
        choices=sources,
        default=sources[0],
        help="source of the masks (default: %(default)s)",
    )
    parser.add_argument(
        "--weights",
        type=path_argument,
        metavar="FILE",
        help="weights of the source's network (default: its own)",
    )
    parser.add_argument(
        "--draw",
        type=path_argument,
        metavar="DIR",
        help="draw the masks of each image to DIR/NAME.png, true ones beside found ones",
    )
    add_json_argument(parser)
    add_device_argument(parser, "cpu", "device of a network: ")
    add_threads_argument(parser)
    parser.set_defaults(benchmark=run_of("sdfpose_core.cli.bench_masks"))
