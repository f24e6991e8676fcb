"""Simulated instances with colour, as the encoder `ssc6d` is trained on them: made on the fly."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from sdfpose_core.encoder.ssc6d import Ssc6dConfig, colour_view
from sdfpose_core.shapes.sdf_samples import sample_surface
from sdfpose_core.simulation.instances import ModelPool, SimulatedInstance, simulated_instances

__all__ = ["ColourViews", "Rounds", "SimulatedRounds", "prefetched"]


@dataclass(frozen=True)
class ColourViews:
    """Simulated instances as arrays.

    Attributes:
        colour: (V, S, S, 3) uint8, RGB: crops.
        points: (V, N, 3) float32, metres, camera frame.
        index: (V, N) int64, pixel of the crop, row by row, of each point.
        model_points: (V, M, 3) float32, normalised object units: points of the true surface.
        rotation: (V, 3, 3) float32, object to camera frame.
        translation: (V, 3) float32, metres.
        scale: (V,) float32, metres, diagonal of the box.
        model: (V,) int64, seed of the procedural model.
    """

    colour: NDArray[np.uint8]
    points: NDArray[np.float32]
    index: NDArray[np.int64]
    model_points: NDArray[np.float32]
    rotation: NDArray[np.float32]
    translation: NDArray[np.float32]
    scale: NDArray[np.float32]
    model: NDArray[np.int64]

    @classmethod
    def collect(
        cls,
        instances: Iterable[SimulatedInstance],
        config: Ssc6dConfig,
        model_points: int,
        rng: np.random.Generator,
    ) -> ColourViews:
        """Arrays of instances.

        Args:
            instances: with colour.
            config: how large crops are, and how many points the network takes.
            model_points: number M.
            rng: of the choice of points.

        Raises:
            FrameError: an instance has no colour image.
        """
        items = list(instances)
        views = [colour_view(x.instance, config.image_size, config.points, rng) for x in items]
        surfaces = [
            sample_surface(x.model.normalised_vertices, x.model.faces, rng, model_points)
            for x in items
        ]
        return cls(
            np.stack([x.colour for x in views]),
            np.stack([x.points for x in views]),
            np.stack([x.index for x in views]),
            np.stack(surfaces).astype(np.float32),
            np.stack([x.truth.rotation for x in items]).astype(np.float32),
            np.stack([x.truth.translation for x in items]).astype(np.float32),
            np.array([x.truth.scale for x in items], dtype=np.float32),
            np.array([x.model_seed for x in items], dtype=np.int64),
        )

    def __len__(self) -> int:
        return len(self.scale)


Rounds = Callable[[int], ColourViews]
"""Views to train on, by the number of the round; the same number gives the same views."""


class SimulatedRounds:
    """Rounds of simulated views of procedural models.

    Args:
        category: one with a procedural family.
        model_seeds: of its models.
        count: views of each round.
        config: of the network.
        model_points: see `ColourViews.collect`.
        seed: another one draws other scenes, views and noise.
    """

    def __init__(
        self,
        category: str,
        model_seeds: Sequence[int],
        count: int,
        config: Ssc6dConfig,
        model_points: int,
        seed: int,
    ) -> None:
        self.category = category
        self.model_seeds = model_seeds
        self.count = count
        self.config = config
        self.model_points = model_points
        self.seed = seed

    # Made where it is used: a pool is large to send to other processes.
    @cached_property
    def _pool(self) -> ModelPool:
        return ModelPool.for_category(self.category, self.model_seeds)

    def __call__(self, number: int) -> ColourViews:
        """The views of a round."""
        rng = np.random.default_rng([self.seed, number])
        stream = simulated_instances(
            self.category,
            int(rng.integers(2**62)),
            self.count,
            pool=self._pool,
            max_points=self.config.points,
            colour=True,
        )
        return ColourViews.collect(stream, self.config, self.model_points, rng)


def prefetched(rounds: Rounds, first: int, end: int, workers: int) -> Iterator[ColourViews]:
    """The rounds from `first` up to `end`, made ahead by other processes if there are any.

    Args:
        rounds: by number; has to be picklable where there are workers.
        first: number of the first.
        end: number after the last.
        workers: processes; 0 makes each when it is asked for. The views are the same.
    """
    loader = DataLoader(
        _Numbered(rounds),
        batch_size=None,
        sampler=range(first, end),
        num_workers=workers,
        collate_fn=_unchanged,
        # Ray casting has threads, which forked processes would wait for in vain.
        multiprocessing_context="spawn" if workers else None,
    )
    return iter(loader)


class _Numbered(Dataset[ColourViews]):
    """Rounds as torch's loader wants them."""

    def __init__(self, rounds: Rounds) -> None:
        self.rounds = rounds

    def __getitem__(self, number: int) -> ColourViews:
        return self.rounds(number)


def _unchanged(views: Any) -> Any:
    return views
