"""State variables of the refinement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sdfpose_core.geometry.similarity import Similarity

__all__ = ["ShapePose"]


@dataclass(frozen=True)
class ShapePose:
    """State of B hypotheses.

    Attributes:
        similarity: (B,) decoder frame to camera frame.
        codes: (B, D) latent codes.
    """

    similarity: Similarity
    codes: Tensor

    @classmethod
    def cat(cls, states: Sequence[ShapePose]) -> ShapePose:
        """Concatenate hypotheses."""
        similarity = Similarity.cat([x.similarity for x in states])
        return cls(similarity, torch.cat([x.codes for x in states]))

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, index: Tensor | slice) -> ShapePose:
        return ShapePose(self.similarity[index], self.codes[index])

    def to(self, device: torch.device) -> ShapePose:
        """Copy the hypotheses to another device."""
        return ShapePose(self.similarity.to(device), self.codes.to(device))

    def retract(self, delta: Tensor) -> ShapePose:
        """Move along tangent vectors (B, 7 + D)."""
        return ShapePose(self.similarity.retract(delta[:, :7]), self.codes + delta[:, 7:])

    def with_shape_of(self, other: ShapePose) -> ShapePose:
        """Keep the poses and take size and code from another state (1,)."""
        similarity = self.similarity
        scale, codes = other.similarity.scale, other.codes
        return ShapePose(
            Similarity(
                similarity.rotation, similarity.translation, scale.expand_as(similarity.scale)
            ),
            codes.expand_as(self.codes),
        )

    def where(self, condition: Tensor, other: ShapePose) -> ShapePose:
        """Select this state where `condition` (B,) is true, else `other`."""
        a, b = self.similarity, other.similarity
        return ShapePose(
            Similarity(
                torch.where(condition[:, None, None], a.rotation, b.rotation),
                torch.where(condition[:, None], a.translation, b.translation),
                torch.where(condition, a.scale, b.scale),
            ),
            torch.where(condition[:, None], self.codes, other.codes),
        )
