"""Grasp candidates of solids, whose contacts are known in closed form."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from solid_decoders import SolidDecoder, solid_estimate

from sdfpose_core.benchmark.grasps import TrueObject
from sdfpose_core.errors import ShapeError
from sdfpose_core.grasping.candidates import grasp_candidates
from sdfpose_core.grasping.gripper import Gripper
from sdfpose_core.observation.support_plane import SupportPlane
from sdfpose_core.scene.distance_volume import DistanceVolumes
from sdfpose_core.scene.scene import Scene

SPHERE = SolidDecoder("sphere", [0.35, 0.35, 0.35])
BOX = SolidDecoder("box", [0.16, 0.3, 0.36])
CYLINDER = SolidDecoder("cylinder", [0.18, 0.42, 0.18])
CUP = SolidDecoder("cup", [0.35, 0.3, 0.35], 0.04)
SOLIDS = {"sphere": SPHERE, "box": BOX, "cylinder": CYLINDER, "cup": CUP}
TABLE = SupportPlane(np.array([0.0, 1.0, 0.0], np.float32), 0.0)
VOLUMES = DistanceVolumes()


def scene_of(*pairs):
    """The scene of estimates, each with its decoder."""
    decoders = {estimate.category: decoder for estimate, decoder in pairs}
    return Scene.of([x for x, _ in pairs], decoders.__getitem__, VOLUMES)


def standing(name, scale=0.1):
    """A solid on the table, its category named as itself, and the scene with it alone."""
    decoder = SOLIDS[name]
    height = scale * float(decoder.half[1] + 0.5 * (decoder.thickness or 0.0))
    estimate = solid_estimate(decoder, scale, translation=(0.0, height, 0.0), category=name)
    return estimate, scene_of((estimate, decoder))


def outside(grasp, decoder, estimate, gripper):
    """Least exact distance of the open gripper from a solid, metres."""
    spheres = gripper.spheres(np.array([grasp.opening_m]))
    centres = spheres.centres[0] @ grasp.rotation.T + grasp.translation
    local = (centres - estimate.decoder_translation) @ estimate.rotation / estimate.decoder_scale
    return (estimate.decoder_scale * decoder.distance(local) - spheres.radii).min()


@pytest.mark.parametrize("name", SOLIDS)
def test_candidates_hold_touch_nothing_and_are_sorted(name):
    estimate, scene = standing(name)
    gripper = Gripper()
    grasps = grasp_candidates(estimate, scene, 1, gripper=gripper, support=TABLE)
    assert 3 <= len(grasps) <= 10
    quality = [x.quality for x in grasps]
    assert quality == sorted(quality, reverse=True)
    assert 0.0 < quality[-1] <= quality[0] <= 1.0
    true = TrueObject(estimate.vertices + estimate.translation, estimate.faces)
    for grasp in grasps:
        np.testing.assert_allclose(grasp.rotation.T @ grasp.rotation, np.eye(3), atol=1e-9)
        assert np.linalg.det(grasp.rotation) == pytest.approx(1.0)
        assert true.result(grasp, gripper.friction_angle) == "holds"
        assert grasp.width_m + 2.0 * gripper.gap_m <= grasp.opening_m + 1e-9
        assert grasp.opening_m <= gripper.max_width_m
        assert grasp.clearance_m >= gripper.clearance_m
        spheres = gripper.spheres(np.array([grasp.opening_m]))
        height = (spheres.centres[0] @ grasp.rotation.T + grasp.translation)[:, 1] - spheres.radii
        assert height.min() >= gripper.clearance_m - 1e-9
        assert outside(grasp, SOLIDS[name], estimate, gripper) > -5e-4


def test_a_sphere_is_held_across_its_middle():
    estimate, scene = standing("sphere")
    for grasp in grasp_candidates(estimate, scene, 1):
        assert grasp.width_m == pytest.approx(2 * 0.35 * 0.1, rel=0.25)
        middle = estimate.translation - grasp.translation
        assert np.linalg.norm(middle) < 0.35 * 0.1 * np.sin(Gripper().friction_angle)


def test_a_box_is_held_at_opposite_sides():
    estimate, scene = standing("box")
    for grasp in grasp_candidates(estimate, scene, 1, support=TABLE):
        axis = np.abs(grasp.rotation[:, 0])
        assert axis.max() > np.cos(Gripper().friction_angle)
        side = 2.0 * 0.1 * BOX.half[int(axis.argmax())].item()
        assert grasp.width_m == pytest.approx(side / axis.max(), abs=2e-3)


def test_a_wide_cup_is_held_at_its_wall():
    estimate, scene = standing("cup", 0.3)
    grasps = grasp_candidates(estimate, scene, 1, support=TABLE)
    assert grasps
    assert all(x.width_m < 0.02 for x in grasps)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10**6))
def test_grasps_move_with_the_object(seed):
    """Without a table, the grasps of a turned object are the turned grasps."""
    rng = np.random.default_rng(seed)
    turn, shift = Rotation.random(random_state=seed).as_matrix(), rng.uniform(-1, 1, 3)
    estimates = [
        solid_estimate(BOX, 0.15, category="box"),
        solid_estimate(BOX, 0.15, turn, shift, category="box"),
    ]
    (at_rest, moved) = (
        {
            (round(x.width_m, 4), round(x.opening_m, 4))
            for x in grasp_candidates(e, scene_of((e, BOX)), 1, eye=o, count=100)
        }
        for e, o in zip(estimates, (np.array([0.0, 0, -1]), shift - turn[:, 2]), strict=True)
    )
    assert at_rest
    assert moved
    assert min(abs(a[0] - b[0]) for a in at_rest for b in moved) < 2e-4


def test_the_same_input_gives_the_same_grasps():
    estimate, scene = standing("cylinder")
    first, again = (grasp_candidates(estimate, scene, 1, support=TABLE) for _ in range(2))
    assert [x.quality for x in first] == [x.quality for x in again]
    for x, y in zip(first, again, strict=True):
        np.testing.assert_array_equal(x.rotation, y.rotation)
        np.testing.assert_array_equal(x.translation, y.translation)


def test_a_neighbour_keeps_the_gripper_away():
    cylinder, alone = standing("cylinder")
    box = solid_estimate(BOX, 0.15, translation=(0.07, 0.05, 0.0), mask_id=2, category="box")
    scene = scene_of((cylinder, CYLINDER), (box, BOX))
    gripper = Gripper()
    free = grasp_candidates(cylinder, alone, 1, support=TABLE, gripper=gripper, count=50)
    beside = grasp_candidates(cylinder, scene, 1, support=TABLE, gripper=gripper, count=50)
    assert min(outside(x, BOX, box, gripper) for x in free) < 0.0
    assert beside
    assert min(outside(x, BOX, box, gripper) for x in beside) > gripper.clearance_m - 1e-3


def test_what_the_camera_sees_comes_first():
    estimate, scene = standing("cup", 0.3)
    eye = np.array([0.0, 0.6, 1.0])
    first = grasp_candidates(estimate, scene, 1, support=TABLE, eye=eye, count=5)
    assert all(x.quality > 0.0 for x in first)
    blind = grasp_candidates(estimate, scene, 1, support=TABLE, count=5)
    assert max(x.quality for x in first) <= max(x.quality for x in blind) + 1e-9


def test_too_wide_an_object_has_no_grasps():
    estimate, scene = standing("sphere", 0.5)
    assert grasp_candidates(estimate, scene, 1, support=TABLE) == []


def test_a_table_that_leaves_no_room_leaves_no_grasps():
    estimate, scene = standing("sphere")
    above = SupportPlane(np.array([0.0, 1.0, 0.0], np.float32), 1.0)
    assert grasp_candidates(estimate, scene, 1, support=above) == []


def test_without_a_mesh_there_are_no_grasps():
    estimate, scene = standing("sphere")
    empty = {"vertices": np.zeros((0, 3), np.float32), "faces": np.zeros((0, 3), np.int32)}
    assert grasp_candidates(type(estimate)(**{**vars(estimate), **empty}), scene, 1) == []


def test_an_object_outside_the_scene_is_an_error():
    estimate, scene = standing("sphere")
    with pytest.raises(ShapeError, match=r"object 5 is not in the scene: expected one of \[1\]"):
        grasp_candidates(estimate, scene, 5)
