from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from sdfpose_core.datasets.bag_topics import find_topics
from sdfpose_core.datasets.bags import Pairing, bag_frames
from sdfpose_core.errors import BagError
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.messages.decoding import LabelRules
from sdfpose_core.messages.encoding import (
    compressed_depth_message,
    compressed_message,
    millimetres,
)
from sdfpose_core.observation.frame import InstanceLabel, RgbdFrame

RAW, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
OTHERS = {
    "/camera/color/camera_info": "sensor_msgs/msg/CameraInfo",
    "/camera/depth/camera_info": "sensor_msgs/msg/CameraInfo",
    "/labels": "sdfpose/msg/InstanceLabels",
}
COLOUR, DEPTH, MASK = "/camera/color/image_raw", "/camera/aligned_depth/image_raw", "/mask"


def found(images: dict[str, str], given: dict[str, str] | None = None, **options):
    connections = [
        SimpleNamespace(topic=topic, msgtype=kind) for topic, kind in (OTHERS | images).items()
    ]
    return find_topics(connections, "bag", given or {}, **options)


def test_compressed_topics_serve_where_raw_ones_are_missing():
    topics = found(
        {
            f"{COLOUR}/compressed": COMPRESSED,
            f"{DEPTH}/compressedDepth": COMPRESSED,
            f"{MASK}/compressed": COMPRESSED,
        }
    )
    assert topics.colour == f"{COLOUR}/compressed"
    assert topics.depth == f"{DEPTH}/compressedDepth"
    assert topics.mask == f"{MASK}/compressed"
    assert topics.camera_info == "/camera/color/camera_info"


def test_raw_topics_come_first():
    transports = {
        f"{image}/{transport}": COMPRESSED
        for image in (COLOUR, DEPTH, MASK)
        for transport in ("compressed", "compressedDepth")
    }
    topics = found(dict.fromkeys((COLOUR, DEPTH, MASK), RAW) | transports)
    assert (topics.colour, topics.depth, topics.mask) == (COLOUR, DEPTH, MASK)
    topics = found(transports)
    assert topics.depth == f"{DEPTH}/compressedDepth"
    assert topics.colour == f"{COLOUR}/compressed"


def test_depth_may_be_a_plain_compressed_image():
    images = {COLOUR: RAW, MASK: RAW, f"{DEPTH}/compressed": COMPRESSED}
    assert found(images).depth == f"{DEPTH}/compressed"


def test_a_compressed_topic_may_be_given_though_there_is_a_raw_one():
    images = dict.fromkeys((COLOUR, DEPTH, MASK), RAW) | {f"{COLOUR}/compressed": COMPRESSED}
    topics = found(images, {"colour": f"{COLOUR}/compressed"})
    assert topics.colour == f"{COLOUR}/compressed"
    assert topics.camera_info == "/camera/color/camera_info"
    assert (topics.depth, topics.mask) == (DEPTH, MASK)


def test_two_compressed_images_that_would_fit_have_to_be_told_apart():
    images = {"/a/rgb/compressed": COMPRESSED, "/b/rgb/compressed": COMPRESSED, DEPTH: RAW}
    with pytest.raises(BagError, match=r"/a/rgb/compressed, /b/rgb/compressed could all be colour"):
        found(images | {MASK: RAW})


@pytest.mark.parametrize(
    ("colour", "depth", "mask"),
    [
        ("/Camera/Color/Image", "/Camera/Depth/Image", "/Camera/Mask"),
        ("/cam/colorImage", "/cam/depthImage", "/cam/instanceMask"),
        ("/oak/rgb/image_raw", "/oak/stereo/image_raw", "/segmentation"),
        ("/depthai/rgb/image", "/depthai/stereo/depth", "/unmasked/mask"),
        ("/depth_camera/color/image_raw", "/depth_camera/depth/image_raw", "/mask"),
        ("/rgb_camera/image", "/rgb_camera/depth_registered/image", "/rgb_camera/mask"),
        ("/rgb/image_raw", "/depth_to_rgb/image_raw", "/masks"),
        ("/front/image_rect", "/front/depth/image_rect", "/segments"),
        ("/camera/color/image_raw", "/camera/aligned_depth_to_color/image_raw", "/sam/mask"),
    ],
)
def test_words_in_names_tell_topics_apart(colour, depth, mask):
    topics = found(dict.fromkeys((colour, depth, mask), RAW))
    assert (topics.colour, topics.depth, topics.mask) == (colour, depth, mask)


def test_registered_depth_is_preferred():
    for registered in ("/k4a/depth_to_rgb/image_raw", "/cam/Aligned_Depth/image", DEPTH):
        images = dict.fromkeys((COLOUR, MASK, "/k4a/depth/image_raw", registered), RAW)
        assert found(images).depth == registered


def test_letters_within_other_words_mean_nothing():
    images = dict.fromkeys((COLOUR, "/unmasked/preview", DEPTH, MASK, "/indepth/preview"), RAW)
    topics = found(images)
    assert (topics.colour, topics.depth, topics.mask) == (COLOUR, DEPTH, MASK)


def test_the_images_of_a_stereo_pair_are_no_depth():
    images = dict.fromkeys((COLOUR, "/stereo/left/image", "/stereo/right/image", MASK), RAW)
    with pytest.raises(BagError, match=r"no topic for depth: .*; name it with --topic depth=TOPIC"):
        found(images)


