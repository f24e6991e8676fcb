"""Training of one network on stored views, in random order, with a learning rate that decays."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sized
from dataclasses import asdict
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sdfpose_core.encoder.training_run import Progress, TrainingRun
from sdfpose_core.errors import WeightsError
from sdfpose_core.storage.checkpoint import load_checkpoint, save_checkpoint
from sdfpose_core.weights.network import StoredNetwork

__all__ = ["ViewTraining", "ViewTrainingConfig"]

_MAX_GRADIENT = 5.0
"""Limit of the gradient's norm."""


class ViewTrainingConfig(Protocol):
    """Settings that all such trainings have."""

    @property
    def steps(self) -> int:
        """Optimiser steps."""
        ...

    @property
    def batch(self) -> int:
        """Views per step."""
        ...

    @property
    def learning_rate(self) -> float:
        """Peak learning rate."""
        ...

    @property
    def checkpoint_every(self) -> int:
        """Steps between checkpoints."""
        ...


_Network = TypeVar("_Network", bound=StoredNetwork)


class ViewTraining(TrainingRun, Generic[_Network]):
    """Training run on views; an interrupted run resumes with the same random draws.

    Args:
        views: the views to count.
        settings: settings of the training.

    Attributes:
        network: what learns.
        optimiser: each of its groups has a ``share`` of the learning rate.
        random: source of the order and of the augmentation.
    """

    WARM_UP: int
    """Steps in which the learning rate rises, at most a tenth of all."""

    network: _Network
    optimiser: torch.optim.Optimizer
    random: torch.Generator

    def __init__(self, views: Sized, settings: ViewTrainingConfig) -> None:
        self._count = len(views)
        self._settings = settings
        self._order = np.zeros(0, dtype=np.int64)

    @abstractmethod
    def _losses(self, chosen: NDArray[np.int64]) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of some views, and its parts."""

    def run(self, checkpoint: Path | None = None, progress: Progress | None = None) -> _Network:
        """Take all remaining steps; return the network, in evaluation mode, without gradients.

        Args:
            checkpoint: file to write, and to resume from if it exists.
            progress: called with the losses of every 50th step and of the last one.

        Raises:
            WeightsError: the checkpoint is damaged or of other settings.
        """
        settings = self._settings
        self.network.train()
        self._run_to(settings.steps, settings.checkpoint_every, checkpoint, progress)
        self.network.requires_grad_(False)
        return self.network.eval()

    def _train_step(self) -> dict[str, Tensor]:
        settings = self._settings
        warm = min(1.0, (self.step + 1) / min(self.WARM_UP, max(settings.steps // 10, 1)))
        rate = warm * 0.5 * (1.0 + math.cos(math.pi * self.step / settings.steps))
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["share"] * settings.learning_rate
        total, losses = self._losses(self._next())
        self.optimiser.zero_grad(set_to_none=True)
        total.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), _MAX_GRADIENT)
        self.optimiser.step()
        return {k: v.detach() for k, v in losses.items()}

    def _next(self) -> NDArray[np.int64]:
        """Numbers of the next views; every view comes once per round."""
        while len(self._order) < self._settings.batch:
            order = torch.randperm(self._count, generator=self.random).numpy()
            self._order = np.concatenate([self._order, order])
        chosen, self._order = np.split(self._order, [self._settings.batch])
        return chosen

    def _all_settings(self) -> str:
        config: Any = self.network.config
        return repr((asdict(config), self._settings))

    def _save(self, path: Path) -> None:
        state = {
            "config": self._all_settings(),
            "step": self.step,
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "random": self.random.get_state(),
            "order": torch.from_numpy(self._order),
        }
        save_checkpoint(path, state)

    def _load(self, path: Path) -> None:
        state = load_checkpoint(path)
        if state.get("config") != self._all_settings():
            raise WeightsError(f"{path}: is of other settings: delete it to train from scratch")
        self.step = state["step"]
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.random.set_state(state["random"])
        self._order = state["order"].numpy()
