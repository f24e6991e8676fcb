"""How well a network does on images without labels, and whether another one does worse."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from sdfpose_core.estimation.category_model import CategoryModel
from sdfpose_core.evaluation.comparison import compare
from sdfpose_core.observation.frame import Instance, ObjectEstimate
from sdfpose_core.selfsup.certificate import Certificate
from sdfpose_core.selfsup.teacher import teacher
from sdfpose_core.simulation.instances import SimulatedInstance

__all__ = ["Fitness", "measure_fitness", "ways_it_is_worse"]

_RIGHT_DEG, _RIGHT_CM = 10.0, 5.0

_TOLERANCES = {
    "inlier_ratio": 0.02,
    "free_space_violation": -0.02,
    "certified": 0.02,
    "simulated": 0.03,
}
"""How much less a figure may be afterwards; of a violation, how much more."""


@dataclass(frozen=True)
class Fitness:
    """What the estimates of a network explain.

    Attributes:
        instances: real ones that were estimated.
        inlier_ratio: mean share of an instance's points on the surface that the network alone
            says, before any refinement.
        free_space_violation: mean share of that surface in free space.
        certified: share of the refined estimates that are certified.
        simulated: share of simulated instances whose refined pose is within 10 degrees and 5 cm:
            what was known is not to be forgotten.
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
    """Estimate all instances.

    Args:
        model: what is measured.
        real: instances without labels, at least one.
        simulated: instances with labels, at least one.
        certificate: what refined estimates must stand up to.
        progress: told after each instance.
    """
    whole = teacher(model)
    alone = teacher(model, refine="none")
    inliers, violations, certified = [], [], []
    for instance in real:
        first = _only(alone.estimate([instance]).estimates)
        inliers.append(0.0 if first is None else first.diagnostics["inlier_ratio"])
        violations.append(1.0 if first is None else first.diagnostics["free_space_violation"])
        refined = _only(whole.estimate([instance]).estimates)
        certified.append(refined is not None and not certificate.objections(refined))
        progress()
    right = []
    for item in simulated:
        refined = _only(whole.estimate([item.instance]).estimates)
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


def ways_it_is_worse(after: Fitness, before: Fitness) -> list[str]:
    """In which figures a network does worse than another one, by more than chance, in words."""
    worse = []
    was, now = asdict(before), asdict(after)
    for name, tolerance in _TOLERANCES.items():
        change = now[name] - was[name]
        if change < -tolerance if tolerance > 0.0 else change > -tolerance:
            worse.append(f"{name} {was[name]:.3f} -> {now[name]:.3f}")
    return worse


def _only(estimates: Sequence[ObjectEstimate]) -> ObjectEstimate | None:
    return estimates[0] if estimates else None
