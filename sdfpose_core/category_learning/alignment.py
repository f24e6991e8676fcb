"""Proposed orientations of models: which way is up, and fronts that agree.

The models of a folder are compared as point clouds, up to translation and size: the distance of two
clouds is the mean distance of each point to the other cloud (Chamfer). Each model takes the yaw at
which it is nearest to all others. A model whose file has another axis up is found in the same way.
Nothing tells where the front of the whole category is: it stays where most files have it. Models
whose orientation is known keep it, and the others are turned until they agree with these.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from sdfpose_core.category_learning.orientation import UPS, Orientation, Up, oriented
from sdfpose_core.category_learning.orientation_names import Front
from sdfpose_core.category_learning.standing import foot_areas
from sdfpose_core.category_learning.symmetry import propose_symmetry
from sdfpose_core.shapes.model import CadModel
from sdfpose_core.shapes.sdf_samples import sample_surface
from sdfpose_core.simulation.rotations import yaw

__all__ = ["AlignmentProposal", "propose_alignment"]

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
        orientations: by the names of the models that had none.
        notes: by the names of models, what a person should look at.
        summary: what was found about all models.
    """

    orientations: Mapping[str, Orientation]
    notes: Mapping[str, str]
    summary: str


def propose_alignment(
    models: Sequence[CadModel],
    front: Front = "auto",
    known: Mapping[str, Orientation] | None = None,
) -> AlignmentProposal:
    """Propose the orientation of each model that has none.

    Args:
        models: as in their files; at least one has no known orientation.
        front: where files have the front; with ``auto``, models are turned about y until they
            agree, unless they are round.
        known: orientations that were decided before, by name. Others may be among them.
    """
    known = {x.name: known[x.name] for x in models if x.name in known} if known else {}
    fixed = [x.name in known for x in models]
    new = [x for x in models if x.name not in known]
    files = [oriented(x, known.get(x.name, Orientation())) for x in models]
    feet = [foot_areas(x) for x in files]
    if known:
        base = _usual([x.up for x in known.values()])
        summary = f"up: {base} of the files, as of those whose orientation is known"
    else:
        base, summary = _common_up(feet)
    clouds = [_Cloud.of(x) for x in files]
    ups = _agreeing_ups(clouds, feet, ["+y" if x else base for x in fixed], fixed)
    notes = {
        x.name: f"{up} of its file seems to point up, unlike {base} of the others"
        for x, up in zip(models, ups, strict=True)
        if up != base and x.name not in known
    }
    upright = [oriented(x, Orientation(up)) for x, up in zip(files, ups, strict=True)]
    if front == "auto" and propose_symmetry(upright).symmetry == "y":
        front = "none"
        summary += "; no front: the models are round"
    if front == "auto":
        clouds = [x.turned(Orientation(up).rotation) for x, up in zip(clouds, ups, strict=True)]
        usual_deg = _usual([x.yaw_deg for x in known.values()]) if known else 0.0
        yaws, margins = _agreeing_yaws(clouds, fixed, usual_deg)
        summary += (
            "; the front is where it is known to be"
            if known
            else "; the front is where most files have it: +x if that is their front"
        )
        for model, margin in zip(models, margins, strict=True):
            if margin < _DOUBTFUL and model.name not in known:
                notes[model.name] = "; ".join(
                    [*filter(None, [notes.get(model.name)]), "its front is doubtful"]
                )
    else:
        yaws = [_FRONT_YAW_DEG[front]] * len(models)
    proposed = {
        x.name: Orientation(up, angle) for x, up, angle in zip(models, ups, yaws, strict=True)
    }
    return AlignmentProposal({x.name: proposed[x.name] for x in new}, notes, summary)


_T = TypeVar("_T")


def _usual(values: Sequence[_T]) -> _T:
    return Counter(values).most_common(1)[0][0]


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
    clouds: Sequence[_Cloud],
    feet: Sequence[Mapping[Up, float]],
    usual: Sequence[Up],
    fixed: Sequence[bool],
) -> list[Up]:
    """Axes that point up: the usual one, unless another one brings a model nearer to the rest.

    Args:
        clouds: points of the models.
        feet: of `foot_areas`.
        usual: the axis that is expected of each model.
        fixed: models whose axis stays.
    """
    ups = list(usual)
    if len(clouds) < 2:
        return ups
    upright = [x.turned(Orientation(up).rotation) for x, up in zip(clouds, ups, strict=True)]
    reference = _centre(upright)
    for _ in range(_ROUNDS):
        before = list(ups)
        yawed = [
            x.turned(_best_turn(x, upright[reference].points)) if i != reference else x
            for i, x in enumerate(upright)
        ]
        for i, cloud in enumerate(clouds):
            if fixed[i]:
                continue
            pool, base = _pool(yawed, i), usual[i]
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


def _agreeing_yaws(
    clouds: Sequence[_Cloud], fixed: Sequence[bool], usual_deg: float
) -> tuple[list[float], list[float]]:
    """Yaw, degrees, of each model, and how much worse the next best one is, as a ratio.

    Args:
        clouds: points of the models.
        fixed: models whose yaw is 0.
        usual_deg: with such models, the yaw that others keep if theirs is near it; without them,
            the yaw that most others have becomes this one.
    """
    count = len(clouds)
    if count < 2:
        return [0.0] * count, [np.inf] * count
    step_deg = 360.0 / _YAWS
    reference = [x for x, stays in zip(clouds, fixed, strict=True) if stays] or clouds
    points = reference[_centre(reference)].points
    costs = np.stack([x.distances(points, _YAWS) for x in clouds])
    steps = np.where(fixed, 0, costs.argmin(axis=1))
    for _ in range(_ROUNDS):
        before = steps.copy()
        for i in range(count):
            turned = [
                x.turned(yaw(np.deg2rad(step_deg * k))) for x, k in zip(clouds, steps, strict=True)
            ]
            costs[i] = clouds[i].distances(_pool(turned, i), _YAWS)
            steps[i] = 0 if fixed[i] else costs[i].argmin()
        if np.array_equal(before, steps):
            break
    apart = round(_APART_DEG / step_deg)
    margins = [
        float(np.roll(row, -k)[apart : _YAWS - apart + 1].min() / row[k])
        for row, k in zip(costs, steps, strict=True)
    ]
    usual = round(usual_deg / step_deg) % _YAWS if any(fixed) else _most_frequent(steps)
    offset = (steps - usual + _YAWS // 2) % _YAWS - _YAWS // 2
    degrees = offset * step_deg
    kept = (np.abs(degrees) <= _KEPT_DEG) | (costs[:, usual] <= _KEPT * costs.min(axis=1))
    found = usual_deg + np.where(kept, 0.0, degrees)
    return [float(x) for x in (found + 180.0) % 360.0 - 180.0], margins


def _most_frequent(steps: NDArray[np.int64]) -> int:
    """The step that most others are within one step of."""
    difference = (steps[:, None] - steps[None] + _YAWS // 2) % _YAWS - _YAWS // 2
    return int(steps[(np.abs(difference) <= 1).sum(axis=0).argmax()])
