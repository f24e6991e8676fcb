"""Triangle mesh of a decoded shape by coarse-to-fine evaluation and marching cubes.

Only cells that can contain the surface are evaluated at the fine resolution. A cell whose centre is
farther from the surface than half its diagonal is empty or full. The decoder's values are true
distances only up to a few per cent, so a Lipschitz factor widens this bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.measure import marching_cubes
from torch import Tensor, nn

from sdfpose_core.errors import MeshError, ShapeError
from sdfpose_core.sdf.shape_decoder import ShapeDecoder
from sdfpose_core.shapes.body import BodyProfile
from sdfpose_core.shapes.solids import simplified
from sdfpose_core.shapes.symmetries import discrete_symmetries

__all__ = [
    "GRID_HALF_SIDE",
    "DecodedMesh",
    "SdfGrid",
    "decode_mesh",
    "mesh_from_grid",
    "signed_distance_grid",
]

GRID_HALF_SIDE = 0.54
"""Half side of the grid, object units. Shapes lie inside the ball of radius 0.5."""

_LIPSCHITZ = 1.08
"""Upper bound of the decoder's gradient norm; see the meshing tests."""

_COARSE_CELLS = 16
"""Maximum number of cells along each axis of the coarsest level."""


@dataclass(frozen=True)
class DecodedMesh:
    """Decoded surface in the decoder's frame.

    Attributes:
        vertices: (V, 3) float32, normalised object units.
        faces: (F, 3) int32, counter-clockwise seen from outside.
        normals: (V, 3) float32, outward unit vectors.
    """

    vertices: NDArray[np.float32]
    faces: NDArray[np.int32]
    normals: NDArray[np.float32]

    @cached_property
    def centre(self) -> NDArray[np.float64]:
        """Centre (3,) of the bounding box, normalised object units."""
        return 0.5 * (self.vertices.max(0).astype(np.float64) + self.vertices.min(0))

    @cached_property
    def sides(self) -> NDArray[np.float64]:
        """Sides (3,) of the bounding box, normalised object units."""
        return self.vertices.max(0).astype(np.float64) - self.vertices.min(0)

    def metric(self, scale: float) -> NDArray[np.float32]:
        """Vertices (V, 3), metres, relative to `centre`, for an object of the given scale.

        The result for the last scale is cached.
        """
        cached = self.__dict__.get("_metric")
        if cached is None or cached[0] != scale:
            cached = scale, ((self.vertices - self.centre) * scale).astype(np.float32)
            self.__dict__["_metric"] = cached
        vertices: NDArray[np.float32] = cached[1]
        return vertices

    @cached_property
    def body(self) -> BodyProfile:
        """Profile of a mug without its handle, normalised object units, relative to `centre`."""
        return BodyProfile.of(self.vertices - self.centre, self.faces)

    @cached_property
    def symmetries(self) -> NDArray[np.float64]:
        """Half turns (S, 3, 3) about `centre` that leave the surface as it is."""
        return discrete_symmetries(self.vertices, self.faces)


def decode_mesh(
    decoder: ShapeDecoder,
    code: Tensor,
    resolution: int = 128,
    *,
    tolerance: float = 0.0,
    with_normals: bool = True,
) -> DecodedMesh:
    """Extract the zero level set of f(.; code) as a mesh.

    Walls thinner than a cell can be missed. A cell is 0.8 % of the diagonal with a resolution of
    128 and 1.7 % with 64, which is as thick as the walls of many bowls and laptop lids.

    Args:
        decoder: decoder of the category.
        code: (D,) latent code.
        resolution: cells along each axis; a power of two times 8 to 16, at least 32.
        tolerance: object units; simplification may move the surface by about this much. 0
            disables simplification.
        with_normals: whether to compute normals; otherwise they are empty.

    Raises:
        ShapeError: the resolution is invalid.
        MeshError: the code has no surface inside the grid.
    """
    grid = signed_distance_grid(decoder, code, resolution)
    return mesh_from_grid(grid, decoder, code, tolerance=tolerance, with_normals=with_normals)


def mesh_from_grid(
    grid: SdfGrid,
    decoder: ShapeDecoder,
    code: Tensor,
    *,
    tolerance: float = 0.0,
    with_normals: bool = True,
) -> DecodedMesh:
    """Extract the mesh from an existing grid, like `decode_mesh`."""
    values, active = grid.values.cpu().numpy(), grid.active.cpu().numpy()
    if not (values.min() < 0.0 < values.max()):
        raise MeshError(
            "the latent code decodes to no surface: expected a code near the training shapes' "
            f"(its norm is {float(code.norm()):.2f})"
        )
    spacing = 2.0 * GRID_HALF_SIDE / grid.resolution
    try:
        vertices, faces, _, _ = marching_cubes(values, 0.0, spacing=(spacing,) * 3, mask=active)
    except RuntimeError as error:
        raise MeshError(
            "the latent code decodes to a surface too thin for the grid: expected a code near the "
            f"training shapes' (its norm is {float(code.norm()):.2f})"
        ) from error
    vertices = (vertices - GRID_HALF_SIDE).astype(np.float32)
    faces = np.ascontiguousarray(faces, dtype=np.int32)
    if tolerance > 0.0:
        vertices, faces = simplified(vertices, faces, tolerance)
    if not with_normals:
        return DecodedMesh(vertices, faces, np.zeros((0, 3), dtype=np.float32))
    with torch.no_grad():
        points = torch.from_numpy(vertices).to(code.device)
        _, gradient = decoder.value_and_gradient(points.unsqueeze(0), code.unsqueeze(0))
        normals = torch.nn.functional.normalize(gradient[0], dim=-1).cpu().numpy()
    return DecodedMesh(vertices, faces, normals)


