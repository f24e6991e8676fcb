"""Train a category's decoder as a DeepSDF auto-decoder on CAD models.

Codes and network are learned together (Park et al., "DeepSDF", CVPR 2019, section 4.2). The loss
also supervises the gradient with the direction away from the nearest surface point. This is a
stronger form of the eikonal term (Gropp et al., "Implicit Geometric Regularization", ICML 2020) and
possible because the meshes are known. It makes the values true distances, which sphere tracing and
the culling of empty cells rely on, and halves the surface error at equal time.

The square matrices between the hidden layers are trained with Muon (Jordan et al., "Muon: An
optimizer for hidden layers in neural networks", 2024), the other parameters with Adam. At equal
steps, the surface is clearly more accurate than with Adam alone.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from sdfpose_core.errors import WeightsError
from sdfpose_core.learning.muon import Muon
from sdfpose_core.sdf.auto_decoder import AutoDecoderConfig, AutoDecoderTraining
from sdfpose_core.sdf.decoder import DecoderConfig, SdfDecoder
from sdfpose_core.shapes.sdf_samples import SdfSamples
from sdfpose_core.storage.files import write_atomically

__all__ = [
    "DecoderTraining",
    "DecoderTrainingConfig",
    "codes_file",
    "load_codes",
    "load_model_codes",
    "save_codes",
    "save_model_codes",
]


@dataclass(frozen=True)
class DecoderTrainingConfig(AutoDecoderConfig):
    """Configuration of decoder training; see `AutoDecoderConfig` for the other keys.

    Attributes:
        steps: optimiser steps.
        gradient_points: number of a shape's samples that are used for the gradient loss.
        learning_rate: peak learning rate of Adam, with cosine decay to zero.
        hidden_learning_rate: peak learning rate of Muon, for the matrices between hidden layers.
        code_learning_rate: peak learning rate of Adam for the codes.
        near_band: object units; an error at distance d from the surface has the weight
            1 / (1 + |d| / near_band).
        gradient_weight: weight of the mean of |grad f - n|, n away from the nearest surface point.
        code_weight: weight of the mean squared norm of the codes.
        curriculum: object units; initial error tolerance. It decreases linearly to zero at half
            of the steps (Duan et al., "Curriculum DeepSDF", ECCV 2020, equation 4). 0 disables it.
        decoder: architecture.
    """

    steps: int = 6000
    gradient_points: int = 96
    learning_rate: float = 1e-2
    hidden_learning_rate: float = 5e-2
    code_learning_rate: float = 2e-2
    near_band: float = 0.03
    gradient_weight: float = 0.15
    code_weight: float = 1e-4
    curriculum: float = 0.0
    decoder: DecoderConfig = field(default_factory=DecoderConfig)


class DecoderTraining(AutoDecoderTraining[SdfDecoder]):
    """Training of an `SdfDecoder`, see `AutoDecoderTraining`."""

    config: DecoderTrainingConfig

    def __init__(
        self,
        samples: Sequence[SdfSamples],
        config: DecoderTrainingConfig,
        device: torch.device,
    ) -> None:
        super().__init__(samples, config, device)
        self._gradient = torch.from_numpy(np.stack([s.gradient for s in samples])).to(device)

    @property
    def steps(self) -> int:
        """Optimiser steps of the whole training."""
        return self.config.steps

    def _initial(self, shapes: int) -> tuple[SdfDecoder, Tensor]:
        decoder = SdfDecoder(self.config.decoder)
        return decoder, 0.1 * torch.randn(shapes, self.config.decoder.code_length)

    def _optimisers(self) -> list[torch.optim.Optimizer]:
        return _optimisers(self.decoder, self.codes, self.config)

    def _rate(self) -> float:
        warm_up = min(1.0, (self.step + 1) / 100)
        return warm_up * 0.5 * (1.0 + math.cos(math.pi * (self.step / self.config.steps)))

    def _backward(self, shapes: Tensor, picks: Tensor) -> dict[str, float]:
        config = self.config
        points, target = self._samples(shapes, picks)
        codes = self.codes[shapes.to(self.device)]
        n = config.gradient_points
        value_a, gradient = self.decoder.value_and_gradient(points[:, :n], codes)
        value_b = self.decoder(points[:, n:], codes)
        error = (torch.cat([value_a, value_b], dim=1) - target).abs()
        if config.curriculum > 0.0:
            done = self.step / config.steps
            error = (error - config.curriculum * max(0.0, 1.0 - 2.0 * done)).clamp(min=0.0)
        near = 1.0 / (1.0 + target.abs() / config.near_band)
        sdf_loss = (near * error).mean()
        target_gradient = self._gradient[shapes[:, None], picks[:, :n]]
        gradient_loss = (near[:, :n] * (gradient - target_gradient).norm(dim=-1)).mean()
        code_loss = codes.square().sum(-1).mean()
        loss = sdf_loss + config.gradient_weight * gradient_loss + config.code_weight * code_loss
        loss.backward()
        return {
            "sdf": float(sdf_loss.detach()),
            "gradient": float(gradient_loss.detach()),
            "code": float(code_loss.detach()),
        }

    def _limit_gradients(self) -> None:
        torch.nn.utils.clip_grad_norm_(self.decoder.parameters(), 1.0)


def _optimisers(
    decoder: SdfDecoder, codes: torch.nn.Parameter, config: DecoderTrainingConfig
) -> list[torch.optim.Optimizer]:
    """Create Adam and, for the square matrices, Muon. Groups store their peak learning rate."""
    hidden = [decoder.point_layers[i].weight for i in range(1, len(decoder.point_layers))]
    hidden_ids = {id(x) for x in hidden}
    others = [x for x in decoder.parameters() if id(x) not in hidden_ids]
    adam = torch.optim.Adam(
        [
            {"params": others, "peak": config.learning_rate},
            {"params": [codes], "peak": config.code_learning_rate},
        ],
        betas=(0.9, 0.99),
    )
    if not hidden:
        return [adam]
    groups = [{"params": hidden, "peak": config.hidden_learning_rate}]
    return [adam, Muon(groups, weight_decay=0.0)]


def codes_file(folder: Path, category: str, decoder: Path) -> Path:
    """Return the path of the file for codes fitted to a decoder.

    The name contains a digest of the decoder file, so that codes of another decoder are never used.

    Args:
        folder: folder of the codes.
        category: category of the decoder.
        decoder: weights file of the decoder.

    Raises:
        WeightsError: the decoder file cannot be read.
    """
    try:
        digest = hashlib.sha256(decoder.read_bytes()).hexdigest()[:12]
    except OSError as error:
        raise WeightsError(f"{decoder}: cannot be read: {error.strerror}") from error
    return folder / f"{category}.{digest}.codes.safetensors"


def save_codes(path: Path, codes: Tensor) -> None:
    """Save the training shapes' codes (S, D), in the order of their seeds."""
    write_atomically(path, save({"codes": codes.detach().cpu().contiguous()}))


