"""Checks of the depth images: unit, missing depth, and the table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.categories import Categories
from sdfpose_core.diagnosis.findings import Finding
from sdfpose_core.diagnosis.sample import CameraView
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.masks.config import TabletopConfig
from sdfpose_core.masks.tabletop_clusters import find_tabletop_clusters
from sdfpose_core.observation.depth_unit import depth_unit_problem
from sdfpose_core.observation.frame import InstanceLabel
from sdfpose_core.observation.segmentation import ANY_CATEGORY

__all__ = ["check_depth_unit", "check_missing_depth", "check_table"]

_SET_UNIT = (
    "set depth_unit (parameter of the nodes, --depth-unit of the commands, key of meta.json) to "
    "the metres per unit of depth, or correct the driver"
)

_NEAR_M, _FAR_M = 0.15, 6.0
"""Objects on a table are rarely nearer or farther than this."""

_MOST_MISSING, _MUCH_MISSING = 0.8, 0.55
"""Shares of missing depth. Half of an image may be out of range, or a shadow."""

_OBJECTS_MISSING = 0.5
"""Share of missing depth inside the masks."""


def check_depth_unit(views: Sequence[CameraView], categories: Categories) -> Finding | None:
    """Check the unit of depth: by its range, and by the sizes of labelled objects.

    Args:
        views: moments to look at; the unit is wrong if it is in most of them.
        categories: known categories with their sizes.

    Returns:
        The finding; None without depth.
    """
    depths = [(x.depth, x) for x in views if x.depth is not None and x.depth.any()]
    if not depths:
        return None
    problems = [y for x in depths if (y := _unit_problem(*x, categories)) is not None]
    if 2 * len(problems) > len(depths):
        return Finding("fault", "depth unit", problems[0], _SET_UNIT)
    median = float(np.median([np.median(x[x > 0.0]) for x, _ in depths]))
    if not _NEAR_M <= median <= _FAR_M:
        return Finding(
            "warning",
            "depth unit",
            f"the median depth is {median:.3g} m: expected {_NEAR_M:g} to {_FAR_M:g} m for objects "
            "on a table",
            f"measure the distance: if it is another one, {_SET_UNIT}",
        )
    return Finding("ok", "depth unit", f"median depth {median:.2f} m")


def check_missing_depth(views: Sequence[CameraView]) -> Finding | None:
    """Check the share of pixels without depth, in the image and on the objects; None without depth.

    Args:
        views: moments to look at; the typical (median) one counts.
    """
    name = "missing depth"
    depths = [x.depth for x in views if x.depth is not None]
    if not depths:
        return None
    missing = float(np.median([np.mean(x == 0.0) for x in depths]))
    text = f"{missing:.0%} of the pixels have no depth"
    inside = [
        float(np.mean(x.depth[x.mask > 0] == 0.0))
        for x in views
        if x.depth is not None and x.mask is not None
        and x.mask.shape == x.depth.shape and x.mask.any()
    ]  # fmt: skip
    if inside:
        text += f", and {float(np.median(inside)):.0%} of those on the objects"
    if missing > _MUCH_MISSING:
        return Finding(
            "fault" if missing > _MOST_MISSING else "warning",
            name,
            text,
            "check the range of the camera (objects nearer than its minimum have no depth), its "
            "projector and the light (direct sun, a second camera), and filters that remove depth",
        )
    if inside and float(np.median(inside)) > _OBJECTS_MISSING:
        return Finding(
            "warning",
            name,
            text,
            "glass, polished metal and black plastic return little light: raise exposure or laser "
            "power, change the viewing angle, and check that the masks fit the depth",
        )
    return Finding("ok", name, text)


def check_table(views: Sequence[CameraView]) -> Finding | None:
    """Look for the surface that objects stand on; None without depth and intrinsics.

    Args:
        views: moments to look at.
    """
    reasons = []
    for x in views:
        depth, camera = x.depth, x.camera
        if depth is None or camera is None or depth.shape != (camera.height, camera.width):
            continue
        found = find_tabletop_clusters(depth, camera, TabletopConfig())
        if found.surface is not None:
            plane = found.surface.plane
            tilt = float(np.degrees(np.arccos(np.clip(-plane.normal[2], -1.0, 1.0))))
            return Finding(
                "ok",
                "table",
                f"found: the plane is {-plane.offset:.2f} m away, and the camera looks at it "
                f"{tilt:.0f} degrees off the vertical",
            )
        reasons.append(found.problem)
    if not reasons:
        return None
    return Finding(
        "warning",
        "table",
        reasons[0].partition(":")[0],
        "point the camera at the table and keep it within 2 m; without a plane, masks have to come "
        "from a network, and upright objects are not recognised as such",
    )


def _unit_problem(
    depth: NDArray[np.float32], view: CameraView, categories: Categories
) -> str | None:
    mask, camera = view.mask, view.camera
    height, width = depth.shape
    if mask is None or camera is None or mask.shape != depth.shape:
        mask = np.zeros(depth.shape, np.uint16)  # the range of depth is judged all the same
    return depth_unit_problem(
        depth,
        mask,
        camera or PinholeCamera(width, height, width, width, 0.5 * width, 0.5 * height),
        _labels(mask) if view.labels is None else view.labels,
        categories,
        view.depth_unit,
    )


def _labels(mask: NDArray[np.uint16]) -> dict[int, InstanceLabel]:
    return {int(x): InstanceLabel(ANY_CATEGORY) for x in np.unique(mask) if x}
