"""What the label of a detector says of an object's category: evidence, not an order."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from sdfpose_core.estimation.confidence import ConfidenceModel
from sdfpose_core.estimation.detection import Detection
from sdfpose_core.observation.frame import Instance

__all__ = ["doubted_labels", "label_log_prior"]

_DOUBT = 0.25
"""The label of an instance is doubted if its category explains it with less confidence, or with
less than the share of labels that are not trusted."""


def label_log_prior(modes: Sequence[Detection], category_trust: float) -> list[float]:
    """Log priors of the modes' categories, given the label of the detector and its score.

    A detector that is wrong may mean any of the categories. A score that is no number counts as 0.

    Args:
        modes: of one mask id.
        category_trust: see `EstimatorConfig`.
    """
    labels = {x.instance.label for x in modes} - {""}
    categories = {x.instance.category for x in modes}
    if labels.isdisjoint(categories) or len(categories) == 1:
        return [0.0] * len(modes)
    score = modes[0].instance.score
    trust = 0.0 if math.isnan(score) else category_trust * min(max(score, 0.0), 1.0)
    wrong = (1.0 - trust) / len(categories)
    log_wrong = math.log(wrong) if wrong > 0.0 else -math.inf
    log_right = math.log(trust + wrong)
    return [log_right if x.instance.category in labels else log_wrong for x in modes]


def doubted_labels(
    modes: Mapping[int, Sequence[Detection]],
    categories: Iterable[str],
    confidence: ConfidenceModel,
    category_trust: float,
) -> list[Instance]:
    """The instances whose label explains them badly, with every other category.

    Trying all categories takes time, so only labels that explain little are doubted.

    Args:
        modes: by mask id, the likeliest first.
        categories: all known ones.
        confidence: probability that a refined hypothesis is right.
        category_trust: see `EstimatorConfig`; with 0, all labels are doubted.
    """
    if category_trust >= 1.0:
        return []
    least = max(_DOUBT, 1.0 - category_trust)
    categories = list(categories)
    found = []
    for rivals in modes.values():
        chosen = rivals[0]
        label = chosen.instance.label
        if not label or any(x.instance.category != label for x in rivals):
            continue  # it is unknown, or others were tried already
        shift = chosen.model.category.confidence_shift
        if confidence.probability(chosen.features, shift=shift) < least:
            found += [replace(chosen.instance, category=x) for x in categories if x != label]
    return found
