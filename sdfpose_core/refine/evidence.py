"""Camera measurements as input of the refinement."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

__all__ = ["NEAREST_M", "Evidence", "FreeSpaceMap"]

NEAREST_M = 0.01
"""Smallest depth for looking up points; nearer points are moved to this depth."""


@dataclass(frozen=True)
class FreeSpaceMap:
    """Observed free space around B objects: windows of G x G cells, see `FreeSpace`.

    Attributes:
        depth: (B, G, G), metres: object points at smaller depth are in free space; 0 where unknown.
        outside: (B, G, G), cells: distance from the object's pixels.
        focal: (B,), focal length, cells.
        centre: (B, 2), principal point, cells.
        sigma: (B,), metres: standard deviation of an intrusion.
    """

    depth: Tensor
    outside: Tensor
    focal: Tensor
    centre: Tensor
    sigma: Tensor

    def __getitem__(self, index: Tensor | slice) -> FreeSpaceMap:
        return FreeSpaceMap(
            self.depth[index],
            self.outside[index],
            self.focal[index],
            self.centre[index],
            self.sigma[index],
        )

    def intrusion(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Compute how deep points are inside free space.

        This is the shorter of two ways out: along the ray to the measured depth, or across the
        rays to the object's pixels. In front of those pixels only the first way exists.

        Args:
            points: (B, M, 3), metres, camera frame.

        Returns:
            Depths (B, M), metres, 0 for points outside free space, and derivatives (B, M, 3) with
            respect to the points.
        """
        x, y, z = points.unbind(-1)
        z = z.clamp(min=NEAREST_M)
        focal = self.focal.unsqueeze(-1)
        last = self.depth.shape[-1] - 1
        u = (focal * x / z + self.centre[:, :1]).clamp(0.0, last)
        v = (focal * y / z + self.centre[:, 1:]).clamp(0.0, last)
        cell = v.round().long() * (last + 1) + u.round().long()
        free_to = self.depth.flatten(1).gather(1, cell)
        outside = self.outside.flatten(1)
        left, top = u.floor().clamp(max=last - 1), v.floor().clamp(max=last - 1)
        corner = top.long() * (last + 1) + left.long()
        a, b, c, d = (outside.gather(1, corner + k) for k in (0, 1, last + 1, last + 2))
        right, down = u - left, v - top
        slope_u = torch.lerp(b - a, d - c, down)
        slope_v = torch.lerp(c - a, d - b, right)
        cells = torch.lerp(torch.lerp(a, b, right), torch.lerp(c, d, right), down)
        along = free_to - z
        across = cells * z / focal
        sideways = (outside.gather(1, cell) > 0.0) & (across < along)
        depth = torch.where(sideways, across, along)
        zero = torch.zeros_like(depth)
        # Across: d (cells z / f) with u = f x / z + c; along: d (free_to - z).
        toward = torch.stack(
            [
                torch.where(sideways, slope_u, zero),
                torch.where(sideways, slope_v, zero),
                torch.where(sideways, (across - slope_u * x - slope_v * y) / z, zero - 1.0),
            ],
            dim=-1,
        )
        active = (free_to > 0.0) & (depth > 0.0)
        return torch.where(active, depth, zero), toward * active.unsqueeze(-1)


@dataclass(frozen=True)
class Evidence:
    """Measurements of the object of each of B hypotheses.

    Attributes:
        surface: (B, N, 3), metres, camera frame: points on the object.
        surface_sigma: (B, N), metres: standard deviation of their distance from the surface.
        free: observed free space around the object.
        support: (B, 4), normal and offset (metres) of the plane that the object stands on or leans
            against, see `SupportPlane`; zeros for none.
    """

    surface: Tensor
    surface_sigma: Tensor
    free: FreeSpaceMap
    support: Tensor

    def __getitem__(self, index: Tensor | slice) -> Evidence:
        return Evidence(
            self.surface[index], self.surface_sigma[index], self.free[index], self.support[index]
        )

    @cached_property
    def support_axes(self) -> Tensor:
        """Orthonormal directions (B, 2, 3) within the support plane; zeros for none."""
        normal = self.support[:, :3]
        # Start from the coordinate axis that is most nearly parallel to the plane.
        across = torch.nn.functional.one_hot(normal.abs().argmin(dim=1), 3).to(normal)
        first = torch.nn.functional.normalize(torch.linalg.cross(normal, across), dim=-1)
        return torch.stack([first, torch.linalg.cross(normal, first)], dim=1)

    def subsampled(self, surface: int) -> Evidence:
        """Keep only the first `surface` points (points are in random order)."""
        return Evidence(
            self.surface[:, :surface], self.surface_sigma[:, :surface], self.free, self.support
        )
