"""Training data of encoders: instances as arrays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sdfpose_core.observation.frame import GroundTruth, Instance
from sdfpose_core.simulation.instances import SimulatedInstance
from sdfpose_core.storage.files import atomic_replace

__all__ = ["TrainingViews", "Views"]


@dataclass(frozen=True)
class Views:
    """Simulated instances as arrays.

    Attributes:
        points: (V, 1024, 3) float32, metres, camera frame, in random order.
        support: (V, 4) float32, normal and offset of `SupportPlane`; zeros for none.
        rotation: (V, 3, 3) float32, object to camera frame.
        translation: (V, 3) float32, metres.
        scale: (V,) float32, metres, box diagonal.
        model: (V,) int64, seed of the procedural model.
        symmetric: (V,) bool, whether yaw is undefined in the view.
    """

    POINTS: ClassVar[int] = 1024

    points: NDArray[np.float32]
    support: NDArray[np.float32]
    rotation: NDArray[np.float32]
    translation: NDArray[np.float32]
    scale: NDArray[np.float32]
    model: NDArray[np.int64]
    symmetric: NDArray[np.bool_]

    @classmethod
    def collect(cls, instances: Iterable[SimulatedInstance]) -> Views:
        """Convert simulated instances to arrays; points of small instances are repeated."""
        return cls.of_images((x.instance, x.truth, x.model_seed) for x in instances)

    @classmethod
    def of_images(cls, items: Iterable[tuple[Instance, GroundTruth, int]]) -> Views:
        """Convert instances, their true poses and model numbers to arrays.

        Instances have at most 1024 points in random order; points of small instances are repeated.
        """
        instances, truths, models = zip(*items, strict=True)
        return cls(
            np.stack([np.resize(x.points, (cls.POINTS, 3)) for x in instances]),
            np.stack([_plane(x) for x in instances]),
            np.stack([x.rotation for x in truths]).astype(np.float32),
            np.stack([x.translation for x in truths]).astype(np.float32),
            np.array([x.scale for x in truths], dtype=np.float32),
            np.array(models, dtype=np.int64),
            np.array([x.symmetric_about_y for x in truths]),
        )

    def save(self, path: Path) -> None:
        """Write an ``.npz`` file atomically."""
        with atomic_replace(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **vars(self))

    @classmethod
    def load(cls, path: Path) -> Views:
        """Read a file written by `save`."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls(**{x.name: arrays[x.name] for x in fields(cls)})

    @classmethod
    def cat(cls, several: Sequence[Views]) -> Views:
        """Concatenate views."""
        if len(several) == 1:
            return several[0]
        return cls(
            **{x.name: np.concatenate([getattr(v, x.name) for v in several]) for x in fields(cls)}
        )

    def __getitem__(self, index: NDArray[np.integer] | slice) -> Views:
        return Views(**{name: array[index] for name, array in vars(self).items()})

    def __len__(self) -> int:
        return len(self.scale)


@dataclass(frozen=True)
class TrainingViews:
    """Labelled views and their share of each training step.

    Attributes:
        views: training views.
        codes: (S, D) latent codes, indexed by the views' `model`.
        batch: views per step.
    """

    views: Views
    codes: Tensor
    batch: int


def _plane(instance: Instance) -> NDArray[np.float32]:
    """Normal and offset (4,) of an instance's support plane, zeros for none."""
    plane = instance.support
    if plane is None:
        return np.zeros(4, dtype=np.float32)
    return np.append(plane.normal, np.float32(plane.offset)).astype(np.float32)
