"""Scenes in motion: hands that move objects, a camera that looks around, things that pass by."""

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

__all__ = ["CameraPath", "HandMotion", "Look", "MovingScene", "PassingBoard", "Swing", "Waypoint"]

_REACHING_M = 0.5
"""How far away a hand comes from."""

_BOARD_THICKNESS_M = 0.01

_LOOK_MARGIN = 0.07
"""Radians by which something that the camera looks past is beyond the image's edge."""

_LOOK_ITERATIONS = 4


@dataclass(frozen=True)
class Waypoint:
    """Where an object is at a time.

    Attributes:
        time_s: since the start.
        rotation: R (3, 3), object to world frame.
        translation: t (3,), metres, world frame.
    """

    time_s: float
    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]


@dataclass(frozen=True)
class HandMotion:
    """A hand takes an object along waypoints; before and after them it is at rest.

    From one waypoint to the next, place and rotation follow the minimum-jerk profile of human
    reaching (Flash and Hogan, 1985), the rotation about one axis.

    Attributes:
        path: at least two, in the order of their times.
        fingers: bars that grip the object, placed as at the first waypoint. They come from above
            and go there again.
    """

    REACHING_S: ClassVar[float] = 0.4
    """Time in which the hand comes, and in which it goes."""

    path: tuple[Waypoint, ...]
    fingers: tuple[SceneObject, ...] = ()

    @property
    def span_s(self) -> tuple[float, float]:
        """When the hand comes and when it has left."""
        return self.path[0].time_s - self.REACHING_S, self.path[-1].time_s + self.REACHING_S

    def pose(self, time_s: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Rotation (3, 3) and translation (3,) of the object, to the world frame."""
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
        """The fingers at a time, none where the hand is away."""
        comes_s, gone_s = self.span_s
        if not comes_s < time_s < gone_s:
            return []
        near = minimum_jerk(min(time_s - comes_s, gone_s - time_s) / self.REACHING_S)
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
    """A board comes between the camera and an object from one side, stays and goes to the other.

    Attributes:
        index: of the object in the scene's `objects`.
        start_s: when it stands in front of the object.
        stay_s: how long.
        side_m: of the square board.
        from_left: where it comes from.
        colour: RGB.
    """

    PASSAGE_S: ClassVar[float] = 0.4
    """Time in which it comes, and in which it goes."""

    DISTANCE_SHARE: ClassVar[float] = 0.55
    """Its share of the camera's distance to the object."""

    index: int
    start_s: float
    stay_s: float
    side_m: float
    from_left: bool = True
    colour: tuple[int, int, int] = (90, 90, 90)

    @property
    def span_s(self) -> tuple[float, float]:
        """When it comes and when it is gone."""
        return self.start_s - self.PASSAGE_S, self.start_s + self.stay_s + self.PASSAGE_S

    def board(
        self, time_s: float, camera_pose: CameraPose, target: NDArray[np.float64]
    ) -> SceneObject | None:
        """The board at a time, None where it is away.

        Args:
            time_s: since the start.
            camera_pose: (R, t), x_w = R x_c + t: the board faces the camera.
            target: (3,), metres, world frame: the object's place.
        """
        comes_s, gone_s = self.span_s
        if not comes_s < time_s < gone_s:
            return None
        coming = minimum_jerk((time_s - comes_s) / self.PASSAGE_S)
        going = minimum_jerk((time_s - self.start_s - self.stay_s) / self.PASSAGE_S)
        sight = target - camera_pose.translation
        right = camera_pose.rotation[:, 0]
        # Twice the distance is beyond the edge of an image of up to 90 degrees.
        reach = 2.0 * self.DISTANCE_SHARE * float(np.linalg.norm(sight)) + self.side_m
        sideways = (coming - 1.0 + going) * reach * (1.0 if self.from_left else -1.0)
        return SceneObject(
            0,
            "",
            box(self.side_m, self.side_m, _BOARD_THICKNESS_M),
            camera_pose.rotation,
            camera_pose.translation + self.DISTANCE_SHARE * sight + sideways * right,
            self.colour,
        )


@dataclass(frozen=True)
class Look:
    """The camera turns aside about its image's y axis, stays and turns back.

    Attributes:
        start_s: when it begins to turn.
        turn_s: time for either turn.
        stay_s: time between them.
        angle: radians, positive to the left.
    """

    start_s: float
    turn_s: float
    stay_s: float
    angle: float

    @property
    def span_s(self) -> tuple[float, float]:
        """When it begins and when it is over."""
        return self.start_s, self.start_s + 2.0 * self.turn_s + self.stay_s

    def angle_at(self, time_s: float) -> float:
        """Radians."""
        away = minimum_jerk((time_s - self.start_s) / self.turn_s)
        back = minimum_jerk((time_s - self.start_s - self.turn_s - self.stay_s) / self.turn_s)
        return self.angle * (away - back)


@dataclass(frozen=True)
class Swing:
    """A sine of time.

    Attributes:
        amplitude: in the unit of what swings.
        period_s: of one swing.
        phase: radians.
    """

    amplitude: float
    period_s: float
    phase: float = 0.0

    def at(self, time_s: float) -> float:
        """Its value at a time."""
        return float(self.amplitude * np.sin(2.0 * np.pi * time_s / self.period_s + self.phase))


@dataclass(frozen=True)
class CameraPath:
    """A camera that moves round and over a place, comes and goes, and looks aside at times.

    Attributes:
        target: (3,), metres, world frame: what it looks at, on average.
        azimuth, elevation: radians, on average; azimuth from the world's x toward z.
        distance_m: from the target, on average.
        azimuth_swing, elevation_swing: radians.
        distance_swing: of the distance's logarithm.
        target_swing: metres, along the world's x.
        looks: aside.
    """

    target: NDArray[np.float64]
    azimuth: float
    elevation: float
    distance_m: float
    azimuth_swing: Swing
    elevation_swing: Swing
    distance_swing: Swing
    target_swing: Swing
    looks: tuple[Look, ...] = ()

    def pose(self, time_s: float) -> CameraPose:
        """Of the optical frame in the world."""
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
        # About the image's y axis, which points down.
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
        """The path with a look aside in which a ball leaves the image over its nearer side.

        Args:
            point: (3,), metres, world frame: the ball's centre.
            radius_m: its radius.
            camera: size and intrinsics.
            start_s: when the camera begins to turn.
            stay_s: time for which it looks aside.
            speed: radians per second, mean of either turn.
        """
        angle = 0.0
        for _ in range(_LOOK_ITERATIONS):  # where the ball is depends on how long the turn takes
            middle_s = start_s + abs(angle) / speed + 0.5 * stay_s
            x, _, z = self.pose(middle_s).to_camera(point)
            edge = camera.width - 1 - camera.cx if x > 0.0 else camera.cx
            beyond = float(np.arctan(edge / camera.fx) + _LOOK_MARGIN)
            beyond += float(np.arcsin(min(radius_m / np.hypot(x, z), 1.0)))
            angle = (beyond - abs(float(np.arctan2(x, z)))) * (1.0 if x > 0.0 else -1.0)
        look = Look(start_s, abs(angle) / speed, stay_s, angle)
        return replace(self, looks=(*self.looks, look))


class MovingScene:
    """A scene of which some parts move.

    Args:
        scene: how it is at the start.
        motions: by the object's index in `scene.objects`.
        boards: things that pass by.
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
        """The scene at a time; its objects come first, in the order of the start.

        Args:
            time_s: since the start.
            camera_pose: (R, t), x_w = R x_c + t: what passes by passes the camera.
            mask_ids: other mask ids for the objects, by the ids that they have at the start.
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
    """Share of the way at a share of the time; before the start 0, after the end 1."""
    u = float(np.clip(share, 0.0, 1.0))
    return u**3 * (10.0 + u * (6.0 * u - 15.0))
