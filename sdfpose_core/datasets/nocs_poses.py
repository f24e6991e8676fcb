"""Poses and sizes of the instances of NOCS images, from their object coordinate maps."""

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

__all__ = ["MIN_PIXELS", "canonical_yaw", "handle_in_map", "nocs_poses"]

MIN_PIXELS = 64
"""Instances with fewer pixels with depth are skipped, as in the benchmark."""

_MAX_PIXELS = 4000
"""Number of pixels used of a larger instance, evenly spread over the mask."""

_INLIER_DISTANCE_M = 0.015
"""Inlier threshold on the distance between depth and aligned map, metres."""

_MIN_INLIER_RATIO = 0.4
"""Minimum inlier ratio of an alignment."""


def nocs_poses(
    image: NocsImage,
    categories: Categories,
    sides: Mapping[str, NDArray[np.floating]],
    rng: np.random.Generator,
) -> tuple[list[GroundTruth], list[str]]:
    """Estimate the similarity between the coordinate map and the depth of each instance.

    Uses RANSAC around Umeyama's method, as in Wang et al. (CVPR 2019). For objects of symmetric
    categories, yaw is set by `canonical_yaw`.

    Args:
        image: image with coordinates.
        categories: table of categories with their symmetries.
        sides: box sides (3,) of the models, in units of their diagonals, by model. For other
            models, the extent of the coordinate map is used.
        rng: random generator of the samples.

    Returns:
        Poses in the order of the mask ids, and one sentence for each skipped instance.
    """
    truths, problems = [], []
    for mask_id, label in sorted(image.frame.labels.items()):
        what = f"{image.name}: instance {mask_id} ({label.category})"
        v, u = np.nonzero((image.frame.mask == mask_id) & (image.frame.depth > 0.0))
        if len(v) < MIN_PIXELS:
            problems.append(
                f"{what} has {len(v)} pixels with depth: expected at least {MIN_PIXELS}; skipped"
            )
            continue
        step = math.ceil(len(v) / _MAX_PIXELS)
        u, v = u[::step], v[::step]
        coordinates = image.coordinates[v, u]
        points = image.frame.camera.back_project(np.stack([u, v], axis=-1), image.frame.depth[v, u])
        try:
            found = align_robustly(coordinates, points, _INLIER_DISTANCE_M, rng)
        except ShapeError as error:
            problems.append(f"{what} has no pose: {error}; skipped")
            continue
        ratio = float(found.inliers.mean())
        if ratio < _MIN_INLIER_RATIO:
            problems.append(
                f"{what} has no pose: {100 * ratio:.0f} % of the depth agrees with the coordinate "
                f"map, expected at least {100 * _MIN_INLIER_RATIO:.0f} %; skipped"
            )
            continue
        model = image.models[mask_id]
        box = np.asarray(
            sides.get(model, 2.0 * np.abs(coordinates[found.inliers]).max(axis=0)), np.float64
        )
        symmetry = categories[label.category].symmetry
        symmetric = symmetry == "y" or (
            symmetry == "y_without_handle" and not handle_in_map(box, found.scale, coordinates)
        )
        truths.append(
            GroundTruth(
                mask_id=mask_id,
                category=label.category,
                instance=model,
                rotation=canonical_yaw(found.rotation) if symmetry == "y" else found.rotation,
                translation=found.translation,
                dimensions_m=found.scale * box,
                symmetric_about_y=symmetric,
            )
        )
    return truths, problems


def canonical_yaw(rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rotation R Ry (3, 3) nearest to the identity, over all rotations Ry about y.

    For an object that is symmetric about y all of them are correct; a network learns one.
    """
    angle = math.atan2(rotation[2, 0] - rotation[0, 2], rotation[0, 0] + rotation[2, 2])
    c, s = math.cos(angle), math.sin(angle)
    return rotation @ np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])


def handle_in_map(
    sides: NDArray[np.floating], scale: float, coordinates: NDArray[np.floating]
) -> bool:
    """Check whether a mug's handle is visible, from its map of object coordinates.

    Args:
        sides: (3,) sides of the mug's box, normalised object units.
        scale: metres per unit.
        coordinates: (N, 3) object coordinates of its pixels.
    """
    # The handle is flat and points to +x, so the width of the body is that of the box along z.
    axis_x = -0.5 * sides[0] + 0.5 * sides[2]
    heights, radius = 0.5 * scale * sides[1] * np.array([-1.0, 1.0]), 0.5 * scale * sides[2]
    body = BodyProfile(scale * axis_x, heights, np.full(2, radius))
    return body.handle_visible(scale * coordinates)
