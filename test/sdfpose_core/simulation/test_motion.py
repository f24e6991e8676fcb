from itertools import pairwise

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.shapes.families import sample_model
from sdfpose_core.simulation.motion import (
    CameraPath,
    HandMotion,
    LookAside,
    MovingScene,
    Oscillation,
    PassingBoard,
    Waypoint,
)
from sdfpose_core.simulation.primitives import box, cylinder
from sdfpose_core.simulation.random_motion import MOTION_S, random_motion
from sdfpose_core.simulation.rendering import render
from sdfpose_core.simulation.rotations import yaw
from sdfpose_core.simulation.scene import Scene, SceneObject
from sdfpose_core.simulation.scenes import SceneStyle, cluttered_table

CAMERA = PinholeCamera(160, 120, 150.0, 150.0, 79.5, 59.5)
STILL = Oscillation(0.0, 1.0)


def make_path(**changes):
    fields = {
        "target": np.zeros(3),
        "azimuth": 0.5,
        "elevation": 0.6,
        "distance_m": 1.0,
        "azimuth_swing": STILL,
        "elevation_swing": STILL,
        "distance_swing": STILL,
        "target_swing": STILL,
    }
    return CameraPath(**(fields | changes))


def make_motion(fingers=()):
    place = np.array([0.1, 0.05, 0.0])
    return HandMotion(
        (
            Waypoint(1.0, np.eye(3), place),
            Waypoint(2.0, yaw(1.0), place + np.array([0.0, 0.2, 0.0])),
            Waypoint(4.0, yaw(0.5), place + np.array([0.3, 0.0, 0.0])),
        ),
        fingers,
    )


def make_scene():
    can = SceneObject(1, "can", cylinder(0.03, 0.1), np.eye(3), np.array([0.1, 0.05, 0.0]))
    mug = SceneObject(2, "mug", box(0.08, 0.1, 0.06), np.eye(3), np.array([-0.2, 0.05, 0.1]))
    table = SceneObject(0, "", box(1.0, 0.02, 1.0), np.eye(3), np.array([0.0, -0.01, 0.0]))
    return Scene([can, mug], table)


def test_a_hand_takes_an_object_from_waypoint_to_waypoint():
    motion = make_motion()
    for time_s, waypoint in ((0.0, 0), (1.0, 0), (2.0, 1), (4.0, 2), (9.0, 2)):
        rotation, translation = motion.pose(time_s)
        np.testing.assert_allclose(rotation, motion.path[waypoint].rotation, atol=1e-12)
        np.testing.assert_allclose(translation, motion.path[waypoint].translation, atol=1e-12)
    rotation, translation = motion.pose(1.5)  # half the time is half the way
    np.testing.assert_allclose(rotation, yaw(0.5), atol=1e-12)
    np.testing.assert_allclose(translation, [0.1, 0.15, 0.0])


def test_a_hand_moves_without_jerks():
    motion = make_motion()
    times = np.linspace(0.9, 4.1, 3201)
    places = np.stack([motion.pose(t)[1] for t in times])
    velocity = np.diff(places, axis=0) / 1e-3
    assert np.abs(np.diff(velocity, axis=0) / 1e-3).max() < 2.0
    # The profile's peak is 15/8 of the mean.
    assert velocity[:, 1].max() == pytest.approx(0.2 * 15 / 8, rel=1e-3)


def test_fingers_come_go_and_stay_on_the_object():
    bar = SceneObject(0, "", cylinder(0.01, 0.1), np.eye(3), np.array([0.1, 0.12, 0.02]))
    motion = make_motion((bar,))
    assert motion.span_s == (0.6, 4.4)
    assert motion.hand(0.5) == []
    assert motion.hand(4.5) == []
    heights = [motion.hand(t)[0].translation[1] for t in (0.65, 0.8, 1.0)]
    assert heights[0] > heights[1] > heights[2] == pytest.approx(0.12)
    first, place = motion.path[0], bar.translation
    for time_s in (1.3, 2.7, 3.9):
        rotation, translation = motion.pose(time_s)
        (held,) = motion.hand(time_s)
        on_object = rotation.T @ (held.translation - translation)
        np.testing.assert_allclose(on_object, place - first.translation, atol=1e-12)
        np.testing.assert_allclose(held.rotation, rotation @ bar.rotation, atol=1e-12)


