from __future__ import annotations

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from sdfpose.msg import InstanceLabel as LabelMessage
from sdfpose.msg import InstanceLabels
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.messages import decoding as d
from sdfpose_core.messages import errors as e
from sdfpose_core.messages.encoding import millimetres
from sdfpose_core.observation.frame import InstanceLabel
from sdfpose_ros.graph import image_messages as m

HEADER = Header(stamp=Time(sec=12, nanosec=345), frame_id="optical")
TOPICS = d.InputTopics("/x/colour", "/x/depth", "/x/mask", "/x/camera_info", "/x/labels")
RGB = np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8)
NO_RULES = d.LabelRules({}, "mug")


def padded(message: Image, padding: int) -> Image:
    """The same image with rows that are longer than their pixels."""
    rows = np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)
    wide = np.pad(rows, ((0, 0), (0, padding)), constant_values=77)
    return Image(
        header=message.header, height=message.height, width=message.width,
        encoding=message.encoding, is_bigendian=message.is_bigendian,
        step=message.step + padding, data=wide.tobytes(),
    )  # fmt: skip


@pytest.mark.parametrize("padding", [0, 7])
@pytest.mark.parametrize(
    ("encoding", "pixels"),
    [
        ("rgb8", RGB),
        ("bgr8", RGB[..., ::-1]),
        ("rgba8", np.dstack([RGB, RGB[..., 0]])),
        ("bgra8", np.dstack([RGB[..., ::-1], RGB[..., 0]])),
    ],
)
def test_colour_encodings_give_the_same_rgb(encoding, pixels, padding):
    message = padded(m.image_message(pixels, encoding, HEADER), padding)
    colour = d.decode_colour(message, "/x/colour")
    np.testing.assert_array_equal(colour, RGB)
    assert colour.dtype == np.uint8
    assert colour.flags.c_contiguous


def test_grey_becomes_three_equal_channels():
    colour = d.decode_colour(m.image_message(RGB[..., 0], "mono8", HEADER), "/x/colour")
    np.testing.assert_array_equal(colour, np.repeat(RGB[..., :1], 3, axis=2))


@pytest.mark.parametrize("encoding", ["32FC1", "polar12", ""])
def test_colour_in_an_unknown_encoding_names_topic_and_encoding(encoding):
    message = m.image_message(RGB, "rgb8", HEADER)
    message.encoding = encoding
    with pytest.raises(e.EncodingError, match=rf"^/x/colour: .*'{encoding}'.*expected rgb8"):
        d.decode_colour(message, "/x/colour")


@pytest.mark.parametrize("padding", [0, 6])
@pytest.mark.parametrize("big_endian", [False, True])
def test_depth_in_millimetres_becomes_metres(padding, big_endian):
    raw = np.array([[0, 1, 1000], [65535, 256, 2]], dtype=np.uint16)
    stored = raw.astype(">u2") if big_endian else raw
    message = padded(m.image_message(stored.view(np.uint16), "16UC1", HEADER), padding)
    message.is_bigendian = int(big_endian)
    depth = d.decode_depth(message, "/x/depth")
    assert depth.dtype == np.float32
    np.testing.assert_allclose(depth, raw / 1000.0, rtol=1e-6)


def test_depth_in_metres_keeps_what_is_missing():
    metres = np.array([[0.0, np.nan, np.inf], [1.5, -1.0, 1e6]], dtype=np.float32)
    depth = d.decode_depth(padded(m.image_message(metres, "32FC1", HEADER), 8), "/x/depth")
    np.testing.assert_array_equal(depth, metres)


def test_millimetres_are_the_inverse_of_decoding():
    depth = np.array([[0.0, 0.5004, 70.0]], dtype=np.float32)
    np.testing.assert_array_equal(millimetres(depth), [[0, 500, 65535]])


def test_depth_in_another_encoding_is_refused():
    with pytest.raises(e.EncodingError, match=r"^/x/depth: .*'rgb8'.*16UC1.*32FC1"):
        d.decode_depth(m.image_message(RGB, "rgb8", HEADER), "/x/depth")


