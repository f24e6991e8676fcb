"""Modes of a tracked object over several images: each new view is evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.estimation.rivals import (
    SAME_MODE_COS,
    rotation_cosine,
    true_rivals,
    with_modes,
)
from sdfpose_core.observation.frame import Alternative, ObjectEstimate

__all__ = ["fused_modes"]

_UNSEEN = 0.02
"""Probability of a mode that a view has not refined: it may have been overlooked."""

_INDEPENDENCE = 0.6
"""Exponent of the probabilities of a new view: the errors in a sequence are correlated."""

_LEAST_PROBABILITY = 0.005
"""Less likely modes are dropped."""


@dataclass(frozen=True)
class _Mode:
    """A mode of an estimate, with the symmetries of its shape if it is the chosen one."""

    pose: Alternative
    symmetries: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 3, 3)))


def fused_modes(tracked: ObjectEstimate, detection: ObjectEstimate) -> ObjectEstimate:
    """The tracked estimate with the modes and probabilities that both views support.

    Bayes' rule: the probabilities are multiplied, with a lower bound for modes that one of the
    views does not have. The chosen mode stays the chosen one, whatever its probability.

    Args:
        tracked: with the modes so far.
        detection: from scratch, in the same image.
    """
    modes = _modes(tracked)
    prior = [x.pose.probability for x in modes]
    seen = [0.0] * len(modes)
    for x in _modes(detection):
        same = _same(x, modes[: len(prior)])
        if not same:
            modes.append(x)
            seen.append(x.pose.probability)
        for i in same:
            seen[i] += x.pose.probability / len(same)
    prior += [0.0] * (len(modes) - len(prior))
    weight = np.maximum(prior, _UNSEEN) * np.maximum(seen, _UNSEEN) ** _INDEPENDENCE
    weight /= weight.sum()
    kept = [0, *(i for i in np.argsort(-weight) if i > 0 and weight[i] >= _LEAST_PROBABILITY)]
    weight /= weight[kept].sum()
    rivals = tuple(replace(modes[i].pose, probability=float(weight[i])) for i in kept[1:])
    return true_rivals(with_modes(tracked, float(weight[0]), rivals))


def _modes(estimate: ObjectEstimate) -> list[_Mode]:
    """The chosen mode and its rivals."""
    chosen = Alternative(
        estimate.category,
        estimate.rotation,
        estimate.translation,
        estimate.scale,
        estimate.dimensions_m,
        estimate.probability,
        estimate.symmetric_about_y,
    )
    return [_Mode(chosen, estimate.symmetries), *(_Mode(x) for x in estimate.alternatives)]


def _same(mode: _Mode, modes: Sequence[_Mode]) -> list[int]:
    """Indices of the modes that a mode is: the nearest one for each of its symmetries.

    A can whose ends look alike in one view supports both modes of one whose ends do not.
    """
    found = []
    for turn in (np.eye(3), *mode.symmetries):
        cosines = [
            rotation_cosine(
                x.pose.rotation,
                mode.pose.rotation @ turn,
                x.symmetries,
                symmetric_about_y=x.pose.symmetric_about_y or mode.pose.symmetric_about_y,
            )
            if x.pose.category == mode.pose.category
            else -1.0
            for x in modes
        ]
        nearest = int(np.argmax(cosines))
        if cosines[nearest] > SAME_MODE_COS:
            found.append(nearest)
    return list(dict.fromkeys(found))
