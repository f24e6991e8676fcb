"""Files of simulated training views of one category, made once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sdfpose_core.categories import Categories
from sdfpose_core.encoder.views import Views
from sdfpose_core.simulation.instances import ModelPool, simulated_instances
from sdfpose_core.simulation.mask_noise import MaskNoise
from sdfpose_core.simulation.sensor import SensorNoise

__all__ = ["NoiseName", "SimulatedViewFile"]

NoiseName = Literal["random", "mild"]
"""Noise of depth and masks: ``random`` simulates cameras and detectors of all kinds."""


@dataclass(frozen=True)
class SimulatedViewFile:
    """One file of simulated views; worker processes can make it.

    Attributes:
        path: the file.
        category: category of the views.
        seed: seed of the stream.
        count: number of views.
        pool: returns the models; a function that can be pickled.
        noise: noise of depth and masks.
        categories: the known ones; None for the six shipped ones.
    """

    path: Path
    category: str
    seed: int
    count: int
    pool: Callable[[], ModelPool]
    noise: NoiseName = "random"
    categories: Categories | None = None

    def make(self) -> None:
        """Make the file, unless it is there.

        Raises:
            OSError: it cannot be written.
        """
        if self.path.exists():
            return
        mild = self.noise == "mild"
        stream = simulated_instances(
            self.category,
            self.seed,
            self.count,
            pool=self.pool(),
            noise=SensorNoise.mild() if mild else None,
            mask_noise=MaskNoise.mild() if mild else None,
            categories=self.categories,
        )
        Views.collect(stream).save(self.path)

    def load(self) -> Views:
        """Read the views, after `make`."""
        return Views.load(self.path)
