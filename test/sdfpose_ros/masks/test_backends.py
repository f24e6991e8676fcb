"""Backends on messages as they are recorded: from the messages of an image to masks and labels."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from recorded_messages import STORE, module_of, recorded
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from sdfpose_core.categories import default_categories
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.messages.encoding import millimetres
from sdfpose_core.messages.errors import FrameIdError, ImageSizeError, LabelsError
from sdfpose_core.observation.frame import InstanceLabel
from sdfpose_ros.graph.image_messages import camera_info_message, image_message
from sdfpose_ros.graph.message_factory import message_class
from sdfpose_ros.masks.backend_names import BACKENDS
from sdfpose_ros.masks.backends import make_source
from sdfpose_ros.masks.matched_images import MatchedImages
from sdfpose_ros.masks.parameters import MaskNodeParameters

CAMERA = PinholeCamera(160, 120, 150.0, 150.0, 79.5, 59.5)
BLOCK = (slice(40, 80), slice(50, 90))
OPTIONAL = ("vision_msgs", "yolo_msgs", "isaac_ros_tensor_list_interfaces")
HEADER = Header(frame_id="optical")


def fresh_message_classes():
    message_class.cache_clear()


@pytest.fixture
def installed(monkeypatch):
    """The packages of optional messages."""
    fresh_message_classes()
    for package in OPTIONAL:
        monkeypatch.setitem(sys.modules, f"{package}.msg", module_of(package))
    yield
    fresh_message_classes()


@pytest.fixture
def not_installed(monkeypatch):
    fresh_message_classes()
    for package in OPTIONAL:
        monkeypatch.setitem(sys.modules, f"{package}.msg", None)


def segment(backend, messages, **parameters):
    """Mask and labels of one image, with depth of a block on a table seen from above."""
    source = make_source(
        MaskNodeParameters(backend=backend, min_pixels=20, **parameters), default_categories()
    )
    depth = np.full((CAMERA.height, CAMERA.width), 0.8, dtype=np.float32)
    depth[BLOCK] = 0.7
    known = {
        "colour": image_message(np.zeros((*depth.shape, 3), np.uint8), "rgb8", HEADER),
        "depth": image_message(millimetres(depth), "16UC1", HEADER),
        **messages,
    }
    assert {*source.inputs, *source.constants} <= known.keys()
    topics = {name: f"/{name}" for name in (*known, "camera_info")}
    found = source.segment(MatchedImages(known, camera_info_message(CAMERA, HEADER), topics))
    assert found.ids.shape == depth.shape
    assert found.ids.dtype == np.uint16
    return found


def only(found):
    """The pixels and the label of the only instance."""
    ((mask_id, label),) = found.labels.items()
    return found.ids == mask_id, label


def block_mask():
    mask = np.zeros((CAMERA.height, CAMERA.width), np.bool_)
    mask[BLOCK] = True
    return mask


def box(class_id, score=0.75):
    """A vision_msgs/Detection2D round the block."""
    return {
        "results": [{"hypothesis": {"class_id": class_id, "score": score}}],
        "bbox": {"center": {"position": {"x": 70.0, "y": 60.0}}, "size_x": 50.0, "size_y": 50.0},
    }


def detections(*items):
    return recorded("vision_msgs/Detection2DArray", detections=list(items))


def label_info(**names):
    return recorded(
        "vision_msgs/LabelInfo",
        class_map=[{"class_id": int(i[1:]), "class_name": x} for i, x in names.items()],
    )


def yolo(points=(), **fields):
    mask = {"width": 160, "height": 120, "data": [{"x": u, "y": v} for u, v in points]}
    return recorded(
        "yolo_msgs/DetectionArray",
        detections=[
            {
                "class_id": 41,
                "class_name": "cup",
                "score": 0.75,
                "id": "18446744073709551616",
                "bbox": {
                    "center": {"position": {"x": 70.0, "y": 60.0}},
                    "size": {"x": 50.0, "y": 50.0},
                },
                "mask": mask,
                **fields,
            }
        ],
    )


def tensors(masks):
    return recorded(
        "isaac_ros_tensor_list_interfaces/TensorList",
        tensors=[
            {
                "name": "masks",
                "shape": {"rank": 4, "dims": (len(masks), 1, *masks.shape[1:])},
                "data_type": 2,
                "data": masks.astype(np.uint8).reshape(-1),
            }
        ],
    )


def image(values, encoding, frame_id="optical"):
    return image_message(values, encoding, Header(frame_id=frame_id))


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("backend", sorted(set(BACKENDS) - {"network", "torchvision"}))
def test_every_backend_can_be_made(backend):
    source = make_source(
        MaskNodeParameters(backend=backend, classes=("41:mug",), label_info=True),
        default_categories(),
    )
    source.memory.reset()
    kinds = [x for x in (*source.inputs.values(), *source.constants.values()) if x is not Image]
    assert all(x in STORE.types.values() for x in kinds)


@pytest.mark.usefixtures("installed")
def test_boxes_with_class_names_and_depth():
    mask, label = only(segment("detections", {"detections": detections(box("bowl"))}))
    np.testing.assert_array_equal(mask, block_mask())
    assert label == InstanceLabel("bowl", 0.75, detected=True)


@pytest.mark.usefixtures("installed")
def test_boxes_with_class_ids_and_label_info():
    messages = {
        "detections": detections(box("41"), box("0")),
        "label_info": label_info(_41="cup", _0="person"),
    }
    mask, label = only(segment("detections", messages, label_info=True))
    np.testing.assert_array_equal(mask, block_mask())
    assert label == InstanceLabel("mug", 0.75, detected=True)


@pytest.mark.usefixtures("installed")
def test_boxes_with_class_ids_alone_are_told():
    with pytest.raises(LabelsError, match="/detections: class ids without names"):
        segment("detections", {"detections": detections(box("41"))})
    chosen = segment("detections", {"detections": detections(box("41"))}, classes=("41:mug",))
    assert only(chosen)[1].category == "mug"


@pytest.mark.usefixtures("installed")
def test_outlines_of_yolo():
    points = ((20.0, 10.0), (60.0, 10.0), (60.0, 30.0), (20.0, 30.0))
    mask, label = only(segment("yolo", {"detections": yolo(points)}))
    assert label == InstanceLabel("mug", 0.75, detected=True)
    expected = np.zeros(mask.shape, np.bool_)
    expected[10:31, 20:61] = True
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("points", [(), ((20.0, 10.0), (60.0, 10.0))])
def test_boxes_of_yolo_without_an_outline_are_filled(points):
    mask, label = only(segment("yolo", {"detections": yolo(points)}))
    assert label == InstanceLabel("mug", 0.75, detected=True)
    np.testing.assert_array_equal(mask, block_mask())


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    "fields",
    [
        {"class_name": "person"},
        {"score": 0.1},
        {"bbox": {"center": {"position": {"x": -500.0, "y": 60.0}}, "size": {"x": 5.0, "y": 5.0}}},
        {"points": ((-30.0, -30.0), (-5.0, -30.0), (-5.0, -5.0))},
    ],
    ids=["class", "score", "box outside", "outline outside"],
)
def test_what_yolo_finds_elsewhere_is_no_instance(fields):
    found = segment("yolo", {"detections": yolo(**fields)})
    assert not found.labels
    assert not found.ids.any()


def semantic():
    """Class ids as isaac_ros_unet publishes them: mono8, what is no class of ours included."""
    values = np.full((120, 160), 7, np.uint8)
    values[BLOCK], values[10:30, 10:30] = 41, 255
    return values


@pytest.mark.parametrize("frame_id", ["optical", ""])
def test_class_ids_of_isaac_ros_unet(frame_id):
    messages = {"label_image": image(semantic(), "mono8", frame_id)}
    mask, label = only(segment("label_image", messages, classes=("41:mug",)))
    np.testing.assert_array_equal(mask, block_mask())
    assert label == InstanceLabel("mug", 1.0, detected=True)


@pytest.mark.usefixtures("installed")
def test_class_ids_with_label_info():
    messages = {
        "label_image": image(semantic(), "mono8"),
        "label_info": label_info(_7="table", _41="cup", _255="unlabeled"),
    }
    mask, label = only(segment("label_image", messages, label_info=True))
    np.testing.assert_array_equal(mask, block_mask())
    assert label.category == "mug"


INSTANCE_IDS = {"mono8": 200, "mono16": 60_000, "16UC1": 60_000, "32SC1": 2_000_000_000}


@pytest.mark.parametrize("encoding", INSTANCE_IDS)
def test_ids_of_segment_anything_are_instances_of_any_category(encoding):
    kind = {"mono8": np.uint8, "32SC1": np.int32}.get(encoding, np.uint16)
    values = np.zeros((120, 160), kind)
    values[BLOCK] = INSTANCE_IDS[encoding]
    found = segment("instance_image", {"instance_image": image(values, encoding)})
    mask, label = only(found)
    np.testing.assert_array_equal(mask, block_mask())
    assert label == InstanceLabel("any", 1.0, detected=True)


def test_ids_may_have_categories_of_their_own():
    values = np.zeros((120, 160), np.int32)
    values[BLOCK], values[90:110, 10:30], values[0:9, 0:160] = 3, 4, -1
    found = segment(
        "instance_image", {"instance_image": image(values, "32SC1")}, classes=("3:can",)
    )
    assert sorted(x.category for x in found.labels.values()) == ["any", "can"]


@pytest.mark.usefixtures("installed")
def test_ids_get_their_class_names_with_the_image():
    values = np.zeros((120, 160), np.uint16)
    values[BLOCK], values[90:110, 10:30], values[90:110, 60:80] = 3, 4, 5
    messages = {
        "instance_image": image(values, "16UC1"),
        "label_info": label_info(_3="cup", _4="table"),
    }
    mask, label = only(segment("instance_image", messages, label_info=True))
    np.testing.assert_array_equal(mask, block_mask())
    assert label.category == "mug"


def two_masks():
    masks = np.zeros((2, 120, 160), np.bool_)
    masks[0][BLOCK], masks[1, 90:110, 10:30] = True, True
    return masks


@pytest.mark.usefixtures("installed")
def test_masks_of_isaac_ros_segment_anything_with_their_prompts():
    messages = {
        "mask_tensor": tensors(two_masks()),
        "detections": detections(box("41"), box("0"), box("41")),
        "label_info": label_info(_41="cup", _0="person"),
    }
    mask, label = only(segment("mask_tensor", messages, prompts=True, label_info=True))
    np.testing.assert_array_equal(mask, block_mask())
    assert label == InstanceLabel("mug", 0.75, detected=True)
    with pytest.raises(LabelsError, match="/detections: 1 prompts for 2 masks"):
        segment(
            "mask_tensor",
            {**messages, "detections": detections(box("bowl"))},
            prompts=True,
        )


@pytest.mark.usefixtures("installed")
def test_masks_of_isaac_ros_segment_anything_alone():
    found = segment("mask_tensor", {"mask_tensor": tensors(two_masks())}, classes=("1:can",))
    assert sorted(x.category for x in found.labels.values()) == ["any", "can"]
    empty = recorded("isaac_ros_tensor_list_interfaces/TensorList")
    assert not segment("mask_tensor", {"mask_tensor": empty}).labels


@pytest.mark.usefixtures("installed")
def test_images_of_another_size_or_frame_are_refused():
    small = np.zeros((60, 80), np.uint8)
    for name in ("label_image", "instance_image"):
        with pytest.raises(ImageSizeError, match=f"/{name}: image of 80x60 .*160x120"):
            segment(name, {name: image(small, "mono8")}, classes=("41:mug",))
        with pytest.raises(FrameIdError, match=f"/{name}: frame id 'left'"):
            segment(name, {name: image(semantic(), "mono8", "left")}, classes=("41:mug",))
    with pytest.raises(ImageSizeError, match=r"/mask_tensor: image of 80x60 .*160x120"):
        segment("mask_tensor", {"mask_tensor": tensors(small[None])})
    depth = image(np.ones((120, 160), np.uint16), "16UC1", "")
    with pytest.raises(FrameIdError, match="/depth: frame id ''"):
        segment("yolo", {"detections": yolo(), "depth": depth})


@pytest.mark.usefixtures("not_installed")
@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"backend": "detections"}, r"backend: detections .*apt install ros-.*-vision-msgs"),
        ({"backend": "yolo"}, r"backend: yolo needs the message yolo_msgs/msg/DetectionArray"),
        ({"backend": "mask_tensor"}, r"backend: mask_tensor .*part of Isaac ROS"),
        (
            {"backend": "label_image", "label_info": True},
            r"label_info: true needs the message vision_msgs/msg/LabelInfo",
        ),
    ],
)
def test_messages_that_are_not_installed_are_told(changes, told):
    with pytest.raises(ConfigurationError, match=told):
        make_source(MaskNodeParameters(**changes), default_categories())


def test_an_older_vision_msgs_is_told(monkeypatch, installed):
    monkeypatch.delattr(sys.modules["vision_msgs.msg"], "LabelInfo")
    with pytest.raises(ConfigurationError, match=r"vision_msgs/msg/LabelInfo.*4\.1 or later"):
        make_source(MaskNodeParameters(backend="detections", label_info=True), default_categories())


def test_prompts_need_vision_msgs(monkeypatch, installed):
    monkeypatch.setitem(sys.modules, "vision_msgs.msg", None)
    with pytest.raises(ConfigurationError, match="prompts: true needs the message vision_msgs"):
        make_source(MaskNodeParameters(backend="mask_tensor", prompts=True), default_categories())


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"backend": "label_image"}, "classes: empty.*'41:mug'"),
        ({"backend": "label_image", "classes": ("cup:mug",)}, "class 'cup'.*0 to 65535"),
        ({"backend": "label_image", "classes": ("70000:mug",)}, "class '70000'.*0 to 65535"),
        ({"backend": "label_image", "classes": ("41",)}, "entry '41'.*class:category"),
        ({"backend": "label_image", "classes": ("1:mug", "1:can")}, "class 1 is given twice"),
        ({"backend": "instance_image", "classes": ("1:mugg",)}, "unknown category 'mugg'"),
    ],
)
def test_unusable_parameters_are_refused(changes, told):
    with pytest.raises(ConfigurationError, match=told):
        make_source(MaskNodeParameters(**changes), default_categories())