@dataclass(frozen=True)
class SdfGrid:
    """Signed distances at the corners of a regular grid of R x R x R cells about the origin.

    Attributes:
        values: (R + 1, R + 1, R + 1), object units, indexed [x, y, z]: decoded at the corners of
            active cells, interpolated from coarser cells elsewhere.
        active: (R + 1, R + 1, R + 1) bool: cells that can contain the surface, marked at their
            highest corner, as the mask of `marching_cubes` requires.
    """

    values: Tensor
    active: Tensor

    @property
    def resolution(self) -> int:
        """Cells along each axis."""
        return len(self.values) - 1


@torch.no_grad()
def signed_distance_grid(decoder: ShapeDecoder, code: Tensor, resolution: int) -> SdfGrid:
    """Compute a grid of signed distances that is exact wherever the surface can be.

    Args:
        decoder: decoder of the category.
        code: (D,) latent code.
        resolution: cells along each axis; a power of two times 8 to 16, at least 32.

    Raises:
        ShapeError: the resolution is invalid.
    """
    coarsest = resolution
    while coarsest > _COARSE_CELLS and coarsest % 2 == 0:
        coarsest //= 2
    if not 8 <= coarsest <= _COARSE_CELLS or resolution < 32:
        raise ShapeError(
            f"resolution is {resolution}: expected a power of two times 8 to 16, at least 32"
        )
    # Cells cannot be culled if half their diagonal exceeds the reach of the decoder.
    while _LIPSCHITZ * _half_diagonal(coarsest) > decoder.reach and 2 * coarsest < resolution:
        coarsest *= 2
    device = code.device
    axis = torch.arange(coarsest, device=device)
    cells, size = torch.cartesian_prod(axis, axis, axis), coarsest
    children = torch.cartesian_prod(*[torch.arange(2, device=device)] * 3)
    at_centres = torch.zeros((size,) * 3, device=device)
    while True:
        side = 2.0 * GRID_HALF_SIDE / size
        centres = (cells + 0.5) * side - GRID_HALF_SIDE
        value = decoder(centres.unsqueeze(0), code.unsqueeze(0))[0]
        at_centres[tuple(cells.unbind(-1))] = value
        cells = cells[value.abs() <= _LIPSCHITZ * _half_diagonal(size)]
        cells, size = (2 * cells.unsqueeze(1) + children).reshape(-1, 3), 2 * size
        if size == resolution:
            break
        at_centres = _refine(at_centres)
    # The centres of the finest cells are not evaluated; that would not save enough corners.
    active = torch.zeros((size + 1,) * 3, dtype=torch.bool, device=device)
    active[tuple((cells + 1).unbind(-1))] = True
    corner = active.clone()
    for dim in range(3):
        ahead = corner.narrow(dim, 1, size).clone()
        corner.narrow(dim, 0, size).logical_or_(ahead)
    points = corner.nonzero() * (2.0 * GRID_HALF_SIDE / size) - GRID_HALF_SIDE
    grid = _corners(at_centres)
    grid[corner] = decoder(points.unsqueeze(0), code.unsqueeze(0))[0]
    return SdfGrid(grid, active)


def _refine(at_centres: Tensor) -> Tensor:
    """Interpolate values at cell centres (R, R, R) to the centres (2 R, 2 R, 2 R) of half cells."""
    fine: Tensor = nn.functional.interpolate(
        at_centres[None, None], scale_factor=2, mode="trilinear", align_corners=False
    )
    return fine[0, 0]


def _corners(at_centres: Tensor) -> Tensor:
    """Interpolate values at cell centres (R, R, R) to the corners of half cells.

    Returns:
        (2 R + 1, 2 R + 1, 2 R + 1).
    """
    count = len(at_centres)
    grid = nn.functional.pad(at_centres[None, None], (1,) * 6, mode="replicate")[0, 0]
    for dim in range(3):  # the corners are the centres and the midpoints between them
        low, high = grid.narrow(dim, 0, count + 1), grid.narrow(dim, 1, count + 1)
        shape = list(grid.shape)
        shape[dim] = 2 * count + 1
        between = grid.new_empty(shape)
        between[(slice(None),) * dim + (slice(0, None, 2),)] = 0.5 * (low + high)
        between[(slice(None),) * dim + (slice(1, None, 2),)] = grid.narrow(dim, 1, count)
        grid = between
    return grid


def _half_diagonal(cells: int) -> float:
    """Half the diagonal of a cell, object units, given the number of cells along each axis."""
    return 3**0.5 * GRID_HALF_SIDE / cells
