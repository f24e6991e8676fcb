"""Bags of the core library's tests, written by rosbags alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from rosbags.rosbag2 import CompressionFormat, StoragePlugin, Writer

from sdfpose_core.messages.definitions import message_definitions
from sdfpose_core.messages.encoding import frame_messages, image_message
from sdfpose_core.messages.factory import bag_messages, header_message
from sdfpose_core.messages.objects import ground_truth_message, transform_message
from sdfpose_core.observation.frame import GroundTruth, RgbdFrame

STORE = message_definitions()
KINDS = {
    "/camera/colour": "sensor_msgs/msg/Image",
    "/camera/depth": "sensor_msgs/msg/Image",
    "/camera/mask": "sensor_msgs/msg/Image",
    "/camera/camera_info": "sensor_msgs/msg/CameraInfo",
    "/camera/labels": "sdfpose/msg/InstanceLabels",
}
new = bag_messages(STORE)


def header(stamp_ns: int, frame_id: str = "optical"):
    return header_message(new, stamp_ns, frame_id)


def image(pixels, encoding: str, head):
    return image_message(new, pixels, encoding, head)


def messages_of(item: RgbdFrame) -> dict[str, object]:
    head = header(item.stamp_ns)
    return {f"/camera/{k}": x for k, x in frame_messages(new, item, head).items()}


def truth_of(stamp_ns: int, truths: Sequence[GroundTruth]):
    head = header(stamp_ns)
    objects = [ground_truth_message(new, x, head) for x in truths]
    return new("sdfpose/msg/SdfObjectArray", header=head, objects=objects)


def transforms(stamp_ns: int, *items):
    """A message of transforms, each (parent, child, rotation, translation)."""
    return new(
        "tf2_msgs/msg/TFMessage",
        transforms=[
            transform_message(new, rotation, translation, header(stamp_ns, parent), child)
            for parent, child, rotation, translation in items
        ],
    )


def write(
    path: Path,
    frames,
    plugin=StoragePlugin.MCAP,
    *,
    without=(),
    rename=None,
    compression=None,
    more: Mapping[str, str] | None = None,
) -> Path:
    """A bag of frames; `rename` gives other topics, `without` leaves topics out, `more` adds."""
    kinds = KINDS | dict(more or {})
    writer = Writer(path, version=Writer.VERSION_LATEST, storage_plugin=plugin)
    if compression is not None:
        writer.set_compression(compression, CompressionFormat.ZSTD)
    names = {topic: (rename or {}).get(topic, topic) for topic in kinds if topic not in without}
    with writer:
        connections = {
            topic: writer.add_connection(name, kinds[topic], typestore=STORE)
            for topic, name in names.items()
        }
        arrival_ns = 0
        for item in frames:
            messages = item if isinstance(item, dict) else messages_of(item)
            for topic, connection in connections.items():
                if topic in messages:
                    data = STORE.serialize_cdr(messages[topic], kinds[topic])
                    arrival_ns += 1_000_000
                    writer.write(connection, arrival_ns, data)
    return path


@pytest.fixture(scope="session")
def table_frames() -> list[tuple[RgbdFrame, list[GroundTruth]]]:
    """Five frames of a can, a bowl and a mug on a table, seen by a moving camera."""
    from sdfpose_core.simulation import simulated_frame
    from sdfpose_core.simulation.tabletop import TABLE_CAMERA, orbit, table_scene

    rng, scene = np.random.default_rng(0), table_scene(3)
    frames = []
    for i in range(5):
        frame, truths = simulated_frame(
            scene,
            TABLE_CAMERA.resize(320, 240),
            orbit(i / 15.0),
            rng,
            stamp_ns=1_000_000_000 + round(i * 1e9 / 15.0),
        )
        kept = [x for x in truths if x.category in ("can", "bowl", "mug")]
        shown = {x.mask_id for x in kept}
        labels = {k: v for k, v in frame.labels.items() if k in shown}
        mask = np.where(np.isin(frame.mask, list(shown)), frame.mask, 0).astype(np.uint16)
        frames.append((replace(frame, labels=labels, mask=mask), kept))
    return frames


@pytest.fixture(scope="session")
def bags() -> SimpleNamespace:
    """What writes bags of frames, and their messages."""
    return SimpleNamespace(
        write=write,
        messages_of=messages_of,
        image=image,
        header=header,
        new=new,
        truth_of=truth_of,
        store=STORE,
        transforms=transforms,
    )
