"""`sdfpose live`: from a camera to poses in the browser."""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.text import Text

from sdfpose_core.cli.category_choice import add_weights_argument, given_packs
from sdfpose_core.cli.choices import add_device_argument
from sdfpose_core.cli.numbers import integer, positive, seed
from sdfpose_core.cli.output import add_json_argument, write_json
from sdfpose_core.cli.paths import check_new_bag, check_output_file, path_argument
from sdfpose_core.cli.viewing import add_address_arguments, viewer_address
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.observation.segmentation import ANY_CATEGORY
from sdfpose_ros.graph.middleware import LAST_DOMAIN_ID, free_domain, prepare_middleware
from sdfpose_ros.graph.startup import check_ros
from sdfpose_ros.live.cameras import CAMERAS, CameraOptions, live_camera
from sdfpose_ros.pose.mask_names import MASKS

__all__ = ["add_parser", "run"]

_ANY_TIME_S = 1e6
"""The camera waits until the other nodes are ready; if one of them fails, the session ends."""

_GIVEN = "given"
_TOPIC = "topic"
_MCAP = ".mcap"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "live",
        help="from a camera to poses in the browser",
        description=(
            "Start a camera, the mask node if it is needed, the pose node and the viewer as ROS 2 "
            "processes, and print the address of the viewer. Ctrl-C ends all of them. The exit "
            "status is 0 if there was a result with an object, else 1."
        ),
        epilog="Example: sdfpose live --camera simulated",
    )
    parser.add_argument(
        "--camera",
        default="simulated",
        metavar="CAMERA",
        help=(
            f"source of the images, one of {', '.join(CAMERAS)}: simulated needs no hardware; "
            "realsense and the other cameras need the package of their maker, and may be followed "
            "by ':' and a serial number; realsense:FILE plays a recording of librealsense; "
            "topic:/camera reads a running driver, whose topics are found by type and name; "
            "bag:FILE plays a rosbag2; frames:DIR plays frame folders (default: %(default)s)"
        ),
    )
    parser.add_argument(
        "--masks",
        choices=(_GIVEN, *MASKS[1:]),
        default="",
        help=(
            "source of the instance masks: given takes those of the camera, tabletop segments the "
            "objects on a table, network any objects, torchvision runs Mask R-CNN (default: given "
            "if there are any, else network)"
        ),
    )
    parser.add_argument(
        "--category",
        default="",
        help="category of all masks in place of their labels; 'any' lets the pose node find it",
    )
    parser.add_argument(
        "--record", type=path_argument, metavar="FILE", help="record inputs and results as MCAP"
    )
    parser.add_argument("--no-viewer", action="store_true", help="start no viewer")
    add_address_arguments(parser)
    parser.add_argument(
        "--seconds",
        type=positive,
        metavar="N",
        help="end this long after the first result, seconds (default: run until Ctrl-C)",
    )
    add_json_argument(parser, "number of objects, rate and latency")
    parser.add_argument(
        "--rate",
        type=positive,
        metavar="HZ",
        help="images per second (default: 5 for simulated, 2 for frames, that of the camera)",
    )
    parser.add_argument(
        "--seed", type=seed, default=0, help="random seed of the simulated scene (default: 0)"
    )
    add_weights_argument(parser)
    add_device_argument(parser, "auto")
    parser.add_argument(
        "--domain-id",
        type=integer(0, LAST_DOMAIN_ID),
        help="ROS domain id (default: for topic that of the environment, else an unused one)",
    )
    parser.add_argument(
        "--network",
        action="store_true",
        help="keep the middleware settings of the environment, to reach nodes on other machines "
        "(default: exchange images through shared memory on this machine only)",
    )


def run(args: argparse.Namespace) -> int:
    """Run the session and return the exit status.

    Raises:
        SdfposeError: an argument is invalid, ROS 2 or the viewer cannot be used, or a process
            failed.
    """
    _check(args)
    camera = live_camera(
        args.camera,
        CameraOptions(
            rate_hz=args.rate,
            seed=args.seed,
            # Without the viewer nobody looks on, and the end of the images is the end of the work.
            repeat=not args.no_viewer or args.seconds is not None,
            wait_s=_ANY_TIME_S if args.masks in ("", _GIVEN) else 0.0,
        ),
    )
    address = None if args.no_viewer else viewer_address(args)
    prepare_middleware(network=args.network)
    check_ros()
    from sdfpose_ros.live.session import LiveOptions, run_live

    console = Console()
    with _log_folder() as logs:
        options = LiveOptions(
            camera=camera,
            domain=_domain(args),
            log_dir=logs,
            masks=args.masks,
            category=args.category,
            device=args.device,
            packs=tuple(str(x.absolute()) for x in args.weights),
            viewer=address,
            record=args.record,
            seconds=args.seconds,
        )
        print(f"live: ROS_DOMAIN_ID={options.domain}, logs in {logs}", flush=True)
        with Live(console=console, auto_refresh=False, transient=True) as shown:

            def status(line: str) -> None:
                if console.is_terminal:
                    shown.update(Text(f"live: {line}"), refresh=True)

            summary = run_live(
                options, lambda line: console.print(line, soft_wrap=True, markup=False), status
            )
    if args.json is not None:
        write_json(args.json, summary.as_json())
    print(summary.text(), flush=True)
    if args.record is not None:
        print(f"live: recorded {args.record}: show it with 'sdfpose view {args.record}'")
    return 0 if summary.first_result_s is not None else 1


def _check(args: argparse.Namespace) -> None:
    """Check the arguments before anything is started."""
    check_output_file("--json", args.json)
    check_new_bag("--record", args.record)
    if args.record is not None and args.record.suffix != _MCAP:
        raise ConfigurationError(f"--record {args.record}: expected a name that ends in {_MCAP}")
    categories = given_packs(args).categories
    if args.category not in ("", ANY_CATEGORY):
        _ = categories[args.category]
    if args.no_viewer and (args.host is not None or args.port is not None):
        raise ConfigurationError("--host and --port have no effect with --no-viewer")


@contextmanager
def _log_folder() -> Iterator[Path]:
    """A folder for the logs, which stays only after an error."""
    folder = Path(tempfile.mkdtemp(prefix="sdfpose-live-"))
    yield folder
    shutil.rmtree(folder)


def _domain(args: argparse.Namespace) -> int:
    if args.domain_id is not None:
        return int(args.domain_id)
    if args.camera.partition(":")[0] == _TOPIC:
        return int(os.environ.get("ROS_DOMAIN_ID", "").strip() or 0)
    return free_domain()
