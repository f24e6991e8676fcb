"""The player node: publishes the messages of a rosbag2 on their topics."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

from builtin_interfaces.msg import Time as TimeMessage
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile
from rosgraph_msgs.msg import Clock as ClockMessage
from sdfpose.msg import SdfObjectArray

from sdfpose_core.datasets.bag_reader import Connection
from sdfpose_core.datasets.bags import find_topics, open_bag
from sdfpose_core.errors import BagError
from sdfpose_ros.graph.message_factory import message_class
from sdfpose_ros.graph.parameters import declare
from sdfpose_ros.graph.process import run_node
from sdfpose_ros.playback.lockstep import Lockstep, PoseNodeMonitor
from sdfpose_ros.playback.parameters import PlayerNodeParameters
from sdfpose_ros.playback.raw_images import RawImages

__all__ = ["PlayerNode", "main"]

_PERIOD_S = 0.002
"""Period of the check whether the next message is due."""

_OUTPUTS = ("meshes", "markers", "overlay", "detections")
"""Further outputs of a pose node; if played, recorded ones would mix with its own."""

_CDR = (b"\x00\x00", b"\x00\x01")
"""First bytes of a serialised message."""

_DEPTH = 50
_FEW_RESULTS = 0.9
"""Recommend lockstep if a smaller share of the images has a result."""

_SECOND_NS = 1_000_000_000


class PlayerNode(Node):
    """Plays a bag at the recorded speed or a multiple of it.

    In lockstep it plays as fast as the results arrive: after each complete frame it waits for the
    result of the pose node, so that no frame is dropped.

    Stamps are not changed. With ``clock`` the time of the bag is published on ``/clock``; start the
    other nodes with ``use_sim_time``. When the bag starts again, time jumps back.

    Args:
        name: node name.
        options: further arguments of `rclpy.node.Node`.

    Raises:
        BagError: the bag cannot be read, or has no topic that can be played.
    """

    _colour = ""  # topic of the images whose results are counted

    def __init__(self, *, name: str = "player", **options: Any) -> None:
        self._files = ExitStack()
        super().__init__(name, **options)
        self._settings = declare(self, PlayerNodeParameters)
        self._problems: list[str] = []
        reader = self._files.enter_context(open_bag(self._settings.bag, self._problems))
        self._reader = RawImages(reader) if self._settings.raw else reader
        self._problems += self._reader.left_out
        self._damaged: Counter[str] = Counter()
        self._report_problems()
        self._publishers_by_topic = self._advertise()
        self._clock_publisher: Publisher[Any] | None = None
        if self._settings.clock:
            self._clock_publisher = self.create_publisher(ClockMessage, "/clock", 10)
        self._lockstep: Lockstep | None = None
        self._first_frame: Lockstep | None = None
        self._pose_node: PoseNodeMonitor | None = None
        self._images = self._results = 0
        if self._settings.lockstep or self._settings.wait_s:
            topics = find_topics(self._reader.connections, self._settings.bag, {})
            self._pose_node = PoseNodeMonitor(
                self, self._publishers_by_topic, topics, self._settings.results
            )
            lockstep = Lockstep(
                self,
                self._pose_node,
                topics,
                self._settings.result_timeout_s,
                any(x.latched for x in self._reader.connections if x.topic == topics.labels),
            )
            if self._settings.lockstep:
                self._lockstep = lockstep
            else:
                self._first_frame = lockstep
                self._colour = topics.colour
                self.create_subscription(
                    SdfObjectArray, self._settings.results, self._count_result, _DEPTH
                )
        self._wait_deadline_s = time.monotonic() + self._settings.wait_s
        self._start()
        self.create_timer(_PERIOD_S, self._tick, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def destroy_node(self) -> None:
        """Close the bag, then destroy the node."""
        self._files.close()
        super().destroy_node()

    def _advertise(self) -> dict[str, Publisher[Any]]:
        publishers: dict[str, Publisher[Any]] = {}
        wanted = self._settings.topics
        missing = set(wanted) - {x.topic for x in self._reader.connections}
        if missing:
            raise BagError(
                f"{self._settings.bag}: has no topic {', '.join(sorted(missing))}: expected some "
                f"of {', '.join(sorted({x.topic for x in self._reader.connections}))}"
            )
        outputs: set[str] = set()
        if not wanted and (self._settings.lockstep or self._settings.wait_s):
            results = self.resolve_topic_name(self._settings.results)
            outputs = {results, *(f"{results.rpartition('/')[0]}/{name}" for name in _OUTPUTS)}
        for connection in self._reader.connections:
            if wanted and connection.topic not in wanted:
                continue
            if connection.topic in outputs:
                self.get_logger().info(
                    f"{self._settings.bag}: {connection.topic} is not played: the running pose "
                    "node publishes it"
                )
                continue
            try:
                message = message_class(connection.msgtype)
            except (AttributeError, ImportError) as error:
                self.get_logger().warning(
                    f"{self._settings.bag}: {connection.topic} is not played: its type "
                    f"{connection.msgtype} is not installed ({error}); install its package to play "
                    "it"
                )
                continue
            if connection.topic not in publishers:
                publishers[connection.topic] = self.create_publisher(
                    message, connection.topic, _qos(connection)
                )
        if not publishers:
            raise BagError(
                f"{self._settings.bag}: no topic can be played: expected at least one whose "
                "message type is installed"
            )
        return publishers

    def _start(self) -> None:
        connections = [c for c in self._reader.connections if c.topic in self._publishers_by_topic]
        self._messages: Iterator[tuple[Connection, int, bytes]] = self._reader.messages(connections)
        self._next = next(self._messages, None)
        self._bag_start_ns = self._next[1] if self._next else 0
        self._wall_start_s = time.monotonic()

    def _tick(self) -> None:
        if self._lockstep is not None:
            self._play_next_frame(self._lockstep)
        elif not self._is_waiting() and not self._plays_first_frame():
            self._play_until_now()

    def _is_waiting(self) -> bool:
        """Whether to keep waiting for a pose node."""
        if self._pose_node is None:
            return False
        late = time.monotonic() >= self._wait_deadline_s
        if not self._pose_node.is_ready() and not late:
            return True
        if late and self._pose_node.missing_topics():
            self.get_logger().warning(
                f"{', '.join(self._pose_node.missing_topics())}: no pose node on these topics "
                f"after {self._settings.wait_s:g} s: expected one that subscribes to the topics of "
                "the bag; playing without it"
            )
            self._first_frame = None
        self._pose_node = None
        self._wall_start_s = time.monotonic()
        return False

    def _plays_first_frame(self) -> bool:
        """Play the first frame and wait for its result, which takes longer than those to come."""
        first = self._first_frame
        if first is None:
            return False
        try:
            while self._next is not None and first.frames == 0 and first.may_play():
                self._play_one(first)
            if self._next is not None and (first.frames == 0 or not first.may_play()):
                return True
        except BagError as error:
            self.get_logger().warning(f"{error}; playing on at the speed of the bag")
        self._first_frame = None
        if self._next is not None:
            self._bag_start_ns, self._wall_start_s = self._next[1], time.monotonic()
        return False

    def _count_result(self, _: SdfObjectArray) -> None:
        self._results += 1

    def _play_one(self, lockstep: Lockstep | None = None) -> None:
        """Publish the next message, and tell `lockstep` of it if it is part of a frame."""
        assert self._next is not None
        connection, stamp_ns, data = self._next
        self._publish_clock(stamp_ns)
        if lockstep is not None and lockstep.is_part(connection.topic):
            try:
                message = self._reader.deserialize(data, connection.msgtype)
            except Exception:  # parsers raise any exception on damaged data
                self._damaged[connection.topic] += 1
            else:
                self._publish(connection, data)
                lockstep.played(connection.topic, message)
        else:
            self._publish(connection, data)
        self._images += connection.topic == self._colour
        self._next = next(self._messages, None)

    def _play_next_frame(self, lockstep: Lockstep) -> None:
        while self._next is not None and lockstep.may_play():
            self._play_one(lockstep)
        if self._next is None and lockstep.may_play():
            self._report_problems()
            answered = lockstep.frames - lockstep.dropped
            self.get_logger().info(
                f"{self._settings.bag}: {answered} of {lockstep.frames} frames have a result: "
                "exiting"
            )
            raise SystemExit(0)

    def _play_until_now(self) -> None:
        elapsed_s = (time.monotonic() - self._wall_start_s) * self._settings.rate
        now_ns = self._bag_start_ns + round(elapsed_s * _SECOND_NS)
        while self._next is not None and self._next[1] <= now_ns:
            self._play_one()
        if self._next is not None:
            self._publish_clock(now_ns)
            return
        self._report_problems()
        if self._settings.loop:
            self._start()
        else:
            self.get_logger().info(
                f"{self._settings.bag}: the last message was published: exiting{self._advice()}"
            )
            raise SystemExit(0)

    def _publish(self, connection: Connection, data: bytes) -> None:
        try:
            data = self._reader.as_installed(data, connection.msgtype)
        except Exception:  # parsers raise any exception on damaged data
            data = b""
        if data[:2] in _CDR:
            self._publishers_by_topic[connection.topic].publish(data)
        else:
            self._damaged[connection.topic] += 1

    def _report_problems(self) -> None:
        """Log what could not be read or played since the last call."""
        for problem in self._problems:
            self.get_logger().warning(problem)
        for topic, count in self._damaged.items():
            self.get_logger().warning(
                f"{self._settings.bag}: {count} messages on {topic} are not played: they cannot be "
                "decoded"
            )
        self._problems.clear()
        self._damaged.clear()

    def _advice(self) -> str:
        """Return the advice to play in lockstep if many images have no result."""
        if not self._images or self._results >= _FEW_RESULTS * self._images:
            return ""
        return (
            f" ({self._results} of {self._images} images have a result; to process every image, "
            "play in lockstep: lockstep:=true or --lockstep)"
        )

    def _publish_clock(self, now_ns: int) -> None:
        if self._clock_publisher is not None:
            now = TimeMessage(sec=now_ns // _SECOND_NS, nanosec=now_ns % _SECOND_NS)
            self._clock_publisher.publish(ClockMessage(clock=now))


def _qos(connection: Connection) -> QoSProfile:
    """Reliable; latched if the recorded publisher was."""
    durability = (
        DurabilityPolicy.TRANSIENT_LOCAL if connection.latched else DurabilityPolicy.VOLATILE
    )
    return QoSProfile(depth=_DEPTH, durability=durability)


def main(args: Sequence[str] | None = None) -> int:
    """Run the player node."""
    return run_node(PlayerNode, args)


if __name__ == "__main__":
    sys.exit(main())
