"""The work of `sdfpose bag`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace

from rich.table import Table

from sdfpose_core.cli.output import print_problems, wide_console
from sdfpose_core.cli.paths import check_new_bag
from sdfpose_core.datasets import read_frames
from sdfpose_core.datasets.bag_reader import Connection
from sdfpose_core.datasets.bag_writing import OBJECTS, write_frames
from sdfpose_core.datasets.bags import ROLES, Pairing, bag_frames, find_topics, open_bag
from sdfpose_core.errors import BagError, FrameError
from sdfpose_core.messages.decoding import LabelRules
from sdfpose_core.observation.frame import GroundTruth, RgbdFrame

__all__ = ["run"]

_SECOND_NS = 1_000_000_000
_START_NS = _SECOND_NS
"""Stamp of the first frame; not 0, which tf2 takes for 'latest available'."""


def run(args: argparse.Namespace) -> int:
    """Run the chosen action.

    Raises:
        SdfposeError: An argument is invalid, or the frames or the bag cannot be used.
    """
    return int(_ACTIONS[args.action](args))


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


_ACTIONS = {"from-frames": _from_frames, "info": _info}
"""The actions by name."""
