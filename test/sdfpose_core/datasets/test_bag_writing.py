from __future__ import annotations

import dataclasses
import errno

import numpy as np
import pytest
from rosbags.highlevel import AnyReader

from sdfpose_core.datasets import bag_writing
from sdfpose_core.datasets.bag_writing import BagWriter, write_frames
from sdfpose_core.datasets.bags import bag_frames, open_bag
from sdfpose_core.errors import BagError
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.messages.decoding import LabelRules
from sdfpose_core.messages.objects import truth_from_message
from sdfpose_core.observation.frame import GroundTruth, InstanceLabel, RgbdFrame
from sdfpose_core.replay.truth import TopicTruth

STRING = "std_msgs/msg/String"


def frame(number: int, mask_id: int = 3) -> RgbdFrame:
    rng = np.random.default_rng(number)
    return RgbdFrame(
        colour=rng.integers(0, 256, (6, 8, 3), dtype=np.uint8),
        depth=rng.integers(0, 900, (6, 8)).astype(np.float32) * np.float32(0.001),
        mask=np.full((6, 8), mask_id, dtype=np.uint16),
        camera=PinholeCamera(8, 6, 10.0, 11.0, 4.0, 3.0),
        labels={mask_id: InstanceLabel("bowl", 0.5, detected=True)},
        stamp_ns=1_000_000_000 + number,
        frame_id="optical",
    )


TRUTH = GroundTruth(
    3, "bowl", "bowl_3", np.eye(3), np.array([0.1, 0.2, 0.7]), np.array([0.1, 0.05, 0.1]), True
)


@pytest.mark.parametrize("mask_id", [3, 300])
def test_frames_are_read_as_they_were_written(tmp_path, mask_id):
    written = [frame(0, mask_id), frame(1, mask_id)]
    assert write_frames(tmp_path / "bag", [(x, [TRUTH]) for x in written]) == 2
    problems: list[str] = []
    read = list(bag_frames(tmp_path / "bag", LabelRules({}), problems))
    assert problems == []
    for a, b in zip(read, written, strict=True):
        for name in ("colour", "depth", "mask"):
            np.testing.assert_array_equal(getattr(a.frame, name), getattr(b, name))
        assert a.frame.camera == b.camera
        assert a.frame.labels == b.labels
        assert (a.frame.stamp_ns, a.frame.frame_id) == (b.stamp_ns, "optical")
        assert a.arrival_ns == b.stamp_ns


def test_ground_truth_comes_with_the_frames(tmp_path):
    write_frames(tmp_path / "bag", [(frame(0), [TRUTH])], camera="/left")
    with open_bag(tmp_path / "bag") as bag:
        (connection,) = (x for x in bag.connections if x.topic == "/left/ground_truth")
        (_, _, data) = next(bag.messages([connection]))
        message = bag.deserialize(data, connection.msgtype)
    read = truth_from_message(message.objects[0])
    for field in dataclasses.fields(GroundTruth):
        np.testing.assert_array_equal(getattr(read, field.name), getattr(TRUTH, field.name))


def truths_of(bag, topic="/camera/ground_truth"):
    source = TopicTruth(topic)
    list(bag_frames(bag, LabelRules({}), [], listeners=source.listeners))
    return source


def test_a_frame_without_ground_truth_has_no_ground_truth_in_the_bag(tmp_path):
    frames = [(frame(0), [TRUTH]), (frame(1), [])]
    write_frames(tmp_path / "bag", frames)
    truths = truths_of(tmp_path / "bag")
    assert [x.mask_id for x in truths.at(frame(0).stamp_ns, "optical")] == [3]
    assert truths.at(frame(1).stamp_ns, "optical") is None


def test_an_object_without_ground_truth_has_no_pose_in_the_bag(tmp_path):
    both = dataclasses.replace(frame(0), labels={3: InstanceLabel("bowl"), 4: InstanceLabel("mug")})
    write_frames(tmp_path / "bag", [(both, [TRUTH])])
    found = truths_of(tmp_path / "bag").at(both.stamp_ns, "optical")
    assert [(x.mask_id, x.category, x.has_pose) for x in found] == [
        (3, "bowl", True), (4, "mug", False),
    ]  # fmt: skip


def test_latched_topics_are_marked_for_players(tmp_path):
    with BagWriter(tmp_path / "bag", {"/a": STRING, "/b": STRING}, latched=["/b"]) as bag:
        for topic in ("/a", "/b"):
            bag.write(topic, bag.new(STRING, data=topic), 5)
    with AnyReader([tmp_path / "bag"]) as reader:
        durability = {
            x.topic: x.ext.offered_qos_profiles[0].durability.name for x in reader.connections
        }
    assert durability == {"/a": "VOLATILE", "/b": "TRANSIENT_LOCAL"}


def test_a_bag_is_written_whole_or_not_at_all(tmp_path):
    def frames():
        yield frame(0), []
        raise RuntimeError("the camera fell")

    with pytest.raises(RuntimeError, match="fell"):
        write_frames(tmp_path / "bag", frames())
    assert list(tmp_path.iterdir()) == []


def test_a_bag_that_is_there_is_not_replaced(tmp_path):
    (tmp_path / "bag").mkdir()
    with pytest.raises(BagError, match=r"bag: already exists: choose the name of a new bag"):
        BagWriter(tmp_path / "bag", {"/a": STRING})


def test_missing_definitions_are_named(tmp_path, monkeypatch):
    from rosbags.typesys import Stores, get_typestore

    monkeypatch.setattr(
        bag_writing, "message_definitions", lambda: get_typestore(Stores.ROS2_KILTED)
    )
    with pytest.raises(BagError, match="the definition of sdfpose/msg/SdfObjectArray is missing"):
        BagWriter(tmp_path / "bag", {"/a": bag_writing.OBJECTS})


def test_negative_times_of_recording_are_written_as_zero(tmp_path):
    """SQLite has them, MCAP does not."""
    with BagWriter(tmp_path / "bag", {"/a": STRING}) as bag:
        for ns in (-5, 7):
            bag.write("/a", bag.new(STRING, data="x"), ns)
    with open_bag(tmp_path / "bag") as written:
        assert [ns for _, ns, _ in written.messages()] == [0, 7]


def test_nothing_is_left_of_a_bag_that_cannot_be_closed(tmp_path, monkeypatch):
    def full():
        raise OSError(errno.ENOSPC, "No space left on device")

    bag = BagWriter(tmp_path / "bag", {"/a": STRING})
    monkeypatch.setattr(bag._writer, "close", full)
    with pytest.raises(OSError, match="No space"), bag:
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("stamp_ns", [-7_500_000_000, (2**31 - 1) * 10**9 + 2**32 - 1])
def test_odd_stamps_are_written_as_they_are(tmp_path, stamp_ns):
    """The nanoseconds of a broken stamp may be more than a second."""
    odd = dataclasses.replace(frame(0), stamp_ns=stamp_ns)
    write_frames(tmp_path / "bag", [(odd, [])])
    (read,) = bag_frames(tmp_path / "bag", LabelRules({}), [])
    assert read.frame.stamp_ns == stamp_ns
