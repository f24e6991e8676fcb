from __future__ import annotations

import math

import numpy as np
import pytest
from recorded_messages import recorded

from sdfpose_core.categories import default_categories
from sdfpose_core.errors import FrameError
from sdfpose_core.messages.errors import ImageSizeError, LabelsError
from sdfpose_ros.masks.classes import ClassTable
from sdfpose_ros.masks.detections import boxes_of_detections, boxes_of_yolo, labels_of_detections

CLASSES = ClassTable({"41": "bowl"}, default_categories())
NO_CLASSES = ClassTable({}, default_categories())
SIZE = (160, 120)


def centre(x, y, theta=0.0):
    return {"position": {"x": x, "y": y}, "theta": theta}


def detection(x, y, width, height, theta=0.0, **scores):
    """A vision_msgs/Detection2D; the names of the classes without a leading underscore."""
    return {
        "results": [
            {"hypothesis": {"class_id": name.lstrip("_"), "score": score}}
            for name, score in scores.items()
        ],
        "bbox": {"center": centre(x, y, theta), "size_x": width, "size_y": height},
    }


def detections(*items):
    return recorded("vision_msgs/Detection2DArray", detections=list(items))


def yolo(*items):
    return recorded("yolo_msgs/DetectionArray", detections=list(items))


def of_yolo(name="cup", score=0.9, points=(), size=SIZE, box=(70.0, 60.0, 44.0, 40.0), **fields):
    """A yolo_msgs/Detection."""
    x, y, width, height = box
    return {
        "class_id": 41,
        "class_name": name,
        "score": score,
        "id": "7",
        "bbox": {"center": centre(x, y), "size": {"x": width, "y": height}},
        "mask": {
            "width": size[0],
            "height": size[1],
            "data": [{"x": u, "y": v} for u, v in points],
        },
        **fields,
    }


TRIANGLE = ((50.0, 40.0), (90.0, 40.0), (70.0, 80.0))


def test_detections_become_boxes():
    message = detections(
        detection(70.0, 60.0, 44.0, 40.0, cup=0.9, bowl=0.3),
        detection(10.0, 10.0, 4.0, 4.0, _41=0.8),
        detection(10.0, 10.0, 4.0, 4.0, person=0.9),
        detection(10.0, 10.0, 4.0, 4.0, mug=0.2),
        detection(10.0, 10.0, 4.0, 4.0, mug=math.nan),
        detection(10.0, 10.0, 4.0, 4.0),
        detection(10.0, 10.0, 4.0, 4.0, any=7.0),
    )
    first, second, third = boxes_of_detections(message, CLASSES, 0.5, "/d")
    assert (first.x0, first.y0, first.x1, first.y1) == (48.0, 40.0, 92.0, 80.0)
    assert (first.category, first.score) == ("mug", 0.9)
    assert (second.category, second.score) == ("bowl", 0.8)
    assert (third.category, third.score) == ("any", 1.0)
    labels = labels_of_detections(message, CLASSES, 0.5, "/d")
    assert [x and x.category for x in labels] == ["mug", "bowl", *[None] * 4, "any"]


def test_no_detections_are_no_boxes():
    assert boxes_of_detections(detections(), NO_CLASSES, 0.5, "/d") == []
    assert boxes_of_yolo(yolo(), NO_CLASSES, 0.5, SIZE, "/d") == []


def test_class_ids_get_their_names_from_label_info():
    info = recorded(
        "vision_msgs/LabelInfo",
        class_map=[
            {"class_id": 41, "class_name": "cup"}, {"class_id": 0, "class_name": "person"}
        ],
    )  # fmt: skip
    message = detections(
        detection(70.0, 60.0, 44.0, 40.0, _41=0.9), detection(70.0, 60.0, 44.0, 40.0, _0=0.9)
    )
    (box,) = boxes_of_detections(message, NO_CLASSES.with_names(info, "/i"), 0.5, "/d")
    assert box.category == "mug"


