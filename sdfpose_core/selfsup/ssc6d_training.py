"""Self-supervised training of the encoder `ssc6d` on unlabelled real colour views.

The second stage of SSC-6D (Peng et al., AAAI 2022; the numbers are from the published training
script): every step takes 12 labelled and 2 unlabelled views, and adds the self-supervised losses of
the latter to the supervised losses of the former. The schedule of the learning rate goes on at
epoch 6 and ends with epoch 13. The published script makes a new Adam when the learning rate
changes; here its moments are kept.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from sdfpose_core.encoder.colour_views import Rounds
from sdfpose_core.encoder.ssc6d import Ssc6dEncoder
from sdfpose_core.encoder.ssc6d_training import (
    LabelledBatch,
    Ssc6dTraining,
    Ssc6dTrainingConfig,
    canonical_yaw,
)
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.estimation.category_model import CategoryModel
from sdfpose_core.geometry.similarity import Similarity
from sdfpose_core.learning.distributed import process_slice
from sdfpose_core.observation.frame import Instance
from sdfpose_core.selfsup.labelling import Labelling, LabellingConfig
from sdfpose_core.selfsup.losses import PaperLosses
from sdfpose_core.selfsup.real_views import RealBatch, RealViews
from sdfpose_core.selfsup.teacher import PseudoLabels
from sdfpose_core.shapes.sdf_samples import sample_surface
from sdfpose_core.simulation.instances import SimulatedInstance
from sdfpose_core.storage.configuration import check_at_least_one

__all__ = [
    "Ablation",
    "CertifiedSsc6dTraining",
    "RealLabels",
    "Ssc6dLosses",
    "Ssc6dSelfSupervision",
    "Ssc6dSelfTraining",
    "ssc6d_self_training",
]

_REAL_STREAM = 1
"""Keeps the augmentation of the real views apart from other random numbers."""

Ssc6dLosses = Literal["paper", "certified", "labels"]

Ablation = Literal["none", "b", "c", "d", "real"]


@dataclass(frozen=True)
class Ssc6dSelfSupervision:
    """Settings of self-supervised training; the defaults are the published numbers.

    Attributes:
        losses: ``paper`` uses the losses of SSC-6D; ``certified`` uses refined estimates of the
            network as labels if they meet a certificate; ``labels`` uses true labels, for an upper
            bound.
        ablation: the paper's ablations of ``paper``: ``b`` is without the Chamfer distance, ``c``
            without the alignment of the observed points, ``d`` without the code loss, ``real``
            without labelled synthetic views.
        real_batch: real views per step.
        real_weight: weight of the real views' losses relative to the synthetic views'.
        first_epoch: epochs of the schedule completed before this training.
        render_size: side of the crop at which ``paper`` renders the estimated surface.
        remove_outliers: whether ``paper`` removes outliers from the observed points.
        mirror_probability: augmentation: probability that left and right of a real view are
            swapped.
        labelling: settings of ``certified``.
        training: all other settings; `batch` is the number of synthetic views per step. The
            architecture is that of the initial encoder.
    """

    losses: Ssc6dLosses = "paper"
    ablation: Ablation = "none"
    real_batch: int = 2
    real_weight: float = 1.0
    first_epoch: float = 5.0
    render_size: int = 128
    remove_outliers: bool = True
    mirror_probability: float = 0.5
    labelling: LabellingConfig = field(default_factory=LabellingConfig)
    training: Ssc6dTrainingConfig = field(default_factory=lambda: Ssc6dTrainingConfig(steps=33_334))

    def __post_init__(self) -> None:
        check_at_least_one(self, "real_batch", "render_size")
        if not 0.0 <= self.mirror_probability <= 1.0:
            raise ConfigurationError(
                f"mirror_probability is {self.mirror_probability}: expected 0 to 1"
            )
        if not self.first_epoch >= 0.0:
            raise ConfigurationError(f"first_epoch is {self.first_epoch}: expected at least 0")
        if self.ablation != "none" and self.losses != "paper":
            raise ConfigurationError(
                f"ablation is {self.ablation} with the losses {self.losses}: the ablations are "
                "those of the losses 'paper'"
            )


@dataclass(frozen=True)
class RealLabels:
    """Labels of L real instances.

    Attributes:
        numbers: (L,) numbers of the instances.
        similarity: (L,) object frame to camera frame.
        codes: (L, D) latent codes.
        surfaces: (L, M, 3), normalised object units: points on the objects' surfaces.
    """

    numbers: Sequence[int]
    similarity: Similarity
    codes: Tensor
    surfaces: Tensor

    @classmethod
    def of_teacher(cls, labels: PseudoLabels) -> RealLabels:
        """Take over the certified estimates."""
        views = labels.views
        similarity = Similarity(
            *map(torch.from_numpy, (views.rotation, views.translation, views.scale))
        )
        return cls(labels.chosen, similarity, labels.codes, labels.surfaces)

    @classmethod
    def true(
        cls, items: Sequence[SimulatedInstance], codes: Tensor, model_points: int = 512
    ) -> RealLabels:
        """Take the true labels of simulated instances, numbered as they come.

        Args:
            items: instances with their true poses and models.
            codes: (S, D) codes of the models, by `SimulatedInstance.model_seed`.
            model_points: points per surface.
        """
        rng = np.random.default_rng(0)
        surfaces = [
            sample_surface(x.model.normalised_vertices, x.model.faces, rng, model_points)
            for x in items
        ]
        similarity = Similarity(
            torch.from_numpy(np.stack([x.truth.rotation for x in items])).float(),
            torch.from_numpy(np.stack([x.truth.translation for x in items])).float(),
            torch.tensor([x.truth.scale for x in items], dtype=torch.float32),
        )
        return cls(
            range(len(items)),
            similarity,
            codes.cpu()[[x.model_seed for x in items]],
            torch.from_numpy(np.stack(surfaces)).float(),
        )


def ssc6d_self_training(
    model: CategoryModel,
    synthetic: tuple[Rounds, Tensor],
    real: Sequence[Instance],
    config: Ssc6dSelfSupervision,
    *,
    labels: RealLabels | None = None,
    workers: int = 0,
    progress: Callable[[], None] = lambda: None,
) -> Ssc6dSelfTraining:
    """Create the self-supervised training of the model's encoder; its `run` returns the new one.

    Args:
        model: model of the category with an encoder `ssc6d`, from which the training starts.
        synthetic: labelled views, and the codes (S, D) of their models by number.
        real: unlabelled instances of the category with colour.
        config: training settings.
        labels: labels of the real instances, for ``labels`` only.
        workers: processes that make synthetic views ahead of time; 0 for none.
        progress: called after each instance that the teacher has labelled.

    Raises:
        CategoryError: the paper has no setting for the category.
        ConfigurationError: there are no real instances, one lacks colour, the encoder is not
            `ssc6d`, or codes have different lengths.

    Example:
        >>> training = ssc6d_self_training(model, (rounds, codes), real, Ssc6dSelfSupervision())
        >>> encoder = training.run(Path("work/mug.ckpt"))  # doctest: +SKIP
    """
    encoder = model.encoder
    if not isinstance(encoder, Ssc6dEncoder):
        raise ConfigurationError(
            f"the encoder is a {type(encoder).__name__}: expected the encoder 'ssc6d' to start from"
        )
    if not real:
        raise ConfigurationError("there are no real instances to learn from: expected at least one")
    length = encoder.config.code_length
    if synthetic[1].shape[1] != length or len(model.decoder.code_mean) != length:
        raise ConfigurationError(
            f"the encoder predicts codes of length {length}, the decoder takes codes of length "
            f"{len(model.decoder.code_mean)}, and the synthetic models have codes of length "
            f"{synthetic[1].shape[1]}: expected {length} for all; use weights that belong together"
        )
    colourless = sum(x.colour is None for x in real)
    if colourless:
        raise ConfigurationError(
            f"{colourless} of {len(real)} real instances have no colour, which the encoder 'ssc6d' "
            "needs: leave them out, or prepare or record the data with colour"
        )
    if (config.losses == "labels") != (labels is not None):
        raise ConfigurationError(
            f"the losses are '{config.losses}' {'with' if labels else 'without'} labels of the "
            "real instances: expected labels for 'labels' alone"
        )
    if labels is not None:
        return _LabelledTraining(model, encoder, synthetic, real, config, workers, labels)
    if config.losses == "certified":
        labelling = Labelling(model, real, config.labelling, config.training.steps, progress)
        return CertifiedSsc6dTraining(model, encoder, synthetic, real, config, workers, labelling)
    return _PaperTraining(model, encoder, synthetic, real, config, workers)


class Ssc6dSelfTraining(Ssc6dTraining):
    """Base class: labelled views, the choice of real views, and the sum of both losses."""

    def __init__(
        self,
        model: CategoryModel,
        start: Ssc6dEncoder,
        synthetic: tuple[Rounds, Tensor],
        real: Sequence[Instance],
        config: Ssc6dSelfSupervision,
        workers: int,
    ) -> None:
        process_slice(config.real_batch)
        training = replace(config.training, encoder=start.config, resnet18="")
        super().__init__(
            *synthetic,
            model.category.symmetry == "y",
            training,
            model.device,
            workers=workers,
            start=start,
        )
        self._setup = config
        self._real = RealViews(
            real,
            start.config,
            training,
            config.render_size,
            remove_outliers=config.remove_outliers,
        )

    def _learning_rate(self) -> float:
        return self.config.learning_rate_at(self.step, self._setup.first_epoch)

    def _losses(self) -> dict[str, Tensor]:
        real = self._real_losses()
        total = self._setup.real_weight * real.pop("total")
        losses = {f"real_{name}": value for name, value in real.items()}
        if self._setup.ablation != "real":
            losses |= self._supervised(self._batch())
            total = total + losses["total"]
        return losses | {"total": total}

    @abstractmethod
    def _real_losses(self) -> dict[str, Tensor]:
        """Losses of this process's real views; ``total`` is their weighted sum."""

    def _draw(self, count: int) -> list[int]:
        """Numbers below `count` of this process's real views: all in random order, then again."""
        batch = self._setup.real_batch
        numbers = []
        for place in range(batch)[process_slice(batch)]:
            turn, number = divmod(self.step * batch + place, count)
            order = np.random.default_rng([self.config.seed, turn, count]).permutation(count)
            numbers.append(int(order[number]))
        return numbers

    def _real_views(self, numbers: Sequence[int]) -> RealBatch:
        """Augmented views of real instances, on the device."""
        batch = self._setup.real_batch
        rngs = [
            np.random.default_rng([self.config.seed, _REAL_STREAM, self.step, place])
            for place in range(batch)[process_slice(batch)]
        ]
        return self._real(numbers, rngs, self._setup.mirror_probability).to(self.device)

    def _state(self) -> dict[str, Any]:
        return super()._state() | {"losses": f"{self._setup.losses} {self._setup.ablation}"}

    def _restore(self, state: dict[str, Any]) -> None:
        expected = f"{self._setup.losses} {self._setup.ablation}"
        if state["losses"] != expected:
            raise ValueError(f"its losses are {state['losses']}, not {expected}")
        super()._restore(state)


