"""Plausible intrinsics."""

from __future__ import annotations

from sdfpose_core.geometry.camera import PinholeCamera

__all__ = ["principal_point_problem"]

_MAX_OFFSET = 0.15
"""Largest distance of a plausible principal point from the centre, in widths or heights."""


def principal_point_problem(camera: PinholeCamera) -> str | None:
    """Describe a principal point that is far from the centre of the image; None if it is near.

    The intrinsics are then likely to be those of another resolution.
    """
    cx, cy, width, height = camera.cx, camera.cy, camera.width, camera.height
    offset = max(abs((cx + 0.5) / width - 0.5), abs((cy + 0.5) / height - 0.5))
    if offset <= _MAX_OFFSET:
        return None
    return (
        f"the principal point ({cx:.0f}, {cy:.0f}), far from the centre of {width}x{height} "
        f"pixels (do they belong to {2 * cx + 1:.0f}x{2 * cy + 1:.0f} pixels, or to an image that "
        "was cropped?)"
    )