@pytest.mark.parametrize(("encoding", "kind"), [("16UC1", np.uint16), ("32FC1", np.float32)])
def test_depth_in_a_given_unit(encoding, kind):
    message = m.image_message(np.full((4, 4), 5000, kind), encoding, HEADER)
    np.testing.assert_allclose(d.decode_depth(message, "/x/depth", 0.0002), 1.0)


@pytest.mark.parametrize("encoding", ["mono8", "8UC1", "mono16", "16UC1"])
def test_mask_encodings_give_the_same_ids(encoding):
    ids = np.array([[0, 3], [200, 1]], dtype=np.uint8 if "8" in encoding else np.uint16)
    mask = d.decode_mask(padded(m.image_message(ids, encoding, HEADER), 4), "/x/mask")
    assert mask.dtype == np.uint16
    np.testing.assert_array_equal(mask, ids)


def test_mask_in_another_encoding_is_refused():
    with pytest.raises(e.EncodingError, match=r"^/x/mask: mask with encoding 'rgb8'.*16UC1"):
        d.decode_mask(m.image_message(RGB, "rgb8", HEADER), "/x/mask")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"step": 3}, "with step 3: expected .* at least 15 bytes"),
        ({"height": 7}, r"with 89 bytes of data: expected height x step = 105 bytes"),
        ({"width": 0, "step": 0}, "0x6 pixels"),
        ({"height": 0}, "5x0 pixels"),
    ],
)
def test_sizes_that_do_not_agree_are_refused(change, message):
    image = m.image_message(RGB, "rgb8", HEADER)
    image.data = image.data[:-1]
    for name, value in change.items():
        setattr(image, name, value)
    with pytest.raises(e.ImageLayoutError, match=f"^/x/colour: .*{message}"):
        d.decode_colour(image, "/x/colour")


def test_image_message_survives_a_round_trip_without_a_copy_per_byte():
    wide = np.zeros((6, 10, 3), dtype=np.uint8)
    message = m.image_message(wide[:, ::2], "rgb8", HEADER)
    assert (message.height, message.width, message.step) == (6, 5, 15)
    assert message.header == HEADER
    assert message.data.typecode == "B"
    np.testing.assert_array_equal(d.decode_colour(message, "t"), 0)


CAMERA = PinholeCamera(64, 48, 50.0, 51.0, 30.0, 20.0)


def info(**changes) -> CameraInfo:
    message = m.camera_info_message(CAMERA, HEADER)
    for name, value in changes.items():
        setattr(message, name, value)
    return message


def test_camera_info_survives_a_round_trip():
    assert d.camera_from_info(info(), "/x/camera_info") == CAMERA


def test_intrinsics_come_from_p_and_from_k_where_p_is_zero():
    k = [40.0, 0.0, 31.0, 0.0, 41.0, 21.0, 0.0, 0.0, 1.0]
    assert d.camera_from_info(info(k=k), "t").fx == 50.0
    assert d.camera_from_info(info(k=k, p=[0.0] * 12), "t").fx == 40.0


@pytest.mark.parametrize(
    "change",
    [
        {"k": [0.0] * 9, "p": [0.0] * 12},
        {"p": [np.nan] * 12},
        {"p": [-50.0, 0.0, 30.0, 0.0, 0.0, 51.0, 20.0, 0.0, 0.0, 0.0, 1.0, 0.0]},
        {"width": 0},
    ],
)
def test_unusable_intrinsics_name_the_topic(change):
    with pytest.raises(e.CameraInfoError, match=r"^/x/camera_info: camera info with unusable"):
        d.camera_from_info(info(**change), "/x/camera_info")


def test_region_of_interest_and_binning_follow_the_image():
    message = info(binning_x=2, binning_y=2)
    message.roi.x_offset, message.roi.y_offset = 8, 4
    message.roi.width, message.roi.height = 32, 24
    camera = d.camera_from_info(message, "t")
    assert (camera.width, camera.height) == (16, 12)
    assert camera.fx == 25.0
    # The principal point, 22 pixels right of the region's first, in pixels of twice the size.
    assert camera.cx == pytest.approx((30.0 - 8.0 + 0.5) / 2 - 0.5)


