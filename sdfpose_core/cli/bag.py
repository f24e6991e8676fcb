"""`sdfpose bag`: create a bag from frame folders, or check a recorded bag."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

from rich.table import Table

from sdfpose_core.cli.choices import add_depth_unit_argument, add_topic_argument
from sdfpose_core.cli.numbers import positive
from sdfpose_core.cli.output import print_problems, wide_console
from sdfpose_core.cli.paths import check_new_bag, path_argument
from sdfpose_core.datasets import read_frames
from sdfpose_core.datasets.bag_reader import Connection
from sdfpose_core.datasets.bag_writing import OBJECTS, write_frames
from sdfpose_core.datasets.bags import ROLES, Pairing, bag_frames, find_topics, open_bag
from sdfpose_core.errors import BagError, FrameError
from sdfpose_core.messages.decoding import LabelRules
from sdfpose_core.observation.frame import GroundTruth, RgbdFrame

__all__ = ["add_parser", "run"]

_SECOND_NS = 1_000_000_000
_START_NS = _SECOND_NS
"""Stamp of the first frame; not 0, which tf2 takes for 'latest available'."""


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
    from_frames.set_defaults(action=_from_frames)
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
    info.set_defaults(action=_info)


def run(args: argparse.Namespace) -> int:
    """Run the chosen action.

    Raises:
        SdfposeError: An argument is invalid, or the frames or the bag cannot be used.
    """
    return int(args.action(args))


def _from_frames(args: argparse.Namespace) -> int:
    check_new_bag("--out", args.out)
    problems: list[str] = []
    count = write_frames(args.out, _stamped(args, problems), args.camera)
    print_problems(problems)
    print(f"wrote {count} frames to {args.out}")
    return 0


def _stamped(
    args: argparse.Namespace, problems: list[str]
) -> Iterator[tuple[RgbdFrame, list[GroundTruth]]]:
    """Read the frames of all folders and stamp them at the given rate.

    Raises:
        FrameError: No frame can be read.
    """
    number = -1
    frames = (
        x for path in args.frames for x in read_frames(path, problems, depth_unit=args.depth_unit)
    )
    for number, item in enumerate(frames):
        stamp_ns = _START_NS + round(number * _SECOND_NS / args.hz)
        frame = replace(item.frame, stamp_ns=stamp_ns, frame_id="camera_optical_frame")
        yield frame, item.ground_truth
    if number < 0:
        raise FrameError(
            f"{', '.join(map(str, args.frames))}: no frame can be read: expected frame folders"
            f"{'; ' + problems[-1] if problems else ''}"
        )


def _info(args: argparse.Namespace) -> int:
    console = wide_console()
    problems: list[str] = []
    missing = None
    with open_bag(args.bag, problems) as bag:
        connections = list(bag.connections)
        roles: dict[str, str] = {}
        try:
            topics = find_topics(connections, args.bag, dict(args.topic))
            roles = {topic: role for role, topic in asdict(topics).items() if topic}
        except BagError as error:
            missing = str(error)
        console.print(_topics(connections, roles), highlight=False)
        console.print(f"{bag.message_count} messages, {bag.duration_s:.2f} s")
    print_problems(problems + bag.left_out)
    if missing is not None:
        print_problems([missing])
        return 1
    reading: list[str] = []
    pairing = Pairing(dict(args.topic), depth_unit=args.depth_unit)
    count = sum(1 for _ in bag_frames(args.bag, LabelRules({}), reading, pairing=pairing))
    print_problems([x for x in reading if x not in problems])
    console.print(f"{count} frames can be put together")
    if "labels" not in roles.values():
        console.print("no labels: give the categories with --category or --mask-categories")
    if not any(x.msgtype == OBJECTS and x.msgcount for x in connections):
        console.print(f"no ground truth of type {OBJECTS}")
    return 0 if count else 1


def _topics(connections: Sequence[Connection], roles: dict[str, str]) -> Table:
    table = Table(box=None)
    for name in ("topic", "type", "messages", "input"):
        table.add_column(name, justify="right" if name == "messages" else "left", overflow="fold")
    order = {role: i for i, role in enumerate(ROLES)}
    for x in sorted(connections, key=lambda x: (order.get(roles.get(x.topic, ""), 9), x.topic)):
        table.add_row(x.topic, x.msgtype, str(x.msgcount), roles.get(x.topic, ""))
    return table