def test_a_board_hides_an_object_and_nothing_before_and_after():
    path = make_path()
    moving = MovingScene(make_scene(), boards=[PassingBoard(0, 1.0, 0.5, 0.12)])
    pixels = {}
    for time_s in (0.5, 1.0, 1.5, 2.0):
        pose = path.pose(time_s)
        mask = render(moving.at(time_s, pose), CAMERA, pose, colour=False).mask
        pixels[time_s] = np.count_nonzero(mask == 1)
    assert pixels[1.0] == pixels[1.5] == 0
    assert pixels[0.5] == pixels[2.0] > 100


@pytest.mark.parametrize("from_left", [True, False])
def test_a_board_comes_from_one_side_and_leaves_over_the_other(from_left):
    path = make_path()
    board = PassingBoard(0, 1.0, 0.5, 0.12, from_left)
    comes, goes = (
        path.pose(t).to_camera(board.board(t, path.pose(t), np.zeros(3)).translation)[0]
        for t in (0.75, 1.75)
    )
    assert (comes < -0.1) == (goes > 0.1) == from_left
    assert comes == pytest.approx(-goes)


def test_the_camera_looks_aside_and_back():
    path = make_path(looks=(LookAside(1.0, 0.5, 0.4, 0.7),))
    straight = make_path().pose(0.0)
    assert path.looks[0].span_s == (1.0, 2.4)
    for time_s, angle in ((0.9, 0.0), (1.25, 0.35), (1.5, 0.7), (1.9, 0.7), (2.15, 0.35), (3, 0)):
        pose = path.pose(time_s)
        np.testing.assert_allclose(pose.translation, straight.translation)
        turn = Rotation.from_matrix(straight.rotation.T @ pose.rotation).as_rotvec()
        np.testing.assert_allclose(turn, [0.0, -angle, 0.0], atol=1e-9)  # to the left


@pytest.mark.parametrize("place", [(0.1, 0.05, 0.0), (-0.2, 0.05, 0.1)])
def test_a_look_past_an_object_has_it_out_of_the_image(place):
    scene = make_scene()
    item = next(x for x in scene.instances if np.allclose(x.translation, place))
    path = make_path().look_past(item.translation, 0.07, CAMERA, 1.0, 0.4, 1.0)

    def visible(time_s):
        mask = render(scene, CAMERA, path.pose(time_s), colour=False).mask
        return bool(np.any(mask == item.mask_id))

    (look,) = path.looks
    assert look.turn_s == pytest.approx(abs(look.angle))  # at a radian per second
    away_s = look.start_s + look.turn_s
    assert [visible(away_s + x) for x in (0.0, 0.2, 0.4)] == [False] * 3
    assert visible(look.span_s[0])
    assert visible(look.span_s[1])


def test_a_camera_circles_rises_and_comes_nearer():
    path = make_path(
        azimuth_swing=Oscillation(0.3, 4.0),
        elevation_swing=Oscillation(0.2, 4.0),
        distance_swing=Oscillation(0.1, 4.0),
        target_swing=Oscillation(0.05, 4.0),
    )
    pose = path.pose(1.0)
    target = np.array([0.05, 0.0, 0.0])
    np.testing.assert_allclose(pose.to_camera(target), [0.0, 0.0, np.exp(0.1)], atol=1e-12)
    x, y, z = pose.translation - target
    assert np.arctan2(z, x) == pytest.approx(0.8)
    assert np.arctan2(y, np.hypot(x, z)) == pytest.approx(0.8)


