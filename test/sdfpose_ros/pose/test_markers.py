from __future__ import annotations

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from std_msgs.msg import Header
from visualization_msgs.msg import Marker

from sdfpose_core.messages.objects import pose_arrays
from sdfpose_ros.pose import markers as m

HEADER = Header(stamp=Time(sec=3), frame_id="optical")


def points(marker: Marker) -> np.ndarray:
    return np.array([[p.x, p.y, p.z] for p in marker.points])


def test_the_surface_is_a_list_of_coloured_triangles_locked_to_the_objects_frame(estimate):
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [51, 51, 51]], np.uint8)
    marker = m.mesh_marker(estimate, colours, 5, HEADER, "sdfpose/mug_5")
    assert (marker.type, marker.action) == (Marker.TRIANGLE_LIST, Marker.ADD)
    assert marker.frame_locked
    assert marker.header == Header(stamp=HEADER.stamp, frame_id="sdfpose/mug_5")
    corners = estimate.faces.reshape(-1)
    np.testing.assert_allclose(points(marker), estimate.vertices[corners])
    given = np.array([[c.r, c.g, c.b, c.a] for c in marker.colors])
    np.testing.assert_allclose(given[:, :3], colours[corners] / 255.0, atol=1e-6)
    np.testing.assert_array_equal(given[:, 3], 1.0)


def test_the_box_has_twelve_edges_of_the_right_lengths(estimate):
    marker = m.box_marker(estimate, (255, 128, 0), 5, HEADER)
    assert marker.type == Marker.LINE_LIST
    assert marker.header == HEADER
    ends = points(marker).reshape(-1, 2, 3)
    assert len(ends) == 12
    lengths = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1)
    np.testing.assert_allclose(sorted(lengths), np.repeat(sorted(estimate.dimensions_m), 4))
    rotation, translation = pose_arrays(marker.pose)
    np.testing.assert_allclose(rotation, estimate.rotation, atol=1e-12)
    np.testing.assert_array_equal(translation, estimate.translation)


def test_the_axes_are_red_green_and_blue(estimate):
    marker = m.axes_marker(estimate, 5, HEADER)
    ends = points(marker).reshape(3, 2, 3)
    np.testing.assert_allclose(ends[:, 0], 0.0)
    np.testing.assert_allclose(ends[:, 1], 0.5 * estimate.scale * np.eye(3))
    given = np.array([[c.r, c.g, c.b] for c in marker.colors])
    np.testing.assert_array_equal(given, np.repeat(np.eye(3), 2, axis=0))


def test_the_label_stands_above_the_object_in_the_image(estimate):
    marker = m.label_marker(estimate, 5, HEADER)
    assert marker.text == "mug 5 (0.75)"
    corners = np.array(np.meshgrid(*[(-0.5, 0.5)] * 3)).reshape(3, -1).T * estimate.dimensions_m
    top = (corners @ estimate.rotation.T + estimate.translation)[:, 1].min()
    assert marker.pose.position.y < top


def test_an_object_is_deleted_in_every_namespace():
    markers = m.delete_markers(5, HEADER)
    assert {(x.ns, x.id, x.action) for x in markers} == {
        (namespace, 5, Marker.DELETE) for namespace in m.NAMESPACES
    }
    assert m.delete_all_marker(HEADER).action == Marker.DELETEALL


@pytest.mark.parametrize(("object_id", "expected"), [(2**31 - 1, 2**31 - 1), (2**32 - 1, -1)])
def test_ids_of_the_tracker_fit_the_signed_ids_of_markers(object_id, expected):
    assert {x.id for x in m.delete_markers(object_id, HEADER)} == {expected}
