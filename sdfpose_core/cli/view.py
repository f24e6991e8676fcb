"""`sdfpose view`: show recordings and results in a browser."""

from __future__ import annotations

import argparse
from typing import Any

from sdfpose_core.categories import default_categories
from sdfpose_core.cli.choices import add_depth_unit_argument
from sdfpose_core.cli.paths import path_argument
from sdfpose_core.cli.viewing import add_address_arguments, keep_open, viewer_address
from sdfpose_core.viewer.opening import open_recording
from sdfpose_core.viewer.viewer import Viewer

__all__ = ["add_parser", "run"]


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
    add_depth_unit_argument(parser)
    add_address_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Show the recording until the user interrupts the process.

    Raises:
        SdfposeError: Viser is not installed, the address is in use, or there is nothing to show.
    """
    categories = default_categories()
    address = viewer_address(args)
    recording = open_recording(args.path, categories, args.frames, args.depth_unit)
    with Viewer(address, categories, f"sdfpose: {args.path.name}") as viewer:
        for line in address.lines():
            print(line, flush=True)
        keep_open(viewer, recording, playing=args.play)
    return 0
