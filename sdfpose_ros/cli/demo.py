"""`sdfpose demo`: run simulated camera, pose node and evaluator."""

from __future__ import annotations

import argparse
import signal
from pathlib import Path
from types import FrameType

from sdfpose_core.cli.choices import add_device_argument
from sdfpose_core.cli.numbers import integer, positive, seed
from sdfpose_core.cli.paths import check_output_folder, path_argument
from sdfpose_core.cli.viewing import add_view_argument, viewer_address
from sdfpose_ros.evaluation.demo import DemoOptions, run_demo
from sdfpose_ros.graph.middleware import LAST_DOMAIN_ID

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "demo",
        help="run simulated camera, pose node and evaluator",
        description="Start a simulated camera, the pose node and an evaluator as separate ROS 2 "
        "processes. Show a live table of the errors and write the results to a folder. The exit "
        "status is 0 if every category was estimated.",
        epilog="Example: sdfpose demo --seconds 30 --domain-id 42",
    )
    defaults = DemoOptions(Path("out/demo"))
    parser.add_argument(
        "--out",
        type=path_argument,
        default=defaults.output_dir,
        help="folder for the results (default: %(default)s)",
    )
    parser.add_argument(
        "--seconds",
        type=positive,
        default=defaults.seconds,
        metavar="S",
        help="time to collect results, seconds (default: %(default)s)",
    )
    parser.add_argument(
        "--rate",
        type=positive,
        default=defaults.rate_hz,
        metavar="HZ",
        help="camera rate, Hz (default: %(default)s)",
    )
    parser.add_argument(
        "--seed",
        type=seed,
        default=defaults.seed,
        help="random seed of the scene (default: %(default)s)",
    )
    add_device_argument(parser, defaults.device)
    parser.add_argument(
        "--domain-id",
        type=integer(0, LAST_DOMAIN_ID),
        help="ROS domain id, e.g. to connect RViz (default: an unused one)",
    )
    add_view_argument(parser, "the demo")


def run(args: argparse.Namespace) -> int:
    """Run the command and return the exit status.

    Raises:
        SdfposeError: The output folder cannot be written, or a process failed.
    """
    check_output_folder("--out", args.out)

    def terminate(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, terminate)  # so that the child processes are terminated too
    options = DemoOptions(
        output_dir=args.out,
        seconds=args.seconds,
        rate_hz=args.rate,
        seed=args.seed,
        device=args.device,
        domain_id=args.domain_id,
        viewer=viewer_address(args) if args.view else None,
    )
    try:
        return run_demo(options, lambda line: print(line, flush=True))
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
