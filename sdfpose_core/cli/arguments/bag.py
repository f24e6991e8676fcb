"""`sdfpose bag`: create a bag from frame folders, or check a recorded bag."""

from __future__ import annotations

from typing import Any

from sdfpose_core.cli.arguments.work import run_of
from sdfpose_core.cli.choices import add_depth_unit_argument, add_topic_argument
from sdfpose_core.cli.numbers import positive
from sdfpose_core.cli.paths import path_argument

__all__ = ["add_parser", "run"]

run = run_of("sdfpose_core.cli.bag")


def add_parser(subparsers: Any) -> None:
    """Declare the command's actions."""
    parser = subparsers.add_parser(
        "bag",
        help="create a bag from frame folders, or check a recorded bag",
        description="Create a rosbag2 from frame folders, or check a recorded one.",
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    from_frames = actions.add_parser(
        "from-frames",
        help="create a bag from frame folders",
        description=(
            "Write frame folders to a rosbag2 as the topics of a camera: colour, depth, camera "
            "info, mask and labels, and the ground truth where the frames have it."
        ),
        epilog="Example: sdfpose bag from-frames frames/ --out my_bag --hz 30",
    )
    from_frames.add_argument(
        "frames",
        type=path_argument,
        nargs="+",
        metavar="DIR",
        help="frame folder, or folder of frame folders",
    )
    from_frames.add_argument(
        "--out", type=path_argument, required=True, metavar="BAG", help="bag to create"
    )
    from_frames.add_argument(
        "--hz", type=positive, default=15.0, help="frame rate, Hz (default: %(default)s)"
    )
    from_frames.add_argument(
        "--camera", default="/camera", help="namespace of the topics (default: %(default)s)"
    )
    add_depth_unit_argument(from_frames)
    from_frames.set_defaults(action="from-frames")
    info = actions.add_parser(
        "info",
        help="check whether a bag has the topics that the estimator needs",
        description=(
            "List the topics of a bag and the inputs that they provide, and count the frames that "
            "can be put together. The exit status is 0 if there is at least one, else 1."
        ),
    )
    info.add_argument(
        "bag", type=path_argument, metavar="BAG", help="bag folder, .mcap or .db3 file"
    )
    add_topic_argument(info)
    add_depth_unit_argument(info)
    info.set_defaults(action="info")
