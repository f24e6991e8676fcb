"""What several images show of one object, whose size and shape are the same in all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sdfpose_core.geometry.similarity import Similarity
from sdfpose_core.observation.frame import Instance, ObjectEstimate
from sdfpose_core.refine.state import ShapePose

__all__ = ["Keyframes", "decoder_states"]

_MAX_KEYFRAMES = 6

_MOST_POINTS = 1024
"""Of a view."""


@dataclass(frozen=True)
class Keyframes:
    """K views of one object.

    Attributes:
        instances: what each of them measured.
        state: (K,) poses in their camera frames, with the same size and code.
    """

    instances: tuple[Instance, ...]
    state: ShapePose

    @classmethod
    def of(cls, instance: Instance, estimate: ObjectEstimate) -> Keyframes:
        """The first view of an object, which detected it."""
        return cls((_kept(instance),), decoder_states([estimate], torch.device("cpu")))

    @property
    def full(self) -> bool:
        """Whether there are as many views as are kept."""
        return len(self.instances) == _MAX_KEYFRAMES

    def __reduce__(self) -> tuple[object, ...]:
        """Arrays travel to another process; tensors would go through shared memory."""
        similarity = self.state.similarity
        tensors = (
            similarity.rotation, similarity.translation, similarity.scale, self.state.codes
        )  # fmt: skip
        return _restored, (self.instances, *(x.cpu().numpy() for x in tensors))

    def to(self, device: torch.device) -> Keyframes:
        """The same with the state on another device."""
        codes = self.state.codes.to(device)
        return Keyframes(self.instances, ShapePose(self.state.similarity.to(device), codes))

    def with_view(self, instance: Instance, state: ShapePose) -> Keyframes:
        """With one more view; of too many, the older one of the two most alike is left out.

        Args:
            instance: what it measured.
            state: (1,) with the size and code of the other views.
        """
        old, new = self.state.similarity, state.similarity
        rotation = torch.cat([old.rotation, new.rotation])
        translation = torch.cat([old.translation, new.translation])
        kept = torch.arange(len(rotation))
        if len(kept) > _MAX_KEYFRAMES:
            kept = kept[kept != _most_redundant(rotation, translation)]
        return Keyframes(
            tuple((*self.instances, _kept(instance))[i] for i in kept.tolist()),
            ShapePose(
                Similarity(rotation[kept], translation[kept], new.scale.expand(len(kept))),
                state.codes.expand(len(kept), -1),
            ),
        )

    def reshaped(self, before: ShapePose, after: ShapePose) -> ShapePose:
        """The views' states as if the object were another one, known from one of the images.

        Args:
            before: (1,) the object's state in that image.
            after: (1,) the other one's.
        """
        one, other, all_ = before.similarity, after.similarity, self.state.similarity
        back = one.rotation.transpose(1, 2)
        offset = (other.translation - one.translation).unsqueeze(-1)
        return ShapePose(
            Similarity(
                all_.rotation @ (back @ other.rotation),
                all_.translation + (all_.rotation @ (back @ offset)).squeeze(-1),
                other.scale.expand(len(self.state)),
            ),
            after.codes.expand(len(self.state), -1),
        )


def decoder_states(estimates: Sequence[ObjectEstimate], device: torch.device) -> ShapePose:
    """Where estimates have their decoder's frames, and their codes."""

    def stack(arrays: Sequence[NDArray[np.floating] | float]) -> Tensor:
        return torch.from_numpy(np.stack([np.float32(x) for x in arrays])).to(device)

    return ShapePose(
        Similarity(
            stack([x.rotation for x in estimates]),
            stack([x.decoder_translation for x in estimates]),
            stack([x.decoder_scale for x in estimates]),
        ),
        stack([x.code for x in estimates]),
    )


def _restored(
    instances: tuple[Instance, ...],
    rotation: NDArray[np.float32],
    translation: NDArray[np.float32],
    scale: NDArray[np.float32],
    codes: NDArray[np.float32],
) -> Keyframes:
    similarity = Similarity(*(torch.from_numpy(x) for x in (rotation, translation, scale)))
    return Keyframes(instances, ShapePose(similarity, torch.from_numpy(codes)))


def _kept(instance: Instance) -> Instance:
    """The instance with as many of its points as are looked at."""
    count = len(instance.points)
    if count <= _MOST_POINTS:
        return instance
    chosen = np.random.default_rng(0).permutation(count)[:_MOST_POINTS]
    return replace(instance, points=instance.points[chosen], pixels=instance.pixels[chosen])


def _most_redundant(rotation: Tensor, translation: Tensor) -> int:
    """Number of the older one of the two views whose viewing directions are the closest."""
    sight = (translation.unsqueeze(1) @ rotation).squeeze(1)
    sight = torch.nn.functional.normalize(sight, dim=-1)
    cosine = (sight @ sight.T).fill_diagonal_(-1.0)
    return min(divmod(int(cosine.argmax()), len(cosine)))
