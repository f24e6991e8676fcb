"""Orientation of imported models: which way is up, and where the front is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.errors import ConfigurationError
from sdfpose_core.shapes.model import CadModel
from sdfpose_core.simulation.rotations import yaw

__all__ = ["UPS", "Orientation", "Up", "oriented"]

Up = Literal["+x", "-x", "+y", "-y", "+z", "-z"]
"""Axis of a file that points up."""

UPS: tuple[Up, ...] = get_args(Up)

_UPRIGHT: dict[Up, list[list[float]]] = {
    "+x": [[0, -1, 0], [1, 0, 0], [0, 0, 1]],
    "-x": [[0, 1, 0], [-1, 0, 0], [0, 0, 1]],
    "+y": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "-y": [[1, 0, 0], [0, -1, 0], [0, 0, -1]],
    "+z": [[1, 0, 0], [0, 0, 1], [0, -1, 0]],
    "-z": [[1, 0, 0], [0, 0, -1], [0, 1, 0]],
}
"""Rotations that turn an axis to +y."""


@dataclass(frozen=True)
class Orientation:
    """How a model is turned into the object frame, and whether it is used.

    Attributes:
        up: axis of the file that points up.
        yaw_deg: rotation about y, after the axis points up, that turns the front toward +x.
        use: whether to learn from the model.
    """

    up: Up = "+y"
    yaw_deg: float = 0.0
    use: bool = True

    def __post_init__(self) -> None:
        if not math.isfinite(self.yaw_deg):
            raise ConfigurationError(f"yaw_deg is {self.yaw_deg}: expected degrees")

    @property
    def rotation(self) -> NDArray[np.float64]:
        """(3, 3), from the file's frame to the object frame."""
        return np.asarray(yaw(np.deg2rad(self.yaw_deg)) @ np.array(_UPRIGHT[self.up]))


def oriented(model: CadModel, orientation: Orientation) -> CadModel:
    """Turn a model from its file's frame into the object frame, centred on its box."""
    vertices = model.vertices @ orientation.rotation.T
    return CadModel.centred(model.name, model.category, vertices, model.faces)
