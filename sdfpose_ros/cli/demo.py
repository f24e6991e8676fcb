"""`sdfpose demo`: the main job on a ROS 2 graph of separate processes."""

from __future__ import annotations

import argparse
import signal
from pathlib import Path
from types import FrameType

from sdfpose_ros.evaluation.demo import DemoOptions, run_demo

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "demo",
        help="simulated camera, pose node and evaluator in one ROS 2 graph",
        description="Run a simulated camera, the pose node and an evaluator as separate processes "
        "of a ROS 2 graph; show a live table and leave results in a folder. The exit status is 0 "
        "if every category was estimated.",
    )
    defaults = DemoOptions(Path("out/demo"))
    parser.add_argument(
        "--out", type=Path, default=defaults.output_dir, help="folder (default: %(default)s)"
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=defaults.seconds,
        help="time for which results are collected (default: %(default)s)",
    )
    parser.add_argument(
        "--rate",
        type=float,
        default=defaults.rate_hz,
        help="the camera's frames per second (default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=int, default=defaults.seed, help="of the scene (default: %(default)s)"
    )
    parser.add_argument(
        "--device", default=defaults.device, help="auto, cpu or cuda[:N] (default: %(default)s)"
    )
    parser.add_argument(
        "--domain-id", type=int, help="ROS domain, to watch with RViz (default: a random one)"
    )


def run(args: argparse.Namespace) -> int:
    """Run the command; gives the exit status."""

    def terminate(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, terminate)  # so that the children are ended, too
    options = DemoOptions(
        output_dir=args.out,
        seconds=args.seconds,
        rate_hz=args.rate,
        seed=args.seed,
        device=args.device,
        domain_id=args.domain_id,
    )
    try:
        return run_demo(options, lambda line: print(line, flush=True))
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
