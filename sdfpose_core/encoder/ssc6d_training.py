"""Supervised training of the `ssc6d` encoder on labelled colour views.

Follows the training of SSC-6D before its self-supervised stage (Peng et al., AAAI 2022; the numbers
are from the published training script): Adam on the mean distance between the model points at the
predicted and at the true pose, plus the mean absolute error of the code.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sdfpose_core.encoder.colour_views import ColourViews, Rounds, prefetched
from sdfpose_core.encoder.encoding import Encoding
from sdfpose_core.encoder.ssc6d import Ssc6dConfig, Ssc6dEncoder
from sdfpose_core.encoder.training_run import Progress, TrainingRun
from sdfpose_core.errors import ConfigurationError, WeightsError
from sdfpose_core.geometry.similarity import Similarity, so3_exp
from sdfpose_core.learning.distributed import data_parallel, process_slice
from sdfpose_core.storage.checkpoint import load_checkpoint, save_checkpoint
from sdfpose_core.storage.configuration import check_at_least_one

__all__ = [
    "LabelledBatch",
    "Ssc6dTraining",
    "Ssc6dTrainingConfig",
    "canonical_yaw",
    "jittered",
    "model_distance",
    "validate_ssc6d",
]

_MAX_JITTER_SDS = 5.0
"""Point noise is clamped at this many standard deviations."""

_GREY = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in the luma (ITU-R BT.601)."""


@dataclass(frozen=True)
class Ssc6dTrainingConfig:
    """Settings of encoder training; the defaults are the published numbers.

    Attributes:
        steps: optimiser steps; the default is 10 epochs of 50,000 views.
        batch: views per step.
        epoch_views: views per epoch; the published lists have as many images per category.
        learning_rate: learning rate of Adam.
        schedule: factors on the learning rate, each from a number of completed epochs on.
        code_weight: weight of the mean absolute error of the code.
        model_points: points per model in the distance.
        colour_jitter: augmentation: largest relative change of brightness, contrast and saturation.
        hue_jitter: augmentation: largest hue rotation, as a share of the full circle.
        jitter_m: augmentation: standard deviation of the point noise, metres.
        round_views: views made per round; each is used once, in random order.
        mixed_precision: whether the colour network's layers compute in bfloat16.
        checkpoint_every: steps between checkpoints.
        seed: seed of initialisation, views, order and augmentation.
        resnet18: file with torchvision's ResNet-18 weights to start from; empty for none.
        encoder: network architecture; its code length is replaced by that of the decoder.
    """

    steps: int = 41_667
    batch: int = 12
    epoch_views: int = 50_000
    learning_rate: float = 1e-4
    schedule: tuple[tuple[float, float], ...] = ((0.0, 2.0), (3.0, 1.0), (10.0, 0.7), (13.0, 0.35))
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

    def __post_init__(self) -> None:
        check_at_least_one(self, "steps", "batch", "epoch_views", "model_points", "round_views")
        check_at_least_one(self, "checkpoint_every")
        epochs = [epoch for epoch, _ in self.schedule]
        if not epochs or epochs[0] != 0.0 or epochs != sorted(set(epochs)):
            raise ConfigurationError(
                f"schedule is {[list(x) for x in self.schedule]}: expected pairs of an epoch and a "
                "factor, by increasing epoch from 0"
            )

    def learning_rate_at(self, step: int, first_epoch: float = 0.0) -> float:
        """Learning rate of a step of a training that starts after `first_epoch` epochs."""
        epoch = first_epoch + step * self.batch / self.epoch_views
        return (
            self.learning_rate * [factor for start, factor in self.schedule if start <= epoch][-1]
        )


@dataclass(frozen=True)
class LabelledBatch:
    """Inputs and labels of B views of a step; shapes as in `ColourViews`.

    Attributes:
        colour: (B, S, S, 3), RGB, 0 to 255.
        points: (B, N, 3), metres, camera frame.
        index: (B, N) int64.
        model_points: (B, M, 3), normalised object units.
        truth: (B,) similarities to predict.
        codes: (B, D) codes to predict.
    """

    colour: Tensor
    points: Tensor
    index: Tensor
    model_points: Tensor
    truth: Similarity
    codes: Tensor


