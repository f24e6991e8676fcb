from __future__ import annotations

import cv2
import numpy as np
import pytest

from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.shapes.body import BodyProfile
from sdfpose_core.shapes.families import sample_model
from sdfpose_core.simulation import (
    CameraPose,
    Scene,
    SceneObject,
    ground_truth,
    primitives,
    render,
)
from sdfpose_core.simulation.rotations import yaw

CAMERA = PinholeCamera(640, 480, 600.0, 600.0, 319.5, 239.5)


def mug_scene(handle_yaw, others=()):
    model = sample_model("mug", 11)
    height = 0.5 * model.dimensions_m[1]
    mug = SceneObject(2, "mug", model, yaw(handle_yaw), np.array([0.0, height, 0.0]))
    return Scene([mug, *others])


def truth_of(scene, pose, **options):
    rendering = render(scene, CAMERA, pose, colour=False)
    return ground_truth(scene, rendering, CAMERA, pose, **options)


SIDE = CameraPose.look_at([0.0, 0.2, 0.7], [0.0, 0.05, 0.0])


def test_the_pose_maps_object_points_onto_the_mask():
    pose = CameraPose.look_at([0.3, 0.5, 0.5], [0.02, 0.03, 0.0], roll=0.2)
    scene = mug_scene(0.4)
    (truth,) = truth_of(scene, pose)
    model = sample_model("mug", 11)
    points = model.vertices @ truth.rotation.T + truth.translation
    pixels = np.round(CAMERA.project(points)).astype(int)
    rendering = render(scene, CAMERA, pose, colour=False)
    wider = cv2.dilate(rendering.mask, np.ones((3, 3), dtype=np.uint8)) == 2  # rounded pixels
    assert wider[pixels[:, 1], pixels[:, 0]].all()
    inside = rendering.mask[pixels[:, 1], pixels[:, 0]] == 2
    # visible vertices lie at the rendered depth
    measured = rendering.depth[pixels[:, 1], pixels[:, 0]]
    front = np.abs(measured - points[:, 2]) < 0.003
    assert front.mean() > 0.25
    assert (measured[inside] < points[inside, 2] + 0.004).mean() > 0.97
    np.testing.assert_allclose(truth.dimensions_m, model.dimensions_m)
    assert truth.scale == pytest.approx(model.diagonal_m)
    assert truth.instance == model.name
    assert np.linalg.det(truth.rotation) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("angle", "hidden"),
    [(-np.pi / 2, False), (0.0, False), (np.pi, False), (np.pi / 2, True)],
    ids=["toward", "right", "left", "behind"],
)
def test_a_mug_is_symmetric_where_its_handle_is_hidden(angle, hidden):
    # The handle points along +x turned by the yaw; the camera looks from +z.
    (truth,) = truth_of(mug_scene(angle), SIDE)
    assert truth.symmetric_about_y == hidden


def test_an_occluder_before_the_handle_hides_it():
    post = SceneObject(
        0, "", primitives.box(0.12, 0.3, 0.01), np.eye(3), np.array([0.07, 0.1, 0.15])
    )
    (free,) = truth_of(mug_scene(0.0), SIDE)
    (truth,) = truth_of(mug_scene(0.0, [post]), SIDE)
    assert not free.symmetric_about_y
    assert truth.symmetric_about_y


@pytest.mark.parametrize("seed", range(6))
def test_the_body_profile_has_the_handle_outside_and_the_wall_inside(seed):
    model = sample_model("mug", seed)
    profile = BodyProfile.of(model.vertices, model.faces)
    radius = 0.5 * model.dimensions_m[2]
    assert profile.axis_x_m < 0.0
    assert profile.radii_m.max() == pytest.approx(radius, rel=0.15)
    outside = profile.outside(model.vertices)
    assert outside.any()
    # Only what reaches beyond the wall on the handle's side is outside.
    assert (model.vertices[outside, 0] > profile.axis_x_m).all()
    assert outside[model.vertices[:, 0].argmax()]


def test_symmetry_follows_the_category():
    names = ("bottle", "bowl", "camera", "can", "laptop")
    items = [
        SceneObject(i, name, sample_model(name, 3), np.eye(3), np.array([0.3 * i - 0.9, 0.1, 0.0]))
        for i, name in enumerate(names, start=1)
    ]
    pose = CameraPose.look_at([0.0, 0.8, 1.8], [0.0, 0.0, 0.0])
    truths = truth_of(Scene(items), pose)
    assert [x.category for x in truths] == list(names)
    assert [x.symmetric_about_y for x in truths] == [True, True, False, True, False]


def test_objects_that_are_not_seen_have_no_ground_truth():
    wall = SceneObject(0, "", primitives.box(2.0, 2.0, 0.01), np.eye(3), np.array([0, 0, 0.4]))
    assert truth_of(mug_scene(0.0, [wall]), SIDE) == []
    assert truth_of(mug_scene(0.0), SIDE, min_pixels=10**6) == []
