"""Results that version 0.1.0 recorded, as the messages of this ROS 2."""

from __future__ import annotations

from pathlib import Path

from rclpy.serialization import deserialize_message, serialize_message
from sdfpose.msg import SdfObject, SdfObjectArray

from sdfpose_core.datasets.bags import open_bag

BAG = Path(__file__).parents[2] / "data/node_results.mcap"


def test_recorded_results_are_messages_of_today():
    with open_bag(BAG) as bag:
        (topic,) = (x for x in bag.connections if x.msgtype == "sdfpose/msg/SdfObjectArray")
        contents = [data for _, _, data in bag.messages([topic])]
    for data in contents:
        message = deserialize_message(data, SdfObjectArray)
        assert deserialize_message(serialize_message(message), SdfObjectArray) == message
    can, mug = message.objects
    assert (can.category, mug.category) == ("can", "mug")
    assert can.state == mug.state == SdfObject.TRACKED
    assert mug.last_seen == message.header.stamp
