"""What colour shows of the instances of an image, each looked at once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from sdfpose_core.cues.network import ColourCues, ColourFeatures
from sdfpose_core.observation.colour_crop import is_blank
from sdfpose_core.observation.frame import Instance

__all__ = ["ColourEvidence"]

_LEAST_LOG_PROBABILITY = math.log(0.01)
"""Less likely categories are not tried: on held-out views, half of all, and of the true ones less
than one in a hundred."""


@dataclass(frozen=True)
class ColourEvidence:
    """Features of instances by their mask ids, and the colour network that reads them.

    Attributes:
        cues: the network.
        seen: what it saw of each mask id.
        rows: by mask id, the row in `seen`.
    """

    cues: ColourCues
    seen: ColourFeatures
    rows: Mapping[int, int]

    @classmethod
    def of(cls, cues: ColourCues, instances: Iterable[Instance]) -> ColourEvidence:
        """Look at instances; those with the same mask id are one object."""
        first = {x.mask_id: x for x in reversed(list(instances))}
        rows = {mask_id: row for row, mask_id in enumerate(first)}
        return cls(cues, cues.encode([_without_blank(x) for x in first.values()]), rows)

    def likely(self, instances: Sequence[Instance]) -> list[Instance]:
        """The instances without the categories that colour all but rules out.

        Categories that the network does not know are never ruled out.

        Args:
            instances: those with the same mask id are one object under all categories that it may
                have.
        """
        names: dict[int, list[str]] = {}
        for x in instances:
            names.setdefault(x.mask_id, []).append(x.category)
        logs = {
            (mask_id, name): log
            for mask_id, some in names.items()
            for name, log in zip(some, self.category_log_probabilities(mask_id, some), strict=True)
        }
        return [x for x in instances if logs[x.mask_id, x.category] >= _LEAST_LOG_PROBABILITY]

    def told_known(self, instance: Instance) -> Instance:
        """The instance with the log odds that it is of any category, as colour tells.

        That says nothing of a category that the network does not know.
        """
        if not self.knows(instance.category):
            return instance
        return replace(instance, colour_log_odds=self._known[self.rows[instance.mask_id]])

    def knows(self, category: str) -> bool:
        """Whether the network has seen objects of the category."""
        return category in self.cues.config.categories

    def category_log_probabilities(self, mask_id: int, categories: Sequence[str]) -> list[float]:
        """Log probabilities of the candidate categories of an object.

        Those of the categories that the network knows are probabilities among these; those of the
        others are zero.
        """
        found: list[float] = self.cues.category_log_probabilities(self._of([mask_id]), categories)[
            0
        ].tolist()
        return found

    def log_scores(
        self, mask_ids: Sequence[int], categories: Sequence[str], rotations: Tensor, centres: Tensor
    ) -> Tensor:
        """Log densities (B, K) of poses of B instances, relative to the uniform density.

        Args:
            mask_ids: of the instances.
            categories: of the instances.
            rotations: (B, K, 3, 3), object to camera frame.
            centres: (B, K, 3), metres, camera frame.
        """
        device = self.cues.device
        scores = self.cues.log_scores(
            self._of(mask_ids), categories, rotations.to(device), centres.to(device)
        )
        return scores.to(rotations.device)

    @cached_property
    def _known(self) -> list[float]:
        """Log odds that each row's object is of any category that the network knows."""
        found: list[float] = self.cues.known_log_odds(self.seen).tolist()
        return found

    def _of(self, mask_ids: Sequence[int]) -> ColourFeatures:
        rows = torch.tensor([self.rows[x] for x in mask_ids], device=self.cues.device)
        return self.seen[rows]


def _without_blank(instance: Instance) -> Instance:
    """The instance, without colour that shows nothing: the network has seen none such."""
    if instance.colour is None or not is_blank(instance.colour, instance.pixels):
        return instance
    return replace(instance, colour=None)
