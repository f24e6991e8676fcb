"""The objects of one frame, and signed distances from points to all of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.errors import ShapeError
from sdfpose_core.observation.frame import ObjectEstimate
from sdfpose_core.scene.distance_volume import DistanceVolume, DistanceVolumes
from sdfpose_core.sdf.shape_decoder import ShapeDecoder

__all__ = ["Distances", "PosedShape", "Scene"]


@dataclass(frozen=True)
class PosedShape:
    """A shape in the scene: x = scale R x_obj + t.

    Attributes:
        id: of the object; unique in a scene, not 0.
        volume: signed distances of the shape, object units.
        rotation: R (3, 3), object to scene frame.
        translation: t (3,), metres: origin of the decoder's frame in the scene frame.
        scale: metres per object unit.
    """

    id: int
    volume: DistanceVolume
    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]
    scale: float

    @classmethod
    def of(cls, object_id: int, estimate: ObjectEstimate, volume: DistanceVolume) -> PosedShape:
        """The shape of an estimate, in the camera frame."""
        return cls(
            object_id,
            volume,
            estimate.rotation,
            estimate.decoder_translation,
            float(estimate.decoder_scale),
        )

    def to_object(self, points: NDArray[np.floating]) -> NDArray[np.float32]:
        """Transform points (N, 3), metres, scene frame, to object units: (3, N)."""
        return (self.rotation.T / self.scale @ (points - self.translation).T).astype(np.float32)

    def signed_distance(
        self, local: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Signed distances (N,), metres, and unit gradients (N, 3), scene frame.

        Args:
            local: (3, N) points, object units, from `to_object`.
        """
        value, gradient = self.volume(local.T)
        return np.float32(self.scale) * value, gradient @ self.rotation.T.astype(np.float32)

    def least_distance(self, local: NDArray[np.float32]) -> NDArray[np.float32]:
        """Lower bound (N,) of the distances, metres: that from the bounding box, 0 inside it.

        Args:
            local: (3, N) points, object units, from `to_object`.
        """
        return np.asarray(np.float32(self.scale) * self.volume.box_distance(local))


@dataclass(frozen=True)
class Distances:
    """Signed distances from points to the nearest object.

    Attributes:
        distance: (N,) float64, metres, negative inside; inf without objects.
        gradient: (N, 3) float64, unit vectors away from the surface, scene frame; 0 without
            objects and where it is undefined.
        ids: (N,) int64, of the nearest objects; 0 without objects.
    """

    distance: NDArray[np.float64]
    gradient: NDArray[np.float64]
    ids: NDArray[np.int64]


class Scene:
    """Objects that stand in one frame.

    Example:
        >>> scene = Scene.of(estimator(frame), decoder_of)          # doctest: +SKIP
        >>> scene.signed_distance(points).distance.min()            # doctest: +SKIP

    Args:
        shapes: objects with unique ids.

    Raises:
        ShapeError: two objects share an id.
    """

    def __init__(self, shapes: Iterable[PosedShape]) -> None:
        self.shapes = tuple(shapes)
        ids = [x.id for x in self.shapes]
        if len(set(ids)) != len(ids) or 0 in ids:
            raise ShapeError(f"objects have the ids {ids}: expected unique ids other than 0")

    @classmethod
    def of(
        cls,
        estimates: Sequence[ObjectEstimate],
        decoder_of: Callable[[str], ShapeDecoder],
        volumes: DistanceVolumes | None = None,
        ids: Sequence[int] | None = None,
    ) -> Scene:
        """The scene of estimates, in the camera frame.

        Args:
            estimates: the objects.
            decoder_of: decoder of a category, such as `PoseEstimator.decoder`.
            volumes: cache of the shapes, so that each is made only once.
            ids: of the objects; by default their mask ids.

        Raises:
            MeshError: a shape has no surface.
            ShapeError: two objects share an id.
        """
        cache = volumes or DistanceVolumes()
        names = [x.mask_id for x in estimates] if ids is None else ids
        return cls(
            PosedShape.of(i, x, cache.of(x.category, decoder_of(x.category), x.code))
            for i, x in zip(names, estimates, strict=True)
        )

    def without(self, ids: Collection[int]) -> Scene:
        """The scene without some objects."""
        return Scene(x for x in self.shapes if x.id not in ids)

    def signed_distance(self, points: NDArray[np.floating]) -> Distances:
        """Signed distances from points to the nearest object.

        An object's volume is read only at points whose distance from the object's bounding box is
        below the distance found so far.

        Args:
            points: (N, 3), metres, scene frame.

        Raises:
            ShapeError: the points have the wrong shape.
        """
        points = np.asarray(points, dtype=np.float64)
        if points.ndim != 2 or points.shape[1] != 3:
            raise ShapeError(f"points has shape {points.shape}: expected (N, 3)")
        count = len(points)
        distance = np.full(count, np.inf)
        gradient = np.zeros((count, 3))
        ids = np.zeros(count, dtype=np.int64)
        if not self.shapes or not count:
            return Distances(distance, gradient, ids)
        local = [x.to_object(points) for x in self.shapes]
        least = np.stack([x.least_distance(y) for x, y in zip(self.shapes, local, strict=True)])
        first = least.argmin(axis=0)
        # The object with the nearest box comes first: few of the others can be nearer than it.
        for nearest_box in (True, False):
            for i, shape in enumerate(self.shapes):
                chosen = np.flatnonzero(
                    first == i if nearest_box else (first != i) & (least[i] < distance)
                )
                if len(chosen):
                    found, direction = shape.signed_distance(local[i][:, chosen])
                    nearer = found < distance[chosen]
                    at = chosen[nearer]
                    distance[at], gradient[at], ids[at] = found[nearer], direction[nearer], shape.id
        return Distances(distance, gradient, ids)
