"""`sdfpose view`: show recordings and results in a browser."""

from __future__ import annotations

from typing import Any

from sdfpose_core.cli.arguments.work import run_of
from sdfpose_core.cli.choices import add_depth_unit_argument
from sdfpose_core.cli.paths import path_argument
from sdfpose_core.cli.viewing import add_address_arguments

__all__ = ["add_parser", "run"]

run = run_of("sdfpose_core.cli.view")


def add_parser(subparsers: Any) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "view",
        help="show recordings and results in a browser",
        description=(
            "Serve a web page with the images, the reconstructed surfaces and the numbers of a "
            "recording, of frame folders, or of the results of 'sdfpose estimate', 'replay' and "
            "'eval frames'. Needs no network and no ROS 2, but the package viser. Ctrl-C ends it."
        ),
        epilog="Example: sdfpose view out/demo/demo.mcap",
    )
    parser.add_argument(
        "path",
        type=path_argument,
        metavar="PATH",
        help="bag (folder, .mcap or .db3 file), frame folders, JSON file of results, or a folder "
        "with one of these",
    )
    parser.add_argument(
        "--frames",
        type=path_argument,
        metavar="PATH",
        help="bag or frame folders with the images of results (default: those that the results "
        "name)",
    )
    parser.add_argument(
        "--play", action="store_true", help="play at once, and again and again, instead of pausing"
    )
    parser.add_argument(
        "--rrd",
        type=path_argument,
        metavar="FILE",
        help="write a file for the viewer of Rerun instead (needs the package rerun-sdk)",
    )
    add_depth_unit_argument(parser)
    add_address_arguments(parser)
