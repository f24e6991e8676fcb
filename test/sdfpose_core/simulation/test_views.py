"""Views that hide which end of an object is which."""

from __future__ import annotations

import numpy as np
import pytest

from sdfpose_core.shapes.families import sample_model
from sdfpose_core.simulation import Scene, SceneObject, SceneStyle, primitives, random_scene, render
from sdfpose_core.simulation.instances import unoccluded_pixels
from sdfpose_core.simulation.rotations import yaw
from sdfpose_core.simulation.views import hard_view


def alone(model, turn):
    """One object that stands on a table."""
    where = np.array([0.0, 0.5 * model.dimensions_m[1], 0.0])
    item = SceneObject(1, model.category, model, yaw(turn), where)
    top = primitives.box(2.0, 0.02, 2.0)
    table = SceneObject(0, "", top, np.eye(3), np.array([0.0, -0.01, 0.0]))
    return Scene([item], table)


def drawn(category, count=60):
    """Hard views of one object: scene, camera, pose and the direction to it in its frame."""
    model = sample_model(category, 2)
    for seed in range(count):
        rng = np.random.default_rng(seed)
        scene = alone(model, rng.uniform(0.0, 6.0))
        target = scene.instances[0]
        shown, camera, pose = hard_view(rng, scene, target)
        direction = (pose.translation - target.translation) @ target.rotation
        yield shown, camera, pose, direction / np.linalg.norm(direction), shown is scene


def test_without_an_occluder_round_objects_are_seen_along_their_axis():
    directions = [x[3] for x in drawn("can") if x[4]]
    assert 20 < len(directions) < 40
    assert min(x[1] for x in directions) > np.sin(np.deg2rad(55.0))


@pytest.mark.parametrize("category", ["mug", "camera", "laptop"])
def test_a_front_is_seen_from_above_from_the_side_or_from_behind(category):
    directions = [x[3] for x in drawn(category) if x[4]]
    azimuth = [np.degrees(np.arctan2(abs(z), x)) for x, y, z in directions if y < 0.8]
    assert 10 < len(azimuth) < 40
    assert min(azimuth) > 70.0


def test_an_occluder_hides_the_upper_or_the_lower_part():
    hidden, upper = [], []
    for shown, camera, pose, _, free in drawn("bottle"):
        if free:
            continue
        camera = camera.resize(camera.width // 2, camera.height // 2)
        mask = render(shown, camera, pose, colour=False).mask
        v, _ = np.nonzero(mask)
        whole = unoccluded_pixels(shown, 1, camera, pose)
        hidden.append(1.0 - len(v) / whole)
        if len(v) > 20:
            middle = camera.project(pose.to_camera(shown.instances[0].translation))
            upper.append(v.mean() < middle[1])
    assert np.mean(np.array(hidden) > 0.15) > 0.8
    assert 0.2 < np.mean(upper) < 0.8


def test_the_camera_is_never_under_the_table_or_the_floor():
    models = {"mug": [sample_model("mug", 0)], "can": [sample_model("can", 0)]}
    style = SceneStyle(held=0.0, lying=0.5, leaning=0.3, upside_down=0.1)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        scene = random_scene(rng, models, style)
        for target in scene.instances:
            assert hard_view(rng, scene, target)[2].translation[1] > 0.0
