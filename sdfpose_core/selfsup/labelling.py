"""Labels of the teacher for real instances, renewed at regular intervals of a training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from sdfpose_core.encoder.fast import FastEncoder
from sdfpose_core.encoder.ssc6d import Ssc6dEncoder
from sdfpose_core.encoder.views import Views
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.estimation.category_model import CategoryModel
from sdfpose_core.observation.frame import Instance
from sdfpose_core.selfsup.certificate import Certificate
from sdfpose_core.selfsup.teacher import PseudoLabels, pseudo_labels, teacher
from sdfpose_core.storage.configuration import check_at_least_one

__all__ = ["Labelling", "LabellingConfig", "TooFewLabelsError"]


class TooFewLabelsError(ConfigurationError):
    """Too few real instances are certified to learn from."""


@dataclass(frozen=True)
class LabellingConfig:
    """Settings of the labels.

    Attributes:
        rounds: how often the teacher labels all real instances, evenly spread over the steps.
        fast_teacher: whether the teacher searches from fewer start poses.
        min_labels: minimum number of certified instances; training fails with fewer.
        certificate: criteria for estimates.
    """

    rounds: int = 2
    fast_teacher: bool = False
    min_labels: int = 8
    certificate: Certificate = field(default_factory=Certificate)

    def __post_init__(self) -> None:
        check_at_least_one(self, "rounds", "min_labels")


class Labelling:
    """The labels of a training and their renewal.

    Args:
        model: model of the category; its encoder is replaced by the one that labels.
        real: unlabelled instances.
        config: settings.
        steps: steps of the training.
        progress: called after each instance that was labelled.

    Attributes:
        labels: the current labels, None before the first step.
    """

    def __init__(
        self,
        model: CategoryModel,
        real: Sequence[Instance],
        config: LabellingConfig,
        steps: int,
        progress: Callable[[], None] = lambda: None,
    ) -> None:
        self.labels: PseudoLabels | None = None
        self._model, self._real, self._config = model, real, config
        self._interval = -(-steps // config.rounds)
        self._progress = progress

    def renewed(self, step: int, encoder: FastEncoder | Ssc6dEncoder) -> PseudoLabels | None:
        """Label the instances if that is due before a step; deterministic for given weights.

        Args:
            step: number of completed steps.
            encoder: the teacher's network.

        Returns:
            The new labels, None if the current ones remain.

        Raises:
            TooFewLabelsError: too few instances are certified.
        """
        if step % self._interval and self.labels is not None:
            return None
        self.labels = pseudo_labels(
            teacher(replace(self._model, encoder=encoder.eval()), fast=self._config.fast_teacher),
            self._real,
            self._config.certificate,
            self._progress,
        )
        if len(self.labels.chosen) < self._config.min_labels:
            counts = ", ".join(f"{k}: {n}" for k, n in self.labels.objections.most_common())
            raise TooFewLabelsError(
                f"{len(self.labels.chosen)} of {len(self._real)} real instances are certified: "
                f"expected at least {self._config.min_labels} ({counts}); use more or better "
                "images, or a less strict certificate"
            )
        return self.labels

    def state(self) -> dict[str, Any]:
        """Labels for a checkpoint."""
        assert self.labels is not None
        return vars(self.labels) | {
            "views": {k: torch.from_numpy(x) for k, x in vars(self.labels.views).items()},
            "objections": dict(self.labels.objections),
        }

    def restore(self, state: dict[str, Any]) -> PseudoLabels:
        """Restore the labels of a checkpoint and return them.

        Raises:
            KeyError, TypeError: the state is not one that `state` returned.
        """
        self.labels = PseudoLabels(
            state["chosen"],
            Views(**{k: x.numpy() for k, x in state["views"].items()}),
            state["codes"],
            state["surfaces"],
            Counter(state["objections"]),
        )
        return self.labels
