"""What the camera measured, as the refinement reads it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

__all__ = ["NEAREST_M", "Evidence", "FreeSpaceMap"]

NEAREST_M = 0.01
"""Points nearer to the camera's plane are looked up as if they were this far from it."""


@dataclass(frozen=True)
class FreeSpaceMap:
    """What cameras looked through around B objects: windows of G x G cells, see `FreeSpace`.

    Attributes:
        depth: (B, G, G), metres: points of the object that are nearer are in free space; 0 where
            nothing is known.
        outside: (B, G, G), cells: distance from the object's pixels.
        focal: (B,), cells.
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
        """How far points are inside free space.

        The shorter of two ways out: along the ray, back to what was measured, and across the rays,
        to the object's pixels. Before those pixels there is the first way alone.

        Args:
            points: (B, M, 3), metres, camera frame.

        Returns:
            Metres (B, M), 0 for points that are not in free space, and derivatives (B, M, 3) by
            the points.
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
    """What the camera measured of the object of each hypothesis.

    Attributes:
        surface: (B, N, 3), metres, camera frame: points on the object.
        surface_sigma: (B, N), metres: standard deviation of their distance from the surface.
        free: what the camera looked through around it.
        support: (B, 4), normal and offset (metres) of the plane that the object stands on or leans
            against, see `SupportPlane`; zeros where there is none.
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
        """(B, 2, 3), orthonormal directions within the support; zeros where there is none."""
        normal = self.support[:, :3]
        # The axis that is most nearly in the plane gives the first.
        across = torch.nn.functional.one_hot(normal.abs().argmin(dim=1), 3).to(normal)
        first = torch.nn.functional.normalize(torch.linalg.cross(normal, across), dim=-1)
        return torch.stack([first, torch.linalg.cross(normal, first)], dim=1)

    def thinned(self, surface: int) -> Evidence:
        """The first so many points (they are stored in random order)."""
        return Evidence(
            self.surface[:, :surface], self.surface_sigma[:, :surface], self.free, self.support
        )
