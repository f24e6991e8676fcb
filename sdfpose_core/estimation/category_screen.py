"""Which of many categories an object of unknown category may have, before any is searched in full.

A full search costs the same for each category. Where more than `CANDIDATES` may explain a mask, two
cheap looks leave the likeliest ones: the size of what is seen, which needs no network, and one
coarse round of the search from the few likeliest start poses of each category.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from sdfpose_core.categories import Category
from sdfpose_core.device import all_threads
from sdfpose_core.estimation.config import EstimatorConfig
from sdfpose_core.estimation.detection import Detection, Proposal, detection_batches
from sdfpose_core.estimation.evidence import EvidenceSampler
from sdfpose_core.estimation.hypotheses import Hypotheses
from sdfpose_core.estimation.hypothesis_search import Stage
from sdfpose_core.estimation.mode_ranking import ModeRanking
from sdfpose_core.estimation.modes import by_probability
from sdfpose_core.observation.frame import Instance

__all__ = ["CANDIDATES", "fits_size", "fitting", "likeliest", "seen_extent_m"]

CANDIDATES = 6
"""Categories of a mask that are searched in full. Masks with as many or fewer are not screened."""

_SIZE_SDS = 3.0
"""Sizes within this many standard deviations of a category's log size are possible."""

_TRIMMED = 0.05
"""Share of the points at either end of a direction that may be outliers."""

_MAX_POINTS = 1000
"""Larger sets of points are subsampled evenly."""

_LEAST_SEEN = 0.25
"""An object seen from its end shows an extent of at least this share of its diagonal..."""

_WHOLE = 0.1
"""...unless it may continue unseen beyond more than this share of its outline."""

_COARSE = Stage(surface=48, anchors=32, kernel_sd=5.0, iterations=2, keep=1)
"""The round that compares categories."""

_NETWORK_STARTS = 2
"""Start poses of that round: the network's likeliest ones..."""

_UPRIGHT_STEP = 4
"""...or, without a network, every fourth of the upright poses, which are 90 degrees apart."""

_DIRECTIONS = np.array(
    [x for x in itertools.product((-1, 0, 1), repeat=3) if x > (0, 0, 0)], dtype=np.float32
)
_DIRECTIONS /= np.linalg.norm(_DIRECTIONS, axis=1, keepdims=True)
"""(13, 3) unit vectors; any other is within 28 degrees of one of them, or of its opposite."""


def fitting(
    instances: Sequence[Instance],
    categories: Mapping[str, Category],
    count: int = CANDIDATES,
) -> list[Instance]:
    """The instances without the categories whose sizes do not fit.

    Args:
        instances: those with the same mask id are one object under all categories that it may have.
        categories: by name.
        count: masks with this many categories or fewer keep them all, and so do those that no
            category fits.
    """
    crowded = _crowded(instances, count)
    fit = [x for x in instances if x.mask_id in crowded and fits_size(x, categories[x.category])]
    screened = {x.mask_id for x in fit}
    kept = {(x.mask_id, x.category) for x in fit}
    return [x for x in instances if x.mask_id not in screened or (x.mask_id, x.category) in kept]


def fits_size(instance: Instance, category: Category) -> bool:
    """Whether an object of the category can be as large as what is seen.

    What is seen is a lower bound of the diagonal. It is an upper bound only if the whole outline is
    seen, and then a weak one, as the object may be seen from its end.
    """
    spread = math.exp(_SIZE_SDS * category.diagonal_log_sd)
    extent = seen_extent_m(instance.points)
    if extent > category.diagonal_m * spread:
        return False
    whole = instance.free.hidden <= _WHOLE
    return not whole or extent >= _LEAST_SEEN * category.diagonal_m / spread


def seen_extent_m(points: NDArray[np.float32]) -> float:
    """A lower bound of the diameter of points (N, 3), metres, that few outliers do not enlarge."""
    some = points[:: -(-len(points) // _MAX_POINTS)]
    ordered = np.sort(some @ _DIRECTIONS.T, axis=0)
    cut = int(_TRIMMED * len(ordered))
    return float((ordered[len(ordered) - 1 - cut] - ordered[cut]).max())


def likeliest(
    proposals: Sequence[Proposal],
    sampler: EvidenceSampler,
    ranking: ModeRanking,
    config: EstimatorConfig,
    count: int = CANDIDATES,
) -> list[Proposal]:
    """The proposals without the categories that explain an instance badly after one coarse round.

    Colour does not count here: `ColourEvidence.likely` has left out what it rules out.

    Args:
        proposals: of each category.
        sampler: of the evidence.
        ranking: of the categories, the one that ranks the refined modes.
        config: of the estimator.
        count: categories of each mask id that are left.
    """
    crowded = _crowded([x for p in proposals for x in p.instances], count)
    if not crowded:
        return list(proposals)
    kept = {
        (mask_id, x.instance.category)
        for mask_id, rivals in by_probability(
            _coarse(_where(proposals, lambda x: x.mask_id in crowded), sampler, config),
            ranking,
            config,
        ).items()
        for x in rivals[:count]
    }
    return _where(proposals, lambda x: x.mask_id not in crowded or (x.mask_id, x.category) in kept)


def _coarse(
    proposals: Sequence[Proposal], sampler: EvidenceSampler, config: EstimatorConfig
) -> list[Detection]:
    """The best hypothesis of each instance after one coarse round."""
    few = [replace(x, hypotheses=_few(x.hypotheses)) for x in proposals]
    batches = detection_batches(few, sampler, config.solver, config.network_prior, (_COARSE,))
    with all_threads():
        return [x for batch in batches for x in batch.coarse()]


def _where(proposals: Iterable[Proposal], wanted: Callable[[Instance], bool]) -> list[Proposal]:
    """The proposals for the wanted instances."""
    some = (x.selected([wanted(y) for y in x.instances]) for x in proposals)
    return [x for x in some if x is not None]


def _few(hypotheses: Hypotheses) -> Hypotheses:
    """The start poses of the coarse round."""
    owner = hypotheses.owner
    have = torch.bincount(owner)
    place = torch.arange(len(owner), device=owner.device) - (have.cumsum(0) - have)[owner]
    if hypotheses.encoding is None:
        return hypotheses[place % _UPRIGHT_STEP == 0]
    return hypotheses[place < _NETWORK_STARTS]


def _crowded(instances: Iterable[Instance], count: int) -> set[int]:
    """The mask ids with more than `count` categories."""
    categories = Counter(x.mask_id for x in instances)
    return {mask_id for mask_id, n in categories.items() if n > count}