class Ssc6dTraining(TrainingRun):
    """Training run of an encoder; an interrupted run resumes with identical results.

    Args:
        rounds: training views, `round_views` at a time.
        codes: (S, D) latent codes of the models, by number.
        symmetric: whether the category is symmetric about y.
        config: training settings.
        device: device to train on.
        workers: processes that make views ahead of time; 0 for none. Results are the same.
        start: initial weights and their architecture; random by default.

    Attributes:
        waited_s: time that the steps have waited for views, seconds.

    Raises:
        ConfigurationError: a round is smaller than a batch, or the batch cannot be divided evenly
            among the processes.
        WeightsError: the file of ResNet weights cannot be used.
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
        start: Ssc6dEncoder | None = None,
    ) -> None:
        if rounds.count < config.batch:
            raise ConfigurationError(
                f"round_views is {rounds.count}: expected at least {config.batch}, one batch"
            )
        self.config = config
        self.device = device
        self._rounds = rounds
        self._workers = workers
        self._codes = codes.to(device)
        self._symmetric = symmetric
        encoder = _initial(config, codes.shape[1]) if start is None else copy.deepcopy(start)
        self.encoder = encoder.to(device).requires_grad_(True)
        self.encoder.mixed_precision = config.mixed_precision
        self._shared = data_parallel(self.encoder, config.batch)
        self._optimiser = torch.optim.Adam(self.encoder.parameters(), lr=config.learning_rate)
        self._stream: Iterator[ColourViews] | None = None
        self._round: tuple[int, ColourViews] | None = None
        self.waited_s = 0.0

    def run(self, checkpoint: Path | None = None, progress: Progress | None = None) -> Ssc6dEncoder:
        """Train to the last step and return the encoder.

        Args:
            checkpoint: file to write, and to resume from if it exists.
            progress: called with the losses of every 50th step.

        Raises:
            WeightsError: the checkpoint is damaged or belongs to another run.
        """
        self._run_to(self.config.steps, self.config.checkpoint_every, checkpoint, progress)
        self._stream = None
        return self.encoder.eval()

    def profile(self, steps: int) -> tuple[float, float]:
        """Measure a number of steps after a first round; the training cannot go on afterwards.

        Returns:
            Time of the steps, and the part of it that they waited for views, seconds.
        """
        warm_up = min(self._steps_per_round, max(self.config.steps - steps, 1))
        for self.step in range(warm_up):
            self._train_step()
        start, waited_s = time.perf_counter(), self.waited_s
        for self.step in range(warm_up, warm_up + steps):
            losses = self._train_step()
        float(losses["code"])  # waits for the GPU
        return time.perf_counter() - start, self.waited_s - waited_s

    def _train_step(self) -> dict[str, Tensor]:
        for group in self._optimiser.param_groups:
            group["lr"] = self._learning_rate()
        losses = self._losses()
        self._optimiser.zero_grad(set_to_none=True)
        losses["total"].backward()
        self._optimiser.step()
        return {name: value.detach() for name, value in losses.items()}

    def _learning_rate(self) -> float:
        """Learning rate of this step."""
        return self.config.learning_rate_at(self.step)

    def _losses(self) -> dict[str, Tensor]:
        """Losses of this step; ``total`` is the one to differentiate."""
        return self._supervised(self._batch())

    def _supervised(self, batch: LabelledBatch, run: int = 0) -> dict[str, Tensor]:
        """Losses of labelled views; ``total`` is their weighted sum; `run` as for `_encode`."""
        encoding = self._encode(batch.colour, batch.points, batch.index, run)
        distance = model_distance(encoding, batch.truth, batch.model_points).mean()
        code = (encoding.codes - batch.codes).abs().mean()
        return {
            "total": distance + self.config.code_weight * code,
            "distance_m": distance,
            "code": code,
        }

    def _encode(self, colour: Tensor, points: Tensor, index: Tensor, run: int = 0) -> Encoding:
        """Run the network in training mode on this process's views.

        Args:
            colour: (B, S, S, 3), see `Ssc6dEncoder.forward`.
            points: (B, N, 3).
            index: (B, N).
            run: number of the network's run within the step, 0 or 1; selects the dropout.
        """
        self.encoder.train()
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(self._seed(2 * self.step + run))  # for the dropout
            encoding: Encoding = self._shared(colour, points, index)
        return encoding

    def _seed(self, number: int) -> int:
        return (self.config.seed << 32) + number

    def _batch(self) -> LabelledBatch:
        """Augmented views of this process's share of this step, on the device."""
        config = self.config
        number, place = divmod(self.step, self._steps_per_round)
        own = process_slice(config.batch)
        share = own.stop - own.start
        views = self._views(number)[place * share : (place + 1) * share]
        # Random numbers are drawn for all processes.
        rng = torch.Generator().manual_seed(self._seed(self.step))
        change = 2.0 * torch.rand(config.batch, 4, generator=rng) - 1.0
        limits = torch.tensor([config.colour_jitter] * 3 + [config.hue_jitter])
        noise = torch.randn(config.batch, *views.points.shape[1:], generator=rng)
        noise = config.jitter_m * noise.clamp(-_MAX_JITTER_SDS, _MAX_JITTER_SDS)
        rotation = torch.from_numpy(views.rotation)
        truth = Similarity(
            canonical_yaw(rotation) if self._symmetric else rotation,
            torch.from_numpy(views.translation),
            torch.from_numpy(views.scale),
        )
        return LabelledBatch(
            jittered(
                torch.from_numpy(views.colour).to(self.device),
                (limits * change[own]).to(self.device),
            ),
            (torch.from_numpy(views.points) + noise[own]).to(self.device),
            torch.from_numpy(views.index).to(self.device),
            torch.from_numpy(views.model_points).to(self.device),
            truth.to(self.device),
            self._codes[torch.from_numpy(views.model).to(self.device)],
        )

    @property
    def _steps_per_round(self) -> int:
        return self._rounds.count // self.config.batch

    def _views(self, number: int) -> ColourViews:
        """This process's views of a round, in the order of its steps.

        Rounds are requested in order, from that of the first step on.
        """
        if self._round is None or self._round[0] != number:
            if self._stream is None:
                end = math.ceil(self.config.steps / self._steps_per_round)
                self._stream = prefetched(self._rounds, number, end, self._workers, self._places)
            start = time.perf_counter()
            self._round = number, next(self._stream)
            self.waited_s += time.perf_counter() - start
        return self._round[1]

    def _places(self, number: int) -> NDArray[np.int64]:
        """Places of this process's views in a round, step by step."""
        batch = self.config.batch
        order = torch.randperm(
            self._rounds.count, generator=torch.Generator().manual_seed(self._seed(number))
        )
        steps = order[: self._steps_per_round * batch].view(-1, batch)
        return steps[:, process_slice(batch)].flatten().numpy()

    def _save(self, path: Path) -> None:
        save_checkpoint(path, self._state())

    def _load(self, path: Path) -> None:
        state = load_checkpoint(path)
        try:
            self._restore(state)
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            raise WeightsError(
                f"{path}: the checkpoint belongs to another run ({error}): delete it to train from "
                "the start"
            ) from error

    def _state(self) -> dict[str, Any]:
        """Complete training state."""
        return {
            "step": self.step,
            "encoder": self.encoder.state_dict(),
            "optimiser": self._optimiser.state_dict(),
        }

    def _restore(self, state: dict[str, Any]) -> None:
        self.encoder.load_state_dict(state["encoder"])
        self._optimiser.load_state_dict(state["optimiser"])
        self.step = state["step"]


