"""A bag with results of the pose node, as version 0.1.0 recorded them.

It holds the can and the mug of the tabletop sample in three images, and one mesh. It never changes:
if a test fails, recordings of users can no longer be read.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from sdfpose_core.datasets import bag_reader
from sdfpose_core.datasets.bags import open_bag
from sdfpose_core.messages.definitions import message_definitions
from sdfpose_core.messages.objects import truth_from_message

BAG = Path(__file__).parents[2] / "data/node_results.mcap"
OBJECTS = "sdfpose/msg/SdfObjectArray"


def recorded(path=BAG):
    """The messages of the results, in their order."""
    with open_bag(path) as bag:
        (topic,) = (x for x in bag.connections if x.msgtype == OBJECTS)
        return [bag.deserialize(data, OBJECTS) for _, _, data in bag.messages([topic])]


def check(messages):
    first, _, last = messages
    assert first.header.frame_id == "camera_optical_frame"
    can, mug = last.objects
    assert (can.id, can.category, can.state) == (4, "can", 2)
    assert (mug.id, mug.category, mug.state) == (6, "mug", 2)
    assert (mug.last_seen.sec, mug.last_seen.nanosec) == (1_700_000_000, 200_000_000)
    assert can.symmetric_about_y
    assert not mug.symmetric_about_y
    assert (len(can.symmetries), len(can.latent_code)) == (1, 32)
    truth = truth_from_message(mug)
    np.testing.assert_allclose(truth.translation, [-0.3383, -0.0135, 1.1934], atol=1e-4)
    assert mug.scale == pytest.approx(0.2088, abs=1e-4)
    assert mug.confidence == pytest.approx(0.9938, abs=1e-4)
    assert first.objects[0].mesh_revision == last.objects[0].mesh_revision == 1
    assert first.objects[0].mesh_vertices.size == 4200
    assert last.objects[0].mesh_vertices.size == 0


def test_results_are_read():
    check(recorded())


def test_results_are_played_as_they_were_recorded():
    """Byte by byte, because the definitions are the same."""
    with open_bag(BAG) as bag:
        for topic, _, data in bag.messages():
            assert bag.as_installed(data, topic.msgtype) is data


def test_results_are_read_where_the_messages_are_not_installed(monkeypatch):
    monkeypatch.setattr(
        bag_reader, "_default_definitions", lambda: get_typestore(Stores.ROS2_JAZZY)
    )
    check(recorded())


@pytest.mark.skipif(
    OBJECTS not in message_definitions().fielddefs, reason="the messages are not installed"
)
@pytest.mark.parametrize("storage", list(StoragePlugin))
def test_results_without_their_definitions_are_read_with_the_installed_ones(tmp_path, storage):
    digest = message_definitions().hash_rihs01(OBJECTS)
    with open_bag(BAG) as bag, Writer(tmp_path / "bag", version=9, storage_plugin=storage) as copy:
        (results,) = (x for x in bag.connections if x.msgtype == OBJECTS)
        topic = copy.add_connection("/objects", OBJECTS, msgdef="", rihs01=digest)
        for _, time_ns, data in bag.messages([results]):
            copy.write(topic, time_ns, data)
    check(recorded(tmp_path / "bag"))
