"""Keyframes: views of one object that share its size and shape."""

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

_MAX_POINTS = 1024
"""Per keyframe."""


@dataclass(frozen=True)
class Keyframes:
    """K views of one object.

    Attributes:
        instances: what each view measured. Those with a camera pose show the object at the same
            place in the world.
        state: (K,) poses in the camera frame of each view, with the same size and code.
    """

    instances: tuple[Instance, ...]
    state: ShapePose

    @classmethod
    def of(cls, instance: Instance, estimate: ObjectEstimate) -> Keyframes:
        """The first keyframe: the view in which the object was detected, and may have moved."""
        instance = replace(_thinned(instance), camera_pose=None)
        return cls((instance,), decoder_states([estimate], torch.device("cpu")))

    @property
    def full(self) -> bool:
        """Whether the maximum number of keyframes is reached."""
        return len(self.instances) == _MAX_KEYFRAMES

    def unplaced(self) -> Keyframes:
        """The keyframes without camera poses: the object moves, and stood elsewhere in them."""
        return Keyframes(
            tuple(replace(x, camera_pose=None) for x in self.instances),
            self.state,
        )

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle as arrays: tensors would go to another process through shared memory."""
        similarity = self.state.similarity
        tensors = (
            similarity.rotation, similarity.translation, similarity.scale, self.state.codes
        )  # fmt: skip
        return _restored, (self.instances, *(x.cpu().numpy() for x in tensors))

    def to(self, device: torch.device) -> Keyframes:
        """The keyframes with their state on another device."""
        codes = self.state.codes.to(device)
        return Keyframes(self.instances, ShapePose(self.state.similarity.to(device), codes))

    def with_view(self, instance: Instance, state: ShapePose) -> Keyframes:
        """The keyframes with one more view.

        Above the maximum, the older one of the two most similar views is dropped.

        Args:
            instance: what the view measured.
            state: (1,) with the size and code of the other views.
        """
        old, new = self.state.similarity, state.similarity
        rotation = torch.cat([old.rotation, new.rotation])
        translation = torch.cat([old.translation, new.translation])
        kept = torch.arange(len(rotation))
        if len(kept) > _MAX_KEYFRAMES:
            kept = kept[kept != _most_redundant(rotation, translation)]
        return Keyframes(
            tuple((*self.instances, _thinned(instance))[i] for i in kept.tolist()),
            ShapePose(
                Similarity(rotation[kept], translation[kept], new.scale.expand(len(kept))),
                state.codes.expand(len(kept), -1),
            ),
        )

    def reshaped(self, before: ShapePose, after: ShapePose) -> ShapePose:
        """The states of all views after the state in one image is replaced.

        Args:
            before: (1,) the object's state in that image.
            after: (1,) the new state, with another pose, size and code.
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
    """Poses of the decoder's frame, sizes and codes (B,) of estimates."""

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


def _thinned(instance: Instance) -> Instance:
    """The instance with at most `_MAX_POINTS` of its points."""
    count = len(instance.points)
    if count <= _MAX_POINTS:
        return instance
    chosen = np.random.default_rng(0).permutation(count)[:_MAX_POINTS]
    return replace(instance, points=instance.points[chosen], pixels=instance.pixels[chosen])


def _most_redundant(rotation: Tensor, translation: Tensor) -> int:
    """Index of the older one of the two views with the closest viewing directions."""
    sight = (translation.unsqueeze(1) @ rotation).squeeze(1)
    sight = torch.nn.functional.normalize(sight, dim=-1)
    cosine = (sight @ sight.T).fill_diagonal_(-1.0)
    return min(divmod(int(cosine.argmax()), len(cosine)))
