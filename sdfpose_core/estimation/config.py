"""Configuration of the estimator."""

from __future__ import annotations

from dataclasses import dataclass, field

from sdfpose_core.errors import ConfigurationError
from sdfpose_core.estimation.hypotheses import NetworkPriorConfig
from sdfpose_core.estimation.hypothesis_search import FULL_SEARCH, Stage
from sdfpose_core.estimation.options import EstimatorOptions
from sdfpose_core.refine.solver import RefineConfig

__all__ = ["EstimatorConfig"]


@dataclass(frozen=True)
class EstimatorConfig(EstimatorOptions):
    """Configuration of the estimator: what users choose, and how it works.

    Attributes:
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
        seed: of the sample of points; the same input gives the same output.
        solver: weights of the refinement's terms.

    Raises:
        ConfigurationError: an option is invalid, or `min_points` not positive.
    """

    surface_points: int = 256
    min_points: int = 50
    yaw_starts: int = 3
    schedule: tuple[Stage, ...] = FULL_SEARCH
    half_turns: bool = True
    network_prior: NetworkPriorConfig = field(default_factory=NetworkPriorConfig)
    mesh_resolution: int = 96
    mesh_tolerance: float = 1e-3
    seed: int = 0
    solver: RefineConfig = field(default_factory=RefineConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.min_points < 1:
            raise ConfigurationError(
                f"min_points is {self.min_points}: expected at least 1, as an object without a "
                "measured point has no pose"
            )