def test_the_hint_names_the_option():
    images = {"/a/rgb": RAW, "/b/rgb": RAW, DEPTH: RAW, MASK: RAW}
    with pytest.raises(
        BagError, match=r"could all be colour: choose one with --topic colour=TOPIC"
    ):
        found(images)


@pytest.mark.parametrize(
    ("images", "given", "problem"),
    [
        ({}, {}, f"no topic for colour: expected one of type {RAW} or {COMPRESSED}; there are"),
        (
            {COLOUR: RAW},
            {"colour": "/labels"},
            f"/labels, given for colour, has type .*expected one of {COLOUR}, of type {RAW} or",
        ),
        (
            {COLOUR: RAW, f"{DEPTH}/compressed": COMPRESSED},
            {"camera_info": f"{DEPTH}/compressed"},
            "given for camera_info, has type sensor_msgs/msg/CompressedImage",
        ),
    ],
)
def test_what_no_image_can_come_from_is_refused(images, given, problem):
    with pytest.raises(BagError, match=problem):
        found(images, given)


FRAME = RgbdFrame(
    colour=np.full((16, 24, 3), (200, 30, 90), dtype=np.uint8),
    depth=np.full((16, 24), 0.7, dtype=np.float32),
    mask=np.full((16, 24), 3, dtype=np.uint16),
    camera=PinholeCamera(24, 16, 30.0, 30.0, 12.0, 8.0),
    labels={3: InstanceLabel("bowl", 0.5, detected=True)},
    stamp_ns=1_000_000_000,
    frame_id="optical",
)


@pytest.mark.parametrize("given", [{}, {"depth": "/camera/depth/compressedDepth"}])
def test_frames_of_compressed_images_are_read(bags, tmp_path, given):
    head = bags.header(FRAME.stamp_ns)
    images = {
        "/camera/colour/compressed": compressed_message(
            bags.new, FRAME.colour, "rgb8", head, codec="jpeg"
        ),
        "/camera/depth/compressedDepth": compressed_depth_message(
            bags.new, millimetres(FRAME.depth), head
        ),
        "/camera/mask/compressed": compressed_message(
            bags.new, FRAME.mask.astype(np.uint8), "mono8", head
        ),
    }
    bag = bags.write(
        tmp_path / "bag",
        [bags.messages_of(FRAME) | images],
        without=["/camera/colour", "/camera/depth", "/camera/mask"],
        more=dict.fromkeys(images, COMPRESSED),
    )
    problems: list[str] = []
    (read,) = bag_frames(bag, LabelRules({}), problems, pairing=Pairing(given))
    assert problems == []
    np.testing.assert_allclose(read.frame.colour, FRAME.colour, atol=4)
    np.testing.assert_allclose(read.frame.depth, FRAME.depth, atol=1e-6)
    np.testing.assert_array_equal(read.frame.mask, FRAME.mask)
    assert read.frame.labels == FRAME.labels


def test_a_mask_that_was_recorded_with_loss_is_told(bags, tmp_path):
    head = bags.header(FRAME.stamp_ns)
    lossy = compressed_message(bags.new, FRAME.mask.astype(np.uint8), "mono8", head, codec="jpeg")
    bag = bags.write(
        tmp_path / "bag",
        [bags.messages_of(FRAME) | {"/camera/mask/compressed": lossy}],
        without=["/camera/mask"],
        more={"/camera/mask/compressed": COMPRESSED},
    )
    problems: list[str] = []
    assert list(bag_frames(bag, LabelRules({}), problems)) == []
    assert "1 frames dropped: /camera/mask/compressed: a mask compressed as JPEG" in problems[0]


def test_masks_that_are_made_need_no_topic(bags, tmp_path):
    bag = bags.write(
        tmp_path / "bag",
        [bags.messages_of(FRAME)],
        without=["/camera/mask", "/camera/labels"],
    )
    problems: list[str] = []
    (read,) = bag_frames(bag, LabelRules({}), problems, pairing=Pairing(with_masks=False))
    assert problems == []
    np.testing.assert_array_equal(read.frame.colour, FRAME.colour)
    assert not read.frame.mask.any()
    assert read.frame.labels == {}


def test_masks_that_are_made_do_not_wait_for_recorded_ones(bags, tmp_path):
    """Labels of a recorded mask say nothing about others, and its absence costs no frame."""
    later = replace(FRAME, stamp_ns=2_000_000_000)
    messages = [bags.messages_of(FRAME), bags.messages_of(later)]
    del messages[1]["/camera/mask"]
    bag = bags.write(tmp_path / "bag", messages)
    pairing = Pairing(with_masks=False)
    read = [x.frame for x in bag_frames(bag, LabelRules({}), [], pairing=pairing)]
    assert [x.stamp_ns for x in read] == [FRAME.stamp_ns, later.stamp_ns]
    assert not any(x.mask.any() or x.labels for x in read)


def test_the_mask_topic_is_optional_where_masks_are_made():
    images = {COLOUR: RAW, DEPTH: RAW}
    with pytest.raises(BagError, match="no topic for mask"):
        found(images)
    assert found(images, needs_mask=False).mask == ""
    assert found(images | {MASK: RAW}, needs_mask=False).mask == MASK