def load_codes(path: Path) -> Tensor:
    """Load codes (S, D) written by `save_codes`.

    Raises:
        WeightsError: the file is missing or damaged.
    """
    try:
        return load_file(str(path))["codes"]
    except (OSError, SafetensorError, KeyError) as error:
        raise WeightsError(
            f"{path}: contains no codes of training shapes ({error}): train the decoder first"
        ) from error


def save_model_codes(path: Path, codes: Tensor, names: Sequence[str]) -> None:
    """Save codes (S, D) of CAD models and, in a JSON file of the same stem, the models' names."""
    write_atomically(path.with_suffix(".json"), (json.dumps(list(names), indent=1) + "\n").encode())
    save_codes(path, codes)


def load_model_codes(path: Path) -> dict[str, Tensor]:
    """Load codes (D,) of CAD models by name, written by `save_model_codes`.

    Raises:
        WeightsError: a file is missing or damaged, or the files do not belong together.
    """
    codes = load_codes(path)
    names_file = path.with_suffix(".json")
    try:
        names = json.loads(names_file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(
            f"{names_file}: contains no names of models ({error}): delete {path.name} and write "
            "both again"
        ) from error
    if not isinstance(names, list) or len(names) != len(codes):
        raise WeightsError(
            f"{names_file}: does not name the {len(codes)} models of {path.name}: delete both "
            "files and write them again"
        )
    return dict(zip(map(str, names), codes, strict=True))