class _PaperTraining(Ssc6dSelfTraining):
    """Training with the losses of SSC-6D."""

    def __init__(
        self,
        model: CategoryModel,
        start: Ssc6dEncoder,
        synthetic: tuple[Rounds, Tensor],
        real: Sequence[Instance],
        config: Ssc6dSelfSupervision,
        workers: int,
    ) -> None:
        super().__init__(model, start, synthetic, real, config, workers)
        self._decoder = model.decoder
        losses = PaperLosses.published(model.category.name, model.decoder)
        self._criterion = replace(
            losses,
            surface_weight=0.0 if config.ablation == "b" else losses.surface_weight,
            alignment_weight=0.0 if config.ablation == "c" else losses.alignment_weight,
            code_weight=0.0 if config.ablation == "d" else losses.code_weight,
        )

    def _real_losses(self) -> dict[str, Tensor]:
        views = self._real_views(self._draw(len(self._real)))
        encoding = self._encode(views.colour, views.points, views.index, run=1)
        losses = self._criterion(
            self._decoder,
            encoding.codes,
            encoding.most_likely,
            views.observed,
            views.rays,
            views.valid,
        )
        return {name: value.mean() for name, value in losses.items()}


class _LabelledTraining(Ssc6dSelfTraining):
    """Training with labels for real instances."""

    def __init__(
        self,
        model: CategoryModel,
        start: Ssc6dEncoder,
        synthetic: tuple[Rounds, Tensor],
        real: Sequence[Instance],
        config: Ssc6dSelfSupervision,
        workers: int,
        labels: RealLabels | None = None,
    ) -> None:
        super().__init__(model, start, synthetic, real, config, workers)
        self._labels = labels

    def _real_losses(self) -> dict[str, Tensor]:
        labels = self._labels
        assert labels is not None
        rows = self._draw(len(labels.numbers))
        views = self._real_views([labels.numbers[x] for x in rows])
        truth, surfaces = _mirrored(
            labels.similarity[rows].to(self.device),
            labels.surfaces[rows].to(self.device),
            views.mirrored,
        )
        if self._symmetric:
            truth = replace(truth, rotation=canonical_yaw(truth.rotation))
        batch = LabelledBatch(
            views.colour,
            views.points,
            views.index,
            surfaces,
            truth,
            labels.codes[rows].to(self.device),
        )
        return self._supervised(batch, run=1)


