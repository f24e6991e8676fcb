"""`sdfpose bag`: bags from frame folders, and whether a bag has what is needed."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich.table import Table
from rosbags.interfaces import Connection

from sdfpose_core.cli.choices import add_topic_argument
from sdfpose_core.cli.output import tell, wide_console
from sdfpose_core.datasets import read_frames
from sdfpose_core.datasets.bag_writing import OBJECTS, write_frames
from sdfpose_core.datasets.bags import ROLES, Pairing, bag_frames, find_topics, open_bag
from sdfpose_core.errors import BagError, ConfigurationError, FrameError
from sdfpose_core.messages.decoding import LabelRules
from sdfpose_core.observation.frame import GroundTruth, RgbdFrame

__all__ = ["add_parser", "run"]

_SECOND_NS = 1_000_000_000
_START_NS = _SECOND_NS
"""Stamp of the first frame: 0 means 'the newest' in ROS."""


def add_parser(subparsers: Any) -> None:
    """Declare the command's actions."""
    parser = subparsers.add_parser(
        "bag",
        help="make a bag of frame folders, or see whether a bag has what is needed",
        description="Make a rosbag2 of frame folders, or see whether one has what is needed.",
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    making = actions.add_parser(
        "from-frames",
        help="make a bag of frame folders",
        description=(
            "Write frame folders as a camera below --camera, with mask, labels and, where they "
            "have it, ground truth."
        ),
    )
    making.add_argument("frames", type=Path, nargs="+", metavar="DIR", help="or folders of them")
    making.add_argument("--out", type=Path, required=True, metavar="BAG", help="the new bag")
    making.add_argument("--hz", type=float, default=15.0, help="(default: %(default)s)")
    making.add_argument(
        "--camera", default="/camera", help="first part of the topics (default: %(default)s)"
    )
    making.set_defaults(action=_from_frames)
    telling = actions.add_parser(
        "info",
        help="whether a bag has what is needed, and what is missing",
        description=(
            "List a bag's topics and their parts in a frame, and count the frames that can be put "
            "together. The exit status is 0 if there is one, else 1."
        ),
    )
    telling.add_argument("bag", type=Path, metavar="BAG", help="its folder, .mcap or .db3 file")
    add_topic_argument(telling)
    telling.set_defaults(action=_info)


def run(args: argparse.Namespace) -> int:
    """Do what was asked for.

    Raises:
        SdfposeError: an argument is wrong, or frames or a bag cannot be used.
    """
    return int(args.action(args))


def _from_frames(args: argparse.Namespace) -> int:
    if args.hz <= 0.0:
        raise ConfigurationError(f"--hz is {args.hz}: expected a positive number")
    problems: list[str] = []
    count = write_frames(args.out, _stamped(args.frames, args.hz, problems), args.camera)
    tell(problems)
    print(f"{count} frames in {args.out}")
    return 0


def _stamped(
    paths: Sequence[Path], hz: float, problems: list[str]
) -> Iterator[tuple[RgbdFrame, list[GroundTruth]]]:
    """The frames of all folders, one after the other.

    Raises:
        FrameError: there is none.
    """
    number = -1
    for number, item in enumerate(x for path in paths for x in read_frames(path, problems)):
        stamp_ns = _START_NS + round(number * _SECOND_NS / hz)
        frame = replace(item.frame, stamp_ns=stamp_ns, frame_id="camera_optical_frame")
        yield frame, item.ground_truth
    if number < 0:
        raise FrameError(
            f"{', '.join(map(str, paths))}: no frame can be read: expected frame folders"
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
        console.print(f"{bag.message_count} messages in {bag.duration * 1e-9:.2f} s")
    tell(problems)
    if missing is not None:
        tell([missing])
        return 1
    reading: list[str] = []
    pairing = Pairing(dict(args.topic))
    count = sum(1 for _ in bag_frames(args.bag, LabelRules({}), reading, pairing=pairing))
    tell([x for x in reading if x not in problems])
    console.print(f"{count} frames can be put together")
    if "labels" not in roles.values():
        console.print("no labels: say what mask ids are, with --category or --mask-categories")
    if not any(x.msgtype == OBJECTS for x in connections):
        console.print(f"no ground truth of type {OBJECTS}")
    return 0 if count else 1


def _topics(connections: Sequence[Connection], roles: dict[str, str]) -> Table:
    table = Table(box=None)
    for name in ("topic", "type", "messages", "part of a frame"):
        table.add_column(name, justify="right" if name == "messages" else "left", overflow="fold")
    order = {role: i for i, role in enumerate(ROLES)}
    for x in sorted(connections, key=lambda x: (order.get(roles.get(x.topic, ""), 9), x.topic)):
        table.add_row(x.topic, x.msgtype, str(x.msgcount), roles.get(x.topic, ""))
    return table
