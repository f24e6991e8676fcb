"""A parallel gripper, as spheres that must not touch anything."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.errors import ConfigurationError

__all__ = ["Gripper", "Spheres"]

_PALM_RADIUS_M = 0.015
_LARGEST_M = 10.0


@dataclass(frozen=True)
class Spheres:
    """Spheres that cover a solid.

    Attributes:
        centres: (..., S, 3), metres.
        radii: (S,), metres.
    """

    centres: NDArray[np.float64]
    radii: NDArray[np.float64]


@dataclass(frozen=True)
class Gripper:
    """A gripper with two parallel fingers.

    Its frame: origin midway between the contacts, z along the approach, x along the closing
    direction.

    Attributes:
        max_width_m: largest distance between the fingers, metres.
        friction: coefficient between fingers and objects.
        finger_width_m: side of a finger along y, metres.
        finger_thickness_m: along x, metres.
        finger_length_m: from the contacts back to the palm, metres.
        overlap_m: from the contacts to the fingertips, metres.
        gap_m: least distance of each finger of the open gripper from its contact, metres.
        clearance_m: least distance of the open gripper from the support plane and from other
            objects, metres.

    Raises:
        ConfigurationError: a value is not positive, or the fingers cannot open around anything.
    """

    max_width_m: float = 0.085
    friction: float = 0.5
    finger_width_m: float = 0.02
    finger_thickness_m: float = 0.01
    finger_length_m: float = 0.05
    overlap_m: float = 0.01
    gap_m: float = 0.005
    clearance_m: float = 0.005

    def __post_init__(self) -> None:
        for x in fields(self):
            value = getattr(self, x.name)
            if not 0.0 < value < _LARGEST_M:
                raise ConfigurationError(
                    f"gripper: {x.name} is {value!r}: expected a positive number, metres"
                    + (" per metre" if x.name == "friction" else "")
                )
        if self.max_width_m <= 2.0 * self.gap_m:
            raise ConfigurationError(
                f"gripper: max_width_m is {self.max_width_m}: expected more than twice gap_m, "
                f"{2.0 * self.gap_m}"
            )

    @property
    def max_grasp_m(self) -> float:
        """Largest distance between two contacts, metres."""
        return self.max_width_m - 2.0 * self.gap_m

    @property
    def friction_angle(self) -> float:
        """Half opening angle of the friction cone, radians."""
        return math.atan(self.friction)

    def spheres(self, opening_m: NDArray[np.floating]) -> Spheres:
        """Fingers and palm of the open gripper.

        Args:
            opening_m: (N,) distances between the fingers, metres.

        Returns:
            Spheres with centres (N, S, 3), gripper frame.
        """
        radius = 0.5 * self.finger_thickness_m
        reach_y = max(0.5 * self.finger_width_m - radius, 0.0)
        y = np.linspace(-reach_y, reach_y, 1 + 2 * math.ceil(reach_y / (2.0 * radius)))
        back, front = -self.finger_length_m, max(self.overlap_m - radius, 0.0)
        z = np.linspace(back, front, 1 + math.ceil((front - back) / (2.0 * radius)))
        finger = np.stack(np.meshgrid([0.0], y, z, indexing="ij"), axis=-1).reshape(-1, 3)
        half = 0.5 * self.max_width_m
        x = np.linspace(-half, half, 1 + math.ceil(half / _PALM_RADIUS_M))
        palm = np.stack([x, 0.0 * x, np.full_like(x, back - _PALM_RADIUS_M)], axis=-1)
        offset = 0.5 * np.asarray(opening_m) + radius
        shift = offset[:, None, None] * np.array([1.0, 0.0, 0.0])
        return Spheres(
            np.concatenate(
                [finger - shift, finger + shift, np.repeat(palm[None], len(shift), axis=0)], axis=1
            ),
            np.array([radius] * (2 * len(finger)) + [_PALM_RADIUS_M] * len(palm)),
        )
