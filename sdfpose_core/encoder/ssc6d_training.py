"""Supervised training of the `ssc6d` encoder on simulated views in colour.

As SSC-6D is trained before its self-supervised stage (Peng et al., AAAI 2022, and the published
training script, which has the numbers): Adam on the mean distance between the points of the model
at the predicted and at the true pose, plus the mean absolute error of the code.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from sdfpose_core.encoder.colour_views import ColourViews, Rounds, prefetched
from sdfpose_core.encoder.encoding import Encoding
from sdfpose_core.encoder.ssc6d import Ssc6dConfig, Ssc6dEncoder
from sdfpose_core.encoder.training_run import Progress, TrainingRun
from sdfpose_core.errors import ConfigurationError, WeightsError
from sdfpose_core.geometry.similarity import Similarity, so3_exp
from sdfpose_core.storage.checkpoint import load_checkpoint, save_checkpoint

__all__ = [
    "Ssc6dTraining",
    "Ssc6dTrainingConfig",
    "canonical_yaw",
    "model_distance",
    "validate_ssc6d",
]

_LARGEST_JITTER_SDS = 5.0
"""Noise of points is cut off there."""

_GREY = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in a colour's brightness (ITU-R BT.601)."""


@dataclass(frozen=True)
class Ssc6dTrainingConfig:
    """How an encoder is trained; the numbers are the published ones.

    Attributes:
        steps: optimiser steps; 10 epochs of 50,000 views.
        batch: views per step.
        learning_rate: Adam's.
        first_factor: the learning rate is so many times as high at first...
        first_share: ...during this share of the steps (3 epochs of 10).
        code_weight: of the mean absolute error of the code.
        model_points: points of each model in the distance.
        colour_jitter: augmentation: brightness, contrast and saturation change by up to this share.
        hue_jitter: augmentation: hue turns by up to this share of the circle.
        jitter_m: augmentation: noise of points, standard deviation, metres.
        round_views: views that are simulated, and then used once each in random order, at a time.
        mixed_precision: whether the colour network's layers compute in bfloat16.
        checkpoint_every: steps between checkpoints.
        seed: of initialisation, views, order and augmentation.
        resnet18: file with torchvision's weights of a ResNet-18 to start from; empty for none.
        encoder: the architecture; the length of the codes takes the place of its own.
    """

    steps: int = 41_667
    batch: int = 12
    learning_rate: float = 1e-4
    first_factor: float = 2.0
    first_share: float = 0.3
    code_weight: float = 1.0
    model_points: int = 512
    colour_jitter: float = 0.2
    hue_jitter: float = 0.05
    jitter_m: float = 0.001
    round_views: int = 96
    mixed_precision: bool = False
    checkpoint_every: int = 500
    seed: int = 0
    resnet18: str = ""
    encoder: Ssc6dConfig = field(default_factory=Ssc6dConfig)


@dataclass(frozen=True)
class _Batch:
    """What the network is given, and what is true; shapes as in `ColourViews`."""

    colour: Tensor
    points: Tensor
    index: Tensor
    model_points: Tensor
    truth: Similarity
    codes: Tensor


