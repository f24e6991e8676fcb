"""The networks and priors of a category."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

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
from sdfpose_core.estimation.evidence import resample, support_planes
from sdfpose_core.estimation.hypotheses import (
    Hypotheses,
    NetworkPriorConfig,
    network_hypotheses,
    priors_at,
)
from sdfpose_core.estimation.options import EncoderName
from sdfpose_core.geometry.similarity import Similarity
from sdfpose_core.observation.frame import Instance
from sdfpose_core.packs.collection import Packs
from sdfpose_core.packs.pack import Pack
from sdfpose_core.refine.priors import Priors
from sdfpose_core.refine.state import ShapePose
from sdfpose_core.sdf.decoder import SdfDecoder
from sdfpose_core.sdf.deepsdf import DeepSdf
from sdfpose_core.sdf.loading import load_decoder
from sdfpose_core.sdf.shape_decoder import ShapeDecoder

__all__ = ["CategoryModel", "CategoryModels", "Group", "load_networks"]


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
        pack: Pack,
        encoder_name: EncoderName,
        device: torch.device,
    ) -> CategoryModel:
        """Read the weights of a pack.

        Raises:
            WeightsError: a file is missing, damaged, of another pack or of another kind, or the two
                networks do not belong together.
        """
        category = pack.category
        decoder, encoder = load_networks(pack, encoder_name, device)
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
        packs: of the known categories.
        encoder_name: which encoder the models have; those of packs without one have none.
        device: where the networks are.
        given: models to use in place of those of the packs. Their weights may change, as they do in
            training.
    """

    def __init__(
        self,
        packs: Packs,
        encoder_name: EncoderName,
        device: torch.device,
        given: Iterable[CategoryModel] = (),
    ) -> None:
        self._packs = packs
        self._encoder_name = encoder_name
        self._device = device
        self._models = {x.category.name: x for x in given}
        self.given = bool(self._models)
        self._joint: tuple[int, JointEncoder | None, dict[str, int]] = (0, None, {})

    def __getitem__(self, category: str) -> CategoryModel:
        """The model of a category.

        Raises:
            CategoryError: the category is unknown.
            WeightsError: a file is missing or damaged.
        """
        if category not in self._models:
            self._models[category] = CategoryModel.load(
                self._packs[category], self._encoder_name, self._device
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
        joint, number = self._joint_encoder()
        # The joint network needs the instances in the order of its categories.
        order = [i for i, (x, _) in enumerate(groups) if x.category.name in number]
        order.sort(key=lambda i: number[groups[i][0].category.name])
        found: dict[int, Encoding | None] = {}
        if joint is not None and order:
            instances = [x for i in order for x in groups[i][1]]
            owners = [number[groups[i][0].category.name] for i in order for _ in groups[i][1]]
            inputs = _network_inputs(
                instances, [rng_of(x) for x in instances], joint.config.points, self._device
            )
            found.update(zip(order, joint(*inputs, owners), strict=True))
        return [
            found[i] if i in found else x.encode(group, [rng_of(y) for y in group])
            for i, (x, group) in enumerate(groups)
        ]

    def _joint_encoder(self) -> tuple[JointEncoder | None, dict[str, int]]:
        """The encoders of the loaded categories as one network, as far as they are alike.

        Returns:
            The network, None without any; and the numbers of its categories by name.
        """
        if self.given:
            return None, {}
        count, joint, number = self._joint
        if count != len(self._models):
            fast = {
                n: x.encoder for n, x in self._models.items() if isinstance(x.encoder, FastEncoder)
            }
            usual = Counter(x.config for x in fast.values()).most_common(1)
            alike = {n: x for n, x in fast.items() if x.config == usual[0][0]}
            joint = JointEncoder(list(alike.values())) if alike else None
            number = {name: i for i, name in enumerate(alike)}
            self._joint = (len(self._models), joint, number)
        return joint, number


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
    pack: Pack,
    encoder_name: EncoderName,
    device: torch.device | None = None,
) -> tuple[SdfDecoder | DeepSdf, FastEncoder | Ssc6dEncoder | None]:
    """The decoder of a pack and its encoder, in evaluation mode.

    The encoder is None if `encoder_name` is ``none``, or if the pack has none.

    Raises:
        WeightsError: a file is missing, damaged, of another pack or of another kind, or the two
            networks do not belong together.
    """
    decoder_path = pack.verified("decoder")
    decoder = load_decoder(decoder_path, device)
    if encoder_name == "none" or pack.encoder is None:
        return decoder, None
    path = pack.verified("encoder")
    network = Ssc6dEncoder if encoder_name == "ssc6d" else FastEncoder
    encoder = network.load(path, device)
    if encoder.config.code_length != decoder.config.code_length:
        raise WeightsError(
            f"{path}: predicts codes of length {encoder.config.code_length}, but those of "
            f"{decoder_path.name} have length {decoder.config.code_length}: use the decoder that "
            "the encoder was trained with, or train the encoder for this decoder"
        )
    return decoder, encoder