def test_objects_keep_their_order_under_other_mask_ids():
    moving = MovingScene(make_scene(), {0: make_motion()})
    scene = moving.at(3.0, make_path().pose(3.0), {1: 9, 2: 4})
    assert [(x.mask_id, x.category) for x in scene.objects] == [(9, "can"), (4, "mug")]
    np.testing.assert_allclose(scene.objects[0].translation, make_motion().pose(3.0)[1])
    assert [x.mask_id for x in moving.scene.objects] == [1, 2]


# --- random motion ---

STYLE = SceneStyle.upright()
NAMES = ("bottle", "bowl", "can", "mug", "camera")


@pytest.fixture(scope="module")
def models():
    return [sample_model(x, 3) for x in NAMES]


@pytest.fixture(scope="module", params=range(6))
def motion(request, models):
    rng = np.random.default_rng(request.param)
    scene = cluttered_table(rng, NAMES, models, STYLE)
    return random_motion(rng, scene, CAMERA)


def test_three_objects_are_handled_and_another_one_is_hidden(motion):
    moving, path = motion
    assert len(moving.motions) == 3
    (board,) = moving.boards
    assert board.index not in moving.motions
    assert all(moving.scene.objects[i].mask_id for i in [board.index, *moving.motions])
    (look,) = path.looks
    for x in (board, *moving.motions.values()):
        assert 0.0 < x.span_s[0] < x.span_s[1] <= MOTION_S
        # Nothing else happens while the camera looks aside.
        assert x.span_s[1] <= look.span_s[0] + 1e-9 or x.span_s[0] >= look.span_s[1] - 1e-9
    assert look.span_s[1] <= MOTION_S


def reach(item):
    """Radius of the circle on the table that holds an object, however it is turned."""
    return np.linalg.norm((item.vertices - item.translation)[:, [0, 2]], axis=1).max()


def test_hands_put_objects_down_where_they_fit(motion):
    moving, path = motion
    end = moving.at(MOTION_S, path.pose(MOTION_S))
    for index, hand in moving.motions.items():
        before, after = moving.scene.objects[index], end.objects[index]
        np.testing.assert_allclose(after.rotation[1], before.rotation[1], atol=1e-9)  # upright
        assert after.translation[1] == pytest.approx(before.translation[1])
        for x in end.instances:
            apart = np.linalg.norm((x.translation - after.translation)[[0, 2]])
            assert x is after or apart > reach(x) + reach(after)
        moved_by = np.linalg.norm(after.translation - before.translation)
        turned_by = Rotation.from_matrix(after.rotation @ before.rotation.T).magnitude()
        highest = max(hand.pose(t)[1][1] for t in np.linspace(0.0, MOTION_S, 100))
        assert moved_by > 0.07 or turned_by > 0.7 or highest > before.translation[1] + 0.08


def test_motion_is_as_fast_as_people_are(motion):
    moving, path = motion
    times = np.arange(0.0, MOTION_S, 0.02)
    for before, after in pairwise(times):
        for hand in moving.motions.values():
            (r0, t0), (r1, t1) = hand.pose(before), hand.pose(after)
            assert np.linalg.norm(t1 - t0) / 0.02 < 0.8
            assert np.degrees(Rotation.from_matrix(r1 @ r0.T).magnitude()) / 0.02 < 200.0
        p0, p1 = path.pose(before), path.pose(after)
        turn = Rotation.from_matrix(p1.rotation @ p0.rotation.T).magnitude()
        assert np.degrees(turn) / 0.02 < 120.0
        assert np.linalg.norm(p1.translation - p0.translation) / 0.02 < 1.5


def test_random_motion_is_that_of_its_generator(models):
    def draw():
        rng = np.random.default_rng(4)
        return random_motion(rng, cluttered_table(rng, NAMES, models, STYLE), CAMERA)

    (first, path), (second, other) = draw(), draw()
    a, b = first.at(3.0, path.pose(3.0)), second.at(3.0, other.pose(3.0))
    assert len(a.objects) == len(b.objects)
    for x, y in zip(a.objects, b.objects, strict=True):
        np.testing.assert_array_equal(x.vertices, y.vertices)
    np.testing.assert_array_equal(path.pose(5.0).rotation, other.pose(5.0).rotation)
