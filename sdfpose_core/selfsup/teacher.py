"""The teacher: labels for real objects from the estimator's own refined, certified poses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sdfpose_core.encoder.views import Views
from sdfpose_core.estimation.category_model import CategoryModel
from sdfpose_core.estimation.estimator import EstimatorConfig, PoseEstimator
from sdfpose_core.estimation.evidence import resample, support_planes
from sdfpose_core.estimation.hypothesis_search import FAST_SEARCH
from sdfpose_core.observation.frame import Instance, ObjectEstimate
from sdfpose_core.selfsup.certificate import Certificate
from sdfpose_core.shapes.sdf_samples import sample_surface

__all__ = ["PseudoLabels", "labelled_views", "pseudo_labels", "teacher"]


_MESH_RESOLUTION, _MESH_TOLERANCE = 32, 0.0
"""Coarse meshes suffice: the labels are decoder transforms, not boxes of the surface."""

_BATCH = 12
"""Instances per estimation."""

_SURFACE_POINTS = 512


def teacher(
    model: CategoryModel,
    *,
    refine: Literal["sdf", "none"] = "sdf",
    fast: bool = False,
    drawn: bool = False,
) -> PoseEstimator:
    """Create the estimator of one category.

    Args:
        model: networks of the category.
        refine: ``none`` for network predictions without refinement.
        fast: whether to search from fewer start poses.
        drawn: whether the surfaces are drawn. Thin walls have holes and stripes in coarse meshes.
    """
    config = EstimatorConfig(refine=refine, device=str(model.device))
    if not drawn:
        config = replace(config, mesh_resolution=_MESH_RESOLUTION, mesh_tolerance=_MESH_TOLERANCE)
    return PoseEstimator(
        replace(config, schedule=FAST_SEARCH, yaw_starts=0) if fast else config, models=[model]
    )


@dataclass(frozen=True)
class PseudoLabels:
    """Certified estimates as labelled views.

    Attributes:
        chosen: indices of the certified instances.
        views: one view per certified instance; `model` numbers them.
        codes: (V, D), one code per certified instance.
        surfaces: (V, 512, 3), normalised object units: points on the estimated surfaces.
        objections: how many instances failed each criterion; ``no estimate`` counts instances
            without an estimate.
    """

    chosen: list[int]
    views: Views
    codes: Tensor
    surfaces: Tensor
    objections: Counter[str]


def pseudo_labels(
    estimator: PoseEstimator,
    instances: Sequence[Instance],
    certificate: Certificate,
    progress: Callable[[], None] = lambda: None,
) -> PseudoLabels:
    """Estimate instances and keep the certified estimates.

    Args:
        estimator: estimator with SDF refinement.
        instances: instances of one category.
        certificate: criteria for estimates.
        progress: called after each instance.
    """
    objections: Counter[str] = Counter()
    certified: dict[int, ObjectEstimate] = {}
    # Mask ids are unique within one image only; these instances come from several.
    numbered = [replace(x, mask_id=i) for i, x in enumerate(instances)]
    for start in range(0, len(numbered), _BATCH):
        group = numbered[start : start + _BATCH]
        estimates = {x.mask_id: x for x in estimator.estimate(group).estimates}
        for i in range(start, start + len(group)):
            failed = certificate.objections(estimates[i]) if i in estimates else ["no estimate"]
            objections.update(failed)
            if not failed:
                certified[i] = estimates[i]
            progress()
    chosen = sorted(certified)
    return PseudoLabels(
        chosen,
        labelled_views([instances[i] for i in chosen], [certified[i] for i in chosen]),
        torch.from_numpy(np.array([certified[i].code for i in chosen], dtype=np.float32)),
        torch.from_numpy(_surfaces([certified[i] for i in chosen])),
        objections,
    )


def labelled_views(instances: Sequence[Instance], estimates: Sequence[ObjectEstimate]) -> Views:
    """Create views with the decoder's transforms as labels.

    Args:
        instances: measured instances.
        estimates: one estimate per instance.
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


def _surfaces(estimates: Sequence[ObjectEstimate]) -> NDArray[np.float32]:
    """Points (V, 512, 3) on the surfaces of estimates, decoder frame, normalised object units."""
    rng = np.random.default_rng(0)
    surfaces = []
    for x in estimates:
        points = sample_surface(x.vertices, x.faces, rng, _SURFACE_POINTS)
        centre = x.rotation.T @ (x.translation - x.decoder_translation)
        surfaces.append((points + centre) / x.decoder_scale)
    return np.array(surfaces, dtype=np.float32).reshape(-1, _SURFACE_POINTS, 3)
