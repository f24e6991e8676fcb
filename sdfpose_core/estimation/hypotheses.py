"""Pose hypotheses of instances, and the priors that a network's prediction puts on them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sdfpose_core.encoder.encoding import Encoding
from sdfpose_core.geometry.similarity import Similarity, so3_exp
from sdfpose_core.refine.priors import Priors, RotationPrior
from sdfpose_core.refine.state import ShapePose

__all__ = [
    "Hypotheses",
    "NetworkPriorConfig",
    "network_hypotheses",
    "priors_at",
    "rotation_prior_at",
    "shape_priors",
]


@dataclass(frozen=True)
class Hypotheses:
    """Start states of the search for B instances.

    Attributes:
        state: H start states.
        owner: (H,) integer, ascending: index of each state's instance. Every instance has some.
        priors: of each state.
        encoding: of the instances, None without a network.
    """

    state: ShapePose
    owner: Tensor
    priors: Priors
    encoding: Encoding | None = None

    @classmethod
    def cat(cls, parts: Sequence[Hypotheses]) -> Hypotheses:
        """The hypotheses of all parts in a row. Either all parts have an encoding or none has."""
        owners, instances = [], 0
        for x in parts:
            owners.append(x.owner + instances)
            instances += int(x.owner[-1]) + 1
        encodings = [x.encoding for x in parts if x.encoding is not None]
        return cls(
            ShapePose.cat([x.state for x in parts]),
            torch.cat(owners),
            Priors.cat([x.priors.expand(len(x.state)) for x in parts]),
            Encoding.cat(encodings) if encodings else None,
        )

    def __getitem__(self, index: Tensor) -> Hypotheses:
        """A selection, ascending, in which every instance keeps some."""
        return Hypotheses(self.state[index], self.owner[index], self.priors[index], self.encoding)

    def of_instances(self, index: Tensor) -> Hypotheses:
        """The hypotheses of some instances (I,), ascending, which are then numbered from 0."""
        rows = torch.isin(self.owner, index)
        return Hypotheses(
            self.state[rows],
            torch.searchsorted(index, self.owner[rows]),
            self.priors[rows],
            None if self.encoding is None else self.encoding[index],
        )


@dataclass(frozen=True)
class NetworkPriorConfig:
    """How strongly a network's prediction counts as a prior, against the measured evidence.

    Attributes:
        rotation_weight: factor of the prior on the rotation.
        shape_sd_factor: factor of the predicted standard deviations of size and code, since shapes
            outside the training set are predicted less well. Infinity leaves the category's priors.
    """

    rotation_weight: float = 1.0
    shape_sd_factor: float = 1.5


def network_hypotheses(
    encoding: Encoding,
    priors: Priors,
    config: NetworkPriorConfig,
    *,
    yaw_starts: int,
    has_front: bool,
) -> Hypotheses:
    """The network's hypotheses, the likeliest first, and copies of them turned about y.

    Only a few points of hundreds show the front of a box-like camera or a mug's handle. Where the
    network puts it on the wrong side, the evenly spread copies start the refinement near the right
    one. The copies have no prior on their yaw.

    Args:
        encoding: of B instances.
        priors: of the category.
        config: how strongly the prediction counts.
        yaw_starts: number of turned copies of each hypothesis.
        has_front: whether yaw about y has a meaning; there are no copies otherwise.
    """
    order = encoding.logits.argsort(dim=1, descending=True)
    rows = torch.arange(len(order), device=order.device)[:, None]
    copies = 1 + yaw_starts if has_front else 1
    vector = torch.zeros(copies, 1, 3, device=order.device)
    vector[:, 0, 1] = torch.arange(copies, device=order.device) * (2.0 * math.pi / copies)
    rotation = encoding.similarity.rotation[rows, order].unsqueeze(1) @ so3_exp(vector)
    precision = config.rotation_weight / encoding.axis_variance[rows, order]
    precision = precision.unsqueeze(1).repeat(1, copies, 1, 1)
    precision[:, 1 if has_front else 0 :, :, 1] = 0.0
    similarity = Similarity(
        rotation.flatten(0, 2),
        encoding.similarity.translation[rows, order].repeat(1, copies, 1).flatten(0, 1),
        encoding.similarity.scale[rows, order].repeat(1, copies).flatten(),
    )
    per_instance = copies * order.shape[1]
    owner = rows.squeeze(1).repeat_interleave(per_instance)
    return Hypotheses(
        ShapePose(similarity, encoding.codes[owner]),
        owner,
        replace(
            shape_priors(encoding, priors, config)[owner],
            rotation=RotationPrior(similarity.rotation, precision.flatten(0, 2)),
        ),
        encoding,
    )


def priors_at(
    rotation: Tensor,
    encoding: Encoding,
    priors: Priors,
    config: NetworkPriorConfig,
    *,
    has_front: bool,
) -> Priors:
    """Priors of B instances whose rotations are roughly known.

    Args:
        rotation: (B, 3, 3), decoder frame to camera frame.
        encoding: of the B instances.
        priors: of the category.
        config: how strongly the prediction counts.
        has_front: whether yaw about y has a meaning.
    """
    return replace(
        shape_priors(encoding, priors, config),
        rotation=rotation_prior_at(rotation, encoding, config, has_front=has_front),
    )


def rotation_prior_at(
    rotation: Tensor,
    encoding: Encoding,
    config: NetworkPriorConfig,
    *,
    has_front: bool | Tensor,
    variance: float | Tensor = 0.0,
) -> RotationPrior:
    """The prior of the mode that each of B rotations belongs to.

    Args:
        rotation: (B, 3, 3), decoder frame to camera frame.
        encoding: of the B instances.
        config: how strongly the prediction counts.
        has_front: whether yaw about y has a meaning, one for all or (B,).
        variance: radians^2, one for all or (B,): of the rotation since the encoding was made.
    """
    rows = torch.arange(len(rotation), device=rotation.device)
    mode = encoding.most_likely_mode(rotation, has_front)
    spread = encoding.axis_variance[rows, mode]
    spread = spread + torch.as_tensor(variance).to(spread).view(-1, 1)
    precision = config.rotation_weight / spread
    precision[:, 1] *= torch.as_tensor(has_front).to(spread)
    return RotationPrior(encoding.similarity.rotation[rows, mode], precision)


def shape_priors(encoding: Encoding, priors: Priors, config: NetworkPriorConfig) -> Priors:
    """The network's priors of size and code, or the category's where it predicts no spread."""
    spread = encoding.shape_spread
    if spread is None or math.isinf(config.shape_sd_factor):
        return priors
    return Priors(
        encoding.codes,
        spread.code_precision / config.shape_sd_factor**2,
        encoding.similarity.scale[:, 0].log(),
        config.shape_sd_factor * spread.log_size_sd,
    )
