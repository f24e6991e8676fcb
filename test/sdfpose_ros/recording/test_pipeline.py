"""Messages are compressed in threads, written in order, and counted where there is no time."""

from __future__ import annotations

import threading
import time
from functools import partial

import numpy as np
import pytest

from sdfpose_core.datasets.bag_writing import offered_qos
from sdfpose_core.datasets.bags import open_bag
from sdfpose_core.datasets.mcap_writing import McapFile
from sdfpose_core.errors import BagError
from sdfpose_core.messages.compression import Codecs
from sdfpose_core.messages.definitions import message_definitions
from sdfpose_core.messages.encoding import image_message
from sdfpose_core.messages.factory import bag_messages, header_message
from sdfpose_ros.recording import pipeline
from sdfpose_ros.recording.pipeline import (
    ArrivedMessage,
    RecordingPipeline,
    StoredMessage,
    compressed,
)

STORE = message_definitions()
NEW = bag_messages(STORE)
QOS = offered_qos(latched=False)
IMAGE = "sensor_msgs/msg/Image"


def arrived(number: int, role: str = "depth", kind: str = IMAGE) -> ArrivedMessage:
    pixels = np.full((4, 6), number, np.uint16)
    message = image_message(NEW, pixels, "16UC1", header_message(NEW, number, "optical"))
    return ArrivedMessage("/x", kind, role, bytes(STORE.serialize_cdr(message, IMAGE)), number, QOS)


def test_images_are_compressed_and_others_are_not():
    for role, suffix in (("depth", "/compressedDepth"), ("mask", "/compressed"), ("", "")):
        stored = compressed(arrived(7, role), STORE, Codecs())
        assert stored.topic == f"/x{suffix}"
        assert (stored.kind == IMAGE) == (role == "")
    assert compressed(arrived(7), STORE, Codecs(depth="raw")).data == arrived(7).data


def test_a_damaged_image_is_recorded_as_it_is():
    message = image_message(NEW, np.zeros((4, 6), np.uint16), "16UC1", header_message(NEW, 1, "o"))
    message.height = 40
    data = bytes(STORE.serialize_cdr(message, IMAGE))
    stored = compressed(ArrivedMessage("/x", IMAGE, "depth", data, 1, QOS), STORE, Codecs())
    assert (stored.topic, stored.data) == ("/x", data)


def test_messages_are_written_in_the_order_of_their_arrival(tmp_path):
    file = McapFile(tmp_path / "a.mcap", STORE)

    def slowly(message: ArrivedMessage) -> StoredMessage:
        time.sleep(0.03 if message.arrival_ns % 3 == 0 else 0.0)
        return compressed(message, STORE, Codecs())

    line = RecordingPipeline(file, slowly, threads=3)
    for i in range(20):
        assert line.put(arrived(i))
    line.close()
    file.close()
    assert line.failure is None
    with open_bag(tmp_path / "a.mcap") as bag:
        assert [ns for _, ns, _ in bag.messages()] == list(range(20))
        assert [x.topic for x in bag.connections] == ["/x/compressedDepth"]


def test_messages_for_which_there_is_no_time_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline, "_MOST_WAITING", 3 * len(arrived(0).data))
    file = McapFile(tmp_path / "a.mcap", STORE)
    go = threading.Event()

    def wait(message: ArrivedMessage) -> StoredMessage:
        go.wait(10.0)
        return StoredMessage("/x", IMAGE, message.data)

    line = RecordingPipeline(file, wait)
    kept = [line.put(arrived(i)) for i in range(5)]
    go.set()
    line.close()
    file.close()
    assert kept == [True] * 3 + [False] * 2
    assert line.dropped == 2
    assert file.counts == {"/x": 3}


def test_a_file_that_fails_is_told_and_does_not_stop_the_threads(tmp_path):
    class Full(McapFile):
        def write(self, topic, data, recorded_ns):
            raise BagError("the disk is full")

    line = RecordingPipeline(
        Full(tmp_path / "a.mcap", STORE), partial(compressed, store=STORE, codecs=Codecs())
    )
    for i in range(5):
        line.put(arrived(i))
    line.close()
    assert str(line.failure) == "the disk is full"


def test_an_unexpected_error_is_told(tmp_path):
    def broken(_: ArrivedMessage) -> StoredMessage:
        raise ValueError("odd")

    line = RecordingPipeline(McapFile(tmp_path / "a.mcap", STORE), broken)
    line.put(arrived(1))
    line.close()
    with pytest.raises(BagError, match="/x: cannot be recorded: ValueError"):
        raise line.failure
