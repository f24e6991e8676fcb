from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdfpose_core.errors import FrameError
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.masks.boxes import Box, BoxMasks
from sdfpose_core.masks.config import TabletopConfig
from sdfpose_core.observation.frame import InstanceLabel

CAMERA = PinholeCamera(160, 120, 150.0, 150.0, 79.5, 59.5)


def true_boxes(frame):
    """Boxes of the true masks, a little wide, as those of a detector are."""
    for mask_id, label in frame.labels.items():
        v, u = np.nonzero(frame.mask == mask_id)
        if len(v) >= 400:
            yield (
                mask_id,
                Box(u.min() - 4, v.min() - 4, u.max() + 4, v.max() + 4, label.category, 0.9),
            )


def test_boxes_are_filled_with_their_objects(views):
    reached = []
    for view in views:
        boxes = dict(true_boxes(view))
        result = BoxMasks().segment(list(boxes.values()), view.depth, view.camera)
        id_of = {x.category: i for i, x in result.labels.items()}
        for mask_id, box in boxes.items():
            true, found = view.mask == mask_id, result.ids == id_of.get(box.category, -1)
            reached.append((true & found).sum() / (true | found).sum())
    assert np.mean(np.array(reached) > 0.8) > 0.9


def test_objects_that_touch_are_told_apart_by_their_boxes():
    depth = np.full((120, 160), 0.8, np.float32)
    depth[40:80, 50:110] = 0.7
    left, right = Box(48, 38, 79.5, 82, "can", 0.9), Box(79.5, 38, 112, 82, "mug", 0.8)
    result = BoxMasks().segment([left, right], depth, CAMERA)
    can, mug = (
        next(i for i, x in result.labels.items() if x.category == name) for name in ("can", "mug")
    )
    expected = np.zeros(depth.shape, np.uint16)
    expected[40:80, 50:80], expected[40:80, 80:110] = can, mug
    np.testing.assert_array_equal(result.ids, expected)


def test_of_thousands_of_boxes_those_with_the_highest_scores_are_filled(monkeypatch):
    filled = []
    original = BoxMasks._filled
    monkeypatch.setattr(BoxMasks, "_filled", lambda *args: filled.append(args) or original(*args))
    depth = np.full((120, 160), 0.8, np.float32)
    depth[40:80, 50:110] = 0.7
    boxes = [Box(48, 38, 112, 82, "mug", 0.1)] * 1000 + [Box(48, 38, 112, 82, "can", 0.9)]
    result = BoxMasks().segment(boxes, depth, CAMERA)
    assert [x.category for x in result.labels.values()] == ["can"]
    assert len(filled) == 64


def test_a_box_in_which_nothing_stands_has_no_mask():
    depth = np.full((120, 160), 0.8, np.float32)
    result = BoxMasks().segment([Box(10, 10, 60, 60, "mug")], depth, CAMERA)
    assert not result.ids.any()
    assert not result.labels


def test_without_a_table_it_is_the_nearest_thing_in_the_box():
    no_table = TabletopConfig(least_plane_share=1.0, max_distance_m=3.0)
    depth = np.full((120, 160), 2.5, np.float32)
    depth[40:80, 50:90], depth[40:80, 90:110] = 0.7, 1.2
    depth[60, 70] = 0.3  # a flying pixel
    result = BoxMasks(no_table).segment([Box(45, 35, 115, 85, "mug", 0.7)], depth, CAMERA)
    ((mask_id, label),) = result.labels.items()
    assert label == InstanceLabel("mug", 0.7, detected=True)
    expected = np.zeros(depth.shape, np.bool_)
    expected[40:80, 50:90] = True
    np.testing.assert_array_equal(result.ids == mask_id, expected)


def test_without_depth_there_is_no_mask():
    nothing = np.zeros((120, 160), np.float32)
    assert not BoxMasks().segment([Box(45, 35, 115, 85, "mug")], nothing, CAMERA).labels


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.builds(
            lambda x, y, w, h, score: Box(x, y, x + w, y + h, "mug", score),
            st.floats(-50, 200), st.floats(-50, 150), st.floats(0, 120), st.floats(0, 120),
            st.floats(0, 1),
        ),
        max_size=4,
    )
)  # fmt: skip
def test_masks_stay_within_boxes(boxes):
    depth = np.full((120, 160), 0.8, np.float32)
    depth[30:70, 30:60], depth[50:90, 90:140] = 0.7, 0.72
    result = BoxMasks().segment(boxes, depth, CAMERA)
    v, u = np.nonzero(result.ids)
    inside = np.zeros(len(v), dtype=np.bool_)
    for x in boxes:
        inside |= (u >= x.x0) & (u <= x.x1) & (v >= x.y0) & (v <= x.y1)
    assert inside.all()
    assert (depth[v, u] < 0.8).all()


def test_an_outline_is_the_mask_and_needs_no_depth(monkeypatch):
    monkeypatch.setattr("sdfpose_core.masks.boxes.find_tabletop_clusters", None)
    outline = np.array([[20.0, 10.0], [60.0, 10.0], [60.0, 50.0], [20.0, 50.0]])
    box = Box(10, 5, 70, 60, "mug", 0.9, outline)
    result = BoxMasks().segment([box], np.zeros((120, 160), np.float32), CAMERA)
    ((mask_id, label),) = result.labels.items()
    assert label == InstanceLabel("mug", 0.9, detected=True)
    expected = np.zeros((120, 160), np.uint16)
    expected[10:51, 20:61] = mask_id
    np.testing.assert_array_equal(result.ids, expected)


@pytest.mark.parametrize("scale", [1, 8])
def test_outlines_and_boxes_share_one_image(scale):
    camera = CAMERA.resize(160 * scale, 120 * scale)
    depth = np.full((120, 160), 0.8, np.float32)
    depth[40:80, 50:110] = 0.7
    depth = depth.repeat(scale, axis=0).repeat(scale, axis=1)
    outline = scale * np.array([[60.0, 20.0], [90.0, 20.0], [90.0, 60.0], [60.0, 60.0]])
    boxes = [
        Box(48 * scale, 38 * scale, 112 * scale, 82 * scale, "can", 0.6),
        Box(0, 0, 1, 1, "mug", 0.9, outline),
    ]
    result = BoxMasks().segment(boxes, depth, camera)
    can, mug = (
        next(i for i, x in result.labels.items() if x.category == name) for name in ("can", "mug")
    )
    assert result.ids[70 * scale, 55 * scale] == can
    assert result.ids[30 * scale, 75 * scale] == mug
    assert result.ids[50 * scale, 75 * scale] == mug  # the higher score
    assert np.count_nonzero(result.ids == mug) == (30 * scale + 1) * (40 * scale + 1)


def test_outlines_outside_the_image_are_no_instances():
    outline = np.array([[-50.0, -50.0], [-10.0, -50.0], [-10.0, -10.0]])
    depth = np.zeros((120, 160), np.float32)
    assert not BoxMasks().segment([Box(0, 0, 1, 1, "mug", 0.9, outline)], depth, CAMERA).labels


def test_outlines_that_are_none_are_refused():
    with pytest.raises(FrameError, match="at least 3 finite points"):
        Box(0, 0, 1, 1, "mug", 0.9, np.zeros((2, 2)))


@pytest.mark.parametrize(
    "edges", [(0, 0, np.nan, 5), (5, 0, 0, 5), (0, 5, 5, 0), (0, 0, np.inf, 5)]
)
def test_boxes_that_are_none_are_refused(edges):
    with pytest.raises(FrameError, match="box of mug"):
        Box(*edges, "mug")
