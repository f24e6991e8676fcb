"""The networks and priors of a category."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from sdfpose_core.categories import Categories, Category
from sdfpose_core.encoder.encoding import Encoding
from sdfpose_core.encoder.fast import FastEncoder
from sdfpose_core.encoder.joint_encoder import JointEncoder
from sdfpose_core.encoder.ssc6d import Ssc6dEncoder
from sdfpose_core.encoder.upright import upright_hypotheses
from sdfpose_core.errors import WeightsError
from sdfpose_core.estimation.evidence import resample, support_planes
from sdfpose_core.estimation.hypotheses import (
    Hypotheses,
    NetworkPriorConfig,
    network_hypotheses,
    priors_at,
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

__all__ = ["CategoryModel", "CategoryModels", "EncoderName", "Group", "load_networks"]

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
        """Whether yaw about y has a meaning, at least in some views."""
        return self.category.symmetry != "y"

    @cached_property
    def cpu_priors(self) -> Priors:
        """The priors on the CPU, where refined hypotheses are."""
        return self.priors.to(torch.device("cpu"))

    @torch.inference_mode()
    def encode(
        self, instances: Sequence[Instance], rngs: Sequence[np.random.Generator]
    ) -> Encoding | None:
        """The network's encoding of instances of the category; None without a network.

        Args:
            instances: of the category.
            rngs: of each instance's sample of points.
        """
        if self.encoder is None:
            return None
        if isinstance(self.encoder, Ssc6dEncoder):
            return self.encoder.encode(instances, rngs)
        inputs = _network_inputs(instances, rngs, self.encoder.config.points, self.device)
        encoding: Encoding = self.encoder(*inputs)
        return encoding

    def hypotheses(
        self,
        instances: Sequence[Instance],
        encoding: Encoding | None,
        config: NetworkPriorConfig,
        *,
        yaw_starts: int,
    ) -> Hypotheses:
        """Start poses for the search.

        Args:
            instances: of the category.
            encoding: of the instances; None without a network.
            config: how strongly the network's prediction counts.
            yaw_starts: see `network_hypotheses`.
        """
        if encoding is None:
            return self._upright_hypotheses(instances)
        return network_hypotheses(
            encoding, self.priors, config, yaw_starts=yaw_starts, has_front=self.has_front
        )

    def priors_at(
        self, rotation: Tensor, encoding: Encoding | None, config: NetworkPriorConfig
    ) -> Priors:
        """Priors of instances whose rotations (B, 3, 3) are roughly known."""
        if encoding is None:
            return self.priors
        return priors_at(rotation, encoding, self.priors, config, has_front=self.has_front)

    def log_density(self, rotation: Tensor, encoding: Encoding | None) -> Tensor:
        """(B,) log densities of rotations (B, 3, 3), 0 without a network."""
        if encoding is None:
            return torch.zeros(len(rotation), device=rotation.device)
        return encoding.log_density(rotation.unsqueeze(1), self.has_front).squeeze(1)

    def _upright_hypotheses(self, instances: Sequence[Instance]) -> Hypotheses:
        states = [
            upright_hypotheses(torch.from_numpy(x.points).to(self.device), self.category.diagonal_m)
            for x in instances
        ]
        similarity = Similarity(
            torch.cat([x.rotation for x in states]),
            torch.cat([x.translation for x in states]),
            torch.cat([x.scale for x in states]),
        )
        codes = self.decoder.code_mean.expand(len(similarity.scale), -1)
        counts = torch.tensor([len(x.scale) for x in states], device=self.device)
        owner = torch.arange(len(instances), device=self.device).repeat_interleave(counts)
        return Hypotheses(ShapePose(similarity, codes), owner, self.priors)


Group = tuple[CategoryModel, Sequence[Instance]]
"""Instances of one category, at least one, with its model."""


class CategoryModels:
    """The models of all categories. Weights are read when a category is first needed.

    Args:
        categories: the known ones.
        encoder_name: which encoder the models have.
        weights_dir: folder of the weights, None for the shipped ones.
        device: where the networks are.
        given: models to use in place of those of the folder. Their weights may change, as they do
            in training.
    """

    def __init__(
        self,
        categories: Categories,
        encoder_name: EncoderName,
        weights_dir: Path | str | None,
        device: torch.device,
        given: Iterable[CategoryModel] = (),
    ) -> None:
        self._categories = categories
        self._encoder_name = encoder_name
        self._weights_dir = weights_dir
        self._device = device
        self._models = {x.category.name: x for x in given}
        self.given = bool(self._models)
        self._joint: tuple[int, JointEncoder | None] = (0, None)

    def __getitem__(self, category: str) -> CategoryModel:
        """The model of a category.

        Raises:
            CategoryError: the category is unknown.
            WeightsError: a file is missing or damaged.
        """
        if category not in self._models:
            self._models[category] = CategoryModel.load(
                self._categories[category], self._encoder_name, self._weights_dir, self._device
            )
        return self._models[category]

    @property
    def loaded(self) -> tuple[str, ...]:
        """Names of the categories whose weights have been read."""
        return tuple(self._models)

    def encode(
        self, groups: Sequence[Group], rng_of: Callable[[Instance], np.random.Generator]
    ) -> list[Encoding | None]:
        """The networks' encodings of the instances of each group; None without a network.

        Args:
            groups: instances by category.
            rng_of: generator of an instance's sample of points.
        """
        if not groups:
            return []
        joint = self._joint_encoder()
        if joint is None:
            return [x.encode(group, [rng_of(y) for y in group]) for x, group in groups]
        # The joint network needs the instances in the order of its categories.
        number = {name: i for i, name in enumerate(self._models)}
        order = sorted(range(len(groups)), key=lambda i: number[groups[i][0].category.name])
        instances = [x for i in order for x in groups[i][1]]
        owners = [number[groups[i][0].category.name] for i in order for _ in groups[i][1]]
        inputs = _network_inputs(
            instances, [rng_of(x) for x in instances], joint.config.points, self._device
        )
        encodings = joint(*inputs, owners)
        return [x for _, x in sorted(zip(order, encodings, strict=True), key=lambda pair: pair[0])]

    def _joint_encoder(self) -> JointEncoder | None:
        """The encoders of all loaded categories as one network, where they are alike."""
        if self.given:
            return None
        count, joint = self._joint
        if count != len(self._models):
            encoders = [x.encoder for x in self._models.values()]
            fast = [x for x in encoders if isinstance(x, FastEncoder)]
            alike = len(fast) == len(encoders) and all(x.config == fast[0].config for x in fast)
            joint = JointEncoder(fast) if alike else None
            self._joint = (len(self._models), joint)
        return joint


def _network_inputs(
    instances: Sequence[Instance],
    rngs: Sequence[np.random.Generator],
    count: int,
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """Inputs of an encoder `fast`: points (B, count, 3) and support planes (B, 4)."""
    points = np.stack(
        [resample(x.points, count, rng) for x, rng in zip(instances, rngs, strict=True)]
    )
    return torch.from_numpy(points).to(device), support_planes(instances, device)


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
    decoder_path = weights_file(category, "decoder", weights_dir)
    decoder = load_decoder(decoder_path, device)
    if encoder_name == "none":
        return decoder, None
    path = weights_file(category, "encoder", weights_dir)
    network = Ssc6dEncoder if encoder_name == "ssc6d" else FastEncoder
    encoder = network.load(path, device)
    if encoder.config.code_length != decoder.config.code_length:
        raise WeightsError(
            f"{path}: predicts codes of length {encoder.config.code_length}, but those of "
            f"{decoder_path.name} have length {decoder.config.code_length}: use the decoder that "
            "the encoder was trained with, or train the encoder for this decoder"
        )
    return decoder, encoder
