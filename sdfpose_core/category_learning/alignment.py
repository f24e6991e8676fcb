"""Proposed orientations of models: which way is up, and fronts that agree.

The models of a folder are compared as point clouds, up to translation and size: the distance of two
clouds is the mean distance of each point to the other cloud (Chamfer). Each model takes the yaw at
which it is nearest to all others. A model whose file has another axis up is found in the same way.
Nothing tells where the front of the whole category is: it stays where most files have it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from sdfpose_core.category_learning.orientation import UPS, Orientation, Up, oriented
from sdfpose_core.category_learning.standing import foot_areas
from sdfpose_core.category_learning.symmetry import propose_symmetry
from sdfpose_core.shapes.model import CadModel
from sdfpose_core.shapes.sdf_samples import sample_surface
from sdfpose_core.simulation.rotations import yaw

__all__ = ["AlignmentProposal", "Front", "propose_alignment"]

Front = Literal["auto", "x", "z", "none"]
"""Where files have the front: ``auto`` lets the models agree, ``none`` says that there is none."""

_UPWARD: tuple[Up, ...] = ("+x", "+y", "+z")
"""Files with another direction up are rare."""

_YAWS, _COARSE_YAWS = 72, 24
"""Compared rotations about y."""

_POINTS, _COARSE_POINTS, _POOL_POINTS = 400, 150, 1200
"""Points of a model, points of a coarse comparison, and points of all other models together."""

_ROUNDS = 3
_FIRST = 6
"""So many models are tried as the one that all others are first compared with."""

_CLEARLY_BETTER, _BETTER = 0.7, 0.9
"""Another axis up is proposed if it brings the model this much nearer to the others, or a little
nearer and the model lies with the usual one up."""

_AS_GOOD = 1.1
"""Of the axes that bring it about as near, the one on which it stands best is proposed."""

_STANDS_WORSE = 0.5
"""Another axis up is proposed for all if their feet are this much smaller with y up."""

_KEPT_DEG, _KEPT = 10.0, 1.05
"""A model keeps the yaw of most files if its own is that near, or hardly better."""

_APART_DEG = 45.0
_DOUBTFUL = 1.06
"""A front is doubtful if, turned by at least so much, a model is nearly as near to the others."""

_FRONT_YAW_DEG = {"x": 0.0, "z": 90.0, "none": 0.0}


@dataclass(frozen=True)
class AlignmentProposal:
    """Proposed orientations.

    Attributes:
        orientations: by the names of the models.
        notes: by the names of models, what a person should look at.
        summary: what was found about all models.
    """

    orientations: Mapping[str, Orientation]
    notes: Mapping[str, str]
    summary: str


def propose_alignment(models: Sequence[CadModel], front: Front = "auto") -> AlignmentProposal:
    """Propose the orientation of each model.

    Args:
        models: as in their files; at least one.
        front: where files have the front; with ``auto``, models are turned about y until they
            agree, unless they are round.
    """
    feet = [foot_areas(x) for x in models]
    base, summary = _common_up(feet)
    clouds = [_Cloud.of(x) for x in models]
    ups = _agreeing_ups(clouds, feet, base)
    notes = {
        x.name: f"{up} of its file seems to point up, unlike {base} of the others"
        for x, up in zip(models, ups, strict=True)
        if up != base
    }
    upright = [oriented(x, Orientation(up)) for x, up in zip(models, ups, strict=True)]
    if front == "auto" and propose_symmetry(upright).symmetry == "y":
        front = "none"
        summary += "; no front: the models are round"
    if front == "auto":
        clouds = [x.turned(Orientation(up).rotation) for x, up in zip(clouds, ups, strict=True)]
        yaws, margins = _agreeing_yaws(clouds)
        summary += "; the front is where most files have it: +x if that is their front"
        for model, margin in zip(models, margins, strict=True):
            if margin < _DOUBTFUL:
                notes[model.name] = "; ".join(
                    [*filter(None, [notes.get(model.name)]), "its front is doubtful"]
                )
    else:
        yaws = [_FRONT_YAW_DEG[front]] * len(models)
    orientations = {
        x.name: Orientation(up, angle) for x, up, angle in zip(models, ups, yaws, strict=True)
    }
    return AlignmentProposal(orientations, notes, summary)


def _common_up(feet: Sequence[Mapping[Up, float]]) -> tuple[Up, str]:
    """Axis of the files on which most models stand; +y unless another one is clearly better."""
    mean = {axis: float(np.mean([_stand(x, axis) for x in feet])) for axis in _UPWARD}
    best = max(_UPWARD, key=lambda x: mean[x])
    if mean["+y"] >= _STANDS_WORSE * mean[best]:
        return "+y", "up: +y of the files"
    return best, f"up: {best} of the files, on which they stand better than with +y up"


def _stand(feet: Mapping[Up, float], up: Up) -> float:
    """How well a model stands with an axis vertical.

    The end with the larger foot need not be the lower one: vessels stand well on their mouths.
    """
    return max(share for other, share in feet.items() if other[1] == up[1])


@dataclass(frozen=True)
class _Cloud:
    """Points (N, 3) on a model's surface, about their centre, with a mean square of 1."""

    points: NDArray[np.float64]

    @classmethod
    def of(cls, model: CadModel) -> _Cloud:
        points = sample_surface(model.vertices, model.faces, np.random.default_rng(0), _POINTS)
        points = points - points.mean(axis=0)
        return cls(points / np.sqrt((points**2).sum(axis=1).mean()))

    def turned(self, rotation: NDArray[np.float64]) -> _Cloud:
        return replace(self, points=self.points @ rotation.T)

    def distances(
        self, others: NDArray[np.float64], yaws: int, points: int = _POINTS
    ) -> NDArray[np.float64]:
        """Chamfer distances (yaws,) to points (M, 3), for rotations of this cloud about y."""
        own, others = self.points[:points], others[: 2 * points]
        turns = np.stack([yaw(2.0 * np.pi * k / yaws) for k in range(yaws)])
        forth = cKDTree(others).query(own @ turns.transpose(0, 2, 1))[0]
        back = cKDTree(own).query(others @ turns)[0]
        return np.asarray(forth.mean(axis=1) + back.mean(axis=1))