def of_colour(topic: str) -> d.InputTopics:
    return d.InputTopics(topic, *list(vars(TOPICS).values())[1:])


@pytest.mark.parametrize(
    "topic",
    [
        "/x/colour",
        "/direct_cam/colour",
        "/corrected/image",
        "/rectangle/rgb",
        "/unrectified",
        "/Direct",
    ],
)
def test_distortion_of_a_topic_that_is_not_rectified_is_told(topic):
    distorted = info(d=[0.1, 0.0, 0.0, 0.0, 0.0], distortion_model="")
    with pytest.raises(e.CameraInfoError, match=rf"/x/camera_info: distortion.*{topic} "):
        d.check_rectified(distorted, of_colour(topic))


@pytest.mark.parametrize(
    "topic",
    ["/x/image_rect", "/x/image_rect_color", "/Image_Rect", "/imageRect", "/rgb/rect/image",
     "/rectified/image", "/image_undistorted", "/rect1/image"],
)  # fmt: skip
def test_rectified_topics_may_have_distortion_coefficients(topic):
    d.check_rectified(info(d=[0.1, 0.0, 0.0, 0.0, 0.0]), of_colour(topic))


@pytest.mark.parametrize("coefficients", [[], [0.0] * 5, [np.nan] * 5])
def test_coefficients_that_are_not_filled_in_are_no_distortion(coefficients):
    d.check_rectified(info(d=coefficients), TOPICS)


K = [40.0, 0.0, 31.0, 0.0, 41.0, 21.0, 0.0, 0.0, 1.0]
IDENTITY = [1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0]
NO_CENTRE = [50.0, 0.0, 0.0, 0.0, 0.0, 50.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0]


@pytest.mark.parametrize("p", [IDENTITY, NO_CENTRE, [0.0] * 10 + [1.0, 0.0]])
def test_k_is_used_where_p_was_filled_in_halfway(p):
    camera = d.camera_from_info(info(k=K, p=p), "t")
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (40.0, 41.0, 31.0, 21.0)


@pytest.mark.parametrize("k", [[0.0] * 9, list(np.eye(3).reshape(-1)), [0.0] * 8 + [1.0]])
@pytest.mark.parametrize("p", [[0.0] * 12, IDENTITY])
def test_a_camera_that_is_not_calibrated_is_refused(k, p):
    with pytest.raises(e.CameraInfoError, match=r"unusable K .*expected the intrinsics of a cal"):
        d.camera_from_info(info(k=k, p=p), "/x/camera_info")


def test_a_size_that_is_not_filled_in_is_that_of_the_image():
    assert d.camera_from_info(info(width=0, height=0), "t", (64, 48)) == CAMERA


def test_a_region_or_binning_that_is_part_of_the_intrinsics_is_not_applied_again():
    binned = info(binning_x=2, binning_y=2)
    assert d.camera_from_info(binned, "t", (64, 48)) == CAMERA
    assert d.camera_from_info(binned, "t", (32, 24)) == CAMERA.resize(32, 24)
    both = info(binning_x=2, binning_y=2)
    both.roi.x_offset, both.roi.y_offset, both.roi.width, both.roi.height = 8, 4, 40, 30
    assert d.camera_from_info(both, "t", (64, 48)) == CAMERA
    assert d.camera_from_info(both, "t", (32, 24)) == CAMERA.resize(32, 24)
    assert d.camera_from_info(both, "t", (40, 30)) == CAMERA.crop(8, 4, 40, 30)
    assert d.camera_from_info(both, "t", (20, 15)) == CAMERA.crop(8, 4, 40, 30).resize(20, 15)
    # Half the image, or a quarter of it: not to be told apart.
    both.roi.width, both.roi.height = 32, 24
    assert d.camera_from_info(both, "t", (32, 24)).width == 16


