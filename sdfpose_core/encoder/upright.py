"""Start poses without a network: an upright object in front of a level camera."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from sdfpose_core.geometry.similarity import Similarity, so3_exp

__all__ = ["upright_hypotheses"]

_ELEVATIONS_DEG = (10.0, 35.0, 60.0)
"""Angles by which the camera looks down on the object."""

_YAWS = 16

_SHARE_BEHIND = 0.2
"""Distance of the object's centre behind the median visible point, as a share of the diagonal."""


def upright_hypotheses(points: Tensor, diagonal_m: float) -> Similarity:
    """Generate 48 start poses: three camera elevations times 16 yaw angles of the object.

    Args:
        points: (N, 3), metres, camera frame, points of one instance.
        diagonal_m: the category's median diagonal, metres.

    Returns:
        (48,) decoder frame to camera frame.
    """
    options: dict[str, Any] = {"dtype": points.dtype, "device": points.device}
    elevation = torch.deg2rad(torch.tensor(_ELEVATIONS_DEG, **options))
    yaw = torch.arange(_YAWS, **options) * (2.0 * math.pi / _YAWS)
    zero = torch.zeros_like(yaw)
    turn = so3_exp(torch.stack([zero, yaw, zero], dim=-1))
    # Up is -y for a level camera; looking down by e tilts the object towards the camera.
    tilt = so3_exp(
        torch.stack(
            [math.pi + elevation, torch.zeros_like(elevation), torch.zeros_like(elevation)], dim=-1
        )
    )
    rotation = (tilt[:, None] @ turn[None]).flatten(0, 1)
    centre = points.median(dim=0).values
    centre = centre + _SHARE_BEHIND * diagonal_m * centre / centre.norm()
    count = len(rotation)
    return Similarity(
        rotation, centre.expand(count, 3), torch.full((count,), diagonal_m, **options)
    )
