"""Training loop shared by the encoders: steps, checkpoints and progress reports."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from sdfpose_core.learning.distributed import is_main_process

__all__ = ["Progress", "TrainingRun"]

Progress = Callable[[int, dict[str, float]], None]
"""Called with the number of completed steps and the losses of the last one."""

_LOG_EVERY = 50
"""Steps."""


class TrainingRun(ABC):
    """Training loop; an interrupted run resumes with identical results.

    Attributes:
        step: number of completed steps.
    """

    step: int = 0

    def _run_to(
        self, steps: int, checkpoint_every: int, checkpoint: Path | None, progress: Progress | None
    ) -> None:
        """Take all remaining steps.

        Args:
            steps: total number of steps.
            checkpoint_every: steps between checkpoints.
            checkpoint: file to write, and to resume from if it exists.
            progress: called with the losses of every 50th step and of the last one.

        Raises:
            WeightsError: the checkpoint is damaged.
        """
        if checkpoint is not None and checkpoint.exists():
            self._load(checkpoint)
        while self.step < steps:
            losses = self._train_step()
            self.step += 1
            reported = self.step % _LOG_EVERY == 0 or self.step == steps
            if progress is not None and reported and is_main_process():
                progress(self.step, {k: float(v) for k, v in losses.items()})
            if checkpoint is not None and self.step % checkpoint_every == 0 and is_main_process():
                self._save(checkpoint)

    @abstractmethod
    def _train_step(self) -> dict[str, Tensor]:
        """Take one step and return its losses."""

    @abstractmethod
    def _save(self, path: Path) -> None:
        """Write the complete training state."""

    @abstractmethod
    def _load(self, path: Path) -> None:
        """Restore the state written by `_save`."""