class CertifiedSsc6dTraining(_LabelledTraining):
    """Training with labels of the network's own refined estimates, renewed at regular intervals."""

    def __init__(
        self,
        model: CategoryModel,
        start: Ssc6dEncoder,
        synthetic: tuple[Rounds, Tensor],
        real: Sequence[Instance],
        config: Ssc6dSelfSupervision,
        workers: int,
        labelling: Labelling,
    ) -> None:
        super().__init__(model, start, synthetic, real, config, workers)
        self._labelling = labelling

    @property
    def labels(self) -> PseudoLabels | None:
        """The current labels, None before the first step."""
        return self._labelling.labels

    def _real_losses(self) -> dict[str, Tensor]:
        labels = self._labelling.renewed(self.step, self.encoder)
        if labels is not None:
            self._labels = RealLabels.of_teacher(labels)
        return super()._real_losses()

    def _state(self) -> dict[str, Any]:
        return super()._state() | {"labels": self._labelling.state()}

    def _restore(self, state: dict[str, Any]) -> None:
        super()._restore(state)
        self._labels = RealLabels.of_teacher(self._labelling.restore(state["labels"]))


def _mirrored(truth: Similarity, surfaces: Tensor, where: Tensor) -> tuple[Similarity, Tensor]:
    """Swap left and right of poses (B,) and object points (B, M, 3) where `where` (B,) is true.

    The mirror image of an object at pose (R, t) is the object mirrored by G = diag(1, 1, -1) at
    pose (F R G, F t) with F = diag(-1, 1, 1).
    """
    flip = torch.tensor([-1.0, 1.0, 1.0], device=where.device)
    sign = torch.where(where[:, None], flip, torch.ones_like(flip))
    other = sign.flip(1)
    rotation = sign[:, :, None] * truth.rotation * other[:, None]
    return (
        Similarity(rotation, sign * truth.translation, truth.scale),
        surfaces * other[:, None],
    )
