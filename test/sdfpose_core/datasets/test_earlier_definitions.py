"""Bags that were recorded when the messages of sdfpose had other fields."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from sdfpose_core.datasets.bag_writing import OBJECTS
from sdfpose_core.datasets.bags import open_bag
from sdfpose_core.messages.definitions import message_definitions
from sdfpose_core.messages.objects import truth_from_message

FOLDER = Path(__file__).parents[3] / "msg"
NEW_FIELDS = ("last_seen", "symmetries", "probability", "alternatives")


@pytest.fixture
def earlier():
    """Definitions of an SdfObject without the new fields, and with one that is gone."""
    text = (FOLDER / "SdfObject.msg").read_text("utf-8")
    kept = [x for x in text.splitlines() if not re.match(rf"\S+ ({'|'.join(NEW_FIELDS)})$", x)]
    texts = {
        "SdfObject": "\n".join([*kept, "float32 quality"]),
        "SdfObjectArray": (FOLDER / "SdfObjectArray.msg").read_text("utf-8"),
    }
    store = get_typestore(Stores.LATEST)
    types = {}
    for name, definition in texts.items():
        types.update(get_types_from_msg(definition, f"sdfpose/msg/{name}"))
    store.register(types)
    return store


def recorded_object(store):
    """A message of an object, of the definition of a store."""
    new = {name.rpartition("/")[2]: x for name, x in store.types.items() if "/msg/" in name}
    header = new["Header"](stamp=new["Time"](sec=3, nanosec=4), frame_id="optical")
    pose = new["Pose"](
        position=new["Point"](x=0.1, y=0.2, z=0.7),
        orientation=new["Quaternion"](x=0.0, y=1.0, z=0.0, w=0.0),
    )
    return new["SdfObject"](
        header=header,
        id=7,
        category="bowl",
        state=2,
        pose=new["PoseWithCovariance"](pose=pose, covariance=np.arange(36.0)),
        symmetric_about_y=True,
        scale=0.3,
        dimensions=new["Vector3"](x=0.1, y=0.2, z=0.3),
        confidence=0.5,
        latent_code=np.array([0.5, -1.5], np.float32),
        mesh_revision=1,
        mesh_vertices=np.arange(3, dtype=np.float32),
        mesh_triangles=np.zeros(0, np.uint32),
        mesh_normals=np.zeros(0, np.float32),
        mesh_colours=np.zeros(0, np.uint8),
        quality=0.25,
    )


@pytest.fixture(params=list(StoragePlugin))
def earlier_bag(request, tmp_path, earlier):
    found = recorded_object(earlier)
    array = earlier.types[OBJECTS](header=found.header, objects=[found, found])
    with Writer(tmp_path / "bag", version=9, storage_plugin=request.param) as bag:
        topic = bag.add_connection("/camera/ground_truth", OBJECTS, typestore=earlier)
        bag.write(topic, 5, earlier.serialize_cdr(array, OBJECTS))
    return tmp_path / "bag"


def test_objects_of_an_earlier_definition_are_read(earlier_bag):
    with open_bag(earlier_bag) as bag:
        ((connection, _, data),) = bag.messages()
        message = bag.deserialize(data, connection.msgtype)
    truth = truth_from_message(message.objects[1])
    np.testing.assert_array_equal(truth.translation, [0.1, 0.2, 0.7])
    assert truth.symmetric_about_y


def test_objects_of_an_earlier_definition_are_played_with_the_present_one(earlier_bag):
    with open_bag(earlier_bag) as bag:
        ((connection, _, data),) = bag.messages()
        played = bag.as_installed(data, connection.msgtype)
    message = message_definitions().deserialize_cdr(played, OBJECTS)
    assert message.header.stamp.sec == 3
    first, second = message.objects
    assert first.id == second.id == 7
    np.testing.assert_array_equal(first.pose.covariance, np.arange(36.0))
    np.testing.assert_array_equal(first.latent_code, [0.5, -1.5])
    assert first.mesh_revision == 1
    assert first.last_seen.sec == 0
    assert (first.symmetries, first.alternatives, first.probability) == ([], [], 0.0)
    assert not hasattr(first, "quality")


def test_messages_of_the_present_definition_and_of_other_packages_stay(tmp_path):
    store = message_definitions()
    header = store.types["std_msgs/msg/Header"](
        stamp=store.types["builtin_interfaces/msg/Time"](sec=1, nanosec=0), frame_id="a"
    )
    array = store.types[OBJECTS](header=header, objects=[])
    text = store.types["std_msgs/msg/String"](data="hello")
    with Writer(tmp_path / "bag", version=9) as bag:
        for kind, message in ((OBJECTS, array), ("std_msgs/msg/String", text)):
            topic = bag.add_connection(f"/{kind[-5:]}", kind, typestore=store)
            bag.write(topic, 5, store.serialize_cdr(message, kind))
    with open_bag(tmp_path / "bag") as bag:
        for connection, _, data in bag.messages():
            assert bag.as_installed(data, connection.msgtype) is data
