"""Poses and sizes of the instances of NOCS images, from their maps of object coordinates."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.categories import Categories
from sdfpose_core.datasets.nocs import NocsImage
from sdfpose_core.errors import ShapeError
from sdfpose_core.geometry.alignment import align_robustly
from sdfpose_core.observation.frame import GroundTruth
from sdfpose_core.shapes.body import BodyProfile

__all__ = ["canonical_yaw", "nocs_poses"]

_FEWEST_PIXELS = 64
"""Instances with fewer pixels that have depth are left out."""

_MOST_PIXELS = 4000
"""Of larger ones so many are used, evenly spread over the mask."""

_TOLERANCE_M = 0.015
"""Depth farther from the aligned map is an outlier."""

_LEAST_INLIERS = 0.4
"""An alignment that fewer pixels agree with is none."""


def nocs_poses(
    image: NocsImage,
    categories: Categories,
    sides: Mapping[str, NDArray[np.floating]],
    rng: np.random.Generator,
) -> tuple[list[GroundTruth], list[str]]:
    """The similarity between each instance's map and the depth measured there.

    Random sample consensus around Umeyama's method, as Wang et al. (CVPR 2019) have it. Where yaw
    has no meaning it is set to that of `canonical_yaw`.

    Args:
        image: with coordinates.
        categories: source of the symmetries.
        sides: of the boxes of the models (3,), in units of their diagonals, by model; those that
            the map shows are taken for the others.
        rng: source of the samples.

    Returns:
        Poses in the order of the mask ids, and what was left out and why.
    """
    truths, problems = [], []
    for mask_id, label in sorted(image.frame.labels.items()):
        what = f"{image.name}: instance {mask_id} ({label.category})"
        v, u = np.nonzero((image.frame.mask == mask_id) & (image.frame.depth > 0.0))
        if len(v) < _FEWEST_PIXELS:
            problems.append(
                f"{what} has {len(v)} pixels with depth: expected at least {_FEWEST_PIXELS}; "
                "left out"
            )
            continue
        step = math.ceil(len(v) / _MOST_PIXELS)
        u, v = u[::step], v[::step]
        coordinates = image.coordinates[v, u]
        points = image.frame.camera.back_project(np.stack([u, v], axis=-1), image.frame.depth[v, u])
        try:
            found = align_robustly(coordinates, points, _TOLERANCE_M, rng)
        except ShapeError as error:
            problems.append(f"{what} has no pose: {error}; left out")
            continue
        share = float(found.inliers.mean())
        if share < _LEAST_INLIERS:
            problems.append(
                f"{what} has no pose: {100 * share:.0f} % of the depth agree with the map of "
                f"coordinates, expected at least {100 * _LEAST_INLIERS:.0f} %; left out"
            )
            continue
        model = image.models[mask_id]
        box = np.asarray(
            sides.get(model, 2.0 * np.abs(coordinates[found.inliers]).max(axis=0)), np.float64
        )
        symmetric = _symmetric(categories[label.category].symmetry, box, found.scale, coordinates)
        truths.append(
            GroundTruth(
                mask_id=mask_id,
                category=label.category,
                instance=model,
                rotation=canonical_yaw(found.rotation) if symmetric else found.rotation,
                translation=found.translation,
                dimensions_m=found.scale * box,
                symmetric_about_y=symmetric,
            )
        )
    return truths, problems


def canonical_yaw(rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rotation R Ry (3, 3) that is nearest to the identity, of all turns Ry about y.

    Of an object that is symmetric about y all of them are true; a network learns one.
    """
    angle = math.atan2(rotation[2, 0] - rotation[0, 2], rotation[0, 0] + rotation[2, 2])
    c, s = math.cos(angle), math.sin(angle)
    return rotation @ np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])


def _symmetric(
    symmetry: str,
    sides: NDArray[np.float64],
    scale: float,
    coordinates: NDArray[np.float32],
) -> bool:
    """Whether yaw has no meaning: always, or as no handle stands out of the mug's cylinder."""
    if symmetry != "y_without_handle":
        return symmetry == "y"
    # The handle is on the side of +x and flat: the body is as wide as the box is along z.
    axis_x = -0.5 * sides[0] + 0.5 * sides[2]
    body = BodyProfile(scale * axis_x, np.zeros(1), np.array([0.5 * scale * sides[2]]))
    return not body.handle_visible(scale * coordinates)
