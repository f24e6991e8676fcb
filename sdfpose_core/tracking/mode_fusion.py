"""Modes of a tracked object over several images: each new view is evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sdfpose_core.geometry.alignment import nearest_yaw
from sdfpose_core.observation.frame import Alternative, ObjectEstimate

__all__ = ["fused_modes"]

_SAME_DEG = 25.0
"""Modes of one category that differ by less than this angle are the same."""

_UNSEEN = 0.02
"""Probability of a mode that a view has not refined: it may have been overlooked."""

_INDEPENDENCE = 0.6
"""Exponent of the probabilities of a new view: the errors in a sequence are correlated."""

_LEAST_PROBABILITY = 0.005
"""Less likely modes are dropped."""


def fused_modes(tracked: ObjectEstimate, detection: ObjectEstimate) -> ObjectEstimate:
    """The tracked estimate with the modes and probabilities that both views support.

    Bayes' rule: the probabilities are multiplied, with a lower bound for modes that one of the
    views does not have. The chosen mode stays the chosen one, whatever its probability.

    Args:
        tracked: with the modes so far.
        detection: from scratch, in the same image.
    """
    symmetric = tracked.symmetric_about_y or detection.symmetric_about_y
    modes = _modes(tracked)
    others = _modes(detection)
    place = [_index(x, modes, symmetric) for x in others]
    modes += [
        replace(x, probability=0.0) for x, at in zip(others, place, strict=True) if at is None
    ]
    prior = np.array([x.probability for x in modes])
    seen = np.zeros(len(modes))
    new = len(modes) - sum(at is None for at in place)
    for x, at in zip(others, place, strict=True):
        seen[new if at is None else at] += x.probability
        new += at is None
    weight = np.maximum(prior, _UNSEEN) * np.maximum(seen, _UNSEEN) ** _INDEPENDENCE
    weight /= weight.sum()
    kept = [0, *(i for i in np.argsort(-weight) if i > 0 and weight[i] >= _LEAST_PROBABILITY)]
    total = weight[kept].sum()
    return replace(
        tracked,
        probability=float(weight[0] / total),
        alternatives=tuple(
            replace(modes[i], probability=float(weight[i] / total)) for i in kept[1:]
        ),
    )


def _modes(estimate: ObjectEstimate) -> list[Alternative]:
    """The chosen mode and its rivals."""
    chosen = Alternative(
        estimate.category,
        estimate.rotation,
        estimate.translation,
        estimate.scale,
        estimate.dimensions_m,
        estimate.probability,
    )
    return [chosen, *estimate.alternatives]


def _index(mode: Alternative, modes: Sequence[Alternative], symmetric: bool) -> int | None:
    """Index of the nearest mode that is the same, None if there is none."""
    best, found = np.cos(np.radians(_SAME_DEG)), None
    for i, x in enumerate(modes):
        if x.category != mode.category:
            continue
        rotation = nearest_yaw(mode.rotation, x.rotation) if symmetric else mode.rotation
        cosine = (float((rotation * x.rotation).sum()) - 1.0) / 2.0
        if cosine > best:
            best, found = cosine, i
    return found