def test_binning_of_an_odd_size_follows_the_image():
    odd = info(binning_x=2, binning_y=2, width=65, height=49)
    for size in ((32, 24), (33, 25)):
        camera = d.camera_from_info(odd, "t", size)
        assert (camera.width, camera.height) == size


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({}, False),
        ({"width": 32, "height": 24}, True),  # K of twice the resolution
        ({"width": 128, "height": 96}, True),  # K of half the resolution
        ({"p": NO_CENTRE, "k": [50.0, 0, 0, 0, 50.0, 0, 0, 0, 1.0]}, True),
        ({"width": 0, "height": 0}, False),
    ],
)
def test_intrinsics_of_another_resolution_are_told(change, told):
    message = info(**change)
    if not told:
        d.check_intrinsics(message, TOPICS)
        return
    with pytest.raises(e.IntrinsicsError, match=r"^/x/camera_info: [PK] with the principal point"):
        d.check_intrinsics(message, TOPICS)


def test_labels_survive_a_round_trip():
    labels = {
        3: InstanceLabel("mug", 0.25, detected=True),
        7: InstanceLabel("bowl", 1.0, detected=True),
    }
    message = m.labels_message(labels, HEADER)
    assert message.header == HEADER
    assert d.labels_from_message(message, "t") == labels


@pytest.mark.parametrize(("score", "expected"), [(float("nan"), 0.0), (7.0, 1.0), (-1.0, 0.0)])
def test_scores_are_kept_in_their_range(score, expected):
    message = InstanceLabels(instances=[LabelMessage(id=1, category="mug", score=score)])
    assert d.labels_from_message(message, "t")[1].score == expected


@pytest.mark.parametrize(
    ("items", "problem"),
    [
        ([(1, "mug"), (1, "bowl")], "id 1 is 'mug' and 'bowl'"),
        ([(0, "mug")], "label 'mug' for id 0"),
    ],
)
def test_labels_that_contradict_themselves_are_refused(items, problem):
    message = InstanceLabels(instances=[LabelMessage(id=i, category=n) for i, n in items])
    with pytest.raises(e.LabelsError, match=f"^/x/labels: {problem}"):
        d.labels_from_message(message, "/x/labels")


def test_rules_give_labels_to_the_ids_of_a_mask():
    mask = np.array([[0, 1, 2], [2, 9, 0]], dtype=np.uint16)
    rules = d.LabelRules({1: "mug", 5: "can"}, "bowl")
    names = {i: label.category for i, label in rules.labels(mask).items()}
    assert names == {1: "mug", 2: "bowl", 9: "bowl"}
    assert set(d.LabelRules({1: "mug"}).labels(mask)) == {1}


def frame_messages(colour=(48, 64), depth=(48, 64), mask=(48, 64)):
    return (
        m.image_message(np.zeros((*colour, 3), np.uint8), "rgb8", HEADER),
        m.image_message(np.full(depth, 700, np.uint16), "16UC1", HEADER),
        m.image_message(np.ones(mask, np.uint8), "mono8", HEADER),
    )


def test_a_frame_has_the_stamp_and_frame_of_its_colour_image():
    frame = d.rgbd_frame(*frame_messages(), CAMERA, NO_RULES, TOPICS)
    assert frame.stamp_ns == 12_000_000_345
    assert frame.frame_id == "optical"
    assert frame.labels == {1: InstanceLabel("mug")}
    np.testing.assert_allclose(frame.depth, 0.7, rtol=1e-6)


@pytest.mark.parametrize(
    ("sizes", "error", "message"),
    [
        ({"depth": (24, 32)}, e.ImageSizeError, "/x/depth: image of 32x24 .*64x48.*/x/colour"),
        ({"mask": (48, 32)}, e.ImageSizeError, "/x/mask: image of 32x48 .*64x48.*/x/colour"),
        (
            {"colour": (24, 32), "depth": (24, 32), "mask": (24, 32)},
            e.CameraInfoError,
            "/x/camera_info: camera info for 64x48 pixels: expected 32x24",
        ),
    ],
)
def test_different_sizes_name_the_topic_and_both_sizes(sizes, error, message):
    with pytest.raises(error, match=message):
        d.rgbd_frame(*frame_messages(**sizes), CAMERA, NO_RULES, TOPICS)
