"""The shapes of objects that were found: decoded once, whatever is asked of them later."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock

import torch
from torch import Tensor

from sdfpose_core.device import all_threads
from sdfpose_core.estimation.category_model import CategoryModel
from sdfpose_core.refine.anchors import surface_anchors
from sdfpose_core.sdf.meshing import DecodedMesh, SdfGrid, mesh_of, signed_distance_grid
from sdfpose_core.sdf.volume import SdfVolume

__all__ = ["CachedShape", "ShapeCache"]

_CAPACITY = 64
"""Shapes; each has some megabytes."""


@dataclass(frozen=True)
class CachedShape:
    """A shape that was decoded.

    Attributes:
        volume: its signed distances.
        mesh: its surface.
    """

    volume: SdfVolume
    mesh: DecodedMesh


@dataclass(frozen=True)
class _Decoded:
    """A shape of which no more than the surface may have been asked for yet."""

    mesh: DecodedMesh
    grid: SdfGrid | None
    volume: SdfVolume | None


class ShapeCache:
    """Remembers the shapes of the last codes. Threads may share it.

    Args:
        resolution: cells along each axis of the grid of a shape.
        tolerance: object units; how far the surface may move for fewer triangles.
        anchors: of each shape.
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
            MeshError: it has none.
        """
        return self._decoded(model, code).mesh

    @torch.no_grad()
    def of(self, model: CategoryModel, code: Tensor) -> CachedShape:
        """The shape of a code (D,) of the model's category.

        Raises:
            MeshError: it has no surface.
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
        """Take the shape of a code (D,) as the last one that was asked for."""
        self._keep(category, code, _Decoded(shape.mesh, None, shape.volume))

    def forget(self) -> None:
        """Know none."""
        with self._lock:
            self._known.clear()

    def _decoded(self, model: CategoryModel, code: Tensor) -> _Decoded:
        name = model.category.name
        with self._lock:
            decoded = self._known.get((name, _digest(code)))
        if decoded is None:
            with all_threads():
                grid = signed_distance_grid(model.decoder, code, self._resolution)
                mesh = mesh_of(grid, model.decoder, code, tolerance=self._tolerance)
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
