"""Which plane the objects of rendered scenes stand on."""

import dataclasses

import numpy as np
import pytest

from sdfpose_core.categories import default_categories
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.observation.frame import InstanceLabel, RgbdFrame
from sdfpose_core.observation.segmentation import segment
from sdfpose_core.observation.unused_cues import unused_cues
from sdfpose_core.simulation import CameraPose, Scene, SceneObject, primitives, render

CAMERA = PinholeCamera(320, 240, 300.0, 300.0, 159.5, 119.5)
CATEGORIES = default_categories()
ABOVE = CameraPose.look_at([0.0, 0.55, 0.75], [0.0, 0.03, 0.0])
FLOOR = -0.75


def thing(x, y, z, sides, mask_id=0, category=""):
    """A box with its lower side's centre at (x, y, z)."""
    model = primitives.box(*sides)
    return SceneObject(mask_id, category, model, np.eye(3), np.array([x, y + 0.5 * sides[1], z]))


def can(x=0.0, y=0.0, z=0.0, mask_id=1, height=0.12):
    model = primitives.cylinder(0.033, height)
    where = np.array([x, y + 0.5 * height, z])
    return SceneObject(mask_id, "can", model, np.eye(3), where)


def desk(width=1.2, depth=0.8):
    return thing(0.0, -0.03, 0.0, (width, 0.03, depth))


def floor():
    return thing(0.0, FLOOR - 0.02, 0.0, (8.0, 0.02, 8.0))


def view(things, pose=ABOVE, noise=0.0015, **changes):
    """Frame of a scene; the standard deviation of its depth is `noise` at 1 m, metres."""
    shown = render(Scene(things), CAMERA, pose, colour=False)
    error = noise * np.random.default_rng(0).normal(size=shown.depth.shape)
    depth = np.where(shown.depth > 0.0, shown.depth + error * shown.depth**2, 0.0)
    return RgbdFrame(
        colour=shown.colour,
        depth=depth.astype(np.float32),
        mask=shown.mask.astype(np.uint16),
        camera=CAMERA,
        labels={x.mask_id: InstanceLabel(x.category) for x in things if x.mask_id},
        **changes,
    )


def supports(frame):
    """Support planes by mask id."""
    instances, skipped = segment(frame, CATEGORIES)
    assert skipped == []
    return {x.mask_id: x.support for x in instances}


def assert_level(plane, height_m, pose=ABOVE, at=(0.0, 0.0), within_m=0.004):
    """The plane is level, at a height above the world's origin where the object stands."""
    assert plane is not None
    assert np.degrees(np.arccos(min(plane.normal @ pose.rotation[1], 1.0))) < 2.0
    foot = pose.to_camera(np.array([[at[0], height_m, at[1]]]))
    assert abs(float(plane.height(foot)[0])) < within_m


BESIDE = {
    "board": thing(0.22, 0.0, 0.0, (0.34, 0.02, 0.5)),
    "book": thing(0.15, 0.0, 0.02, (0.2, 0.035, 0.28)),
    "sheet": thing(0.13, 0.0, 0.0, (0.15, 0.001, 0.3)),
    "crate": thing(-0.16, 0.0, 0.0, (0.2, 0.1, 0.3)),
    "book in front": thing(0.0, 0.0, 0.17, (0.3, 0.03, 0.24)),
}


@pytest.mark.parametrize("what", BESIDE)
def test_what_lies_beside_an_object_does_not_outvote_the_desk(what):
    frame = view([can(), desk(), floor(), BESIDE[what]])
    assert_level(supports(frame)[1], 0.0)


def test_a_leaning_board_beside_an_object_does_not_outvote_the_desk():
    tilt = np.deg2rad(40.0)
    rotation = np.array(
        [[np.cos(tilt), -np.sin(tilt), 0.0], [np.sin(tilt), np.cos(tilt), 0.0], [0.0, 0.0, 1.0]]
    )
    model, where = primitives.box(0.3, 0.01, 0.3), np.array([0.2, 0.1, 0.0])
    frame = view([can(), desk(), floor(), SceneObject(0, "", model, rotation, where)])
    assert_level(supports(frame)[1], 0.0)


