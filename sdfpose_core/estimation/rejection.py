"""Masks that show nothing of any category: they are skipped, with the reason."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from sdfpose_core.estimation.confidence import ConfidenceModel
from sdfpose_core.estimation.detection import Detection
from sdfpose_core.observation.frame import Instance, SkippedInstance
from sdfpose_core.observation.segmentation import ANY_CATEGORY

__all__ = ["rejected_at_sight", "rejected_modes"]

_SURE = 0.15
"""Colour and shape reject if they leave less than this share of the probability that is asked for,
before any pose is searched."""

_COLOUR_SHARE = 0.5
"""Weight of what colour says beside what shape says, which has seen the same colour."""


def rejected_at_sight(instances: Iterable[Instance], least: float) -> dict[int, SkippedInstance]:
    """The masks of unknown category that colour and shape rule out, so that no pose is searched.

    Args:
        instances: with what colour and shape say of them.
        least: smallest probability that a mask shows an object of any category.
    """
    limit = _SURE * least
    probability: dict[int, float] = {}
    for x in instances:
        if x.unknown:
            p = 1.0 / (1.0 + math.exp(-_COLOUR_SHARE * x.colour_log_odds - x.shape_log_odds))
            probability[x.mask_id] = max(p, probability.get(x.mask_id, 0.0))
    return {i: _rejected(i, ANY_CATEGORY, p) for i, p in probability.items() if p < limit}


def rejected_modes(
    modes: Mapping[int, Sequence[Detection]], confidence: ConfidenceModel, least: float
) -> dict[int, SkippedInstance]:
    """The masks whose likeliest mode is probably of none of the categories.

    Categories that the user or an annotation gave are not doubted.

    Args:
        modes: by mask id, the likeliest first.
        confidence: tells how likely it is.
        least: smallest probability that a mask shows an object of any category.
    """
    found = {}
    for mask_id, (chosen, *_) in modes.items():
        instance = chosen.instance
        if not (instance.unknown or instance.label):
            continue
        known = confidence.known(chosen.features)
        if known < least:
            name = ANY_CATEGORY if instance.unknown else instance.label
            found[mask_id] = _rejected(mask_id, name, known)
    return found


def _rejected(mask_id: int, category: str, probability: float) -> SkippedInstance:
    reason = (
        f"mask id {mask_id} ({category}) shows nothing of the categories, with a probability of "
        f"{1.0 - probability:.2f} (a lower min_known keeps it)"
    )
    return SkippedInstance(mask_id, category, reason, rejected=True)
