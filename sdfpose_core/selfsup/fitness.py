"""Evaluate a network on unlabelled images and detect regressions against another one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TypeVar

import numpy as np

from sdfpose_core.estimation.category_model import CategoryModel
from sdfpose_core.estimation.estimator import PoseEstimator
from sdfpose_core.evaluation.comparison import compare
from sdfpose_core.observation.frame import Instance, ObjectEstimate
from sdfpose_core.selfsup.certificate import Certificate
from sdfpose_core.selfsup.teacher import teacher
from sdfpose_core.simulation.instances import SimulatedInstance

__all__ = ["Fitness", "measure_fitness", "regressions"]

Item = TypeVar("Item")

_BATCH = 12
"""Instances that are estimated at once."""

_RIGHT_DEG, _RIGHT_CM = 10.0, 5.0

_TOLERANCES = {
    "inlier_ratio": 0.02,
    "free_space_violation": -0.02,
    "certified": 0.02,
    "simulated": 0.03,
}
"""Largest allowed decrease of each figure; negative values allow an increase instead."""


@dataclass(frozen=True)
class Fitness:
    """Quality of a network's estimates.

    Attributes:
        instances: number of estimated real instances.
        inlier_ratio: mean share of an instance's points on the surface predicted by the network
            alone, without refinement.
        free_space_violation: mean share of that surface in free space.
        certified: share of refined estimates that are certified.
        simulated: share of simulated instances with a refined pose within 10 degrees and 5 cm;
            detects forgetting.
    """

    instances: int
    inlier_ratio: float
    free_space_violation: float
    certified: float
    simulated: float


def measure_fitness(
    model: CategoryModel,
    real: Sequence[Instance],
    simulated: Sequence[SimulatedInstance],
    certificate: Certificate,
    progress: Callable[[], None] = lambda: None,
) -> Fitness:
    """Measure a network's quality on real and simulated instances.

    Args:
        model: category model to evaluate.
        real: instances without labels, at least one.
        simulated: instances with labels, at least one.
        certificate: criteria for refined estimates.
        progress: called after each instance.
    """
    refining = teacher(model)
    network_only = teacher(model, refine="none")
    inliers, violations, certified = [], [], []
    for batch in _batches(real):
        for first in _estimates(network_only, batch):
            inliers.append(0.0 if first is None else first.diagnostics["inlier_ratio"])
            violations.append(1.0 if first is None else first.diagnostics["free_space_violation"])
        for refined in _estimates(refining, batch):
            certified.append(refined is not None and not certificate.objections(refined))
            progress()
    right = []
    for items in _batches(simulated):
        for item, refined in zip(
            items, _estimates(refining, [x.instance for x in items]), strict=True
        ):
            errors = None if refined is None else compare(refined, item.truth)
            right.append(
                errors is not None
                and errors.rot_err_deg <= _RIGHT_DEG
                and errors.trans_err_cm <= _RIGHT_CM
            )
            progress()
    return Fitness(
        len(real),
        float(np.mean(inliers)),
        float(np.mean(violations)),
        float(np.mean(certified)),
        float(np.mean(right)),
    )


def regressions(after: Fitness, before: Fitness) -> list[str]:
    """Describe the figures that became worse by more than the tolerance; empty for none."""
    worse = []
    old, new = asdict(before), asdict(after)
    for name, tolerance in _TOLERANCES.items():
        change = new[name] - old[name]
        if change < -tolerance if tolerance > 0.0 else change > -tolerance:
            worse.append(f"{name} {old[name]:.3f} -> {new[name]:.3f}")
    return worse


def _batches(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """Split items into batches for the estimator."""
    for start in range(0, len(items), _BATCH):
        yield items[start : start + _BATCH]


def _estimates(
    estimator: PoseEstimator, instances: Sequence[Instance]
) -> list[ObjectEstimate | None]:
    """Estimate instances of several images in one batch; None for those without an estimate."""
    # Mask ids are unique within an image only.
    numbered = [replace(x, mask_id=i) for i, x in enumerate(instances)]
    found = {x.mask_id: x for x in estimator.estimate(numbered).estimates}
    return [found.get(i) for i in range(len(instances))]
