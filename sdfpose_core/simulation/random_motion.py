"""Random motion on a cluttered table, for evaluating trackers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.simulation.furnishing import fingers
from sdfpose_core.simulation.motion import (
    CameraPath,
    HandMotion,
    MovingScene,
    Oscillation,
    PassingBoard,
    Waypoint,
)
from sdfpose_core.simulation.rotations import about, yaw
from sdfpose_core.simulation.scene import Scene, SceneObject

__all__ = ["MOTION_S", "random_motion"]

MOTION_S = 7.2
"""Duration of the sequence."""

_QUIET_S = 0.7
"""Time at the start during which only the camera moves."""

_HANDLING_S, _LOOKING_S = 3.5, 3.0
"""Durations of the hands' work and of the look aside, which follow in either order."""

_MAX_ITEM_RADIUS_M = 1.0
"""Largest radius of an item on the table; anything larger belongs to the room."""

_SLIDE_ATTEMPTS = 60


def random_motion(
    rng: np.random.Generator, scene: Scene, camera: PinholeCamera
) -> tuple[MovingScene, CameraPath]:
    """Draw a random motion of length `MOTION_S` for a table, and a camera path.

    The camera moves around and above the table all the time. Hands slide one object, lift and tilt
    another, and turn a third, while a board briefly hides a fourth. Before or after that the camera
    looks aside, so that one object, and usually some others, leave the image.

    Args:
        rng: source of all random draws.
        scene: a table with objects.
        camera: size and intrinsics.

    Returns:
        The moving scene and the camera path. With fewer than four objects, the board hides one and
        the hands move the others.
    """
    hands_first = bool(rng.random() < 0.5)
    handling_s = _QUIET_S if hands_first else _QUIET_S + _LOOKING_S
    looking_s = _QUIET_S + _HANDLING_S if hands_first else _QUIET_S
    chosen = [
        int(i) for i in rng.permutation([i for i, x in enumerate(scene.objects) if x.mask_id])
    ]
    hidden, *handled = chosen
    actions = [_slide, _lift, _turn]
    motions = {
        index: _hand_motion(rng, scene, index, actions[int(action)], handling_s)
        for index, action in zip(handled, rng.permutation(len(actions)), strict=False)
    }
    board = _board(rng, hidden, scene.objects[hidden], handling_s)
    path = _camera_path(rng, scene)
    moving = MovingScene(scene, motions, [board])
    return moving, _with_look_aside(rng, moving, path, camera, looking_s)


@dataclass(frozen=True)
class _Disc:
    """Circle on the table that encloses an item.

    Attributes:
        centre: (2,) x and z of the item's box centre, metres.
        radius_m: radius of the circle.
    """

    centre: NDArray[np.float64]
    radius_m: float

    @classmethod
    def of(cls, item: SceneObject) -> _Disc:
        away = item.vertices[:, [0, 2]] - item.translation[[0, 2]]
        return cls(item.translation[[0, 2]], float(np.hypot(*away.T).max()))


_Action = Callable[[np.random.Generator, SceneObject, Sequence[_Disc]], list[Waypoint]]
"""Moves an object among others: returns waypoints that start at time 0."""


def _hand_motion(
    rng: np.random.Generator, scene: Scene, index: int, action: _Action, start_s: float
) -> HandMotion:
    """Schedule a hand's action on an object within the handling time."""
    item = scene.objects[index]
    others = [_Disc.of(x) for i, x in enumerate(scene.objects) if i != index]
    path = action(rng, item, [x for x in others if x.radius_m < _MAX_ITEM_RADIUS_M])
    spare_s = _HANDLING_S - 2.0 * HandMotion.REACHING_S - path[-1].time_s
    shift_s = start_s + HandMotion.REACHING_S + rng.uniform(0.0, spare_s)
    tilt_axis = rng.uniform(0.0, 2.0 * np.pi)
    frame = _tilt(tilt_axis, np.deg2rad(rng.uniform(0.0, 40.0))) @ yaw(
        rng.uniform(0.0, 2.0 * np.pi)
    )
    return HandMotion(
        tuple(Waypoint(shift_s + x.time_s, x.rotation, x.translation) for x in path),
        tuple(fingers(rng, item, frame)),
    )


def _slide(rng: np.random.Generator, item: SceneObject, others: Sequence[_Disc]) -> list[Waypoint]:
    """Slide to a free place with a small rotation; rotate in place if there is none."""
    here = _Disc.of(item)
    reach = max(float(np.linalg.norm(x.centre)) + x.radius_m for x in [here, *others])
    start = Waypoint(0.0, item.rotation, item.translation)
    for _ in range(_SLIDE_ATTEMPTS):
        angle, length = rng.uniform(0.0, 2.0 * np.pi), rng.uniform(0.08, 0.25)
        step = length * np.array([np.cos(angle), np.sin(angle)])
        if float(np.linalg.norm(here.centre + step)) + here.radius_m > reach:
            continue
        way = here.centre + np.linspace(0.0, 1.0, 12)[:, None] * step
        if all(np.hypot(*(way - x.centre).T).min() > here.radius_m + x.radius_m for x in others):
            turn = yaw(np.deg2rad(rng.uniform(-40.0, 40.0)))
            goal = item.translation + np.array([step[0], 0.0, step[1]])
            return [start, Waypoint(rng.uniform(1.1, 1.6), turn @ item.rotation, goal)]
    return _turn(rng, item, others)


