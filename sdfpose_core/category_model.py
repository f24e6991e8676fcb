"""What is known of one category: its networks, its priors, and where they say an object may be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from sdfpose_core.categories import Category
from sdfpose_core.encoder.fast import Encoding, FastEncoder
from sdfpose_core.encoder.ssc6d import Ssc6dEncoder
from sdfpose_core.encoder.upright import upright_hypotheses
from sdfpose_core.errors import WeightsError
from sdfpose_core.frame import Instance
from sdfpose_core.observation import resample, supports
from sdfpose_core.refine.priors import Priors
from sdfpose_core.refine.state import ShapePose
from sdfpose_core.sdf.loading import load_decoder
from sdfpose_core.sdf.shape_decoder import ShapeDecoder
from sdfpose_core.search import Hypotheses, Trust, expected_at, hypotheses_of
from sdfpose_core.similarity import Similarity
from sdfpose_core.weights import weights_file

__all__ = ["CategoryModel", "EncoderName"]

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
        decoder = load_decoder(weights_file(category.name, "decoder", weights_dir), device)
        encoder: FastEncoder | Ssc6dEncoder | None = None
        if encoder_name != "none":
            path = weights_file(category.name, "encoder", weights_dir)
            network = Ssc6dEncoder if encoder_name == "ssc6d" else FastEncoder
            encoder = network.load(path, device)
            if encoder.config.code_length != decoder.config.code_length:
                raise WeightsError(
                    f"{path}: predicts codes of length {encoder.config.code_length}, but the "
                    f"decoder's have {decoder.config.code_length}: train both together"
                )
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
        count = self.encoder.config.points
        points = np.stack(
            [resample(x.points, count, rng) for x, rng in zip(group, rngs, strict=True)]
        )
        found: Encoding = self.encoder(
            torch.from_numpy(points).to(self.device), supports(group, self.device)
        )
        return found

    def hypotheses(
        self,
        group: Sequence[Instance],
        rngs: Sequence[np.random.Generator],
        trust: Trust,
        *,
        turns: int,
    ) -> Hypotheses:
        """Where to search for instances of the category.

        Args:
            group: the instances.
            rngs: of the choice of points, one for each.
            trust: in the network.
            turns: see `hypotheses_of`.
        """
        encoding = self.encode(group, rngs)
        if encoding is None:
            return self._upright(group)
        return hypotheses_of(encoding, self.priors, trust, turns=turns, has_front=self.has_front)

    def expected(self, rotation: Tensor, encoding: Encoding | None, trust: Trust) -> Priors:
        """What is expected of instances whose rotations (B, 3, 3) are known about."""
        if encoding is None:
            return self.priors
        return expected_at(rotation, encoding, self.priors, trust, has_front=self.has_front)

    def belief(self, rotation: Tensor, encoding: Encoding | None) -> Tensor:
        """Log densities (B,) of rotations (B, 3, 3), 0 without a network."""
        if encoding is None:
            return torch.zeros(len(rotation), device=rotation.device)
        return encoding.log_belief(rotation.unsqueeze(1), self.has_front).squeeze(1)

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
        return Hypotheses(
            ShapePose(similarity, codes), len(similarity.scale) // len(group), self.priors
        )