class Ssc6dTraining(TrainingRun):
    """An encoder in training; can be interrupted and resumed to the same numbers.

    Args:
        rounds: what to train on, `round_views` views at a time.
        codes: (S, D) latent codes of the procedural models, by seed.
        symmetric: whether the category is symmetric about y.
        config: how to train.
        device: where.
        workers: processes that make views ahead; 0 for none. The numbers are the same.

    Raises:
        ConfigurationError: a round is smaller than a batch.
        WeightsError: the file of the ResNet's weights cannot be used.
    """

    def __init__(
        self,
        rounds: Rounds,
        codes: Tensor,
        symmetric: bool,
        config: Ssc6dTrainingConfig,
        device: torch.device,
        *,
        workers: int = 0,
    ) -> None:
        if config.round_views < config.batch:
            raise ConfigurationError(
                f"round_views is {config.round_views}: expected at least {config.batch}, one batch"
            )
        self.config = config
        self.device = device
        self._rounds = rounds
        self._workers = workers
        self._codes = codes.to(device)
        self._symmetric = symmetric
        with torch.random.fork_rng():
            torch.manual_seed(config.seed)
            encoder = Ssc6dEncoder(replace(config.encoder, code_length=codes.shape[1]))
        if config.resnet18:
            encoder.colour.resnet.load_torchvision(config.resnet18)
        self.encoder = encoder.to(device)
        self.encoder.mixed_precision = config.mixed_precision
        self._optimiser = torch.optim.Adam(self.encoder.parameters(), lr=config.learning_rate)
        self._stream: Iterator[ColourViews] | None = None
        self._round: tuple[int, ColourViews] | None = None

    def run(self, checkpoint: Path | None = None, progress: Progress | None = None) -> Ssc6dEncoder:
        """Train to the last step and return the encoder.

        Args:
            checkpoint: file to resume from where it exists, and to write to.
            progress: told the losses of every 50th step.

        Raises:
            WeightsError: the checkpoint is damaged or of another run.
        """
        self._run_to(self.config.steps, self.config.checkpoint_every, checkpoint, progress)
        self._stream = None
        return self.encoder.eval()

    def _train_step(self) -> dict[str, Tensor]:
        config = self.config
        first = self.step < config.first_share * config.steps
        for group in self._optimiser.param_groups:
            group["lr"] = config.learning_rate * (config.first_factor if first else 1.0)
        batch = self._batch()
        self.encoder.train()
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(self._seed(self.step))  # of the dropout
            encoding = self.encoder(batch.colour, batch.points, batch.index)
        distance = model_distance(encoding, batch.truth, batch.model_points).mean()
        code = (encoding.codes - batch.codes).abs().mean()
        self._optimiser.zero_grad(set_to_none=True)
        (distance + config.code_weight * code).backward()
        self._optimiser.step()
        return {"distance_m": distance.detach(), "code": code.detach()}

    def _seed(self, number: int) -> int:
        return (self.config.seed << 32) + number

    def _batch(self) -> _Batch:
        """The views of this step, augmented, on the device."""
        config = self.config
        per_round = config.round_views // config.batch
        number, place = divmod(self.step, per_round)
        views = self._views(number)
        order = torch.randperm(
            config.round_views, generator=torch.Generator().manual_seed(self._seed(number))
        )
        pick = order[place * config.batch : (place + 1) * config.batch].numpy()
        rng = torch.Generator().manual_seed(self._seed(self.step))
        colour = _jittered(
            torch.from_numpy(views.colour[pick]).to(self.device),
            config.colour_jitter,
            config.hue_jitter,
            rng,
        )
        points = torch.from_numpy(views.points[pick])
        noise = torch.randn(points.shape, generator=rng)
        points = points + config.jitter_m * noise.clamp(-_LARGEST_JITTER_SDS, _LARGEST_JITTER_SDS)
        rotation = torch.from_numpy(views.rotation[pick])
        truth = Similarity(
            canonical_yaw(rotation) if self._symmetric else rotation,
            torch.from_numpy(views.translation[pick]),
            torch.from_numpy(views.scale[pick]),
        )
        return _Batch(
            colour,
            points.to(self.device),
            torch.from_numpy(views.index[pick]).to(self.device),
            torch.from_numpy(views.model_points[pick]).to(self.device),
            truth.to(self.device),
            self._codes[torch.from_numpy(views.model[pick]).to(self.device)],
        )

    def _views(self, number: int) -> ColourViews:
        """The views of a round; rounds are asked for in order, from that of the first step on."""
        if self._round is None or self._round[0] != number:
            if self._stream is None:
                end = math.ceil(self.config.steps / (self.config.round_views // self.config.batch))
                self._stream = prefetched(self._rounds, number, end, self._workers)
            self._round = number, next(self._stream)
        return self._round[1]

    def _save(self, path: Path) -> None:
        save_checkpoint(
            path,
            {
                "step": self.step,
                "encoder": self.encoder.state_dict(),
                "optimiser": self._optimiser.state_dict(),
            },
        )

    def _load(self, path: Path) -> None:
        state = load_checkpoint(path)
        try:
            self.encoder.load_state_dict(state["encoder"])
            self._optimiser.load_state_dict(state["optimiser"])
            self.step = state["step"]
        except (KeyError, RuntimeError, ValueError) as error:
            raise WeightsError(
                f"{path}: the checkpoint is of another run ({error}); delete it to train from the "
                "start"
            ) from error


def model_distance(encoding: Encoding, truth: Similarity, model_points: Tensor) -> Tensor:
    """Mean distance, metres, of a model's points at the predicted and at the true pose.

    Args:
        encoding: of B views, with one hypothesis.
        truth: (B,) true similarities.
        model_points: (B, M, 3), normalised object units.

    Returns:
        (B,) distances.
    """
    predicted = encoding.similarity[:, 0].transform(model_points)
    return (predicted - truth.transform(model_points)).norm(dim=-1).mean(dim=-1)


def canonical_yaw(rotation: Tensor) -> Tensor:
    """The rotations (..., 3, 3) that differ from the given ones by a yaw alone, and turn least.

    What an object that is symmetric about y is taught (Pitteri et al., "On Object Symmetries and
    6D Pose Estimation from Images", 3DV 2019, and the published implementation): of all rotations
    that look alike, the one that has no turn about its own y axis.
    """
    x = rotation[..., 0, 0] + rotation[..., 2, 2]
    y = rotation[..., 0, 2] - rotation[..., 2, 0]
    angle = torch.atan2(y, x)
    vector = torch.zeros_like(rotation[..., 0])
    vector[..., 1] = -angle
    return rotation @ so3_exp(vector)


def _jittered(colour: Tensor, share: float, hue: float, rng: torch.Generator) -> Tensor:
    """Images (B, S, S, 3), 0 to 255, with random brightness, contrast, saturation and hue."""
    batch = len(colour)
    change = share * (2.0 * torch.rand(3, batch, 1, 1, 1, generator=rng) - 1.0)
    brightness, contrast, saturation = (1.0 + change).to(colour.device)
    # Hue turns about the diagonal of equal red, green and blue.
    turn = 2.0 * math.pi * hue * (2.0 * torch.rand(batch, 1, generator=rng) - 1.0)
    rotation = so3_exp((turn / 3**0.5).expand(-1, 3).to(colour.device)).unsqueeze(1)
    weights = torch.tensor(_GREY, device=colour.device)
    image = (brightness * colour.float()).clamp(max=255.0)
    mean = (image @ weights).mean(dim=(1, 2))[:, None, None, None]
    image = (mean + contrast * (image - mean)).clamp(0.0, 255.0)
    grey = (image @ weights).unsqueeze(-1)
    image = grey + saturation * (image - grey)
    return (image @ rotation.transpose(-1, -2)).clamp(0.0, 255.0)


@torch.no_grad()
def validate_ssc6d(
    encoder: Ssc6dEncoder, views: ColourViews, symmetric: bool, batch: int = 12
) -> dict[str, float]:
    """Errors without refinement on views of unseen models.

    Args:
        encoder: in evaluation mode.
        views: to judge by.
        symmetric: whether the category is symmetric about y: then yaw does not count.
        batch: views at a time.

    Returns:
        Medians: ``distance_cm`` of the model's points, ``trans_cm`` of the box's centre and
        ``scale_percent`` of the diagonal.
    """
    rows = []
    for start in range(0, len(views), batch):
        part = slice(start, start + batch)
        colour, points, index, model_points, rotation, translation, scale = (
            torch.from_numpy(x[part]).to(encoder.device)
            for x in (
                views.colour,
                views.points,
                views.index,
                views.model_points,
                views.rotation,
                views.translation,
                views.scale,
            )
        )
        encoding = encoder(colour, points, index)
        found = encoding.similarity
        if symmetric:
            rotation = canonical_yaw(rotation)
            found = replace(found, rotation=canonical_yaw(found.rotation))
        truth = Similarity(rotation, translation, scale)
        distance = model_distance(replace(encoding, similarity=found), truth, model_points)
        shift = (found.translation[:, 0] - translation).norm(dim=-1)
        growth = (found.scale[:, 0] / scale - 1.0).abs()
        rows.append(torch.stack([distance, shift, growth]))
    distance, shift, growth = torch.cat(rows, dim=1).median(dim=1).values.tolist()
    return {
        "distance_cm": 100.0 * distance,
        "trans_cm": 100.0 * shift,
        "scale_percent": 100.0 * growth,
    }
