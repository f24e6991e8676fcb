"""Camera poses by registration alone: each view to the one before, then all together."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import open3d as o3d
from numpy.typing import NDArray

from sdfpose_core.errors import ScanError
from sdfpose_core.scanning.registration import (
    StandingCloud,
    disagreement,
    planar,
    register,
    turned,
    yaw_of,
)

__all__ = ["Chain", "chained"]

_FIRST_STEPS_DEG = (0.0, 8.0, -8.0, 16.0, -16.0, 26.0, -26.0, 38.0, -38.0)
"""Rotations that are tried between the first two views..."""

_NEXT_STEPS_DEG = (0.0, 9.0, -9.0, 20.0, -20.0)
"""...and, beside the usual rotation, between the following ones."""

_PLACED_STEPS_DEG = (0.0, 12.0, -12.0)
"""The same, where the motion is not even."""

_DEPTH_SHARE = 0.25
"""The axis of an object is this far behind the middle of what is seen, in sizes of the object."""

_UNUSUAL_PER_DEG = 0.004
"""By so much less must views disagree for each degree that their rotation differs from the expected
one: where the shape does not tell the rotation, the expected one is kept."""

_MEMORY = 7
"""Number of steps that tell the usual rotation."""

_MOST_DISAGREEMENT = 0.45
"""Views that disagree more are not registered to each other."""

_MOST_MISSES = 3
"""After so many views in a row that cannot be registered, the chain has ended."""

_NEIGHBOURS = 3
"""A view is registered to this many before it."""

_LOOP_ANGLE_DEG = 40.0
"""Views from directions that differ by less are registered to each other as well, so that a full
turn closes..."""

_LOOP_ROUNDS = 2
"""...and again with the poses that follow."""

_LOOPS_PER_VIEW = 4
_LOOP_STEPS_DEG = (0.0, 10.0, -10.0, 20.0, -20.0)

_LOOP_PREFERENCE = 20.0
"""Weight of loops against the line process, see `GlobalOptimizationOption`."""

_PROBE_DEG, _CLEAR, _LEAST_WEIGHT = 8.0, 0.1, 0.02
"""Views that disagree by the second value more when one is turned by the first, degrees, tell the
rotation clearly. If they disagree less, their edge has less weight, but at least the last value."""

_PRUNE = 0.25
"""Edges of loops with a lower confidence in the line process are dropped."""


@dataclass(frozen=True)
class Chain:
    """Views that were registered to each other.

    Attributes:
        poses: (4, 4) of each view that has one, by its index: from its camera frame to that of the
            first view, levelled (y up, the table at 0).
        loops: number of pairs of views that closed loops.
        disagreement: median of the neighbours' disagreement, 0 to 1.
    """

    poses: dict[int, NDArray[np.float64]]
    loops: int
    disagreement: float


def chained(clouds: Sequence[StandingCloud]) -> Chain:
    """Register views that follow each other, and close loops by a pose graph.

    Multiway registration with a line process (Choi et al., "Robust Reconstruction of Indoor
    Scenes", CVPR 2015, section 5). Between views, the object turns about as much as usual.

    Args:
        clouds: views in their order; at least two.

    Raises:
        ScanError: too many views in a row cannot be registered.
    """
    used, poses, scores = [0], [np.eye(4)], []
    steps: list[NDArray[np.float64]] = []
    for i in range(1, len(clouds)):
        step, score = _step(clouds[i], clouds[used[-1]], steps, i - used[-1])
        if score > _MOST_DISAGREEMENT:
            if i - used[-1] >= _MOST_MISSES:
                raise ScanError(
                    f"{clouds[i].view.name}: does not fit to the images before it, nor do the "
                    f"{_MOST_MISSES - 1} before: expected one object, seen from sides that change "
                    "little from image to image; record more slowly, or give camera poses"
                )
            continue
        if i - used[-1] == 1:
            steps.append(step)
        poses.append(poses[-1] @ step)
        used.append(i)
        scores.append(score)
    steps_of = {(i - 1, i): np.linalg.inv(poses[i - 1]) @ poses[i] for i in range(1, len(poses))}
    loops: dict[tuple[int, int], NDArray[np.float64]] = {}
    for _ in range(_LOOP_ROUNDS):
        loops |= _loops(clouds, used, poses, loops)
        poses = _optimised(clouds, used, poses, {**loops, **steps_of})
    return Chain(
        {i: x @ clouds[i].level for i, x in zip(used, poses, strict=True)},
        sum(b - a > _NEIGHBOURS for a, b in loops),
        float(np.median(scores)) if scores else 1.0,
    )


def _step(
    source: StandingCloud,
    target: StandingCloud,
    steps: Sequence[NDArray[np.float64]],
    count: int,
) -> tuple[NDArray[np.float64], float]:
    """The pose (4, 4) of a view in the last one's frame that agrees best, with its disagreement."""
    if not steps:
        starts = [_in_place(source, target, math.radians(x)) for x in _FIRST_STEPS_DEG]
        poses = [register(source, target, x) for x in starts]
        return min(((x, disagreement(source, target, x)) for x in poses), key=lambda x: x[1])
    recent = steps[-_MEMORY:]
    usual = recent[int(np.argsort([yaw_of(x) for x in recent])[len(recent) // 2])]
    expected = np.asarray(np.linalg.matrix_power(usual, count), dtype=np.float64)
    # A hand does not move as evenly as a turntable, but the object is still where it is seen.
    seen = [
        _in_place(source, target, yaw_of(expected) + math.radians(x)) for x in _PLACED_STEPS_DEG
    ]
    return _best(source, target, expected, _NEXT_STEPS_DEG, seen)


def _best(
    source: StandingCloud,
    target: StandingCloud,
    expected: NDArray[np.float64],
    steps_deg: Sequence[float],
    starts: Sequence[NDArray[np.float64]] = (),
) -> tuple[NDArray[np.float64], float]:
    """The expected pose (4, 4), or one nearby that agrees better, with its disagreement.

    Registration starts from the expected pose, turned by each of the steps, and from `starts`.
    """
    axis = expected[:3, :3] @ _axis(source) + expected[:3, 3]
    turns = [turned(math.radians(x), axis) @ expected for x in steps_deg]
    tried = [expected, *(register(source, target, x) for x in (*turns, *starts))]
    found = []
    for pose in tried:
        score = disagreement(source, target, pose)
        unusual = abs(math.degrees(yaw_of(pose @ np.linalg.inv(expected))))
        found.append((score + _UNUSUAL_PER_DEG * unusual, score, pose))
    _, score, pose = min(found, key=lambda x: x[0])
    return pose, score


def _axis(cloud: StandingCloud) -> NDArray[np.float64]:
    """A point (3,) near the object's axis, which is behind what the camera sees."""
    middle = cloud.points.mean(axis=0)
    away = (middle - cloud.eye) * (1.0, 0.0, 1.0)
    return np.asarray(middle + _DEPTH_SHARE * cloud.size_m * away / np.linalg.norm(away))


def _in_place(source: StandingCloud, target: StandingCloud, yaw_rad: float) -> NDArray[np.float64]:
    """Pose (4, 4) with a rotation about y that brings the axes of two views together."""
    pose = turned(yaw_rad)
    pose[[0, 2], 3] = (_axis(target) - pose[:3, :3] @ _axis(source))[[0, 2]]
    return pose


def _loops(
    clouds: Sequence[StandingCloud],
    used: Sequence[int],
    poses: Sequence[NDArray[np.float64]],
    known: Collection[tuple[int, int]],
) -> dict[tuple[int, int], NDArray[np.float64]]:
    """Poses (4, 4) of views in the frames of others from similar directions, by their places.

    Pairs that are known already are left out.
    """
    yaws = np.unwrap([yaw_of(x) for x in poses])
    between = yaws[:, None] - yaws[None]
    near = np.abs((between + np.pi) % (2.0 * np.pi) - np.pi) < math.radians(_LOOP_ANGLE_DEG)
    closing = near & (np.abs(between) > np.pi)
    loops: dict[tuple[int, int], NDArray[np.float64]] = {}
    for b in range(len(used)):
        others = [a for a in range(b) if closing[a, b] or 1 < b - a <= _NEIGHBOURS]
        chosen = sorted(others, key=lambda a: abs(float(np.sin(0.5 * between[a, b]))))
        for a in chosen[:_LOOPS_PER_VIEW]:
            if (a, b) in known:
                continue
            guess = np.linalg.inv(poses[a]) @ poses[b]
            steps = _LOOP_STEPS_DEG if b - a > _NEIGHBOURS else (0.0,)
            pose, score = _best(clouds[used[b]], clouds[used[a]], guess, steps)
            if score <= _MOST_DISAGREEMENT:
                loops[a, b] = pose
    return loops


def _clearness(source: StandingCloud, target: StandingCloud, pose: NDArray[np.float64]) -> float:
    """How clearly two views tell their rotation, up to 1."""
    axis = pose[:3, :3] @ _axis(source) + pose[:3, 3]
    probes = [turned(math.radians(x), axis) @ pose for x in (_PROBE_DEG, -_PROBE_DEG)]
    contrast = min(disagreement(source, target, x) for x in probes) - disagreement(
        source, target, pose
    )
    return float(np.clip(contrast / _CLEAR, _LEAST_WEIGHT, 1.0))


def _optimised(
    clouds: Sequence[StandingCloud],
    used: Sequence[int],
    poses: Sequence[NDArray[np.float64]],
    pairs: dict[tuple[int, int], NDArray[np.float64]],
) -> list[NDArray[np.float64]]:
    """Poses (4, 4) that fit to those between pairs, by the places of both."""
    registration = o3d.pipelines.registration
    graph = registration.PoseGraph()
    for pose in poses:
        graph.nodes.append(registration.PoseGraphNode(pose))
    reach = 2.0 * clouds[0].view.tolerance_m
    for (a, b), pose in pairs.items():
        source, target = clouds[used[b]], clouds[used[a]]
        information = _clearness(source, target, pose) * (
            registration.get_information_matrix_from_point_clouds(
                source.cloud, target.cloud, reach, pose
            )
        )
        edge = registration.PoseGraphEdge(b, a, pose, information, uncertain=b - a > 1)
        graph.edges.append(edge)
    registration.global_optimization(
        graph,
        registration.GlobalOptimizationLevenbergMarquardt(),
        registration.GlobalOptimizationConvergenceCriteria(),
        registration.GlobalOptimizationOption(
            max_correspondence_distance=reach,
            edge_prune_threshold=_PRUNE,
            preference_loop_closure=_LOOP_PREFERENCE,
            reference_node=0,
        ),
    )
    return [
        planar(np.asarray(node.pose), clouds[i].points.mean(axis=0))
        for node, i in zip(graph.nodes, used, strict=True)
    ]
