"""Self-supervised losses of SSC-6D (Peng et al., AAAI 2022, section "Self-supervised training").

The visible part of the estimated surface must match the measured depth, observed points must lie
on the estimated surface, and the code must stay probable.

`PaperLosses` has the published unit, reduction and weights: squared metres and the mean over the
points of each set for the Chamfer distance, half diagonals and the mean for the alignment, and the
mean over the views. Unless created by `PaperLosses.published`, it departs from the published
implementation in three settings: the rendered surface also moves with the code (published: with the
pose alone), codes are not shortened to the unit ball before decoding, and distances are not
clamped. The caller chooses the points: published are the pixels with depth of the crop at 128 x
128, without outliers, and the rays of all pixels of that crop.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sdfpose_core.errors import CategoryError
from sdfpose_core.geometry.similarity import Similarity
from sdfpose_core.sdf.deepsdf import DeepSdf
from sdfpose_core.sdf.shape_decoder import ShapeDecoder, newton_direction
from sdfpose_core.sdf.tracing import first_hits

__all__ = [
    "CODE_GROWTH",
    "PaperLosses",
    "chamfer_distance",
    "code_norm",
    "sdf_alignment",
    "shortened",
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

_CLAMP = 0.5
"""Paper's unit: the published implementation clamps the distances of observed points."""

_CHUNK = 2048
"""Query points per distance matrix; limits the memory."""


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
    to_b = _squared_distance(a, b, in_b)
    to_a = _squared_distance(b, a, in_a)
    both = in_a.any(dim=1) & in_b.any(dim=1)
    return torch.where(both, _mean(to_b, in_a) + _mean(to_a, in_b), a.new_zeros(len(a)))


def sdf_alignment(
    decoder: ShapeDecoder,
    codes: Tensor,
    similarity: Similarity,
    points: Tensor,
    valid: Tensor | None = None,
    *,
    clamp: float = math.inf,
) -> Tensor:
    """Mean absolute signed distances (B,) of observed points, in the paper's unit.

    Args:
        decoder: the category's decoder.
        codes: (B, D) estimated codes.
        similarity: (B,) estimated, decoder frame to camera frame.
        points: (B, N, 3), metres, camera frame.
        valid: (B, N) bool, the points to use; all by default.
        clamp: largest distance, in the paper's unit.
    """
    q = similarity.inverse_transform(points)
    near = q.norm(dim=-1) < _REACH
    if valid is not None:
        near = near & valid
    distance = _UNITS_PER_DIAGONAL * decoder(q, codes).abs()
    return _mean(distance.clamp(max=clamp), near)