@pytest.mark.parametrize("height_m", [0.03, 0.06, 0.1])
def test_an_object_on_a_box_stands_on_the_lid(height_m):
    box = thing(0.0, 0.0, 0.0, (0.22, height_m, 0.2))
    frame = view([can(y=height_m), box, desk(), floor()])
    assert_level(supports(frame)[1], height_m)


def test_two_objects_stand_on_a_box_and_on_the_table():
    box = thing(-0.15, 0.0, 0.0, (0.22, 0.07, 0.2))
    frame = view([can(-0.15, 0.07, 0.0, 1), can(0.18, 0.0, 0.05, 2), box, desk(), floor()])
    found = supports(frame)
    assert_level(found[1], 0.07, at=(-0.15, 0.0))
    assert_level(found[2], 0.0, at=(0.18, 0.05))


def test_a_small_desk_above_a_dominant_floor():
    """The desk takes up less of the image than the floor."""
    pose = CameraPose.look_at([0.0, 0.9, 1.0], [0.0, -0.1, 0.0])
    frame = view([can(), desk(0.45, 0.4), floor()], pose)
    background = frame.mask == 0
    on_desk = frame.depth < pose.to_camera(np.array([0.0, -0.3, 0.0]))[2]
    assert np.mean(on_desk[background]) < 0.25
    assert_level(supports(frame)[1], 0.0, pose)


def test_a_table_goes_before_the_wall_behind_it():
    """The wall is larger in the image, and near enough to lean against."""
    pose = CameraPose.look_at([0.0, 0.2, 0.8], [0.0, 0.12, 0.0])
    wall = thing(0.0, FLOOR, -0.07, (6.0, 3.0, 0.02))
    frame = view([can(), thing(0.0, -0.03, 0.2, (1.2, 0.03, 0.5)), wall], pose)
    assert_level(supports(frame)[1], 0.0, pose)


def test_objects_on_one_desk_share_its_normal():
    things = [can(0.25 * i - 0.25, 0.0, 0.1 * j, 3 * j + i + 1) for i in range(3) for j in (0, 1)]
    found = supports(view([*things, desk(), floor(), thing(0.0, 0.0, 0.3, (0.3, 0.03, 0.2))]))
    assert len(found) == 6
    for plane in found.values():
        np.testing.assert_array_equal(plane.normal, found[1].normal)
        assert plane.offset == pytest.approx(found[1].offset, abs=0.003)


def test_the_candidates_of_an_unknown_category_share_the_plane():
    frame = view([can(), desk(), floor()])
    frame = dataclasses.replace(frame, labels={1: InstanceLabel("any")})
    instances, _ = segment(frame, CATEGORIES)
    assert len(instances) == len(CATEGORIES)
    for instance in instances:
        assert_level(instance.support, 0.0)


def test_an_object_in_the_air_has_no_plane():
    frame = view([can(y=0.3), desk(), floor()], CameraPose.look_at([0.0, 0.7, 0.7], [0.0, 0.25, 0]))
    assert supports(frame)[1] is None


def test_a_camera_that_looks_up_takes_no_ceiling_for_a_table():
    """An object hangs below the ceiling."""
    pose = CameraPose.look_at([0.0, 0.0, 0.8], [0.0, 0.5, 0.0])
    frame = view([can(y=0.5), thing(0.0, 0.63, 0.0, (4.0, 0.1, 4.0))], pose)
    (instance,), _ = segment(frame, CATEGORIES)
    assert instance.support is not None  # the object is in front of it
    assert instance.support.normal @ pose.rotation[1] < -0.99
    assert instance.up is None


def test_a_table_two_metres_away():
    pose = CameraPose.look_at([0.0, 1.2, 1.7], [0.0, 0.03, 0.0])
    frame = view([can(0.0, 0.0, 0.0, 1, 0.2), desk(), floor()], pose, noise=0.003)
    assert_level(supports(frame)[1], 0.0, pose, within_m=0.01)


def test_the_same_frame_gives_the_same_planes():
    frame = view([can(), desk(), floor(), BESIDE["book"]])
    one, two = supports(frame)[1], supports(frame)[1]
    np.testing.assert_array_equal(one.normal, two.normal)
    assert one.offset == two.offset


def test_the_normal_of_a_table_is_up():
    (instance,), _ = segment(view([can(), desk(), floor()]), CATEGORIES)
    assert instance.up.dtype == np.float32
    np.testing.assert_allclose(instance.up, ABOVE.rotation[1], atol=0.03)


