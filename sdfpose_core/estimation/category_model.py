"""What is known of one category: its networks, its priors, and where they say an object may be."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from sdfpose_core.categories import Category
from sdfpose_core.encoder.encoding import Encoding
from sdfpose_core.encoder.fast import FastEncoder
from sdfpose_core.encoder.joint_encoder import JointEncoder
from sdfpose_core.encoder.ssc6d import Ssc6dEncoder
from sdfpose_core.encoder.upright import upright_hypotheses
from sdfpose_core.errors import WeightsError
from sdfpose_core.estimation.evidence import resample, supports
from sdfpose_core.estimation.hypothesis_search import (
    Hypotheses,
    NetworkPriorConfig,
    expected_at,
    hypotheses_of,
)
from sdfpose_core.geometry.similarity import Similarity
from sdfpose_core.observation.frame import Instance
from sdfpose_core.refine.priors import Priors
from sdfpose_core.refine.state import ShapePose
from sdfpose_core.sdf.decoder import SdfDecoder
from sdfpose_core.sdf.deepsdf import DeepSdf
from sdfpose_core.sdf.loading import load_decoder
from sdfpose_core.sdf.shape_decoder import ShapeDecoder
from sdfpose_core.weights import weights_file

__all__ = ["CategoryModel", "EncoderName", "JointModel", "load_networks"]

EncoderName = Literal["fast", "ssc6d", "none"]


@dataclass(frozen=True)
class CategoryModel:
    """A category's networks and priors on a device.

    Attributes:
        category: the category.
        decoder: of its shapes.
        encoder: None for the search from upright poses.
        priors: of code and size.
        device: where the networks are.
    """

    category: Category
    decoder: ShapeDecoder
    encoder: FastEncoder | Ssc6dEncoder | None
    priors: Priors
    device: torch.device

    @classmethod
    def load(
        cls,
        category: Category,
        encoder_name: EncoderName,
        weights_dir: Path | str | None,
        device: torch.device,
    ) -> CategoryModel:
        """Read the category's weights.

        Raises:
            WeightsError: a file is missing, damaged or of another kind, or the two networks do
                not belong together.
        """
        decoder, encoder = load_networks(category.name, encoder_name, weights_dir, device)
        priors = Priors(
            decoder.code_mean,
            torch.linalg.inv(decoder.code_covariance),
            torch.tensor(math.log(category.diagonal_m), device=device),
            torch.tensor(category.diagonal_log_sd, device=device),
        )
        return cls(category, decoder, encoder, priors, device)

    @property
    def has_front(self) -> bool:
        """Whether yaw about y means something, at least in some views."""
        return self.category.symmetry != "y"

    @torch.inference_mode()
    def encode(
        self, group: Sequence[Instance], rngs: Sequence[np.random.Generator]
    ) -> Encoding | None:
        """What the network says of instances of the category; None without one.

        Args:
            group: the instances.
            rngs: of the choice of points, one for each.
        """
        if self.encoder is None:
            return None
        if isinstance(self.encoder, Ssc6dEncoder):
            return self.encoder.encode(group, rngs)
        found: Encoding = self.encoder(*_seen(group, rngs, self.encoder.config.points, self.device))
        return found

    def hypotheses(
        self,
        group: Sequence[Instance],
        encoding: Encoding | None,
        network_prior: NetworkPriorConfig,
        *,
        turns: int,
    ) -> Hypotheses:
        """Where to search for instances of the category.

        Args:
            group: the instances.
            encoding: of them; None where there is no network.
            network_prior: in the network.
            turns: see `hypotheses_of`.
        """
        if encoding is None:
            return self._upright(group)
        return hypotheses_of(
            encoding, self.priors, network_prior, turns=turns, has_front=self.has_front
        )

    def expected(
        self, rotation: Tensor, encoding: Encoding | None, network_prior: NetworkPriorConfig
    ) -> Priors:
        """What is expected of instances whose rotations (B, 3, 3) are known about."""
        if encoding is None:
            return self.priors
        return expected_at(rotation, encoding, self.priors, network_prior, has_front=self.has_front)

    def belief(self, rotation: Tensor, encoding: Encoding | None) -> Tensor:
        """Log densities (B,) of rotations (B, 3, 3), 0 without a network."""
        if encoding is None:
            return torch.zeros(len(rotation), device=rotation.device)
        return encoding.log_density(rotation.unsqueeze(1), self.has_front).squeeze(1)

    def _upright(self, group: Sequence[Instance]) -> Hypotheses:
        states = [
            upright_hypotheses(torch.from_numpy(x.points).to(self.device), self.category.diagonal_m)
            for x in group
        ]
        similarity = Similarity(
            torch.cat([x.rotation for x in states]),
            torch.cat([x.translation for x in states]),
            torch.cat([x.scale for x in states]),
        )
        codes = self.decoder.code_mean.expand(len(similarity.scale), -1)
        counts = torch.tensor([len(x.scale) for x in states], device=self.device)
        owner = torch.arange(len(group), device=self.device).repeat_interleave(counts)
        return Hypotheses(ShapePose(similarity, codes), owner, self.priors)


class JointModel:
    """The networks of several categories, asked at once.

    Args:
        models: of the categories; their weights stay as they are.
    """

    def __init__(self, models: Sequence[CategoryModel]) -> None:
        self.models = tuple(models)
        fast = [x.encoder for x in models if isinstance(x.encoder, FastEncoder)]
        alike = len(fast) == len(models) and all(x.config == fast[0].config for x in fast)
        self._joint = JointEncoder(fast) if alike else None

    def encode(
        self,
        groups: Sequence[tuple[CategoryModel, Sequence[Instance]]],
        rng_of: Callable[[Instance], np.random.Generator],
    ) -> list[Encoding | None]:
        """What the networks say of the instances of each group; None without a network.

        Args:
            groups: instances of each category, at least one.
            rng_of: of the choice of an instance's points.
        """
        if self._joint is None:
            return [x.encode(group, [rng_of(y) for y in group]) for x, group in groups]
        numbers = {id(x): i for i, x in enumerate(self.models)}
        order = sorted(range(len(groups)), key=lambda i: numbers[id(groups[i][0])])
        members = [(numbers[id(groups[i][0])], x) for i in order for x in groups[i][1]]
        instances = [x for _, x in members]
        first = self.models[0]
        assert isinstance(first.encoder, FastEncoder)
        seen = _seen(
            instances, [rng_of(x) for x in instances], first.encoder.config.points, first.device
        )
        said = self._joint(*seen, [i for i, _ in members])
        return [x for _, x in sorted(zip(order, said, strict=True), key=lambda pair: pair[0])]


def _seen(
    group: Sequence[Instance],
    rngs: Sequence[np.random.Generator],
    count: int,
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """What an encoder `fast` is given: points (B, count, 3) and supports (B, 4)."""
    points = np.stack([resample(x.points, count, rng) for x, rng in zip(group, rngs, strict=True)])
    return torch.from_numpy(points).to(device), supports(group, device)


def load_networks(
    category: str,
    encoder_name: EncoderName,
    weights_dir: Path | str | None,
    device: torch.device | None = None,
) -> tuple[SdfDecoder | DeepSdf, FastEncoder | Ssc6dEncoder | None]:
    """A category's decoder and, unless it is ``none``, its encoder, in evaluation mode.

    Raises:
        WeightsError: a file is missing, damaged or of another kind, or the two networks do not
            belong together.
    """
    decoder = load_decoder(weights_file(category, "decoder", weights_dir), device)
    if encoder_name == "none":
        return decoder, None
    path = weights_file(category, "encoder", weights_dir)
    network = Ssc6dEncoder if encoder_name == "ssc6d" else FastEncoder
    encoder = network.load(path, device)
    if encoder.config.code_length != decoder.config.code_length:
        raise WeightsError(
            f"{path}: predicts codes of length {encoder.config.code_length}, but the "
            f"decoder's have {decoder.config.code_length}: train both together"
        )
    return decoder, encoder
