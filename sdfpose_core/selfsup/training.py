"""Training on unlabelled real instances mixed with labelled simulated ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sdfpose_core.encoder.fast import FastEncoder
from sdfpose_core.encoder.pretraining import EncoderTraining, EncoderTrainingConfig
from sdfpose_core.encoder.views import TrainingViews, Views
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.estimation.category_model import CategoryModel
from sdfpose_core.estimation.evidence import resample, support_planes
from sdfpose_core.learning.distributed import process_slice
from sdfpose_core.observation.frame import Instance
from sdfpose_core.selfsup.certificate import Certificate
from sdfpose_core.selfsup.labelling import Labelling, LabellingConfig, TooFewLabelsError
from sdfpose_core.selfsup.losses import PaperLosses
from sdfpose_core.selfsup.losses_name import LossesName
from sdfpose_core.selfsup.teacher import PseudoLabels

__all__ = [
    "CertifiedTraining",
    "PaperTraining",
    "SelfSupervision",
    "TooFewLabelsError",
    "self_supervised_training",
]


@dataclass(frozen=True)
class SelfSupervision:
    """Settings of self-supervised training.

    Attributes:
        losses: ``certified`` uses refined estimates of a moving average of the network as labels
            if they meet `certificate`; ``paper`` uses the losses of SSC-6D.
        synthetic_batch: simulated views per step.
        real_batch: real views per step.
        rounds: how often the teacher labels all real instances, evenly spread over the steps.
        fast_teacher: whether the teacher searches from fewer start poses.
        min_labels: minimum number of certified instances; training fails with fewer.
        certificate: criteria of ``certified``.
        training: all other training settings; `batch` is not used.
    """

    losses: LossesName = "certified"
    synthetic_batch: int = 24
    real_batch: int = 12
    rounds: int = 2
    fast_teacher: bool = False
    min_labels: int = 8
    certificate: Certificate = field(default_factory=Certificate)
    training: EncoderTrainingConfig = field(
        default_factory=lambda: EncoderTrainingConfig(
            steps=600,
            learning_rate=1e-4,
            hidden_learning_rate=0.002,
            average_decay=0.98,
            mirror_probability=0.5,
        )
    )

    def __post_init__(self) -> None:
        for name in ("synthetic_batch", "real_batch", "rounds", "min_labels"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"{name} is {getattr(self, name)}: expected at least 1")

    @property
    def labelling(self) -> LabellingConfig:
        """Settings of the labels of ``certified``."""
        return LabellingConfig(self.rounds, self.fast_teacher, self.min_labels, self.certificate)


def self_supervised_training(
    model: CategoryModel,
    synthetic: tuple[Views, Tensor],
    real: Sequence[Instance],
    config: SelfSupervision,
    *,
    progress: Callable[[], None] = lambda: None,
) -> CertifiedTraining | PaperTraining:
    """Create the training selected by the configuration.

    Args:
        model: model of the category; training starts from its encoder.
        synthetic: labelled views, and the codes of their models.
        real: unlabelled instances of the category.
        config: training settings.
        progress: called after each instance that the teacher has labelled.

    Raises:
        CategoryError: the paper has no setting for the category.
        ConfigurationError: there are no real instances, or the encoder is not `fast`.
    """
    if not real:
        raise ConfigurationError("there are no real instances to learn from: expected at least one")
    if not isinstance(model.encoder, FastEncoder):
        raise ConfigurationError(
            f"the encoder is a {type(model.encoder).__name__}: self-supervision needs the encoder "
            "'fast' to start from"
        )
    lessons = TrainingViews(*synthetic, config.synthetic_batch)
    if config.losses == "paper":
        return PaperTraining(model, model.encoder, lessons, real, config)
    return CertifiedTraining(model, model.encoder, lessons, real, config, progress)


class _MixedTraining(EncoderTraining):
    """Base class: labelled simulated views and the initial weights."""

    def __init__(
        self,
        model: CategoryModel,
        start: FastEncoder,
        synthetic: TrainingViews,
        config: SelfSupervision,
    ) -> None:
        super().__init__(
            [synthetic],
            model.decoder.code_mean,
            model.decoder.code_covariance,
            model.category.diagonal_m,
            config.training,
            model.device,
            start,
        )


class CertifiedTraining(_MixedTraining):
    """Training with teacher labels for real instances, renewed at regular intervals.

    The teacher is the moving average of the trained network, refined on the SDF (after the mean
    teacher of Tarvainen and Valpola, NeurIPS 2017). It labels instances as measured; the student
    sees them cropped, rotated, mirrored and with more noise.
    """

    def __init__(
        self,
        model: CategoryModel,
        start: FastEncoder,
        synthetic: TrainingViews,
        real: Sequence[Instance],
        config: SelfSupervision,
        progress: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(model, start, synthetic, config)
        steps = config.training.steps
        self._labelling = Labelling(model, real, config.labelling, steps, progress)
        self._synthetic, self._real_batch = synthetic, config.real_batch

    @property
    def labels(self) -> PseudoLabels | None:
        """The current labels, None before the first step."""
        return self._labelling.labels

    def _losses(self) -> dict[str, Tensor]:
        labels = self._labelling.renewed(self.step, self.average)
        if labels is not None:
            self._use(labels)
        return super()._losses()

    def _state(self) -> dict[str, Any]:
        return super()._state() | {"labels": self._labelling.state()}

    def _restore(self, state: dict[str, Any]) -> None:
        super()._restore(state)
        self._use(self._labelling.restore(state["labels"]))

    def _use(self, labels: PseudoLabels) -> None:
        self._set_training_views(
            [self._synthetic, TrainingViews(labels.views, labels.codes, self._real_batch)]
        )


class PaperTraining(_MixedTraining):
    """Training with the losses of SSC-6D on the most likely hypothesis of each real instance."""

    def __init__(
        self,
        model: CategoryModel,
        start: FastEncoder,
        synthetic: TrainingViews,
        real: Sequence[Instance],
        config: SelfSupervision,
    ) -> None:
        super().__init__(model, start, synthetic, config)
        self._criterion = PaperLosses.of(model.category.name)
        self._decoder, self._real_batch = model.decoder, config.real_batch
        rng = np.random.default_rng(config.training.seed)
        self._points = torch.from_numpy(
            np.stack([resample(x.points, Views.POINTS, rng) for x in real])
        )
        self._supports = support_planes(real, torch.device("cpu"))

    def _losses(self) -> dict[str, Tensor]:
        points, support, truth, codes, symmetric = self._batch()
        real_points, real_support = self._draw_real()
        encoding = self._shared(
            torch.cat([points, real_points]), torch.cat([support, real_support])
        )
        labelled = len(points)
        losses = self._supervised(encoding[:labelled], truth, codes, symmetric)
        real = encoding[labelled:]
        real_losses = self._criterion(
            self._decoder,
            real.codes,
            real.most_likely,
            real_points,
            real_points / real_points[..., 2:],
        )
        means = {name: value.mean() for name, value in real_losses.items()}
        return losses | {
            "total": losses["total"] + means.pop("total"),
            **{f"real_{name}": value for name, value in means.items()},
        }

    def _draw_real(self) -> tuple[Tensor, Tensor]:
        """Points (B, N, 3) and supports (B, 4) of this process's share of the real instances."""
        pick = torch.randint(len(self._points), (self._real_batch,), generator=self._rng)
        order = torch.rand(self._real_batch, Views.POINTS, generator=self._rng).argsort(dim=1)
        order = order[:, : self.config.encoder.points, None].expand(-1, -1, 3)
        own = process_slice(self._real_batch)
        return (
            self._points[pick].gather(1, order)[own].to(self.device),
            self._supports[pick][own].to(self.device),
        )