def visible_surface(
    decoder: ShapeDecoder,
    codes: Tensor,
    similarity: Similarity,
    rays: Tensor,
    *,
    moved_by_code: bool = True,
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
        moved_by_code: whether the points are differentiable by the code.

    Returns:
        Points (B, A, 3), metres, camera frame, and which of them are hits (B, A); A is the largest
        number of hits of an object.
    """
    with torch.no_grad():
        q, hit = first_hits(decoder, codes, similarity, rays)
        count = int(hit.sum(dim=1).max())
        index = hit.to(torch.uint8).argsort(dim=1, descending=True, stable=True)[:, :count]
        q, hit = q.gather(1, index.unsqueeze(-1).expand(-1, -1, 3)), hit.gather(1, index)
        value, normal = decoder.value_and_gradient(q, codes)
        step = newton_direction(normal)
    if moved_by_code:
        value = decoder(q, codes)
    return similarity.transform(q - value.unsqueeze(-1) * step), hit


def shortened(codes: Tensor, length: float) -> Tensor:
    """Scale codes (B, D) longer than `length` down to it; the factor has no gradient."""
    norm = codes.detach().norm(dim=-1, keepdim=True)
    return codes * (length / norm.clamp(min=length))


def code_norm(codes: Tensor, beta: float) -> Tensor:
    """Code loss exp(beta |z|) - 1 (B,) of codes (B, D)."""
    return torch.expm1(beta * codes.norm(dim=-1))


@dataclass(frozen=True)
class PaperLosses:
    """Weighted sum of the three losses, with the paper's weights.

    Attributes:
        beta: growth rate of the code loss, see `CODE_GROWTH`.
        surface_weight: weight of the Chamfer distance in square metres; 0: nothing is rendered.
        alignment_weight: weight of the observed points' distances from the surface.
        code_weight: weight of the code loss.
        code_unit: length of a code that counts as 1. The paper's decoder has codes of length up
            to 1.
        code_bound: in this unit: longer codes are scaled down before decoding, with a factor
            without gradient.
        clamp: half diagonals: larger distances of observed points from the surface count as this.
        surface_moved_by_code: whether the Chamfer distance has a gradient by the code.
    """

    beta: float
    surface_weight: float = 100.0
    alignment_weight: float = 1.0
    code_weight: float = 0.01
    code_unit: float = 1.0
    code_bound: float = math.inf
    clamp: float = math.inf
    surface_moved_by_code: bool = True

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

    @classmethod
    def published(cls, category: str, decoder: ShapeDecoder | None = None) -> PaperLosses:
        """Create the losses as in the published implementation.

        Args:
            category: a category of the paper.
            decoder: the decoder; the codes of one that is not a `DeepSdf` have no bound, and their
                unit is the root mean square length over the training shapes.

        Raises:
            CategoryError: the paper has no setting for the category.
        """
        losses = replace(cls.of(category), clamp=_CLAMP, surface_moved_by_code=False)
        if decoder is None or isinstance(decoder, DeepSdf):
            return replace(losses, code_bound=1.0)
        square = decoder.code_covariance.trace() + decoder.code_mean.square().sum()
        return replace(losses, code_unit=math.sqrt(float(square)))

    def __call__(
        self,
        decoder: ShapeDecoder,
        codes: Tensor,
        similarity: Similarity,
        observed: Tensor,
        rays: Tensor,
        valid: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Losses of estimates, differentiable by code and similarity.

        Args:
            decoder: the category's decoder.
            codes: (B, D) estimated codes.
            similarity: (B,) estimated, decoder frame to camera frame.
            observed: (B, N, 3), metres, camera frame: points measured on the object.
            rays: (B, M, 3), camera frame: rays of the crop's pixels, for rendering the estimate.
            valid: (B, N) bool, the observed points to use; all by default.

        Returns:
            (B,) each: ``surface``, ``alignment`` and ``code`` unweighted, and ``total``. A loss
            without weight is 0.
        """
        if valid is None:
            valid = torch.ones(observed.shape[:2], dtype=torch.bool, device=observed.device)
        decoded = codes
        if math.isfinite(self.code_bound):
            decoded = shortened(codes, self.code_bound * self.code_unit)
        zero = codes.sum(dim=-1) * 0.0
        losses = {"surface": zero, "alignment": zero, "code": zero}
        if self.surface_weight:
            rendered, hit = visible_surface(
                decoder, decoded, similarity, rays, moved_by_code=self.surface_moved_by_code
            )
            losses["surface"] = chamfer_distance(rendered, observed, hit, valid)
        if self.alignment_weight:
            losses["alignment"] = sdf_alignment(
                decoder, decoded, similarity, observed, valid, clamp=self.clamp
            )
        if self.code_weight:
            losses["code"] = code_norm(codes / self.code_unit, self.beta)
        losses["total"] = (
            self.surface_weight * losses["surface"]
            + self.alignment_weight * losses["alignment"]
            + self.code_weight * losses["code"]
        )
        return losses


def _squared_distance(a: Tensor, b: Tensor, in_b: Tensor) -> Tensor:
    """Squared distances (B, N) of points (B, N, 3) to the nearest valid point of (B, M, 3)."""
    if not b.shape[1]:
        return torch.zeros_like(a[..., 0])
    with torch.no_grad():
        far = torch.where(in_b, 0.0, torch.inf).unsqueeze(1)
        index = [
            (torch.cdist(part, b, compute_mode="donot_use_mm_for_euclid_dist") + far).argmin(2)
            for part in a.split(_CHUNK, dim=1)
        ]
    nearest = b.gather(1, torch.cat(index, dim=1).unsqueeze(-1).expand(-1, -1, 3))
    return (a - nearest).square().sum(-1)


def _mean(values: Tensor, where: Tensor) -> Tensor:
    """Means (B,) of the entries (B, N) selected by `where`, 0 if none is."""
    chosen = torch.where(where, values, torch.zeros_like(values))
    return chosen.sum(dim=1) / where.sum(dim=1).clamp(min=1)
