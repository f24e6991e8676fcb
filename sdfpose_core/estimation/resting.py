"""How objects rest: the likelihood of an object's y axis, given which way is up."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

from sdfpose_core.categories import Resting

__all__ = ["UprightRule", "upright_log_density"]

UprightRule = Literal["free", "usual", "sure"]

_CONCENTRATION = math.radians(6.0) ** -2
"""Of the axis of a resting object about the vertical, the error of the measured plane included."""

_DOUBT = 0.03
"""Probability that the direction is not up at all: the plane is a wall, or a slope."""

_SURE = Resting(standing=1.0, upside_down=0.0, lying=0.0)


def upright_log_density(cosine: float, resting: Resting, rule: UprightRule) -> float:
    """Log density of an object's y axis on the sphere, relative to the uniform density.

    A mixture of a von Mises-Fisher density about the direction up (the object stands), one about
    its opposite (it is upside down), a band about the equator (it lies), and the uniform density.

    Args:
        cosine: of the angle between the y axis and the direction up.
        resting: how often objects of the category stand, lie and are upside down.
        rule: ``free`` ignores the direction; ``usual`` follows `resting`; ``sure`` says that all
            objects stand.
    """
    if rule == "free":
        return 0.0
    shares = _SURE if rule == "sure" else resting
    shares = replace(
        shares,
        standing=(1.0 - _DOUBT) * shares.standing,
        upside_down=(1.0 - _DOUBT) * shares.upside_down,
        lying=(1.0 - _DOUBT) * shares.lying,
    )
    # 4 pi times the densities; both normalising integrals are over cosines from -1 to 1.
    pole = 2.0 * _CONCENTRATION / -math.expm1(-2.0 * _CONCENTRATION)
    band = math.sqrt(2.0 * _CONCENTRATION / math.pi) / math.erf(math.sqrt(0.5 * _CONCENTRATION))
    density = (
        shares.standing * pole * math.exp(-_CONCENTRATION * (1.0 - cosine))
        + shares.upside_down * pole * math.exp(-_CONCENTRATION * (1.0 + cosine))
        + shares.lying * band * math.exp(-0.5 * _CONCENTRATION * cosine**2)
        + (1.0 - shares.standing - shares.upside_down - shares.lying)
    )
    return math.log(density)
