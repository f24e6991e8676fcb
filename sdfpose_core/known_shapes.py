"""The shapes of objects that were found: decoded once, whatever is asked of them later."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock

import torch
from torch import Tensor

from sdfpose_core.category_model import CategoryModel
from sdfpose_core.refine.anchors import surface_anchors
from sdfpose_core.sdf.frozen import FrozenShape
from sdfpose_core.sdf.meshing import DecodedMesh, mesh_of, signed_distance_grid

__all__ = ["KnownShape", "KnownShapes"]

_REMEMBERED = 64
"""Shapes; each has some megabytes."""


@dataclass(frozen=True)
class KnownShape:
    """A shape that was decoded.

    Attributes:
        frozen: its signed distances.
        mesh: its surface.
    """

    frozen: FrozenShape
    mesh: DecodedMesh


class KnownShapes:
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
        self._known: OrderedDict[tuple[str, bytes], KnownShape] = OrderedDict()
        self._lock = Lock()

    def of(self, model: CategoryModel, code: Tensor) -> KnownShape:
        """The shape of a code (D,) of the model's category.

        Raises:
            MeshError: it has no surface.
        """
        name = model.category.name
        with self._lock:
            known = self._known.get((name, _digest(code)))
        if known is None:
            known = self._decoded(model, code)
        self.remember(name, code, known)
        return known

    def remember(self, category: str, code: Tensor, shape: KnownShape) -> None:
        """Take the shape of a code (D,) as the last one that was asked for."""
        key = (category, _digest(code))
        with self._lock:
            self._known[key] = shape
            self._known.move_to_end(key)
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)

    @torch.no_grad()
    def _decoded(self, model: CategoryModel, code: Tensor) -> KnownShape:
        decoder = model.decoder
        grid = signed_distance_grid(decoder, code, self._resolution)
        mesh = mesh_of(grid, decoder, code, tolerance=self._tolerance)
        samples = surface_anchors(decoder, code.unsqueeze(0), 2 * self._anchors)[0]
        return KnownShape(FrozenShape.of(decoder, code, grid, samples), mesh)


def _digest(code: Tensor) -> bytes:
    return code.cpu().numpy().tobytes()
