"""A cache of decoded shapes: mesh and SDF volume of recent latent codes."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock

import torch
from torch import Tensor

from sdfpose_core.device import all_threads
from sdfpose_core.estimation.category_model import CategoryModel
from sdfpose_core.refine.anchors import surface_anchors
from sdfpose_core.sdf.meshing import DecodedMesh, SdfGrid, mesh_from_grid, signed_distance_grid
from sdfpose_core.sdf.volume import SdfVolume

__all__ = ["CachedShape", "ShapeCache"]

_CAPACITY = 64
"""Number of shapes, of some megabytes each."""


@dataclass(frozen=True)
class CachedShape:
    """A decoded shape.

    Attributes:
        volume: its signed distances on a grid.
        mesh: its surface.
    """

    volume: SdfVolume
    mesh: DecodedMesh


@dataclass(frozen=True)
class _Decoded:
    """A shape, with its volume once that has been needed."""

    mesh: DecodedMesh
    grid: SdfGrid | None
    volume: SdfVolume | None


class ShapeCache:
    """Keeps the shapes of the most recently used codes. Threads may share it.

    Args:
        resolution: cells along each axis of a shape's grid.
        tolerance: distance by which mesh simplification may move the surface, object units.
        anchors: half the number of a volume's surface samples.
    """

    def __init__(self, resolution: int, tolerance: float, anchors: int) -> None:
        self._resolution = resolution
        self._tolerance = tolerance
        self._anchors = anchors
        self._known: OrderedDict[tuple[str, bytes], _Decoded] = OrderedDict()
        self._lock = Lock()

    def mesh(self, model: CategoryModel, code: Tensor) -> DecodedMesh:
        """The surface of a code (D,) of the model's category.

        Raises:
            MeshError: the code has no surface.
        """
        return self._decoded(model, code).mesh

    @torch.no_grad()
    def of(self, model: CategoryModel, code: Tensor) -> CachedShape:
        """The shape of a code (D,) of the model's category.

        Raises:
            MeshError: the code has no surface.
        """
        decoded = self._decoded(model, code)
        if decoded.volume is not None:
            return CachedShape(decoded.volume, decoded.mesh)
        assert decoded.grid is not None
        decoder = model.decoder
        samples = surface_anchors(decoder, code.unsqueeze(0), 2 * self._anchors)[0]
        shape = CachedShape(SdfVolume.of(decoder, code, decoded.grid, samples), decoded.mesh)
        self.remember(model.category.name, code, shape)
        return shape

    def remember(self, category: str, code: Tensor, shape: CachedShape) -> None:
        """Put the shape of a code (D,) into the cache."""
        self._keep(category, code, _Decoded(shape.mesh, None, shape.volume))

    def forget(self) -> None:
        """Empty the cache."""
        with self._lock:
            self._known.clear()

    def _decoded(self, model: CategoryModel, code: Tensor) -> _Decoded:
        name = model.category.name
        with self._lock:
            decoded = self._known.get((name, _digest(code)))
        if decoded is None:
            with all_threads():
                grid = signed_distance_grid(model.decoder, code, self._resolution)
                mesh = mesh_from_grid(grid, model.decoder, code, tolerance=self._tolerance)
            decoded = _Decoded(mesh, grid, None)
        self._keep(name, code, decoded)
        return decoded

    def _keep(self, category: str, code: Tensor, decoded: _Decoded) -> None:
        key = (category, _digest(code))
        with self._lock:
            self._known[key] = decoded
            self._known.move_to_end(key)
            while len(self._known) > _CAPACITY:
                self._known.popitem(last=False)


def _digest(code: Tensor) -> bytes:
    return code.cpu().numpy().tobytes()