def _initial(config: Ssc6dTrainingConfig, code_length: int) -> Ssc6dEncoder:
    """Create a network with random weights, or with the ResNet weights of a file."""
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        encoder = Ssc6dEncoder(replace(config.encoder, code_length=code_length))
    if config.resnet18:
        encoder.colour.resnet.load_torchvision(config.resnet18)
    return encoder


def model_distance(encoding: Encoding, truth: Similarity, model_points: Tensor) -> Tensor:
    """Mean distance, metres, between model points at the predicted and at the true pose.

    Args:
        encoding: prediction for B views, with one hypothesis.
        truth: (B,) true similarities.
        model_points: (B, M, 3), normalised object units.

    Returns:
        (B,) distances.
    """
    predicted = encoding.similarity[:, 0].transform(model_points)
    return (predicted - truth.transform(model_points)).norm(dim=-1).mean(dim=-1)


def canonical_yaw(rotation: Tensor) -> Tensor:
    """Remove the yaw of rotations (..., 3, 3): the smallest rotations that differ by yaw only.

    The training target of objects symmetric about y (Pitteri et al., "On Object Symmetries and 6D
    Pose Estimation from Images", 3DV 2019, and the published implementation): of all rotations that
    look alike, the one without rotation about its own y axis.
    """
    x = rotation[..., 0, 0] + rotation[..., 2, 2]
    y = rotation[..., 0, 2] - rotation[..., 2, 0]
    angle = torch.atan2(y, x)
    vector = torch.zeros_like(rotation[..., 0])
    vector[..., 1] = -angle
    return rotation @ so3_exp(vector)


def jittered(colour: Tensor, change: Tensor) -> Tensor:
    """Change brightness, contrast, saturation and hue of images (B, S, S, 3), 0 to 255.

    Args:
        colour: the images.
        change: (B, 4), relative changes of brightness, contrast and saturation, and the rotation of
            the hue as a share of the full circle.
    """
    brightness, contrast, saturation = (1.0 + change[:, :3]).T[..., None, None, None]
    # Hue is a rotation about the grey axis of equal red, green and blue.
    turn = 2.0 * math.pi * change[:, 3:]
    rotation = so3_exp((turn / 3**0.5).expand(-1, 3)).unsqueeze(1)
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
    """Measure unrefined errors on views of unseen models.

    Args:
        encoder: encoder in evaluation mode.
        views: validation views.
        symmetric: whether the category is symmetric about y, so that yaw is ignored.
        batch: views per forward pass.

    Returns:
        Median errors: ``distance_cm`` of the model points, ``trans_cm`` of the box centre and
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
        predicted = encoding.similarity
        if symmetric:
            rotation = canonical_yaw(rotation)
            predicted = replace(predicted, rotation=canonical_yaw(predicted.rotation))
        truth = Similarity(rotation, translation, scale)
        distance = model_distance(replace(encoding, similarity=predicted), truth, model_points)
        t_error = (predicted.translation[:, 0] - translation).norm(dim=-1)
        scale_error = (predicted.scale[:, 0] / scale - 1.0).abs()
        rows.append(torch.stack([distance, t_error, scale_error]))
    distance, t_error, scale_error = torch.cat(rows, dim=1).median(dim=1).values.tolist()
    return {
        "distance_cm": 100.0 * distance,
        "trans_cm": 100.0 * t_error,
        "scale_percent": 100.0 * scale_error,
    }
