"""From views of an object to its mesh."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sdfpose_core.errors import ScanError
from sdfpose_core.scanning.consistency import ViewAgreement, agreements, largest_gap_deg
from sdfpose_core.scanning.fusion import FusedSurface, fuse
from sdfpose_core.scanning.poses import ScanPoses, find_poses
from sdfpose_core.scanning.views import ScanView
from sdfpose_core.shapes.model import CadModel

__all__ = ["Scan", "scan_object"]

_MIN_VIEWS = 5
"""Fewer images do not show an object from all sides."""

_MIN_AGREEING = 0.7
"""Share of the images that must agree with the surface."""

_MIN_SURFACE_PX = 60
"""A view with fewer reliable pixels tells nothing."""

_WIDE_GAP_DEG, _WIDEST_GAP_DEG = 100.0, 200.0
"""A sector that no image shows: from the first value on it is said, from the second on refused."""

_SEEN_SHARE = 0.8


@dataclass(frozen=True)
class Scan:
    """A scanned object.

    Attributes:
        model: closed surface in metres, y up from the table, centred.
        report: how it was made and what to look at, as lines of text.
        residual_m: median distance of the depth from the surface, metres.
        seen_share: share of the surface above the table that was measured.
    """

    model: CadModel
    report: str
    residual_m: float
    seen_share: float


def scan_object(name: str, category: str, views: Sequence[ScanView]) -> Scan:
    """Reconstruct one object from views all round it.

    Args:
        name: of the model.
        category: of the model.
        views: of one object that stands on a table or turntable, in the order of their time.

    Raises:
        ScanError: there are too few views, or they contradict each other.
    """
    usable = [x for x in views if np.count_nonzero(x.surface) >= _MIN_SURFACE_PX]
    _check_count(len(usable), "show the object, with depth inside its mask")
    poses, surface, found = _best_fitting(find_poses(usable, _size_m(usable)))
    kept = list(poses.views)
    left_out = [x.view.name for x, a in zip(kept, found, strict=True) if not a.agrees]
    if left_out:
        _check_agreement(poses, found)
        kept = [x for x, a in zip(kept, found, strict=True) if a.agrees]
        _check_count(len(kept), "agree with the surface")
        surface = fuse(kept)
        found = agreements(kept, surface)
    _check_agreement(poses, found)
    gap_deg = largest_gap_deg(kept)
    if gap_deg > _WIDEST_GAP_DEG:
        raise ScanError(
            f"by the poses from {poses.source}, the images show the object from a sector of "
            f"{360.0 - gap_deg:.0f} degrees only: expected a full turn; if there was one, neither "
            "shape nor print tell how far the object turned, as of a plain bottle: give the poses "
            "of the camera"
        )
    model = CadModel.centred(name, category, surface.vertices, surface.faces)
    residual_m = float(np.median([x.residual_m for x in found]))
    return Scan(
        model,
        "\n".join(_report(model, poses, found, surface, left_out, gap_deg)),
        residual_m,
        surface.seen_share,
    )


def _best_fitting(
    alternatives: Sequence[ScanPoses],
) -> tuple[ScanPoses, FusedSurface, list[ViewAgreement]]:
    """The poses that agree best with their surface, with both."""
    fitted = []
    for poses in alternatives:
        _check_count(len(poses.views), "fit to each other")
        surface = fuse(poses.views)
        fitted.append((poses, surface, agreements(poses.views, surface)))
    return max(fitted, key=lambda x: float(np.mean([a.inliers * a.overlap for a in x[2]])))


def _size_m(views: Sequence[ScanView]) -> float:
    """Size of the object as the median view shows it, metres."""
    spans = [np.ptp(np.quantile(x.points, (0.02, 0.98), axis=0), axis=0) for x in views]
    return float(np.median(np.linalg.norm(spans, axis=1)))


def _check_count(count: int, what: str) -> None:
    """Check the number of views.

    Raises:
        ScanError: there are too few.
    """
    if count < _MIN_VIEWS:
        raise ScanError(f"{count} images {what}: expected at least {_MIN_VIEWS}, from all sides")


def _check_agreement(poses: ScanPoses, found: Sequence[ViewAgreement]) -> None:
    """Check that most views agree with the surface.

    Raises:
        ScanError: they do not.
    """
    agreeing = sum(x.agrees for x in found)
    if agreeing >= _MIN_AGREEING * len(found):
        return
    inliers, overlap = (
        100.0 * float(np.median([getattr(x, key) for x in found])) for key in ("inliers", "overlap")
    )
    raise ScanError(
        f"only {agreeing} of {len(found)} images agree with the surface that was fused from them "
        f"({inliers:.0f} % of the depth is on it, masks and silhouettes overlap by {overlap:.0f} "
        f"%; poses from {poses.source}): expected one rigid object that stands still relative to "
        "its table, masks that stay on it, and poses of the camera in the frame of this table; if "
        "the object turns while the camera has poses of its own, leave the poses out"
    )


def _report(
    model: CadModel,
    poses: ScanPoses,
    found: Sequence[ViewAgreement],
    surface: FusedSurface,
    left_out: Sequence[str],
    gap_deg: float,
) -> list[str]:
    sides = " x ".join(f"{1000.0 * x:.0f}" for x in model.dimensions_m)
    lines = [
        f"{model.name}: {sides} mm (width, height, depth; measured, y up from the table), "
        f"{len(model.faces):,} faces, voxels of {1e3 * surface.voxel_m:.1f} mm",
        f"poses: {poses.source}",
        *poses.notes,
        f"agreement: depth is {1e3 * np.median([x.residual_m for x in found]):.1f} mm from the "
        f"surface (median), {100.0 * np.median([x.inliers for x in found]):.0f} % within its "
        f"tolerance, masks and silhouettes overlap by "
        f"{100.0 * np.median([x.overlap for x in found]):.0f} %",
        f"{100.0 * surface.seen_share:.0f} % of the surface above the table was seen; the rest is "
        "filled up to where the images show empty space",
    ]
    if left_out:
        names = ", ".join(left_out[:4]) + (", ..." if len(left_out) > 4 else "")
        lines.append(f"{len(left_out)} images do not agree and were left out: {names}")
    if gap_deg > _WIDE_GAP_DEG:
        lines.append(
            f"warning: no image shows the object from a sector of {gap_deg:.0f} degrees: that side "
            "is filled, not measured; record a full turn"
        )
    if surface.seen_share < _SEEN_SHARE:
        lines.append(
            "warning: much of the surface is filled: record it from higher up and from lower down"
        )
    return lines
