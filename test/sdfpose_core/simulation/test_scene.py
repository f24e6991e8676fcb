from __future__ import annotations

import numpy as np
import pytest

from sdfpose_core.simulation import CameraPose, Scene, SceneObject, primitives


def volume(model):
    a, b, c = np.moveaxis(model.vertices[model.faces], 1, 0)
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6.0)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (primitives.box(0.1, 0.2, 0.3), 0.006),
        (primitives.cylinder(0.05, 0.2, segments=256), np.pi * 0.05**2 * 0.2),
        (primitives.sphere(0.1, segments=256), 4.0 / 3.0 * np.pi * 0.1**3),
    ],
    ids=["box", "cylinder", "sphere"],
)
def test_primitives_are_closed_and_face_outward(model, expected):
    assert volume(model) == pytest.approx(expected, rel=2e-3)
    edges = np.concatenate([model.faces[:, [0, 1]], model.faces[:, [1, 2]], model.faces[:, [2, 0]]])
    forward = {tuple(x) for x in edges.tolist()}
    assert len(forward) == len(edges)
    assert forward == {(b, a) for a, b in forward}


def test_look_at_puts_the_target_on_the_optical_axis_with_the_image_upright():
    pose = CameraPose.look_at([0.4, 0.7, 0.9], [0.1, 0.05, -0.2])
    target = pose.to_camera(np.array([0.1, 0.05, -0.2]))
    np.testing.assert_allclose(target[:2], 0.0, atol=1e-12)
    assert target[2] == pytest.approx(np.linalg.norm([0.3, 0.65, 1.1]))
    np.testing.assert_allclose(pose.rotation.T @ pose.rotation, np.eye(3), atol=1e-12)
    assert np.linalg.det(pose.rotation) == pytest.approx(1.0)
    above = pose.to_camera(np.array([0.1, 0.15, -0.2]))
    assert above[1] < 0.0
    assert above[0] == pytest.approx(0.0, abs=1e-12)


def test_roll_turns_the_camera_about_its_axis():
    level = CameraPose.look_at([0.0, 0.5, 1.0], [0.0, 0.0, 0.0])
    rolled = CameraPose.look_at([0.0, 0.5, 1.0], [0.0, 0.0, 0.0], roll=0.3)
    relative = level.rotation.T @ rolled.rotation
    np.testing.assert_allclose(relative[2], [0.0, 0.0, 1.0], atol=1e-12)
    assert np.arctan2(relative[1, 0], relative[0, 0]) == pytest.approx(0.3)


def test_object_and_world_frames_are_inverse_to_each_other():
    model = primitives.box(0.1, 0.2, 0.3)
    rotation = CameraPose.look_at([0.3, 0.2, 0.1], [0.0, 0.0, 0.0]).rotation
    item = SceneObject(1, "can", model, rotation, np.array([0.1, 0.2, 0.3]), scale=1.7)
    np.testing.assert_allclose(item.to_object(item.vertices), model.vertices, atol=1e-12)
    np.testing.assert_allclose(item.dimensions_m, [0.17, 0.34, 0.51])


def test_repeated_mask_ids_are_refused():
    ball = primitives.sphere(0.1)
    items = [SceneObject(3, "can", ball, np.eye(3), np.zeros(3)) for _ in range(2)]
    with pytest.raises(ValueError, match="give every object its own"):
        Scene(items)


def test_occluders_may_share_the_background_id():
    ball = primitives.sphere(0.1)
    items = [SceneObject(0, "", ball, np.eye(3), np.zeros(3)) for _ in range(2)]
    assert Scene(items).instances == ()