def _lift(rng: np.random.Generator, item: SceneObject, others: Sequence[_Disc]) -> list[Waypoint]:
    """Lift, tilt in two directions, and put back at the same place with another yaw."""
    axis = rng.uniform(0.0, 2.0 * np.pi)
    first = _tilt(axis, np.deg2rad(rng.uniform(20.0, 45.0))) @ item.rotation
    axis += np.deg2rad(rng.uniform(-90.0, 90.0))
    second = _tilt(axis, np.deg2rad(rng.uniform(15.0, 35.0))) @ item.rotation
    last = yaw(np.deg2rad(rng.uniform(-40.0, 40.0))) @ item.rotation
    up = np.array([0.0, rng.uniform(0.1, 0.22), 0.0])
    aside = up + rng.normal(0.0, 0.03, size=3)
    t = np.cumsum(rng.uniform((0.7, 0.5, 0.7), (0.9, 0.8, 0.9)))
    return [
        Waypoint(0.0, item.rotation, item.translation),
        Waypoint(float(t[0]), first, item.translation + up),
        Waypoint(float(t[1]), second, item.translation + aside),
        Waypoint(float(t[2]), last, item.translation),
    ]


def _turn(rng: np.random.Generator, item: SceneObject, others: Sequence[_Disc]) -> list[Waypoint]:
    """Rotate in place."""
    angle = np.deg2rad(rng.uniform(50.0, 110.0)) * (1.0 if rng.random() < 0.5 else -1.0)
    return [
        Waypoint(0.0, item.rotation, item.translation),
        Waypoint(rng.uniform(1.3, 1.9), yaw(float(angle)) @ item.rotation, item.translation),
    ]


def _board(rng: np.random.Generator, index: int, item: SceneObject, start_s: float) -> PassingBoard:
    """Create a board that hides an object while hands move others."""
    stay_s = rng.uniform(0.4, 0.9)
    spare_s = _HANDLING_S - 2.0 * PassingBoard.PASSAGE_S - stay_s
    return PassingBoard(
        index,
        start_s + PassingBoard.PASSAGE_S + rng.uniform(0.0, spare_s),
        stay_s,
        # The board is nearer to the camera than the object, so it may be smaller.
        side_m=2.2 * PassingBoard.DISTANCE_SHARE * _ball_radius_m(item) + 0.03,
        from_left=bool(rng.random() < 0.5),
    )


def _camera_path(rng: np.random.Generator, scene: Scene) -> CameraPath:
    """Draw a camera path around the centre of the objects."""
    discs = [_Disc.of(x) for x in scene.instances]
    middle = np.mean([x.centre for x in discs], axis=0)
    spread = max(float(np.linalg.norm(x.centre - middle)) + x.radius_m for x in discs)

    def swing(low: float, high: float, shortest_s: float, longest_s: float) -> Oscillation:
        return Oscillation(
            rng.uniform(low, high), rng.uniform(shortest_s, longest_s), rng.uniform(0.0, 2 * np.pi)
        )

    return CameraPath(
        target=np.array([middle[0], 0.04, middle[1]]),
        azimuth=rng.uniform(0.0, 2.0 * np.pi),
        elevation=np.deg2rad(rng.uniform(28.0, 48.0)),
        distance_m=max(1.7 * spread, 0.6) * rng.uniform(0.9, 1.15),
        azimuth_swing=swing(np.deg2rad(25.0), np.deg2rad(50.0), 8.0, 14.0),
        elevation_swing=swing(np.deg2rad(6.0), np.deg2rad(14.0), 5.0, 9.0),
        distance_swing=swing(0.08, 0.18, 5.0, 9.0),
        target_swing=swing(0.02, 0.05, 3.0, 6.0),
    )


def _with_look_aside(
    rng: np.random.Generator,
    moving: MovingScene,
    path: CameraPath,
    camera: PinholeCamera,
    start_s: float,
) -> CameraPath:
    """Add a look past one of two objects, the one that needs the smaller turn."""
    items = [x for x in moving.at(start_s, path.pose(start_s)).objects if x.mask_id]
    stay_s, speed = rng.uniform(0.35, 0.6), np.deg2rad(rng.uniform(30.0, 45.0))
    paths = [
        path.look_past(item.translation, _ball_radius_m(item), camera, start_s, stay_s, speed)
        for item in (items[i] for i in rng.choice(len(items), size=2, replace=False))
    ]
    return min(paths, key=lambda x: abs(x.looks[-1].angle))


def _tilt(axis: float, angle: float) -> NDArray[np.float64]:
    """Rotation (3, 3) about the horizontal axis at azimuth `axis`, radians."""
    return about(np.array([np.cos(axis), 0.0, np.sin(axis)]), angle)


def _ball_radius_m(item: SceneObject) -> float:
    """Radius of the ball about the box centre that contains the object."""
    return 0.5 * float(np.linalg.norm(item.dimensions_m))
