"""Moving scenes: hands that move objects, a moving camera, boards that pass by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.simulation.primitives import box
from sdfpose_core.simulation.rotations import yaw
from sdfpose_core.simulation.scene import CameraPose, Scene, SceneObject

__all__ = [
    "CameraPath",
    "HandMotion",
    "LookAside",
    "MovingScene",
    "Oscillation",
    "PassingBoard",
    "Waypoint",
]

_REACHING_M = 0.5
"""Height from which a hand approaches."""

_BOARD_THICKNESS_M = 0.01

_LOOK_MARGIN = 0.07
"""Radians between the image's edge and an object that the camera looks past."""

_LOOK_ITERATIONS = 4


@dataclass(frozen=True)
class Waypoint:
    """Pose of an object at a given time.

    Attributes:
        time_s: seconds since the start.
        rotation: R (3, 3), object to world frame.
        translation: t (3,), metres, world frame.
    """

    time_s: float
    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]


@dataclass(frozen=True)
class HandMotion:
    """A hand moves an object along waypoints; the object is at rest before and after.

    Between waypoints, translation and rotation follow the minimum-jerk profile of human reaching
    (Flash and Hogan, 1985); the rotation is about a fixed axis.

    Attributes:
        path: at least two waypoints, ordered by time.
        fingers: bars that grip the object, posed for the first waypoint. They approach from above
            and retreat there.
    """

    REACHING_S: ClassVar[float] = 0.4
    """Duration of the approach and of the retreat."""

    path: tuple[Waypoint, ...]
    fingers: tuple[SceneObject, ...] = ()

    @property
    def span_s(self) -> tuple[float, float]:
        """Start of the approach and end of the retreat."""
        return self.path[0].time_s - self.REACHING_S, self.path[-1].time_s + self.REACHING_S

    def pose(self, time_s: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Rotation (3, 3) and translation (3,) of the object in the world frame."""
        before = self.path[0]
        for after in self.path[1:]:
            if time_s < after.time_s:
                share = minimum_jerk((time_s - before.time_s) / (after.time_s - before.time_s))
                turn = Rotation.from_matrix(after.rotation @ before.rotation.T).as_rotvec()
                return (
                    Rotation.from_rotvec(share * turn).as_matrix() @ before.rotation,
                    before.translation + share * (after.translation - before.translation),
                )
            before = after
        return before.rotation, before.translation

    def hand(self, time_s: float) -> list[SceneObject]:
        """The fingers at a given time; empty while the hand is away."""
        start_s, end_s = self.span_s
        if not start_s < time_s < end_s:
            return []
        near = minimum_jerk(min(time_s - start_s, end_s - time_s) / self.REACHING_S)
        away = np.array([0.0, (1.0 - near) * _REACHING_M, 0.0])
        rotation, translation = self.pose(time_s)
        first = self.path[0]
        turn = rotation @ first.rotation.T
        return [
            replace(
                x,
                rotation=turn @ x.rotation,
                translation=turn @ (x.translation - first.translation) + translation + away,
            )
            for x in self.fingers
        ]


@dataclass(frozen=True)
class PassingBoard:
    """A board moves between camera and object from one side, stays, and leaves on the other side.

    Attributes:
        index: index of the hidden object in the scene's `objects`.
        start_s: time at which the board arrives in front of the object.
        stay_s: time for which it stays.
        side_m: side of the square board.
        from_left: whether it enters from the left.
        colour: RGB.
    """

    PASSAGE_S: ClassVar[float] = 0.4
    """Duration of entering and of leaving."""

    DISTANCE_SHARE: ClassVar[float] = 0.55
    """Distance from the camera as a share of the object's distance."""

    index: int
    start_s: float
    stay_s: float
    side_m: float
    from_left: bool = True
    colour: tuple[int, int, int] = (90, 90, 90)

    @property
    def span_s(self) -> tuple[float, float]:
        """Start and end of the motion."""
        return self.start_s - self.PASSAGE_S, self.start_s + self.stay_s + self.PASSAGE_S

    def board(
        self, time_s: float, camera_pose: CameraPose, target: NDArray[np.float64]
    ) -> SceneObject | None:
        """The board at a given time, None while it is away.

        Args:
            time_s: seconds since the start.
            camera_pose: (R, t), x_w = R x_c + t; the board faces the camera.
            target: (3,), metres, world frame: position of the object.
        """
        enter_s, end_s = self.span_s
        if not enter_s < time_s < end_s:
            return None
        entering = minimum_jerk((time_s - enter_s) / self.PASSAGE_S)
        leaving = minimum_jerk((time_s - self.start_s - self.stay_s) / self.PASSAGE_S)
        sight = target - camera_pose.translation
        right = camera_pose.rotation[:, 0]
        # Twice the distance is outside an image with a field of view of up to 90 degrees.
        reach = 2.0 * self.DISTANCE_SHARE * float(np.linalg.norm(sight)) + self.side_m
        sideways = (entering - 1.0 + leaving) * reach * (1.0 if self.from_left else -1.0)
        return SceneObject(
            0,
            "",
            box(self.side_m, self.side_m, _BOARD_THICKNESS_M),
            camera_pose.rotation,
            camera_pose.translation + self.DISTANCE_SHARE * sight + sideways * right,
            self.colour,
        )


@dataclass(frozen=True)
class LookAside:
    """The camera turns aside about its y axis, stays and turns back.

    Attributes:
        start_s: time at which it begins to turn.
        turn_s: duration of each turn.
        stay_s: time between the turns.
        angle: radians, positive to the left.
    """

    start_s: float
    turn_s: float
    stay_s: float
    angle: float

    @property
    def span_s(self) -> tuple[float, float]:
        """Start and end of the motion."""
        return self.start_s, self.start_s + 2.0 * self.turn_s + self.stay_s

    def angle_at(self, time_s: float) -> float:
        """Angle at a given time, radians."""
        away = minimum_jerk((time_s - self.start_s) / self.turn_s)
        back = minimum_jerk((time_s - self.start_s - self.turn_s - self.stay_s) / self.turn_s)
        return self.angle * (away - back)


@dataclass(frozen=True)
class Oscillation:
    """A sinusoidal oscillation.

    Attributes:
        amplitude: in the unit of the oscillating quantity.
        period_s: period, seconds.
        phase: radians.
    """

    amplitude: float
    period_s: float
    phase: float = 0.0

    def at(self, time_s: float) -> float:
        """Value at a given time."""
        return float(self.amplitude * np.sin(2.0 * np.pi * time_s / self.period_s + self.phase))


@dataclass(frozen=True)
class CameraPath:
    """Camera path around a target with oscillating viewpoint and occasional looks aside.

    Attributes:
        target: (3,), metres, world frame: mean target.
        azimuth, elevation: means, radians; azimuth from the world's x toward z.
        distance_m: mean distance from the target.
        azimuth_swing, elevation_swing: oscillations, radians.
        distance_swing: oscillation of the distance's logarithm.
        target_swing: oscillation of the target along the world's x, metres.
        looks: looks aside.
    """

    target: NDArray[np.float64]
    azimuth: float
    elevation: float
    distance_m: float
    azimuth_swing: Oscillation
    elevation_swing: Oscillation
    distance_swing: Oscillation
    target_swing: Oscillation
    looks: tuple[LookAside, ...] = ()

    def pose(self, time_s: float) -> CameraPose:
        """Pose of the optical frame in the world at a given time."""
        azimuth = self.azimuth + self.azimuth_swing.at(time_s)
        elevation = self.elevation + self.elevation_swing.at(time_s)
        distance = self.distance_m * np.exp(self.distance_swing.at(time_s))
        target = self.target + np.array([self.target_swing.at(time_s), 0.0, 0.0])
        direction = np.array(
            [
                np.cos(elevation) * np.cos(azimuth),
                np.sin(elevation),
                np.cos(elevation) * np.sin(azimuth),
            ]
        )
        pose = CameraPose.look_at(target + distance * direction, target)
        to_left = sum(look.angle_at(time_s) for look in self.looks)
        # Rotate about the camera's y axis, which points down.
        return CameraPose(pose.rotation @ yaw(-to_left), pose.translation)

    def look_past(
        self,
        point: NDArray[np.float64],
        radius_m: float,
        camera: PinholeCamera,
        start_s: float,
        stay_s: float,
        speed: float,
    ) -> CameraPath:
        """Add a look aside in which a ball leaves the image across its nearer side.

        Args:
            point: (3,), metres, world frame: centre of the ball.
            radius_m: radius of the ball.
            camera: size and intrinsics.
            start_s: time at which the camera begins to turn.
            stay_s: time for which it looks aside.
            speed: mean angular velocity of each turn, radians per second.

        Returns:
            The path with the additional look.
        """
        angle = 0.0
        for _ in range(_LOOK_ITERATIONS):  # the ball's position depends on the turn's duration
            middle_s = start_s + abs(angle) / speed + 0.5 * stay_s
            x, _, z = self.pose(middle_s).to_camera(point)
            edge = camera.width - 1 - camera.cx if x > 0.0 else camera.cx
            beyond = float(np.arctan(edge / camera.fx) + _LOOK_MARGIN)
            beyond += float(np.arcsin(min(radius_m / np.hypot(x, z), 1.0)))
            angle = (beyond - abs(float(np.arctan2(x, z)))) * (1.0 if x > 0.0 else -1.0)
        look = LookAside(start_s, abs(angle) / speed, stay_s, angle)
        return replace(self, looks=(*self.looks, look))


class MovingScene:
    """A scene with moving parts.

    Args:
        scene: initial scene.
        motions: hand motions by index of the object in `scene.objects`.
        boards: passing boards.
    """

    def __init__(
        self,
        scene: Scene,
        motions: Mapping[int, HandMotion] | None = None,
        boards: Sequence[PassingBoard] = (),
    ) -> None:
        self.scene = scene
        self.motions = dict(motions or {})
        self.boards = tuple(boards)

    def at(
        self, time_s: float, camera_pose: CameraPose, mask_ids: Mapping[int, int] | None = None
    ) -> Scene:
        """The scene at a given time; the initial objects come first, in their initial order.

        Args:
            time_s: seconds since the start.
            camera_pose: (R, t), x_w = R x_c + t; boards pass in front of this camera.
            mask_ids: new mask ids of the objects, by their initial ids.
        """
        objects: list[SceneObject] = []
        for index, item in enumerate(self.scene.objects):
            if index in self.motions:
                rotation, translation = self.motions[index].pose(time_s)
                item = replace(item, rotation=rotation, translation=translation)
            if item.mask_id != 0 and mask_ids is not None:
                item = replace(item, mask_id=mask_ids[item.mask_id])
            objects.append(item)
        boards = [x.board(time_s, camera_pose, objects[x.index].translation) for x in self.boards]
        hands = [x for motion in self.motions.values() for x in motion.hand(time_s)]
        return Scene([*objects, *hands, *(x for x in boards if x is not None)], self.scene.table)


def minimum_jerk(share: ArrayLike) -> float:
    """Minimum-jerk position, 0 to 1, at a share of the duration; clamped outside 0 to 1."""
    u = float(np.clip(share, 0.0, 1.0))
    return u**3 * (10.0 + u * (6.0 * u - 15.0))
