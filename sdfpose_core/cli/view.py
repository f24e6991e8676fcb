"""`sdfpose view`: show recordings and results in a browser."""

from __future__ import annotations

import argparse
from contextlib import closing
from pathlib import Path
from typing import Any

from sdfpose_core.categories import Categories, default_categories
from sdfpose_core.cli.choices import add_depth_unit_argument
from sdfpose_core.cli.paths import check_output_file, path_argument
from sdfpose_core.cli.viewing import add_address_arguments, keep_open, viewer_address
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.viewer.opening import open_recording
from sdfpose_core.viewer.packages import require_rerun
from sdfpose_core.viewer.rerun_export import export_rerun
from sdfpose_core.viewer.viewer import Viewer

__all__ = ["add_parser", "run"]

_RRD = ".rrd"


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


def run(args: argparse.Namespace) -> int:
    """Show the recording until the user interrupts the process, or write it for Rerun.

    Raises:
        SdfposeError: Viser or Rerun is not installed, the address is in use, or there is nothing to
            show.
    """
    categories = default_categories()
    if args.rrd is not None:
        return _write(args, args.rrd, categories)
    address = viewer_address(args)
    recording = open_recording(args.path, categories, args.frames, args.depth_unit)
    with Viewer(address, categories, f"sdfpose: {args.path.name}") as viewer:
        for line in address.lines():
            print(line, flush=True)
        keep_open(viewer, recording, playing=args.play)
    return 0


def _write(args: argparse.Namespace, path: Path, categories: Categories) -> int:
    """Write the recording for Rerun."""
    if args.play or args.host is not None or args.port is not None:
        raise ConfigurationError("--play, --host and --port have no effect with --rrd")
    if path.suffix != _RRD:
        raise ConfigurationError(f"--rrd {path}: expected a name that ends in {_RRD}")
    check_output_file("--rrd", path)
    require_rerun()
    with closing(open_recording(args.path, categories, args.frames, args.depth_unit)) as recording:
        count = export_rerun(recording, path, categories)
    images = "1 image" if count == 1 else f"{count} images"
    print(f"view: wrote {path}: {images}; show it with 'rerun {path}'")
    return 0
