"""Self-supervised losses of SSC-6D (Peng et al., AAAI 2022, section "Self-supervised training").

The visible part of the estimated surface must match the measured depth, observed points must lie
on the estimated surface, and the code must stay probable.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sdfpose_core.errors import CategoryError
from sdfpose_core.geometry.similarity import Similarity
from sdfpose_core.sdf.shape_decoder import ShapeDecoder, newton_direction
from sdfpose_core.sdf.tracing import trace

__all__ = [
    "CODE_GROWTH",
    "PaperLosses",
    "chamfer_distance",
    "code_norm",
    "sdf_alignment",
    "visible_surface",
]

CODE_GROWTH = {
    "bottle": 3.0,
    "bowl": 2.5,
    "camera": 3.0,
    "can": 2.5,
    "laptop": 1.5,
    "mug": 4.0,
}
"""Beta of the code loss, by category (section "Implementation details")."""

_UNITS_PER_DIAGONAL = 2.0
"""The paper's decoder normalises the box diagonal to 2."""

_REACH = 0.49
"""Object units: observed points farther from the centre are ignored; 0.98 in the paper's unit."""


def chamfer_distance(a: Tensor, b: Tensor, in_a: Tensor, in_b: Tensor) -> Tensor:
    """Mean squared distance to the nearest point of the other set, summed over both directions.

    Args:
        a: (B, N, 3), any unit.
        b: (B, M, 3), the same unit.
        in_a: (B, N) bool, valid points of `a`.
        in_b: (B, M) bool, valid points of `b`.

    Returns:
        (B,), squared units; 0 if either set is empty.
    """
    squared = (a.unsqueeze(2) - b.unsqueeze(1)).square().sum(-1)
    far = torch.finfo(squared.dtype).max
    to_b = squared.masked_fill(~in_b.unsqueeze(1), far).amin(dim=2)
    to_a = squared.masked_fill(~in_a.unsqueeze(2), far).amin(dim=1)
    both = in_a.any(dim=1) & in_b.any(dim=1)
    return torch.where(both, _mean(to_b, in_a) + _mean(to_a, in_b), torch.zeros_like(to_a[:, 0]))


def sdf_alignment(
    decoder: ShapeDecoder, codes: Tensor, similarity: Similarity, points: Tensor
) -> Tensor:
    """Mean absolute signed distances (B,) of observed points, in the paper's unit.

    Args:
        decoder: the category's decoder.
        codes: (B, D) estimated codes.
        similarity: (B,) estimated, decoder frame to camera frame.
        points: (B, N, 3), metres, camera frame.
    """
    q = similarity.inverse_transform(points)
    near = q.norm(dim=-1) < _REACH
    return _UNITS_PER_DIAGONAL * _mean(decoder(q, codes).abs(), near)


def visible_surface(
    decoder: ShapeDecoder, codes: Tensor, similarity: Similarity, rays: Tensor
) -> tuple[Tensor, Tensor]:
    """Points of the decoded surface that a camera sees, differentiable by pose and code.

    Sphere tracing finds the hit points without gradients. The points are then fixed to the object:
    the similarity moves them in all directions, not only along their rays, and the code moves them
    along their normals.

    Args:
        decoder: the category's decoder.
        codes: (B, D) estimated codes.
        similarity: (B,) estimated, decoder frame to camera frame.
        rays: (B, M, 3), camera frame.

    Returns:
        Points (B, M, 3), metres, camera frame, and whether each ray hits the surface (B, M).
    """
    with torch.no_grad():
        traced = trace(decoder, codes, similarity, rays)
        q = similarity.inverse_transform(traced.depth.unsqueeze(-1) * rays)
        _, normal = decoder.value_and_gradient(q, codes)
        step = newton_direction(normal)
    value = decoder(q, codes)
    return similarity.transform(q - value.unsqueeze(-1) * step), traced.hit


def code_norm(codes: Tensor, beta: float) -> Tensor:
    """Code loss exp(beta |z|) - 1 (B,) of codes (B, D)."""
    return torch.expm1(beta * codes.norm(dim=-1))


@dataclass(frozen=True)
class PaperLosses:
    """Weighted sum of the three losses, with the paper's weights.

    Attributes:
        beta: growth rate of the code loss, see `CODE_GROWTH`.
        surface_weight: weight of the Chamfer distance in square metres.
        alignment_weight: weight of the observed points' distances from the surface.
        code_weight: weight of the code loss.
    """

    beta: float
    surface_weight: float = 100.0
    alignment_weight: float = 1.0
    code_weight: float = 0.01

    @classmethod
    def of(cls, category: str) -> PaperLosses:
        """Create the losses with the paper's setting for a category.

        Raises:
            CategoryError: the paper has no setting for the category.
        """
        if category not in CODE_GROWTH:
            raise CategoryError(
                f"the paper's losses have no setting for '{category}': expected one of "
                f"{', '.join(CODE_GROWTH)}; otherwise set `beta` of PaperLosses yourself"
            )
        return cls(CODE_GROWTH[category])

    def __call__(
        self,
        decoder: ShapeDecoder,
        codes: Tensor,
        similarity: Similarity,
        observed: Tensor,
        rays: Tensor,
    ) -> dict[str, Tensor]:
        """Losses of estimates, differentiable by code and similarity.

        Args:
            decoder: the category's decoder.
            codes: (B, D) estimated codes.
            similarity: (B,) estimated, decoder frame to camera frame.
            observed: (B, N, 3), metres, camera frame: points measured on the object.
            rays: (B, M, 3), camera frame: rays of the crop's pixels, for rendering the estimate.

        Returns:
            (B,) each: ``surface``, ``alignment`` and ``code`` unweighted, and ``total``.
        """
        rendered, hit = visible_surface(decoder, codes, similarity, rays)
        valid = torch.ones(observed.shape[:2], dtype=torch.bool, device=observed.device)
        losses = {
            "surface": chamfer_distance(rendered, observed, hit, valid),
            "alignment": sdf_alignment(decoder, codes, similarity, observed),
            "code": code_norm(codes, self.beta),
        }
        losses["total"] = (
            self.surface_weight * losses["surface"]
            + self.alignment_weight * losses["alignment"]
            + self.code_weight * losses["code"]
        )
        return losses


def _mean(values: Tensor, where: Tensor) -> Tensor:
    """Means (B,) of the entries (B, N) selected by `where`, 0 if none is."""
    chosen = torch.where(where, values, torch.zeros_like(values))
    return chosen.sum(dim=1) / where.sum(dim=1).clamp(min=1)