@pytest.mark.parametrize("pitch_deg", [80.0, 89.0])
def test_a_table_that_a_robot_looks_straight_down_on_is_up(pitch_deg):
    pitch = np.deg2rad(pitch_deg)
    pose = CameraPose.look_at([0.0, 0.8 * np.sin(pitch), 0.8 * np.cos(pitch)], [0.0, 0.0, 0.0])
    (instance,), _ = segment(view([can(), desk(), floor()], pose), CATEGORIES)
    np.testing.assert_allclose(instance.up, pose.rotation[1], atol=0.03)


def test_a_wall_is_not_up():
    """A camera that looks down a little sees an object close to a wall, and no table."""
    pose = CameraPose.look_at([0.0, 0.35, 0.8], [0.0, 0.06, 0.0])
    frame = view([can(), thing(0.0, FLOOR, -0.08, (6.0, 3.0, 0.02))], pose)
    (instance,), _ = segment(frame, CATEGORIES)
    assert instance.support is not None
    assert instance.up is None


def test_a_known_direction_of_gravity_is_the_objects_up():
    up = ABOVE.rotation[1]
    with_table, without = [can(), desk(), floor()], [can(y=0.1)]
    for things in (with_table, without):
        (instance,), _ = segment(view(things, up=up), CATEGORIES)
        assert instance.up.dtype == np.float32
        np.testing.assert_allclose(instance.up, up, atol=1e-6)


def test_gravity_tells_a_table_from_a_wall_where_the_image_does_not():
    """The camera lies on its side: the table is on the right of its image, the wall above."""
    pose = CameraPose.look_at([0.0, 0.3, 0.6], [0.0, 0.1, 0.0], roll=np.pi / 2)
    things = [can(), desk(2.0, 0.2), thing(0.0, FLOOR, -0.12, (6.0, 3.0, 0.04))]
    frame = view(things, pose, up=pose.rotation[1])
    (instance,), _ = segment(frame, CATEGORIES)
    assert_level(instance.support, 0.0, pose)


WRONG_UP = {
    "of the camera's body": np.array([0.0, -1.0, 0.0]),
    "of the optical axis": np.array([0.0, 0.0, 1.0]),
    "of gravity itself": -ABOVE.rotation[1],
}


@pytest.mark.parametrize("what", WRONG_UP)
def test_a_direction_up_that_the_table_contradicts_is_not_used_and_that_is_told(what):
    things = [can(), desk(), floor()]
    (expected,), _ = segment(view(things), CATEGORIES)
    frame = view(things, up=WRONG_UP[what])
    (instance,), _ = segment(frame, CATEGORIES)
    np.testing.assert_array_equal(instance.up, expected.up)
    np.testing.assert_array_equal(instance.support.normal, expected.support.normal)
    (told,) = unused_cues(frame, [instance], colour=False)
    assert told.kind == "gravity"
    assert "gravity is not used" in told.text


def test_a_direction_up_that_fits_is_used_and_nothing_is_told():
    off = CameraPose.look_at([0.0, 0.55, 0.75], [0.08, 0.03, 0.0]).rotation[1]  # some degrees
    for up in (ABOVE.rotation[1], off):
        frame = view([can(), desk(), floor()], up=up)
        instances, _ = segment(frame, CATEGORIES)
        np.testing.assert_allclose(instances[0].up, up, atol=1e-6)
        assert unused_cues(frame, instances, colour=False) == []


def test_an_object_on_a_ramp_stands_on_the_ramp():
    """Nothing else is in view: gravity would say that the object leans."""
    tilt = np.deg2rad(35.0)
    ramp = np.array(
        [[np.cos(tilt), -np.sin(tilt), 0.0], [np.sin(tilt), np.cos(tilt), 0.0], [0.0, 0.0, 1.0]]
    )
    board = SceneObject(0, "", primitives.box(1.6, 0.02, 1.6), ramp, -0.01 * ramp[:, 1])
    thing = SceneObject(1, "can", primitives.cylinder(0.033, 0.12), ramp, 0.06 * ramp[:, 1])
    frame = view([thing, board], up=ABOVE.rotation[1])
    (instance,), _ = segment(frame, CATEGORIES)
    np.testing.assert_allclose(instance.up, ABOVE.rotation.T @ ramp[:, 1], atol=0.05)