def test_class_ids_without_names_are_told():
    message = detections(
        detection(1.0, 1.0, 1.0, 1.0, _41=0.9), detection(1.0, 1.0, 1.0, 1.0, _7=0.9)
    )
    with pytest.raises(LabelsError, match=r"/d: class ids without names \(7, 41\).*label_info"):
        boxes_of_detections(message, NO_CLASSES, 0.5, "/d")
    assert boxes_of_detections(message, NO_CLASSES, 0.95, "/d") == []
    named = detections(detection(1.0, 1.0, 1.0, 1.0, person=0.9))
    assert boxes_of_detections(named, NO_CLASSES, 0.5, "/d") == []


@pytest.mark.parametrize(
    ("theta", "sides"),
    [(0.0, (40, 20)), (math.pi / 2, (20, 40)), (-math.pi, (40, 20)), (math.pi / 4, (42.43, 42.43))],
)
def test_a_rotated_box_is_enclosed(theta, sides):
    message = detections(detection(70.0, 60.0, 40.0, 20.0, theta, cup=0.9))
    (box,) = boxes_of_detections(message, CLASSES, 0.5, "/d")
    assert (box.x1 - box.x0, box.y1 - box.y0) == pytest.approx(sides, abs=0.01)
    assert (box.x0 + box.x1, box.y0 + box.y1) == pytest.approx((140, 120))


@pytest.mark.parametrize(
    "item",
    [
        detection(math.nan, 1.0, 1.0, 1.0, cup=0.9),
        detection(1.0, 1.0, -4.0, 1.0, cup=0.9),
        detection(1.0, 1.0, math.inf, 1.0, cup=0.9),
        detection(1.0, 1.0, 1.0, 1.0, math.inf, cup=0.9),
    ],
)
def test_boxes_that_are_none_are_refused(item):
    with pytest.raises(FrameError, match="box of mug from"):
        boxes_of_detections(detections(item), CLASSES, 0.5, "/d")


def test_masks_of_yolo_become_outlines():
    (box,) = boxes_of_yolo(yolo(of_yolo(points=TRIANGLE)), NO_CLASSES, 0.5, SIZE, "/d")
    assert (box.x0, box.y0, box.x1, box.y1) == (48.0, 40.0, 92.0, 80.0)
    assert (box.category, box.score) == ("mug", 0.9)
    np.testing.assert_array_equal(box.outline, TRIANGLE)


@pytest.mark.parametrize("points", [(), TRIANGLE[:1], TRIANGLE[:2]])
@pytest.mark.parametrize("size", [SIZE, (0, 0)])
def test_a_mask_that_encloses_nothing_leaves_the_box(points, size):
    (box,) = boxes_of_yolo(yolo(of_yolo(points=points, size=size)), NO_CLASSES, 0.5, SIZE, "/d")
    assert box.outline is None


def test_classes_of_yolo_are_known_by_id_or_by_name():
    message = yolo(
        of_yolo("glass"), of_yolo("person", class_id=0), of_yolo("cup", class_id=-(2**31)),
        of_yolo("cup", score=0.4), of_yolo("cup", score=math.nan), of_yolo(""),
    )  # fmt: skip
    boxes = boxes_of_yolo(message, CLASSES, 0.5, SIZE, "/d")
    assert [x.category for x in boxes] == ["bowl", "mug", "bowl"]
    boxes = boxes_of_yolo(message, ClassTable({"glass": "any"}, CLASSES.categories), 0.5, SIZE, "")
    assert [x.category for x in boxes] == ["any", "mug"]


def test_masks_of_another_image_are_refused():
    message = yolo(of_yolo(points=TRIANGLE, size=(640, 480)))
    with pytest.raises(ImageSizeError, match=r"/d: masks for an image of 640x480.*160x120"):
        boxes_of_yolo(message, NO_CLASSES, 0.5, SIZE, "/d")


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"points": (*TRIANGLE, (math.nan, 0.0))}, "polygon is not finite"),
        ({"box": (70.0, 60.0, -1.0, 40.0)}, "box of mug from"),
        ({"box": (math.inf, 60.0, 1.0, 40.0)}, "box of mug from"),
    ],
)
def test_outlines_and_boxes_that_are_none_are_refused(fields, told):
    with pytest.raises(FrameError, match=told):
        boxes_of_yolo(yolo(of_yolo(**fields)), NO_CLASSES, 0.5, SIZE, "/d")
