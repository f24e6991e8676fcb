"""Sequences for the world benchmark: a table seen by a camera on an arm, or by several cameras."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from sdfpose_core.benchmark.extents import DURATION_S, RATE_HZ, RIG_DURATION_S, RIG_RATE_HZ
from sdfpose_core.benchmark.simulated_frames import SimulatedFrame, simulated_frame
from sdfpose_core.simulation.arm import arm_path, measured
from sdfpose_core.simulation.motion import MovingScene
from sdfpose_core.simulation.rendering import render
from sdfpose_core.simulation.rig import rig_poses
from sdfpose_core.simulation.scene import CameraPose, SceneObject
from sdfpose_core.simulation.tabletop import TABLE_CAMERA, table_scene

__all__ = [
    "ArmSequence",
    "RigSequence",
    "WorldSequence",
]

TF_SD_M, TF_SD_RAD = 0.002, math.radians(0.2)
"""Errors of the camera poses along and about each axis."""


class WorldSequence(Protocol):
    """Images of objects that stand still, with the poses of their cameras."""

    @property
    def duration_s(self) -> float:
        """Duration, seconds."""
        ...

    @property
    def objects(self) -> tuple[SceneObject, ...]:
        """The objects in the world, with their poses."""
        ...

    def __len__(self) -> int:
        """Number of images."""
        ...

    def images(self, *, colour: bool = False) -> Iterator[SimulatedFrame]:
        """Render the images; every call yields the same ones."""
        ...


class ArmSequence:
    """A table of six objects that stand still, seen by a camera on a moving arm.

    The depth, the masks and the camera's poses have realistic errors. Mask ids change from image to
    image.

    Args:
        seed: random seed of objects, path and errors.
        duration_s: duration, seconds.
        rate_hz: images per second.

    Attributes:
        duration_s: duration, seconds.
        objects: the objects in the world, with their poses.
    """

    def __init__(
        self, seed: int, *, duration_s: float = DURATION_S, rate_hz: float = RATE_HZ
    ) -> None:
        self._seed, self.duration_s = seed, duration_s
        self._count, self._rate_hz = round(duration_s * rate_hz), rate_hz
        self._scene = MovingScene(table_scene(seed))
        self._path = arm_path(TABLE_CAMERA, seed)
        self.objects: tuple[SceneObject, ...] = self._scene.scene.instances

    def __len__(self) -> int:
        return self._count

    def images(self, *, colour: bool = False) -> Iterator[SimulatedFrame]:
        """Render the images, with measured camera poses; every call yields the same ones.

        Args:
            colour: whether to render colour images.
        """
        rng = np.random.default_rng((zlib.crc32(b"arm"), self._seed))
        ids = [x.mask_id for x in self.objects]
        for index in range(self._count):
            time_s = index / self._rate_hz
            mask_ids = [int(x) for x in rng.permutation(ids)]
            pose = self._path.pose(time_s)
            image = _image(self._scene, pose, ids, mask_ids, time_s, rng, colour=colour)
            frame = replace(image.frame, camera_pose=measured(pose, rng, TF_SD_M, TF_SD_RAD))
            yield replace(image, frame=frame)


class RigSequence:
    """A table of six objects that stand still, seen by cameras round it that stand still, too.

    All cameras take their images at the same times. The poses of the cameras have the errors of a
    calibration: each keeps its own. Mask ids change from image to image.

    Args:
        seed: random seed of objects, places of the cameras and errors.
        cameras: number of cameras; neighbours are 90 degrees apart.
        duration_s: duration, seconds.
        rate_hz: images per second of each camera.
        only: index of the camera whose images alone are yielded; None for all.

    Attributes:
        duration_s: duration, seconds.
        objects: the objects in the world, with their poses.
    """

    def __init__(
        self,
        seed: int,
        cameras: int,
        *,
        duration_s: float = RIG_DURATION_S,
        rate_hz: float = RIG_RATE_HZ,
        only: int | None = None,
    ) -> None:
        self._seed, self.duration_s = seed, duration_s
        self._times, self._rate_hz = round(duration_s * rate_hz), rate_hz
        self._poses = rig_poses(cameras, seed)
        self._chosen = range(cameras) if only is None else (only,)
        self._scene = MovingScene(table_scene(seed))
        self.objects: tuple[SceneObject, ...] = self._scene.scene.instances

    def __len__(self) -> int:
        return self._times * len(self._chosen)

    def images(self, *, colour: bool = False) -> Iterator[SimulatedFrame]:
        """Render the images, with measured camera poses; every call yields the same ones.

        The images of a camera do not depend on the choice of cameras.

        Args:
            colour: whether to render colour images.
        """
        rngs = [np.random.default_rng((zlib.crc32(b"rig"), self._seed, k)) for k in self._chosen]
        poses = [self._poses[k] for k in self._chosen]
        measured_poses = [
            measured(pose, rng, TF_SD_M, TF_SD_RAD) for pose, rng in zip(poses, rngs, strict=True)
        ]
        ids = [x.mask_id for x in self.objects]
        for index in range(self._times):
            for k, pose, known, rng in zip(self._chosen, poses, measured_poses, rngs, strict=True):
                mask_ids = [int(x) for x in rng.permutation(ids)]
                time_s = index / self._rate_hz
                image = _image(self._scene, pose, ids, mask_ids, time_s, rng, colour=colour)
                frame = replace(image.frame, camera_pose=known, frame_id=f"camera_{k}")
                yield replace(image, frame=frame)


def _image(
    moving: MovingScene,
    pose: CameraPose,
    ids: Sequence[int],
    mask_ids: Sequence[int],
    time_s: float,
    rng: np.random.Generator,
    *,
    colour: bool,
) -> SimulatedFrame:
    """An image, whose masks have other ids than the objects."""
    scene = moving.at(time_s, pose, dict(zip(ids, mask_ids, strict=True)))
    rendering = render(scene, TABLE_CAMERA, pose, colour=colour)
    return simulated_frame(
        scene, TABLE_CAMERA, pose, rendering, rendering.colour, mask_ids, time_s, rng
    )
