"""Grasp candidates: pairs of contacts with an approach on which the gripper touches nothing else.

This is a start for a grasp planner, not one: the arm, the object's weight and the parts of it that
nobody has seen are not considered beyond the decoded shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.errors import ShapeError
from sdfpose_core.grasping.contacts import ContactPairs, antipodal_pairs
from sdfpose_core.grasping.gripper import Gripper
from sdfpose_core.observation.frame import ObjectEstimate
from sdfpose_core.observation.support_plane import SupportPlane
from sdfpose_core.scene.scene import PosedShape, Scene

__all__ = ["Grasp", "grasp_candidates"]

_PAIRS = 150
"""The best pairs of contacts are tried..."""

_APPROACHES = 12
"""...with this many directions of approach each."""

_GAPS, _GAP_FACTORS = (1.0, 2.0, 4.0), (0.5, 0.8, 1.0)
"""Openings that are tried: distances of the fingers from their contacts, in least gaps of the
gripper, and their factors of the quality. A wide one forgives errors of the pose."""

_FROM_BELOW = 0.2
"""Largest component of the approach against gravity."""

_FAR_M = 0.05
"""Clearance that counts as infinite."""

_UNSEEN = 0.6
"""Factor of the quality of contacts that the camera sees neither of: their place is a guess."""

_SIGHT_STEPS = 32
"""Samples of the line of sight from a contact, over a diagonal..."""

_SIGHT_START_M, _SIGHT_DEPTH_M = 0.003, 0.001
"""...which start this far from it, and may be this deep below the surface."""

_LEVERS = 4.0
"""A grasp a diagonal away from the shape's middle loses this much of its logarithmic quality."""

_APART_M, _APART_COSINE = 0.01, 0.9
"""Of two grasps that are nearer than both, only the better is kept."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Grasp:
    """A grasp candidate: x = R x_gripper + t, with the frame of `Gripper`.

    Attributes:
        object_id: id of the object in the scene.
        rotation: R (3, 3), gripper to scene frame: columns closing direction, y, approach.
        translation: t (3,), metres, scene frame: midway between the contacts.
        width_m: distance between the contacts, metres.
        opening_m: distance between the fingers for the approach, metres.
        quality: 0 to 1, for sorting; not a probability.
        clearance_m: least distance of the open gripper from the support plane and the other
            objects, metres; at most 0.05.
    """

    object_id: int
    rotation: Array
    translation: Array
    width_m: float
    opening_m: float
    quality: float
    clearance_m: float


def grasp_candidates(
    estimate: ObjectEstimate,
    scene: Scene,
    object_id: int,
    *,
    gripper: Gripper | None = None,
    support: SupportPlane | None = None,
    eye: NDArray[np.floating] | None = None,
    count: int = 10,
) -> list[Grasp]:
    """Find grasps of one object, the best first. The same input always gives the same grasps.

    Args:
        estimate: the object, with its mesh.
        scene: all objects, the object among them, in the frame of the estimate.
        object_id: id of the object in the scene.
        gripper: gripper; by default one that opens 85 mm.
        support: plane that the objects stand on, same frame; None if there is none.
        eye: (3,), metres, same frame: the camera that saw the object, 0 in its own frame; None if
            that is unknown.
        count: largest number of grasps.

    Returns:
        At most `count` grasps; none if the estimate has no mesh, or if the gripper fits nowhere.

    Raises:
        ShapeError: the object is not in the scene.
    """
    gripper = gripper or Gripper()
    shape = next((x for x in scene.shapes if x.id == object_id), None)
    if shape is None:
        raise ShapeError(
            f"object {object_id} is not in the scene: expected one of "
            f"{[x.id for x in scene.shapes]}"
        )
    if not len(estimate.faces):
        return []
    vertices = estimate.vertices @ estimate.rotation.T + estimate.translation
    pairs = antipodal_pairs(shape, vertices, estimate.faces, gripper)
    quality = pairs.margin * _leverage(pairs, estimate)
    if eye is not None:
        seen = _seen(shape, pairs.first, eye) | _seen(shape, pairs.second, eye)
        quality = np.where(seen, quality, _UNSEEN * quality)
    kept = np.flatnonzero(quality > 0.0)
    kept = kept[_has_way(pairs[kept], shape, gripper, support)]
    best = kept[np.argsort(-quality[kept], kind="stable")[:_PAIRS]]
    if not len(best):
        return []
    others = scene.without([object_id])
    pairs, quality = pairs[best], quality[best]
    found: list[Grasp] = []
    for gap in reversed(_GAPS):
        opening = np.minimum(pairs.width + 2.0 * gap * gripper.gap_m, gripper.max_width_m)
        gaps = 0.5 * (opening - pairs.width) / gripper.gap_m
        factor = np.interp(gaps, _GAPS, _GAP_FACTORS)
        found += _reachable(pairs, opening, factor * quality, shape, others, gripper, support)
    return _distinct(found, count)


def _leverage(pairs: ContactPairs, estimate: ObjectEstimate) -> Array:
    """Factor (N,) that falls with the distance of the middle of the object from the contacts."""
    offset = 0.5 * (pairs.first + pairs.second) - estimate.translation
    along = (offset * pairs.axis).sum(axis=1, keepdims=True) * pairs.axis
    lever = np.linalg.norm(offset - along, axis=1) / estimate.scale
    return np.asarray(np.exp(-_LEVERS * lever**2))


def _seen(shape: PosedShape, points: Array, eye: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Whether the shape itself does not hide points (N, 3) of its surface from an eye (3,)."""
    toward = np.asarray(eye, dtype=np.float64) - points
    toward /= np.maximum(np.linalg.norm(toward, axis=1, keepdims=True), 1e-9)
    steps = np.linspace(_SIGHT_START_M, shape.scale, _SIGHT_STEPS)
    line = points[:, None] + steps[:, None] * toward[:, None]
    distance, _ = shape.signed_distance(shape.to_object(line.reshape(-1, 3)))
    return np.asarray(
        (distance.reshape(-1, _SIGHT_STEPS) > -_SIGHT_DEPTH_M).all(axis=1), dtype=np.bool_
    )


