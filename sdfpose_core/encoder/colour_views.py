"""Colour views for training the encoder `ssc6d`, simulated on the fly."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from sdfpose_core.encoder.ssc6d import Ssc6dConfig, colour_view
from sdfpose_core.shapes.sdf_samples import sample_surface
from sdfpose_core.simulation.appearance import AppearanceName
from sdfpose_core.simulation.instances import ModelPool, SimulatedInstance, simulated_instances

__all__ = ["ColourViews", "Rounds", "SimulatedRounds", "prefetched"]


@dataclass(frozen=True)
class ColourViews:
    """Labelled instances with colour as arrays.

    Attributes:
        colour: (V, S, S, 3) uint8, RGB: crops.
        points: (V, N, 3) float32, metres, camera frame.
        index: (V, N) int64, row-major pixel index of each point in the crop.
        model_points: (V, M, 3) float32, normalised object units: points on the true surface.
        rotation: (V, 3, 3) float32, object to camera frame.
        translation: (V, 3) float32, metres.
        scale: (V,) float32, metres, box diagonal.
        model: (V,) int64, number of the model: the seed of procedural models.
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
        """Convert instances to arrays.

        Args:
            instances: instances with colour.
            config: gives the crop size and the number of points that the network takes.
            model_points: number M of surface points per model.
            rng: selects the points.

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

    def __getitem__(self, index: NDArray[np.integer] | slice) -> ColourViews:
        return ColourViews(**{name: array[index] for name, array in vars(self).items()})

    def __len__(self) -> int:
        return len(self.scale)


ALL = slice(None)
"""All views of a round."""


class Rounds(Protocol):
    """Training views in numbered rounds of equal size.

    Attributes:
        count: views per round.
    """

    count: int

    def __call__(self, number: int, places: NDArray[np.integer] | slice = ALL) -> ColourViews:
        """Return the views at some places of a round.

        The same number always gives the same views, whichever places are requested, so that several
        processes can share a round.
        """


class SimulatedRounds:
    """Rounds of simulated views of procedural models.

    Args:
        category: a category with a procedural shape family.
        model_seeds: seeds of the models.
        count: views per round.
        config: network configuration.
        model_points: see `ColourViews.collect`.
        seed: seed of scenes, views and noise.
        appearance: domain of the colour images.
    """

    def __init__(
        self,
        category: str,
        model_seeds: Sequence[int],
        count: int,
        config: Ssc6dConfig,
        model_points: int,
        seed: int,
        appearance: AppearanceName = "studio",
    ) -> None:
        self.appearance = appearance
        self.category = category
        self.model_seeds = model_seeds
        self.count = count
        self.config = config
        self.model_points = model_points
        self.seed = seed

    # Built lazily in each process: a pool is expensive to pickle.
    @cached_property
    def _pool(self) -> ModelPool:
        return ModelPool.for_category(self.category, self.model_seeds)

    def __call__(self, number: int, places: NDArray[np.integer] | slice = ALL) -> ColourViews:
        """Generate a round, and return the views at some of its places."""
        rng = np.random.default_rng([self.seed, number])
        stream = simulated_instances(
            self.category,
            int(rng.integers(2**62)),
            self.count,
            pool=self._pool,
            max_points=self.config.points,
            colour=True,
            appearance=self.appearance,
        )
        return ColourViews.collect(stream, self.config, self.model_points, rng)[places]


def prefetched(
    rounds: Rounds,
    first: int,
    end: int,
    workers: int,
    places: Callable[[int], NDArray[np.integer] | slice] = lambda number: ALL,
) -> Iterator[ColourViews]:
    """Iterate over rounds `first` to `end - 1`, made ahead of time by worker processes.

    Args:
        rounds: the rounds; must be picklable if there are workers.
        first: number of the first round.
        end: one past the number of the last round.
        workers: number of processes; 0 makes each round on demand. The views are the same.
        places: gives the places to take of each round, by its number.
    """
    loader = DataLoader(
        _Numbered(rounds),
        batch_size=None,
        sampler=[(number, places(number)) for number in range(first, end)],
        num_workers=workers,
        collate_fn=_unchanged,
        # Ray casting uses threads; forked processes would deadlock waiting for them.
        multiprocessing_context="spawn" if workers else None,
    )
    return iter(loader)


class _Numbered(Dataset[ColourViews]):
    """Rounds as a map-style PyTorch data set."""

    def __init__(self, rounds: Rounds) -> None:
        self.rounds = rounds

    def __getitem__(self, key: tuple[int, NDArray[np.integer] | slice]) -> ColourViews:
        return self.rounds(*key)


def _unchanged(views: Any) -> Any:
    return views
