"""Configuration of the estimator."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from sdfpose_core.errors import ConfigurationError
from sdfpose_core.estimation.category_model import EncoderName
from sdfpose_core.estimation.hypotheses import NetworkPriorConfig
from sdfpose_core.estimation.hypothesis_search import FULL_SEARCH, Stage
from sdfpose_core.estimation.resting import UprightRule
from sdfpose_core.refine.solver import RefineConfig

__all__ = ["EstimatorConfig"]


@dataclass(frozen=True)
class EstimatorConfig:
    """Configuration of the estimator.

    Attributes:
        encoder: ``fast`` is the trained network; ``ssc6d`` that of SSC-6D (Peng et al., AAAI
            2022), which also takes colour and has no shipped weights; ``none`` searches from
            upright start poses and needs a decoder only.
        refine: ``sdf`` on the signed distance field, ``icp`` as in SSC-6D, or ``none``.
        device: ``auto | cpu | cuda[:N]``.
        surface_points: observed points per instance that the refinement uses.
        min_points: instances with fewer depth pixels are skipped; at least 1. The confidence is
            calibrated for the default or more.
        yaw_starts: copies of each network hypothesis, turned about y, from which the search also
            starts, for categories that have a front.
        schedule: coarse rounds of the search.
        half_turns: whether the half turns of the best hypothesis are refined and compared as well.
        network_prior: how strongly the network's prediction counts against the evidence.
        mesh_resolution: cells along each axis of the grid of the reconstructed surface.
        mesh_tolerance: share of the diagonal by which mesh simplification may move that surface.
        upright: how the direction up counts: ``usual`` follows the categories, ``sure``
            says that objects stand, ``free`` ignores it.
        category_trust: probability, 0 to 1, that the label of a detector with score 1 is right; 1
            keeps every label, with 0 all categories are tried.
        min_known: masks are skipped if the probability that they show an object of any of the
            categories is smaller, unless their category is known: from the user, or from an
            annotation. 0 keeps all.
        colour: ``auto`` lets colour decide what depth leaves open; ``none`` ignores it.
        seed: of the sample of points; the same input gives the same output.
        solver: weights of the refinement's terms.

    Raises:
        ConfigurationError: `category_trust` or `min_known` is not from 0 to 1, or `min_points` not
            positive.
    """

    encoder: EncoderName = "fast"
    refine: Literal["sdf", "icp", "none"] = "sdf"
    device: str = "auto"
    surface_points: int = 256
    min_points: int = 50
    yaw_starts: int = 3
    schedule: tuple[Stage, ...] = FULL_SEARCH
    half_turns: bool = True
    network_prior: NetworkPriorConfig = field(default_factory=NetworkPriorConfig)
    mesh_resolution: int = 96
    mesh_tolerance: float = 1e-3
    upright: UprightRule = "usual"
    category_trust: float = 0.98
    min_known: float = 0.3
    colour: Literal["auto", "none"] = "auto"
    seed: int = 0
    solver: RefineConfig = field(default_factory=RefineConfig)

    def __post_init__(self) -> None:
        for name in ("category_trust", "min_known"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ConfigurationError(
                    f"{name} is {getattr(self, name)}: expected a number from 0 to 1"
                )
        if self.min_points < 1:
            raise ConfigurationError(
                f"min_points is {self.min_points}: expected at least 1, as an object without a "
                "measured point has no pose"
            )
