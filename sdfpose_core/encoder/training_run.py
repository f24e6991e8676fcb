"""What trainings of encoders have in common: steps, checkpoints, and telling of the progress."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from sdfpose_core.learning.distributed import is_first

__all__ = ["Progress", "TrainingRun"]

Progress = Callable[[int, dict[str, float]], None]
"""Called with the number of steps done and the losses of the last one."""

_LOG_EVERY = 50
"""Steps."""


class TrainingRun(ABC):
    """Steps that can be interrupted and resumed to the same numbers.

    Attributes:
        step: how many are done.
    """

    step: int = 0

    def _run_to(
        self, steps: int, checkpoint_every: int, checkpoint: Path | None, progress: Progress | None
    ) -> None:
        """Take all steps that are left.

        Args:
            steps: how many there are.
            checkpoint_every: steps between checkpoints.
            checkpoint: file to resume from where it exists, and to write to.
            progress: told the losses of every 50th step.

        Raises:
            WeightsError: the checkpoint is damaged.
        """
        if checkpoint is not None and checkpoint.exists():
            self._load(checkpoint)
        while self.step < steps:
            losses = self._train_step()
            self.step += 1
            if progress is not None and self.step % _LOG_EVERY == 0 and is_first():
                progress(self.step, {k: float(v) for k, v in losses.items()})
            if checkpoint is not None and self.step % checkpoint_every == 0 and is_first():
                self._save(checkpoint)

    @abstractmethod
    def _train_step(self) -> dict[str, Tensor]:
        """Take one step and return its losses."""

    @abstractmethod
    def _save(self, path: Path) -> None:
        """Write everything that the next steps depend on."""

    @abstractmethod
    def _load(self, path: Path) -> None:
        """Take up what `_save` wrote."""
