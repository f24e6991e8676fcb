"""The description of a scene, by values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from simple_estimates import make_alternative, make_estimate

from sdfpose_core.categories import default_categories
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.observation.frame import GroundTruth, RgbdFrame
from sdfpose_core.observation.support_plane import SupportPlane
from sdfpose_core.viewer.scene import box_edges, covariance_ellipsoid, describe_scene
from sdfpose_core.viewer.views import FrameView, ObjectView, support_plane, truth_view

CATEGORIES = default_categories()
CAMERA = PinholeCamera(64, 48, 60.0, 60.0, 31.5, 23.5)


def wall_frame(depth_m=1.0):
    """A red wall at one distance, parallel to the image."""
    colour = np.zeros((48, 64, 3), np.uint8)
    colour[..., 0] = 200
    depth = np.full((48, 64), depth_m, np.float32)
    return RgbdFrame(colour, depth, np.zeros((48, 64), np.uint16), CAMERA)


def table_frame(height_m=0.4):
    """A horizontal table below the camera, which looks straight ahead."""
    rays = CAMERA.rays(CAMERA.pixel_grid())
    depth = np.where(rays[..., 1] > 0.05, height_m / np.maximum(rays[..., 1], 0.05), 0.0)
    depth[depth > 5.0] = 0.0
    colour = np.full((48, 64, 3), 90, np.uint8)
    return RgbdFrame(colour, depth.astype(np.float32), np.zeros((48, 64), np.uint16), CAMERA)


def test_an_object_is_where_its_estimate_is():
    estimate = make_estimate("mug", at=(0.1, 0.0, 0.8))
    scene = describe_scene(FrameView("1", [ObjectView(3, estimate, "tracked", 2)]), CATEGORIES)
    (x,) = scene.objects
    assert (x.id, x.label, x.colour) == (3, "mug 3  87 %", CATEGORIES["mug"].colour)
    np.testing.assert_array_equal(x.translation, [0.1, 0.0, 0.8])
    np.testing.assert_array_equal(x.rotation, estimate.rotation)
    assert x.mesh is not None
    assert x.mesh.revision == 2
    np.testing.assert_array_equal(x.mesh.colours, [x.colour] * len(estimate.vertices))
    np.testing.assert_allclose(scene.centre, [0.1, 0.0, 0.8])
    assert scene.cloud is None
    assert scene.camera is None


def test_the_colours_of_a_mesh_are_those_of_its_message():
    estimate = make_estimate()
    colours = np.arange(3 * len(estimate.vertices), dtype=np.uint32).astype(np.uint8)
    view = ObjectView(1, estimate, colours=colours.reshape(-1, 3))
    (x,) = describe_scene(FrameView("1", [view]), CATEGORIES).objects
    np.testing.assert_array_equal(x.mesh.colours, colours.reshape(-1, 3))


def test_a_lost_object_and_a_true_one_tell_their_state_in_place_of_the_confidence():
    lost = ObjectView(1, make_estimate(), "lost")
    true = truth_view(GroundTruth(4, "can", "can_4", np.eye(3), np.ones(3), np.ones(3), True))
    labels = [x.label for x in describe_scene(FrameView("1", [lost, true]), CATEGORIES).objects]
    assert labels == ["mug 1  lost", "can 4  ground truth"]


def test_what_has_no_pose_is_left_out_and_unknown_categories_are_grey():
    nowhere = replace(make_estimate(), translation=np.full(3, np.nan))
    views = [ObjectView(1, nowhere), ObjectView(2, make_estimate("teapot"))]
    (x,) = describe_scene(FrameView("1", views), CATEGORIES).objects
    assert x.id == 2
    assert len(set(x.colour)) == 1


@given(
    sds=st.lists(st.floats(1e-4, 0.1), min_size=3, max_size=3),
    turn=st.lists(st.floats(-3.0, 3.0), min_size=3, max_size=3),
)
def test_the_ellipsoid_has_the_axes_of_the_covariance(sds, turn):
    axes = Rotation.from_rotvec(turn).as_matrix()
    covariance = np.eye(6)
    covariance[:3, :3] = axes @ np.diag(np.square(sds)) @ axes.T
    found = covariance_ellipsoid(covariance)
    assert found is not None
    # 95 % of a normal distribution in three dimensions lie within 2.7955 standard deviations.
    np.testing.assert_allclose(np.sort(found.radii_m), 2.7955 * np.sort(sds), rtol=1e-3)
    np.testing.assert_allclose(np.linalg.det(found.rotation), 1.0)
    square = found.rotation @ np.diag(found.radii_m**2) @ found.rotation.T
    np.testing.assert_allclose(square, 2.7955**2 * covariance[:3, :3], rtol=1e-3, atol=1e-9)


@pytest.mark.parametrize("covariance", [np.zeros((6, 6)), np.full((6, 6), np.nan)])
def test_an_unknown_covariance_has_no_ellipsoid(covariance):
    assert covariance_ellipsoid(covariance) is None


def test_a_box_has_twelve_edges_of_its_sides():
    edges = box_edges(np.array([0.1, 0.2, 0.3]))
    lengths = np.linalg.norm(edges[:, 1] - edges[:, 0], axis=1)
    np.testing.assert_allclose(np.sort(lengths), np.repeat([0.1, 0.2, 0.3], 4), rtol=1e-6)
    np.testing.assert_allclose(np.abs(edges), np.broadcast_to([0.05, 0.1, 0.15], edges.shape))


def test_likely_alternatives_are_ghosts_and_stretch_the_surface_of_their_category():
    rivals = (
        make_alternative("mug", probability=0.3),
        make_alternative("bowl", probability=0.2),
        make_alternative("can", probability=0.03),
    )
    estimate = replace(make_estimate("mug", side=0.1), alternatives=rivals)
    (x,) = describe_scene(FrameView("1", [ObjectView(1, estimate)]), CATEGORIES).objects
    mug, bowl = x.ghosts
    assert (mug.label, bowl.label) == ("or mug 30 %", "or bowl 20 %")
    np.testing.assert_allclose(mug.mesh_scale, [1.0, 2.0, 3.0])
    assert bowl.mesh_scale is None
    assert bowl.colour == CATEGORIES["bowl"].colour


def test_points_are_back_projected_and_keep_their_colour():
    scene = describe_scene(FrameView("1", [], wall_frame(1.0)), CATEGORIES)
    assert scene.cloud is not None
    points = scene.cloud.centre + scene.cloud.points
    assert len(points) == 64 * 48
    np.testing.assert_allclose(points[:, 2], 1.0)
    np.testing.assert_allclose(points[0, :2], [-31.5 / 60, -23.5 / 60], rtol=1e-5)
    assert (scene.cloud.colours == [200, 0, 0]).all()
    assert scene.cloud.spacing_m == pytest.approx(1.0 / 60.0)
    assert scene.object_cloud is None


def test_large_images_are_sampled():
    cloud = describe_scene(FrameView("1", [], wall_frame()), CATEGORIES, max_points=200).cloud
    assert cloud is not None
    assert 100 < len(cloud.points) <= 200


def test_the_points_inside_boxes_are_apart():
    view = ObjectView(1, make_estimate(at=(0.0, 0.0, 1.0), rotation=np.eye(3), side=0.2))
    scene = describe_scene(FrameView("1", [view], wall_frame(1.0)), CATEGORIES)
    assert scene.cloud is not None
    assert scene.object_cloud is not None
    inside = scene.object_cloud.centre + scene.object_cloud.points
    assert np.abs(inside[:, :2]).max() <= 0.105
    outside = scene.cloud.centre + scene.cloud.points
    assert (np.abs(outside[:, :2]).max(axis=1) > 0.1).all()
    assert len(inside) + len(outside) == 64 * 48


def test_the_table_is_found_and_lies_below_the_objects():
    plane = support_plane(table_frame(0.4))
    assert plane is not None
    np.testing.assert_allclose(plane.normal, [0.0, -1.0, 0.0], atol=1e-3)
    places = [(-0.2, 0.3, 1.0), (0.4, 0.3, 1.2)]
    views = [ObjectView(i, make_estimate(at=x)) for i, x in enumerate(places)]
    patch = describe_scene(FrameView("1", views, plane=plane), CATEGORIES).plane
    assert patch is not None
    np.testing.assert_allclose(patch.centre, [0.1, 0.4, 1.1], atol=1e-2)
    np.testing.assert_allclose(patch.rotation[:, 1], plane.normal, atol=1e-6)
    np.testing.assert_allclose(patch.rotation.T @ patch.rotation, np.eye(3), atol=1e-9)
    assert np.linalg.det(patch.rotation) == pytest.approx(1.0)
    reach = np.linalg.norm(np.array(places)[:, ::2] - patch.centre[::2], axis=1).max()
    assert 2.0 * reach < patch.side_m <= 3.0


def test_without_a_table_no_plane_is_found():
    assert support_plane(replace(wall_frame(), depth=np.zeros((48, 64), np.float32))) is None


def test_a_plane_without_objects_is_below_the_points():
    plane = SupportPlane(np.array([0.0, -1.0, 0.0], np.float32), -0.5)
    patch = describe_scene(FrameView("1", [], wall_frame(), plane), CATEGORIES).plane
    assert patch is not None
    assert patch.centre[1] == pytest.approx(0.5)
