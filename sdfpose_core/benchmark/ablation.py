"""Parts of the estimator that can be switched off. Without torch, for command lines."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # it imports torch
    from sdfpose_core.estimation.config import EstimatorConfig

__all__ = ["FORMER_PARTS", "PARTS", "RANKING"]

PARTS: dict[str, Callable[[EstimatorConfig], EstimatorConfig]] = {
    "support": lambda x: replace(
        x, solver=replace(x.solver, support_weight=0.0, contact_weight=0.0)
    ),
    "free-space": lambda x: replace(x, solver=replace(x.solver, free_space_weight=0.0)),
    "rotation-prior": lambda x: replace(
        x, network_prior=replace(x.network_prior, rotation_weight=0.0)
    ),
    "shape-prior": lambda x: replace(
        x, network_prior=replace(x.network_prior, shape_sd_factor=math.inf)
    ),
    "yaw-starts": lambda x: replace(x, yaw_starts=0),
    "half-turns": lambda x: replace(x, half_turns=False),
    "upright": lambda x: replace(x, upright="free"),
    "colour": lambda x: replace(x, colour="none"),
}
"""Parts of the estimator that its configuration can switch off."""

RANKING = "ranking"
"""Without the fitted ranking of the modes, the cost and the network's density decide."""

FORMER_PARTS = {"belief": "rotation-prior", "shape-belief": "shape-prior", "turns": "yaw-starts"}
"""Former names of parts, still accepted."""
