"""What depth tells about a pixel, free of the camera's intrinsics, place and distance.

All lengths are in units of the pixel's footprint z / f, the length that one pixel covers at depth
z. Planes are linear in inverse depth, so the mean of 1 / z over a symmetric window is its value at
the centre: the relief of a plane is zero however oblique it is, and a thin object stands out.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["CHANNELS", "depth_channels"]

CHANNELS = 8
"""Number of channels of `depth_channels`."""

_SMOOTH_PX, _SLOPE_PX = 2, 2
"""Slopes are central differences over the second value of means within the first."""

_RELIEF_PX = (6, 32)
"""Half sides of the windows of the relief."""

_RELIEF_UNIT = 4.0
"""Relief, in footprints, at which its channel reaches half of its limit."""

_USUAL_FOOTPRINT_M = 3.3e-3
"""Footprint at the depth of a metre with a focal length of 300 pixels."""

_FAR_M = 20.0
"""No depth is larger."""


def depth_channels(depth: Tensor, focal: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the channels of a depth image.

    Args:
        depth: (B, 1, H, W), metres, 0 = missing.
        focal: (B,), focal length, pixels of this image.

    Returns:
        Channels (B, 8, H, W): the surface normal relative to the viewing ray (x right, y down, and
        toward the camera), the relief at two scales (positive where nearer than around), the
        logarithm of the footprint, and where depth is present near and at the pixel. And distance
        (B, 1, H, W), f log(z), the third coordinate of points in footprints, with missing depth
        filled.
    """
    there = (depth > 0.0).to(depth.dtype)
    inverse = there / depth.clamp(min=1.0 / _FAR_M**2)
    f = focal.view(-1, 1, 1, 1)
    means = [_box_mean(inverse, there, x) for x in (_SMOOTH_PX, *_RELIEF_PX)]
    total = there.sum(dim=(2, 3), keepdim=True)
    typical = inverse.sum(dim=(2, 3), keepdim=True) / total.clamp(min=1.0)
    filled = torch.where(total > 0.0, typical, torch.ones_like(typical)).expand_as(inverse)
    for mean, seen in reversed(means):
        filled = torch.where(seen, mean, filled)
    slopes = [f * _slope(filled, dim) / filled for dim in (3, 2)]
    facing = (1.0 + slopes[0] * slopes[0] + slopes[1] * slopes[1]).rsqrt()
    exact = torch.where(there > 0.0, inverse, filled)
    reliefs = [
        nn.functional.softsign(there * f * (1.0 - mean / exact) / _RELIEF_UNIT)
        for mean, _ in means[1:]
    ]
    footprint = -(exact * f * _USUAL_FOOTPRINT_M).log()
    near = means[0][1].to(depth.dtype)
    channels = [slopes[0] * facing, slopes[1] * facing, facing, *reliefs, footprint, near, there]
    return torch.cat(channels, dim=1), -f * exact.log()


def _box_mean(values: Tensor, weights: Tensor, radius: int) -> tuple[Tensor, Tensor]:
    """Weighted means over squares (0 where there is no weight), and where there is any.

    `values` are zero where the weights are, which are 0 or 1.
    """
    sums = torch.cat([values, weights], dim=1)
    for dim in (2, 3):
        at = torch.arange(sums.shape[dim], device=values.device)
        # Windows shrink at the border, so that they stay symmetric.
        reach = torch.minimum(at, at[-1] - at).clamp(max=radius)
        first = torch.zeros_like(sums.narrow(dim, 0, 1))
        running = torch.cat([first, sums.cumsum(dim)], dim=dim)
        sums = running.index_select(dim, at + reach + 1) - running.index_select(dim, at - reach)
    total, count = sums.chunk(2, dim=1)
    return total / count.clamp(min=1.0), count > 0.5


def _slope(values: Tensor, dim: int) -> Tensor:
    """Change of values (B, 1, H, W) per pixel along a dimension."""
    at = torch.arange(values.shape[dim], device=values.device)
    after, before = torch.minimum(at + _SLOPE_PX, at[-1]), (at - _SLOPE_PX).clamp(min=0)
    run = (after - before).clamp(min=1).to(values.dtype)
    rise = values.index_select(dim, after) - values.index_select(dim, before)
    return rise / (run if dim == 3 else run[:, None])
