"""The object frame of mugs in the NOCS benchmark, and conversions from and to our frame.

In our frame, and in the maps and ``gt_RTs`` that the authors of NOCS publish, the origin of a mug
is the centre of the box around body and handle. The benchmark is computed in another frame: since
Object-DeformNet (Tian et al., ECCV 2020), the origin lies on the axis of the mug's body, and the
box is symmetric about it. A point p of our frame is there at p' = scale (p + shift). Both frames
have the same axes. All other categories have one frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["MugFrame", "pose_matrix", "split_pose"]


@dataclass(frozen=True)
class MugFrame:
    """The benchmark's frame of one mug, relative to ours.

    Poses are (4, 4) matrices from normalised object coordinates to the camera frame, metres, scale
    included; sizes (3,) are the sides of the box in the same normalised object units.

    Attributes:
        shift: (3,) minus the position of the benchmark's origin, our normalised object units.
        scale: factor between the units: the diagonal of the box is one unit in either frame.

    Example:
        >>> frame = MugFrame.of_box((0.7, 0.5, 0.5))
        >>> transform, size = frame.to_benchmark(np.eye(4), np.array((0.7, 0.5, 0.5)))
    """

    shift: NDArray[np.float64]
    scale: float

    @classmethod
    def of_box(cls, size: ArrayLike, axis_x: float | None = None) -> MugFrame:
        """Compute the frame from the box of body and handle, centred at our origin.

        Args:
            size: (3,) sides of the box, any unit.
            axis_x: x of the axis of the body, same unit, e.g. `BodyProfile.axis_x_m` of a decoded
                surface. By default, that of a body as wide along x as the box along z, because a
                handle extends the box along x only.
        """
        sides = np.asarray(size, np.float64)
        axis = 0.5 * (sides[2] - sides[0]) if axis_x is None else axis_x
        return cls.shifted(sides, (-axis, 0.0, 0.0))

    @classmethod
    def shifted(cls, size: ArrayLike, shift: ArrayLike) -> MugFrame:
        """Compute the frame with a given origin.

        Args:
            size: (3,) sides of the box of body and handle, centred at our origin, any unit.
            shift: (3,) minus the position of the benchmark's origin, same unit.
        """
        sides, moved = np.asarray(size, np.float64), np.asarray(shift, np.float64)
        unit = float(np.linalg.norm(sides))
        return cls(moved / unit, unit / float(np.linalg.norm(sides + 2.0 * np.abs(moved))))

    @classmethod
    def of_benchmark_box(cls, size: ArrayLike) -> MugFrame:
        """Compute the frame from the benchmark's box of a mug; inverse of `of_box`.

        Args:
            size: (3,) sides of the box that is symmetric about the axis of the body, any unit.
        """
        sides = np.array(size, np.float64)
        sides[0] = 0.5 * (sides[0] + sides[2])
        return cls.of_box(sides)

    def to_benchmark(
        self, transform: NDArray[np.floating], size: NDArray[np.floating]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Convert a pose (4, 4) and a size (3,) from our frame to the benchmark's."""
        rotation, translation, scale = split_pose(transform)
        moved = translation - scale * rotation @ self.shift
        sides = self.scale * (np.asarray(size, np.float64) + 2.0 * np.abs(self.shift))
        return pose_matrix(rotation, moved, scale / self.scale), sides

    def to_ours(
        self, transform: NDArray[np.floating], size: NDArray[np.floating]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Convert a pose (4, 4) and a size (3,) from the benchmark's frame to ours."""
        rotation, translation, scale = split_pose(transform)
        moved = translation + self.scale * scale * rotation @ self.shift
        sides = np.asarray(size, np.float64) / self.scale - 2.0 * np.abs(self.shift)
        return pose_matrix(rotation, moved, self.scale * scale), sides


def pose_matrix(
    rotation: NDArray[np.floating], translation: NDArray[np.floating], scale: float
) -> NDArray[np.float64]:
    """Compose a pose (4, 4), scale included.

    Args:
        rotation: (3, 3).
        translation: (3,), metres.
        scale: metres per normalised object unit.
    """
    transform = np.eye(4)
    transform[:3, :3] = scale * np.asarray(rotation, np.float64)
    transform[:3, 3] = translation
    return transform


def split_pose(
    transform: NDArray[np.floating],
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Split a pose (4, 4) into rotation (3, 3), translation (3,) and scale."""
    upper = np.asarray(transform[:3, :3], np.float64)
    scale = float(np.cbrt(np.linalg.det(upper)))
    return upper / scale, np.asarray(transform[:3, 3], np.float64), scale
