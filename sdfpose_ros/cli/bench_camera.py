"""`sdfpose bench camera`: frames that the camera driver loses, and its cost."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from rich.table import Table

from sdfpose_core.cameras.makers import require_package
from sdfpose_core.cli.numbers import integer, positive
from sdfpose_core.cli.output import add_json_argument, new_table, wide_console, write_json
from sdfpose_core.cli.paths import check_output_file
from sdfpose_ros.graph.middleware import free_domain, prepare_middleware
from sdfpose_ros.graph.startup import check_ros

__all__ = ["add_parser", "run"]


def add_parser(benchmarks: Any) -> None:
    """Declare the benchmark's arguments."""
    parser = benchmarks.add_parser(
        "camera",
        help="measure the camera driver with a RealSense of software",
        description="Feed a software device of librealsense with images of a simulated table, "
        "publish them with the camera driver, and count the frames that are lost and the CPU time "
        "of the driver's process, which includes feeding the device. Needs pyrealsense2, but no "
        "camera.",
        epilog="Example: sdfpose bench camera --seconds 30 --json camera.json",
    )
    for name, default in (("width", 640), ("height", 480)):
        parser.add_argument(
            f"--{name}",
            type=integer(64),
            default=default,
            help=f"{name} of the images, pixels (default: %(default)s)",
        )
    parser.add_argument(
        "--rate",
        type=integer(1, 90),
        default=30,
        metavar="HZ",
        help="images per second (default: %(default)s)",
    )
    parser.add_argument(
        "--seconds",
        type=positive,
        default=20.0,
        help="duration of the measurement (default: %(default)s)",
    )
    add_json_argument(parser)
    parser.set_defaults(benchmark=run)


def run(args: argparse.Namespace) -> int:
    """Run the benchmark and return the exit status.

    Raises:
        SdfposeError: pyrealsense2 is not installed, or the driver fails.
    """
    check_output_file("--json", args.json)
    require_package("realsense")
    prepare_middleware()
    check_ros()
    from sdfpose_ros.cameras.benchmark import CameraBenchmark, benchmark_camera

    with tempfile.TemporaryDirectory(prefix="sdfpose-camera-") as logs:
        figures = benchmark_camera(
            CameraBenchmark(
                width=args.width,
                height=args.height,
                rate_hz=float(args.rate),
                seconds=args.seconds,
                domain=free_domain(),
                log_dir=Path(logs),
            )
        )
    if args.json is not None:
        write_json(args.json, figures)
    wide_console().print(_table(figures, f"{args.width}x{args.height} at {args.rate} Hz"))
    return 0


def _table(figures: dict[str, Any], size: str) -> Table:
    table = new_table(f"Camera driver, {size}")
    table.add_column("")
    table.add_column("", justify="right")
    table.add_row("frames", str(figures["frames"]))
    table.add_row("rate, Hz", f"{figures['rate_hz']:.1f}")
    table.add_row("colour images lost", str(figures["lost_colour"]))
    table.add_row("depth images lost", str(figures["lost_depth"]))
    table.add_row("CPU load, % of one core", f"{figures['cpu_percent']:.0f}")
    table.add_row("memory (RSS), MiB", f"{figures['rss_mib']:.0f}")
    return table
