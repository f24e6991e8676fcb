"""Supervised training of the `fast` encoder on simulated views of procedural shapes."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sdfpose_core.encoder.encoding import Encoding
from sdfpose_core.encoder.fast import FastEncoder, FastEncoderConfig
from sdfpose_core.encoder.training_run import Progress, TrainingRun
from sdfpose_core.encoder.views import TrainingViews, Views
from sdfpose_core.errors import WeightsError
from sdfpose_core.geometry.similarity import Similarity, so3_exp
from sdfpose_core.learning.distributed import data_parallel, process_slice
from sdfpose_core.learning.muon import Muon
from sdfpose_core.storage.checkpoint import load_checkpoint, save_checkpoint

__all__ = [
    "EncoderTraining",
    "EncoderTrainingConfig",
    "pose_losses",
    "shape_losses",
    "validate_encoder",
]

_OUTER_LAYERS = ("patch.0", "position.0", "support.0", "pose_head", "shape_head")
"""Input and output layers, for which Muon is not designed."""

_WARM_UP_STEPS = 200
"""Steps over which learning rates rise; at most a tenth of the training."""


@dataclass(frozen=True)
class EncoderTrainingConfig:
    """Settings of encoder training.

    Attributes:
        steps: optimiser steps.
        batch: views per step.
        learning_rate: peak learning rate (AdamW) of biases, inputs and outputs; rises during a
            warm-up, then decays to zero along a cosine.
        hidden_learning_rate: peak learning rate (Muon) of the hidden matrices, same schedule.
        weight_decay: weight decay of both optimisers.
        spread_weight: weight of the mean error over all hypotheses; the best one has weight 1.
        likelihood_weight: weight of the mixture's negative log likelihood.
        scale_weight: weight of the error of the log size.
        code_weight: weight of the code error, in standard deviations over all shapes.
        roll_sd_deg: augmentation: standard deviation of the rotation about the optical axis.
        size_range: augmentation: largest factor by which the scene is enlarged or shrunk.
        jitter: augmentation: largest standard deviation of the point noise, in unit lengths.
        crop_probability: augmentation: probability that a half-space of points is removed.
        mirror_probability: augmentation: probability that left and right are swapped, for
            categories whose shapes are mirror symmetric.
        plane_dropout: augmentation: probability that the support is withheld.
        average_decay: decay of the moving average of the weights, which is the result.
        mixed_precision: whether the network's layers compute in bfloat16.
        checkpoint_every: steps between checkpoints.
        seed: seed of initialisation, order and augmentation.
        encoder: network architecture.
    """

    steps: int = 3000
    batch: int = 48
    learning_rate: float = 1e-3
    hidden_learning_rate: float = 0.02
    weight_decay: float = 0.02
    spread_weight: float = 0.05
    likelihood_weight: float = 0.1
    scale_weight: float = 1.0
    code_weight: float = 0.2
    roll_sd_deg: float = 8.0
    size_range: float = 1.15
    jitter: float = 0.006
    crop_probability: float = 0.3
    mirror_probability: float = 0.0
    plane_dropout: float = 0.1
    average_decay: float = 0.995
    mixed_precision: bool = False
    checkpoint_every: int = 250
    seed: int = 0
    encoder: FastEncoderConfig = field(default_factory=FastEncoderConfig)


class EncoderTraining(TrainingRun):
    """Training run of an encoder; an interrupted run resumes with identical results.

    Args:
        lessons: training data sets; every step draws views from each.
        code_mean: (D,) mean of the decoder's code prior.
        code_covariance: (D, D) covariance of the decoder's code prior.
        unit_m: the category's median diagonal, metres.
        config: training settings.
        device: device to train on.
        start: initial weights and their architecture; random by default.

    Raises:
        ConfigurationError: the batch cannot be divided evenly among the processes.
    """

    def __init__(
        self,
        lessons: Sequence[TrainingViews],
        code_mean: Tensor,
        code_covariance: Tensor,
        unit_m: float,
        config: EncoderTrainingConfig,
        device: torch.device,
        start: FastEncoder | None = None,
    ) -> None:
        architecture = replace(config.encoder, code_length=len(code_mean))
        self.config = replace(config, encoder=architecture if start is None else start.config)
        self.device = device
        self._set_training_views(lessons)
        self._rng = torch.Generator().manual_seed(config.seed)
        if start is None:
            with torch.random.fork_rng():
                torch.manual_seed(config.seed)
                self.encoder = FastEncoder(architecture, unit_m).to(device)
            self.encoder.set_code_prior(code_mean, code_covariance)
        else:
            self.encoder = copy.deepcopy(start).to(device).train().requires_grad_(True)
        self.encoder.mixed_precision = config.mixed_precision
        self._shared = data_parallel(self.encoder, self._batch_views)
        self.average = copy.deepcopy(self.encoder).requires_grad_(False)
        self.average.mixed_precision = False
        self._optimisers = _optimisers(self.encoder, config)

    def run(
        self,
        checkpoint: Path | None = None,
        progress: Progress | None = None,
    ) -> FastEncoder:
        """Train to the last step and return the averaged encoder.

        Args:
            checkpoint: file to write, and to resume from if it exists.
            progress: called with the losses of every 50th step.

        Raises:
            WeightsError: the checkpoint is damaged.
        """
        self._run_to(self.config.steps, self.config.checkpoint_every, checkpoint, progress)
        return self.average.eval()

    def _set_training_views(self, lessons: Sequence[TrainingViews]) -> None:
        """Set the training data of the next steps."""
        self._lessons = lessons
        self._batch_views = sum(x.batch for x in lessons)
        self._codes = torch.cat([x.codes for x in lessons]).to(self.device)

    def _train_step(self) -> dict[str, Tensor]:
        warm_up = min(1.0, (self.step + 1) / min(_WARM_UP_STEPS, 0.1 * self.config.steps))
        decay = 0.5 * (1.0 + math.cos(math.pi * self.step / self.config.steps))
        for optimiser in self._optimisers:
            for group in optimiser.param_groups:
                group["lr"] = group["peak"] * warm_up * decay
        losses = self._losses()
        for optimiser in self._optimisers:
            optimiser.zero_grad(set_to_none=True)
        losses["total"].backward()
        torch.nn.utils.clip_grad_norm_(self.encoder.parameters(), 1.0)
        for optimiser in self._optimisers:
            optimiser.step()
        with torch.no_grad():
            # Forget the initial weights quickly.
            keep = min(self.config.average_decay, (self.step + 1) / (self.step + 10))
            for mean, value in zip(
                self.average.parameters(), self.encoder.parameters(), strict=True
            ):
                mean.lerp_(value, 1.0 - keep)
        return {name: value.detach() for name, value in losses.items()}

    def _losses(self) -> dict[str, Tensor]:
        """Losses of one step; ``total`` is the one to differentiate."""
        points, support, truth, codes, symmetric = self._batch()
        return self._supervised(self._shared(points, support), truth, codes, symmetric)

    def _supervised(
        self, encoding: Encoding, truth: Similarity, codes: Tensor, symmetric: Tensor
    ) -> dict[str, Tensor]:
        """Losses of labelled views; ``total`` is their weighted sum.

        Args:
            encoding: prediction for B views.
            truth: (B,) true similarities.
            codes: (B, D) true codes.
            symmetric: (B,) bool, whether yaw is undefined.
        """
        config = self.config
        losses = pose_losses(encoding, truth, symmetric, float(self.encoder.unit))
        best = losses["hypotheses"].min(dim=1).values.mean()
        shape = shape_losses(encoding, truth, codes, self.encoder.code_sd)
        likelihood = losses["likelihood"].mean()
        total = (
            best
            + config.spread_weight * losses["hypotheses"].mean()
            + config.likelihood_weight * likelihood
            + config.scale_weight * shape["scale"].mean()
            + config.code_weight * shape["code"].mean()
        )
        return {
            "total": total,
            "pose": best,
            "scale": shape["scale"].mean(),
            "code": shape["code"].mean(),
            "likelihood": likelihood,
        }

    def _batch(self) -> tuple[Tensor, Tensor, Similarity, Tensor, Tensor]:
        """Points (B, N, 3), planes (B, 4), similarities, codes (B, D) and symmetry flags (B,).

        Every process draws the views of all processes and keeps its own share.
        """
        config, rng, batch = self.config, self._rng, self._batch_views
        views, model = self._draw()
        order = torch.rand(batch, Views.POINTS, generator=rng).argsort(dim=1)
        stored = torch.from_numpy(views.points)
        points = stored.gather(1, order[:, : config.encoder.points, None].expand(-1, -1, 3))
        rotation = torch.from_numpy(views.rotation)
        translation = torch.from_numpy(views.translation)
        scale = torch.from_numpy(views.scale)
        support = torch.from_numpy(views.support)

        points = self._cut(points)
        roll = torch.zeros(batch, 3)
        roll[:, 2] = math.radians(config.roll_sd_deg) * torch.randn(batch, generator=rng)
        turn = so3_exp(roll)
        growth = math.log(config.size_range) * (2.0 * torch.rand(batch, generator=rng) - 1.0)
        factor = growth.exp()
        points = (points @ turn.transpose(1, 2)) * factor[:, None, None]
        support = torch.cat(
            [(turn @ support[:, :3, None]).squeeze(-1), support[:, 3:] * factor[:, None]], dim=1
        )
        support_kept = torch.rand(batch, 1, generator=rng) >= config.plane_dropout
        noise = config.jitter * float(self.encoder.unit) * torch.rand(batch, 1, 1, generator=rng)
        points = points + noise * torch.randn(points.shape, generator=rng)
        truth = Similarity(
            turn @ rotation,
            (turn @ translation.unsqueeze(-1)).squeeze(-1) * factor[:, None],
            scale * factor,
        )
        if config.mirror_probability > 0.0:
            mirrored = torch.rand(batch, generator=rng) < config.mirror_probability
            points, support, truth = _mirrored(points, support, truth, mirrored)
        own = process_slice(batch)
        return (
            points[own].to(self.device),
            (support * support_kept)[own].to(self.device),
            truth[own].to(self.device),
            self._codes[model[own].to(self.device)],
            torch.from_numpy(views.symmetric)[own].to(self.device),
        )

    def _draw(self) -> tuple[Views, Tensor]:
        """Draw the views of a step and the index (B,) of each view's code."""
        drawn, models, first = [], [], 0
        for x in self._lessons:
            index = torch.randint(len(x.views), (x.batch,), generator=self._rng).numpy()
            drawn.append(x.views[index])
            models.append(torch.from_numpy(drawn[-1].model) + first)
            first += len(x.codes)
        return Views.cat(drawn), torch.cat(models)

    def _cut(self, points: Tensor) -> Tensor:
        """Hide up to 40 % of the points of some views beyond a random plane, like an occluder."""
        batch, count, _ = points.shape
        rng = self._rng
        normal = torch.nn.functional.normalize(torch.randn(batch, 3, generator=rng), dim=1)
        height = (points @ normal.unsqueeze(-1)).squeeze(-1)
        share = 0.4 * torch.rand(batch, generator=rng)
        share = share * (torch.rand(batch, generator=rng) < self.config.crop_probability)
        rank = height.argsort(dim=1, descending=True).argsort(dim=1)
        hidden = rank < (share * count)[:, None]
        # Replace hidden points by repeated visible ones to keep the count.
        substitute = (~hidden).float().multinomial(count, replacement=True, generator=rng)
        replaced = points.gather(1, substitute.unsqueeze(-1).expand(-1, -1, 3))
        return torch.where(hidden.unsqueeze(-1), replaced, points)

    def _save(self, path: Path) -> None:
        save_checkpoint(path, self._state())

    def _load(self, path: Path) -> None:
        try:
            self._restore(load_checkpoint(path))
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise WeightsError(
                f"{path}: the checkpoint has another architecture or training ({error}): delete it "
                "or train with the configuration that wrote it"
            ) from error

    def _state(self) -> dict[str, Any]:
        """Complete training state."""
        return {
            "step": self.step,
            "encoder": self.encoder.state_dict(),
            "average": self.average.state_dict(),
            "optimisers": [x.state_dict() for x in self._optimisers],
            "rng": self._rng.get_state(),
        }

    def _restore(self, state: dict[str, Any]) -> None:
        self.encoder.load_state_dict(state["encoder"])
        self.average.load_state_dict(state["average"])
        for optimiser, saved in zip(self._optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        self._rng.set_state(state["rng"])
        self.step = state["step"]


def _mirrored(
    points: Tensor, support: Tensor, truth: Similarity, where: Tensor
) -> tuple[Tensor, Tensor, Similarity]:
    """Swap left and right in some views.

    With F = diag(-1, 1, 1) in the camera frame and G = diag(1, 1, -1) in the object frame, the
    mirror image of an object at pose (R, t) is the object mirrored by G at pose (F R G, F t).

    Args:
        points: (B, N, 3).
        support: (B, 4).
        truth: (B,).
        where: (B,) bool, the views to mirror.
    """
    flip = torch.tensor([-1.0, 1.0, 1.0])
    sign = torch.where(where[:, None], flip, torch.ones(3))
    other = torch.where(where[:, None], flip.flip(0), torch.ones(3))
    return (
        points * sign[:, None],
        torch.cat([support[:, :3] * sign, support[:, 3:]], dim=1),
        Similarity(
            sign[:, :, None] * truth.rotation * other[:, None],
            sign * truth.translation,
            truth.scale,
        ),
    )


def _optimisers(encoder: FastEncoder, config: EncoderTrainingConfig) -> list[torch.optim.Optimizer]:
    """Muon for the hidden matrices, AdamW for everything else."""
    hidden = [
        parameter
        for name, parameter in encoder.named_parameters()
        if parameter.ndim == 2 and not name.startswith(_OUTER_LAYERS)
    ]
    chosen = {id(x) for x in hidden}
    others = [x for x in encoder.parameters() if id(x) not in chosen]
    return [
        torch.optim.AdamW(
            [{"params": others, "peak": config.learning_rate}], weight_decay=config.weight_decay
        ),
        Muon(
            [{"params": hidden, "peak": config.hidden_learning_rate}],
            weight_decay=config.weight_decay,
        ),
    ]


def pose_losses(
    encoding: Encoding, truth: Similarity, symmetric: Tensor, unit_m: float
) -> dict[str, Tensor]:
    """Pose losses of the hypotheses.

    Args:
        encoding: prediction for B views.
        truth: (B,) true similarities.
        symmetric: (B,) bool; ignore the x axis where true.
        unit_m: metres, the unit of translations.

    Returns:
        ``hypotheses`` (B, K): sum of axis errors and weighted translation error; ``likelihood``
        (B,): negative log likelihood of the mixture.
    """
    difference = encoding.similarity.rotation - truth.rotation.unsqueeze(1)
    y_error = difference[..., :, 1].norm(dim=-1)
    x_error = difference[..., :, 0].norm(dim=-1) * (~symmetric).float().unsqueeze(1)
    t_error = (encoding.similarity.translation - truth.translation.unsqueeze(1)).norm(
        dim=-1
    ) / unit_m
    return {
        "hypotheses": y_error + x_error + 2.0 * t_error,
        "likelihood": encoding.negative_log_likelihood(y_error, x_error, t_error, symmetric),
    }


def shape_losses(
    encoding: Encoding, truth: Similarity, codes: Tensor, code_sd: Tensor
) -> dict[str, Tensor]:
    """Losses of size and code and of their spreads.

    Negative log likelihoods, weighted so that the network also learns quantities that are hard to
    predict; unweighted, it would give them up and predict a large spread (Seitzer et al., "On the
    Pitfalls of Heteroscedastic Uncertainty Estimation with Probabilistic Neural Networks", 2022).

    Args:
        encoding: prediction for B views.
        truth: (B,) true similarities.
        codes: (B, D) true codes.
        code_sd: (D,) standard deviations of all shapes' codes along the principal axes.

    Returns:
        ``code`` (B,): Gaussian, weighted by the standard deviation, mean over the axes, in units
        of `code_sd`; ``scale`` (B,): Laplace loss of the log size, weighted by its spread.
    """
    spread = encoding.shape_spread
    assert spread is not None
    error = ((encoding.codes - codes) @ spread.code_axes) / code_sd
    log_sd = spread.log_code - code_sd.log()
    likelihood = 0.5 * error.square() * (-2.0 * log_sd).exp() + log_sd
    size_error = (encoding.similarity.scale[:, 0].log() - truth.scale.log()).abs()
    size = size_error * (-spread.log_size).exp() + spread.log_size
    return {
        "code": (log_sd.exp().detach() * likelihood).mean(dim=1),
        "scale": spread.log_size.exp().detach() * size,
    }


@torch.no_grad()
def validate_encoder(encoder: FastEncoder, views: Views, seed: int = 0) -> dict[str, float]:
    """Measure unrefined errors of the most likely hypothesis on views of unseen models.

    Returns:
        Median errors: ``rot_deg`` of the rotation, or of the y axis if yaw is undefined;
        ``trans_cm`` of the box centre; ``scale_percent`` of the diagonal; ``best_rot_deg``, the
        same as ``rot_deg`` for the best hypothesis.
    """
    count = encoder.config.points
    points = torch.from_numpy(views.points)
    order = torch.rand(points.shape[:2], generator=torch.Generator().manual_seed(seed)).argsort(1)
    chosen = points.gather(1, order[:, :count, None].expand(-1, -1, 3))
    device = encoder.unit.device
    encoding = encoder(chosen.to(device), torch.from_numpy(views.support).to(device))
    truth = torch.from_numpy(views.rotation).to(device)
    rotation = encoding.similarity.rotation
    cosine_y = (rotation[..., :, 1] * truth[:, None, :, 1]).sum(-1)
    cosine = ((rotation * truth[:, None]).sum((-1, -2)) - 1.0) / 2.0
    symmetric = torch.from_numpy(views.symmetric).to(device)[:, None]
    angle = torch.where(symmetric, cosine_y, cosine).clamp(-1.0, 1.0).arccos().rad2deg()
    favourite = encoding.logits.argmax(dim=1, keepdim=True)
    chosen_t = encoding.similarity.translation.gather(
        1, favourite.unsqueeze(-1).expand(-1, -1, 3)
    ).squeeze(1)
    t_error = (chosen_t - torch.from_numpy(views.translation).to(device)).norm(dim=-1)
    ratio = encoding.similarity.scale[:, 0] / torch.from_numpy(views.scale).to(device)
    return {
        "rot_deg": float(angle.gather(1, favourite).median()),
        "best_rot_deg": float(angle.min(dim=1).values.median()),
        "trans_cm": 100.0 * float(t_error.median()),
        "scale_percent": 100.0 * float((ratio - 1.0).abs().median()),
    }
