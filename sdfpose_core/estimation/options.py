"""What users choose of the estimator. Without torch, for command lines and parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sdfpose_core.errors import ConfigurationError
from sdfpose_core.estimation.resting import UprightRule

__all__ = ["EncoderName", "EstimatorOptions"]

EncoderName = Literal["fast", "ssc6d", "none"]


@dataclass(frozen=True)
class EstimatorOptions:
    """The part of `EstimatorConfig` that users choose.

    Attributes:
        encoder: ``fast`` is the trained network; ``ssc6d`` that of SSC-6D (Peng et al., AAAI
            2022), which also takes colour and has no shipped weights; ``none`` searches from
            upright start poses and needs a decoder only.
        refine: ``sdf`` on the signed distance field, ``icp`` as in SSC-6D, or ``none``.
        device: ``auto | cpu | cuda[:N]``.
        upright: how the direction up counts: ``usual`` follows the categories, ``sure``
            says that objects stand, ``free`` ignores it.
        category_trust: probability, 0 to 1, that the label of a detector with score 1 is right; 1
            keeps every label, with 0 all categories are tried.
        min_known: masks are skipped if the probability that they show an object of any of the
            categories is smaller, unless their category is known: from the user, or from an
            annotation. 0 keeps all.
        colour: ``auto`` lets colour decide what depth leaves open; ``none`` ignores it.

    Raises:
        ConfigurationError: `category_trust` or `min_known` is not from 0 to 1.
    """

    encoder: EncoderName = "fast"
    refine: Literal["sdf", "icp", "none"] = "sdf"
    device: str = "auto"
    upright: UprightRule = "usual"
    category_trust: float = 0.98
    min_known: float = 0.3
    colour: Literal["auto", "none"] = "auto"

    def __post_init__(self) -> None:
        for name in ("category_trust", "min_known"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ConfigurationError(
                    f"{name} is {getattr(self, name)}: expected a number from 0 to 1"
                )
