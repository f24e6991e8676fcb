"""`sdfpose detect`: look once with a running or a new pose node, and print the objects."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sdfpose_core.cli.numbers import integer, positive, real
from sdfpose_core.cli.output import add_json_argument, wide_console, write_json
from sdfpose_core.cli.paths import check_output_file, path_argument
from sdfpose_ros.graph.middleware import prepare_middleware
from sdfpose_ros.graph.startup import check_ros
from sdfpose_ros.pose.mask_names import MASKS

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "detect",
        help="look once and print the objects",
        description="Look at a few images of a running camera and print the objects with their "
        "poses. A pose node is started for that, or with --node a running one is asked, by its "
        "action ~/detect_objects. The exit status is 0 if there is an object, else 1.",
        epilog="Example: sdfpose detect --camera /camera --category mug --json -",
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--camera",
        default="/camera",
        metavar="NAMESPACE",
        help="namespace of the topics, as of 'sdfpose node' (default: %(default)s)",
    )
    source.add_argument("--node", metavar="NAME", help="name of a running pose node: /sdfpose")
    parser.add_argument(
        "--masks", choices=MASKS, help="source of the masks, as of 'sdfpose node'; not with --node"
    )
    parser.add_argument(
        "--category", nargs="+", default=[], help="wanted categories (default: all)"
    )
    parser.add_argument(
        "--min-confidence",
        type=real(0.0, 1.0),
        default=0.5,
        help="least confidence of an object (default: %(default)s)",
    )
    parser.add_argument(
        "--region",
        nargs=7,
        metavar=("FRAME", "X0", "Y0", "Z0", "X1", "Y1", "Z1"),
        help="box in which the objects' centres are: its frame and two corners, metres",
    )
    parser.add_argument(
        "--views", type=integer(1, 1000), default=3, help="number of images (default: 3)"
    )
    parser.add_argument(
        "--timeout",
        type=positive,
        default=10.0,
        metavar="S",
        help="longest time for the images, seconds (default: 10)",
    )
    parser.add_argument(
        "--meshes", type=path_argument, metavar="DIR", help="write the surfaces as PLY, metres"
    )
    add_json_argument(parser)
    parser.add_argument(
        "--network",
        action="store_true",
        help="keep the middleware settings of the environment, to reach nodes on other machines",
    )


def run(args: argparse.Namespace) -> int:
    """Run the command and return the exit status.

    Raises:
        SdfposeError: an argument is invalid, ROS 2 cannot be used, or nobody answers.
    """
    check_output_file("--json", args.json)
    check_ros()
    prepare_middleware(network=args.network)
    # Imported here because it needs ROS 2.
    from sdfpose_ros.live.look import LookOptions, look, region_of

    options = LookOptions(
        node=args.node,
        camera=args.camera,
        masks=args.masks,
        categories=tuple(args.category),
        min_confidence=args.min_confidence,
        region=None if args.region is None else region_of(args.region),
        views=args.views,
        timeout_s=args.timeout,
        meshes=args.meshes,
    )
    with tempfile.TemporaryDirectory(prefix="sdfpose-detect-") as folder:
        document = look(options, Path(folder))
    if args.json is not None:
        write_json(args.json, document)
    _print(document)
    return 0 if document["objects"] else 1


def _print(document: Mapping[str, Any]) -> None:
    console = wide_console()
    for x in document["objects"]:
        place = " ".join(f"{100.0 * y:.1f}" for y in x["t"])
        size = " x ".join(f"{100.0 * y:.1f}" for y in x["dimensions_m"])
        console.print(
            f"{x['category']} {x['id']}: confidence {x['confidence']:.2f}, at ({place}) cm in "
            f"{document['frame_id']}, {size} cm",
            highlight=False,
        )
    for line in document["left_out"]:
        console.print(f"left out: {line}", highlight=False)
    console.print(document["message"], highlight=False)