def _centre(clouds: Sequence[_Cloud]) -> int:
    """Number of the model that all others are nearest to, of the first ones."""
    cost = [
        sum(
            float(x.distances(y.points[:_COARSE_POINTS], _COARSE_YAWS, _COARSE_POINTS).min())
            for x in clouds
        )
        for y in clouds[:_FIRST]
    ]
    return int(np.argmin(cost))


def _pool(clouds: Sequence[_Cloud], without: int) -> NDArray[np.float64]:
    """Points of all clouds but one, as many of each."""
    others = [x.points for i, x in enumerate(clouds) if i != without]
    points = np.concatenate([x[: -(-_POOL_POINTS // len(others))] for x in others])
    return np.random.default_rng(0).permutation(points)


def _agreeing_ups(
    clouds: Sequence[_Cloud], feet: Sequence[Mapping[Up, float]], base: Up
) -> list[Up]:
    """Axes that point up: `base`, unless another one brings a model nearer to the rest."""
    ups = [base] * len(clouds)
    if len(clouds) < 2:
        return ups
    upright = [x.turned(Orientation(base).rotation) for x in clouds]
    reference = _centre(upright)
    for _ in range(_ROUNDS):
        before = list(ups)
        yawed = [
            x.turned(_best_turn(x, upright[reference].points)) if i != reference else x
            for i, x in enumerate(upright)
        ]
        for i, cloud in enumerate(clouds):
            pool = _pool(yawed, i)
            cost: dict[Up, float] = {
                up: float(
                    cloud.turned(Orientation(up).rotation)
                    .distances(pool, _COARSE_YAWS, _COARSE_POINTS)
                    .min()
                )
                for up in UPS
            }
            near = [x for x in UPS if cost[x] <= _AS_GOOD * min(cost.values())]
            best = max(near, key=lambda x: (_stand(feet[i], x), x in _UPWARD))
            lies = _stand(feet[i], base) < _STANDS_WORSE * _stand(feet[i], best)
            limit = _BETTER if lies else _CLEARLY_BETTER
            ups[i] = best if cost[best] < limit * cost[base] else base
        upright = [x.turned(Orientation(up).rotation) for x, up in zip(clouds, ups, strict=True)]
        if ups == before:
            break
    return ups


def _best_turn(cloud: _Cloud, points: NDArray[np.float64]) -> NDArray[np.float64]:
    cost = cloud.distances(points[:_COARSE_POINTS], _COARSE_YAWS, _COARSE_POINTS)
    return yaw(2.0 * np.pi * int(cost.argmin()) / _COARSE_YAWS)


def _agreeing_yaws(clouds: Sequence[_Cloud]) -> tuple[list[float], list[float]]:
    """Yaw, degrees, of each model, and how much worse the next best one is, as a ratio."""
    count = len(clouds)
    if count < 2:
        return [0.0] * count, [np.inf] * count
    turn = 2.0 * np.pi / _YAWS
    reference = clouds[_centre(clouds)].points
    costs = np.stack([x.distances(reference, _YAWS) for x in clouds])
    steps = costs.argmin(axis=1)
    for _ in range(_ROUNDS):
        before = steps.copy()
        for i in range(count):
            turned = [x.turned(yaw(turn * k)) for x, k in zip(clouds, steps, strict=True)]
            costs[i] = clouds[i].distances(_pool(turned, i), _YAWS)
            steps[i] = costs[i].argmin()
        if np.array_equal(before, steps):
            break
    apart = round(_APART_DEG * _YAWS / 360.0)
    margins = [
        float(np.roll(row, -k)[apart : _YAWS - apart + 1].min() / row[k])
        for row, k in zip(costs, steps, strict=True)
    ]
    usual = _most_frequent(steps)
    offset = (steps - usual + _YAWS // 2) % _YAWS - _YAWS // 2
    degrees = offset * (360.0 / _YAWS)
    kept = (np.abs(degrees) <= _KEPT_DEG) | (costs[:, usual] <= _KEPT * costs.min(axis=1))
    return [float(x) for x in np.where(kept, 0.0, degrees)], margins


def _most_frequent(steps: NDArray[np.int64]) -> int:
    """The step that most others are within one step of."""
    difference = (steps[:, None] - steps[None] + _YAWS // 2) % _YAWS - _YAWS // 2
    return int(steps[(np.abs(difference) <= 1).sum(axis=0).argmax()])
