"""Bags of the core library's tests, written by rosbags alone."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from rosbags.rosbag2 import CompressionFormat, StoragePlugin, Writer

from sdfpose_core.frame import RgbdFrame
from sdfpose_core.messages.definitions import message_definitions

STORE = message_definitions()
KINDS = {
    "/camera/colour": "sensor_msgs/msg/Image",
    "/camera/depth": "sensor_msgs/msg/Image",
    "/camera/mask": "sensor_msgs/msg/Image",
    "/camera/camera_info": "sensor_msgs/msg/CameraInfo",
    "/camera/labels": "sdfpose/msg/InstanceLabels",
}


def new(kind: str, **fields):
    return STORE.types[kind](**fields)


def header(stamp_ns: int, frame_id: str = "optical"):
    stamp = new("builtin_interfaces/msg/Time", sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
    return new("std_msgs/msg/Header", stamp=stamp, frame_id=frame_id)


def image(pixels: np.ndarray, encoding: str, head):
    pixels = np.ascontiguousarray(pixels)
    return new(
        "sensor_msgs/msg/Image",
        header=head,
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding,
        is_bigendian=0,
        step=pixels.strides[0],
        data=pixels.view(np.uint8).reshape(-1),
    )


def messages_of(item: RgbdFrame) -> dict[str, object]:
    head = header(item.stamp_ns)
    roi = new(
        "sensor_msgs/msg/RegionOfInterest",
        x_offset=0, y_offset=0, height=0, width=0, do_rectify=False,
    )  # fmt: skip
    k = item.camera.matrix
    labels = [
        new("sdfpose/msg/InstanceLabel", id=i, category=x.category, score=x.score)
        for i, x in item.labels.items()
    ]
    return {
        "/camera/colour": image(item.colour, "rgb8", head),
        "/camera/depth": image(np.rint(item.depth * 1000).astype(np.uint16), "16UC1", head),
        "/camera/mask": image(item.mask, "mono16", head),
        "/camera/camera_info": new(
            "sensor_msgs/msg/CameraInfo",
            header=head,
            height=item.camera.height,
            width=item.camera.width,
            distortion_model="plumb_bob",
            d=np.zeros(5),
            k=k.reshape(-1),
            r=np.eye(3).reshape(-1),
            p=np.hstack([k, np.zeros((3, 1))]).reshape(-1),
            binning_x=0,
            binning_y=0,
            roi=roi,
        ),
        "/camera/labels": new("sdfpose/msg/InstanceLabels", header=head, instances=labels),
    }


def write(
    path: Path,
    frames,
    plugin=StoragePlugin.MCAP,
    *,
    without=(),
    rename=None,
    compression=None,
) -> Path:
    """A bag of frames; `rename` gives other topics, `without` leaves topics out."""
    writer = Writer(path, version=Writer.VERSION_LATEST, storage_plugin=plugin)
    if compression is not None:
        writer.set_compression(compression, CompressionFormat.ZSTD)
    names = {topic: (rename or {}).get(topic, topic) for topic in KINDS if topic not in without}
    with writer:
        connections = {
            topic: writer.add_connection(name, KINDS[topic], typestore=STORE)
            for topic, name in names.items()
        }
        arrival_ns = 0
        for item in frames:
            messages = item if isinstance(item, dict) else messages_of(item)
            for topic, connection in connections.items():
                if topic in messages:
                    data = STORE.serialize_cdr(messages[topic], KINDS[topic])
                    arrival_ns += 1_000_000
                    writer.write(connection, arrival_ns, data)
    return path


@pytest.fixture(scope="session")
def bags() -> SimpleNamespace:
    """What writes bags of frames, and their messages."""
    return SimpleNamespace(write=write, messages_of=messages_of, image=image, header=header)