def _has_way(
    pairs: ContactPairs, shape: PosedShape, gripper: Gripper, support: SupportPlane | None
) -> NDArray[np.bool_]:
    """Whether the palm is outside the shape for any approach: contacts deep in a cup have none."""
    if not len(pairs):
        return np.zeros(0, dtype=np.bool_)
    rotations = _frames(pairs.axis, None if support is None else support.normal)
    middle = 0.5 * (pairs.first + pairs.second)
    palm = middle[:, None] - gripper.finger_length_m * rotations[..., 2]
    half = 0.5 * pairs.width + gripper.gap_m
    side = half[:, None, None] * rotations[..., 0]
    free = _apart(
        shape,
        np.stack([palm - side, palm, palm + side], axis=2).reshape(-1, 3, 3),
        np.zeros(3),
    ).reshape(rotations.shape[:2])
    if support is not None:
        free &= palm @ support.normal.astype(np.float64) > support.offset
    return np.asarray(free.any(axis=1))


def _reachable(
    pairs: ContactPairs,
    opening: Array,
    quality: Array,
    shape: PosedShape,
    others: Scene,
    gripper: Gripper,
    support: SupportPlane | None,
) -> list[Grasp]:
    """The best approach of each pair on which the open gripper touches nothing."""
    rotations = _frames(pairs.axis, None if support is None else support.normal)
    middle = 0.5 * (pairs.first + pairs.second)
    open_spheres = gripper.spheres(opening)
    # (N, A, S, 3)
    centres = np.einsum("naij,nsj->nasi", rotations, open_spheres.centres)
    centres += middle[:, None, None]
    radii = open_spheres.radii
    score = np.repeat(quality[:, None], _APPROACHES, axis=1)
    clearance = np.full(score.shape, _FAR_M)
    if support is not None:
        height = centres @ support.normal.astype(np.float64) - support.offset
        clearance = np.minimum(clearance, (height - radii).min(axis=-1))
        downward = -(rotations[..., 2] @ support.normal.astype(np.float64))
        score = np.where(downward < -_FROM_BELOW, 0.0, score * (0.75 + 0.25 * downward))
    possible = (score > 0.0) & (clearance >= gripper.clearance_m)
    clearance[possible] = np.minimum(clearance[possible], _least(others, centres[possible], radii))
    possible &= clearance >= gripper.clearance_m
    possible[possible] = _apart(shape, centres[possible], radii)
    score = np.where(possible, score * (0.5 + 0.5 * clearance / _FAR_M), 0.0)
    chosen = score.argmax(axis=1)
    rows = np.arange(len(score))
    return [
        Grasp(
            shape.id,
            rotations[i, chosen[i]],
            middle[i],
            float(pairs.width[i]),
            float(opening[i]),
            float(score[i, chosen[i]]),
            float(clearance[i, chosen[i]]),
        )
        for i in rows[score[rows, chosen] > 0.0]
    ]


def _frames(axis: Array, up: NDArray[np.floating] | None) -> Array:
    """Gripper frames (N, A, 3, 3) that close along axes (N, 3), from directions all around.

    The first approach is as much against `up` as can be.
    """
    down = np.array([0.0, 0.0, 1.0]) if up is None else -np.asarray(up, dtype=np.float64)
    first = down - (axis @ down)[:, None] * axis
    length = np.linalg.norm(first, axis=1, keepdims=True)
    spare = np.cross(axis, np.eye(3)[np.abs(axis).argmin(axis=1)])
    first = np.where(length > 1e-3, first / np.maximum(length, 1e-9), spare)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = np.cross(axis, first)
    angles = np.linspace(0.0, 2.0 * np.pi, _APPROACHES, endpoint=False)[:, None]
    z = np.cos(angles) * first[:, None] + np.sin(angles) * second[:, None]
    x = np.broadcast_to(axis[:, None], z.shape)
    return np.stack([x, np.cross(z, x), z], axis=-1)


def _least(scene: Scene, centres: Array, radii: Array) -> Array:
    """Least distance (P,) of spheres (P, S, 3) from the objects of a scene."""
    distance = scene.signed_distance(centres.reshape(-1, 3)).distance
    return np.asarray((distance.reshape(-1, len(radii)) - radii).min(axis=1, initial=np.inf))


def _apart(shape: PosedShape, centres: Array, radii: Array) -> NDArray[np.bool_]:
    """Whether spheres (P, S, 3) touch a shape nowhere."""
    distance, _ = shape.signed_distance(shape.to_object(centres.reshape(-1, 3)))
    return np.asarray((distance.reshape(-1, len(radii)) >= radii).all(axis=1))


def _distinct(grasps: Sequence[Grasp], count: int) -> list[Grasp]:
    """The best grasps that differ from the better ones in place or in direction."""
    kept: list[Grasp] = []
    for grasp in sorted(grasps, key=lambda x: -x.quality):
        if all(not _alike(grasp, x) for x in kept):
            kept.append(grasp)
            if len(kept) == count:
                break
    return kept


def _alike(grasp: Grasp, other: Grasp) -> bool:
    near = np.linalg.norm(grasp.translation - other.translation) < _APART_M
    turn = grasp.rotation.T @ other.rotation
    # Both fingers are the same: a turn of half a circle about the approach changes nothing.
    return bool(near and abs(turn[0, 0]) > _APART_COSINE and turn[2, 2] > _APART_COSINE)
