"""The teacher: labels of real objects, from the estimator's own refined and certified poses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from sdfpose_core.encoder.views import Views
from sdfpose_core.estimation.category_model import CategoryModel
from sdfpose_core.estimation.estimator import EstimatorConfig, PoseEstimator
from sdfpose_core.estimation.evidence import resample, support_planes
from sdfpose_core.estimation.hypothesis_search import FAST_SEARCH
from sdfpose_core.observation.frame import Instance, ObjectEstimate
from sdfpose_core.selfsup.certificate import Certificate

__all__ = ["PseudoLabels", "labelled_views", "pseudo_labels", "teacher"]


_MESH_RESOLUTION, _MESH_TOLERANCE = 32, 0.0
"""Of the surface whose box is reported: what is learnt are the decoder's transforms."""

_AT_ONCE = 12
"""Instances that are estimated together."""


def teacher(
    model: CategoryModel, *, refine: Literal["sdf", "none"] = "sdf", swift: bool = False
) -> PoseEstimator:
    """The estimator of one category.

    Args:
        model: its networks.
        refine: ``none`` for what the network says alone.
        swift: whether to search from fewer start poses.
    """
    config = EstimatorConfig(
        refine=refine,
        device=str(model.device),
        mesh_resolution=_MESH_RESOLUTION,
        mesh_tolerance=_MESH_TOLERANCE,
    )
    return PoseEstimator(
        replace(config, schedule=FAST_SEARCH, turns=0) if swift else config, models=[model]
    )


@dataclass(frozen=True)
class PseudoLabels:
    """Certified estimates as labelled views.

    Attributes:
        chosen: numbers of the instances that were certified.
        views: one of each; `model` counts them.
        codes: (V, D), one of each.
        objections: how often each reason spoke against an instance; ``no estimate`` where the
            estimator had none.
    """

    chosen: list[int]
    views: Views
    codes: Tensor
    objections: Counter[str]


def pseudo_labels(
    estimator: PoseEstimator,
    instances: Sequence[Instance],
    certificate: Certificate,
    progress: Callable[[], None] = lambda: None,
) -> PseudoLabels:
    """Estimate instances and keep what can be believed.

    Args:
        estimator: refines on the SDF.
        instances: of one category.
        certificate: what an estimate must stand up to.
        progress: told after each instance.
    """
    objections: Counter[str] = Counter()
    certified: dict[int, ObjectEstimate] = {}
    # Ids tell instances of one image apart; these are of several.
    numbered = [replace(x, mask_id=i) for i, x in enumerate(instances)]
    for start in range(0, len(numbered), _AT_ONCE):
        group = numbered[start : start + _AT_ONCE]
        found = {x.mask_id: x for x in estimator.estimate(group).estimates}
        for number in range(start, start + len(group)):
            against = certificate.objections(found[number]) if number in found else ["no estimate"]
            objections.update(against)
            if not against:
                certified[number] = found[number]
            progress()
    chosen = sorted(certified)
    return PseudoLabels(
        chosen,
        labelled_views([instances[i] for i in chosen], [certified[i] for i in chosen]),
        torch.from_numpy(np.array([certified[i].code for i in chosen], dtype=np.float32)),
        objections,
    )


def labelled_views(instances: Sequence[Instance], estimates: Sequence[ObjectEstimate]) -> Views:
    """Views with the decoder's transforms as labels.

    Args:
        instances: what was measured.
        estimates: one of each.
    """
    count = len(instances)
    rng = np.random.default_rng(0)
    points = [resample(x.points, Views.POINTS, rng) for x in instances]
    return Views(
        np.array(points, dtype=np.float32).reshape(count, Views.POINTS, 3),
        support_planes(instances, torch.device("cpu")).numpy(),
        np.array([x.rotation for x in estimates], dtype=np.float32).reshape(count, 3, 3),
        np.array([x.decoder_translation for x in estimates], dtype=np.float32).reshape(count, 3),
        np.array([x.decoder_scale for x in estimates], dtype=np.float32),
        np.arange(count),
        np.array([x.symmetric_about_y for x in estimates], dtype=bool),
    )
