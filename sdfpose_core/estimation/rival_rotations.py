"""Rotations that compete with the best hypothesis of an instance, wherever the search has led.

Few points tell an object's top from its bottom, or its front from its back, and a thin handle often
returns no depth at all. Such modes are always refined and compared.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sdfpose_core.estimation.colour_evidence import ColourEvidence
from sdfpose_core.geometry.similarity import Similarity, so3_exp
from sdfpose_core.observation.frame import Instance

__all__ = ["RivalRotations", "front_in_colour", "half_turns"]

_YAWS = 18
"""Turns about y among which colour chooses. A second choice would add nothing."""


@dataclass(frozen=True)
class RivalRotations:
    """Rotations to try for B instances.

    Attributes:
        rotations: (B, R, 3, 3), object to camera frame.
        worth_trying: (B, R) bool.
    """

    rotations: Tensor
    worth_trying: Tensor

    @classmethod
    def cat(cls, parts: Sequence[RivalRotations]) -> RivalRotations:
        """The rotations of all parts, in their order."""
        return cls(
            torch.cat([x.rotations for x in parts], dim=1),
            torch.cat([x.worth_trying for x in parts], dim=1),
        )


def half_turns(best: Tensor, has_front: Tensor) -> RivalRotations:
    """Half turns of rotations about the object's x, y and z axis.

    Args:
        best: (B, 3, 3).
        has_front: (B,) whether yaw about y has a meaning. Without a front, the half turn about x is
            enough: that about z differs from it in yaw alone.
    """
    turns = torch.diag_embed(2.0 * torch.eye(3, dtype=best.dtype, device=best.device) - 1.0)
    worth_trying = has_front.unsqueeze(1).repeat(1, 3)
    worth_trying[:, 0] = True
    return RivalRotations(best.unsqueeze(1) @ turns, worth_trying)


def front_in_colour(
    colour: ColourEvidence, instances: Sequence[Instance], best: Similarity, has_front: Tensor
) -> RivalRotations:
    """The turn about y after which the front is where colour shows it.

    Args:
        colour: of the instances.
        instances: B of them.
        best: (B,) their best poses.
        has_front: (B,) whether yaw about y has a meaning.

    Returns:
        One rotation for each instance; the best pose's own if its colour is not known.
    """
    vector = torch.zeros(_YAWS, 3, dtype=best.rotation.dtype, device=best.rotation.device)
    vector[:, 1] = torch.arange(_YAWS, device=vector.device) * (2.0 * math.pi / _YAWS)
    turned = best.rotation.unsqueeze(1) @ so3_exp(vector)
    scores = colour.log_scores(
        [x.mask_id for x in instances],
        [x.category for x in instances],
        turned,
        best.translation.unsqueeze(1).expand(-1, _YAWS, -1),
    )
    chosen = scores.argmax(dim=1, keepdim=True)
    rotation = turned.gather(1, chosen[..., None, None].expand(-1, -1, 3, 3))
    return RivalRotations(rotation, has_front.unsqueeze(1))
