"""Gain of the encoder `ssc6d` from unlabelled images of another colour and depth domain.

The claim of SSC-6D (Peng et al., AAAI 2022), tested where a domain gap exists. The network is
trained on simulated images like those of CAMERA: one lamp, plain surfaces, ideal depth and masks.
It is then trained further on images of other objects in another domain (lights, surfaces,
backgrounds, colour camera, depth and mask noise), without labels, and measured there on objects
that it has not seen. Training with true labels is the upper bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sdfpose_core.benchmark.outcomes import PoseCase
from sdfpose_core.benchmark.pose_figures import summarise
from sdfpose_core.benchmark.poses import run_cases
from sdfpose_core.encoder.colour_views import ALL, ColourViews
from sdfpose_core.encoder.ssc6d import Ssc6dEncoder
from sdfpose_core.encoder.ssc6d_training import Ssc6dTraining, Ssc6dTrainingConfig
from sdfpose_core.encoder.training_run import Progress
from sdfpose_core.estimation.category_model import CategoryModel
from sdfpose_core.estimation.config import EstimatorConfig
from sdfpose_core.estimation.estimator import PoseEstimator
from sdfpose_core.sdf.training_shapes import model_codes
from sdfpose_core.selfsup.ssc6d_training import (
    RealLabels,
    Ssc6dSelfSupervision,
    ssc6d_self_training,
)
from sdfpose_core.shapes.families import HELD_OUT_SEED, sample_model
from sdfpose_core.simulation.appearance import AppearanceName
from sdfpose_core.simulation.instances import SimulatedInstance, simulated_instances
from sdfpose_core.simulation.mask_noise import MaskNoise
from sdfpose_core.simulation.scenes import SceneStyle
from sdfpose_core.simulation.sensor import SensorNoise
from sdfpose_core.storage.files import atomic_replace

__all__ = [
    "METHODS",
    "ColourAdaptation",
    "MethodName",
    "adapt",
    "gap_closed",
    "instances_of",
    "labelled_views",
    "mean_and_sd",
    "measure",
    "pretrain",
]

MethodName = Literal["control", "paper", "certified", "labels"]

METHODS: tuple[MethodName, ...] = get_args(MethodName)
"""``control`` shows the network the unlabelled images without any loss: only the statistics of its
batch normalisation adapt, while it goes on learning from the first domain."""

_REAL_MODELS = 2000
"""First seed of the models in the unlabelled images."""

_TEST_MODELS = HELD_OUT_SEED + 200_000

_TRAINING, _REAL, _TEST = 1, 2, 3
"""Seeds of the scenes."""


@dataclass(frozen=True)
class ColourAdaptation:
    """Settings of the experiment.

    Attributes:
        models: number of procedural models in the training images.
        views: number of training views.
        real_models: number of models in the unlabelled images.
        real_views: number of unlabelled views.
        test_models: number of models in the test images.
        test_views: number of test views.
        pixels: maximum number of pixels of a view's image.
        pretraining: supervised training in the first domain.
        adaptation: training in the second; `losses` is not used.
    """

    models: int = 256
    views: int = 6000
    real_models: int = 128
    real_views: int = 500
    test_models: int = 64
    test_views: int = 300
    pixels: int = 25_000
    pretraining: Ssc6dTrainingConfig = field(default_factory=Ssc6dTrainingConfig)
    adaptation: Ssc6dSelfSupervision = field(default_factory=Ssc6dSelfSupervision)


class _StoredRounds:
    """Rounds of random views of a fixed set."""

    def __init__(self, views: ColourViews, count: int, seed: int) -> None:
        self.count = count
        self._views, self._seed = views, seed

    def __call__(self, number: int, places: NDArray[np.integer] | slice = ALL) -> ColourViews:
        rng = np.random.default_rng([self._seed, number])
        return self._views[rng.choice(len(self._views), self.count, replace=False)[places]]


def labelled_views(category: str, config: ColourAdaptation, path: Path) -> ColourViews:
    """Views of the first domain with labels, kept in a file for later runs."""
    if not path.exists():
        views = ColourViews.collect(
            simulated_instances(
                category,
                _TRAINING,
                config.views,
                model_seeds=range(config.models),
                style=SceneStyle.upright(),
                noise=SensorNoise.none(),
                mask_noise=MaskNoise.none(),
                pixels=config.pixels,
                colour=True,
            ),
            config.pretraining.encoder,
            config.pretraining.model_points,
            np.random.default_rng(_TRAINING),
        )
        with atomic_replace(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **vars(views))
    with np.load(path, allow_pickle=False) as arrays:
        return ColourViews(**{x.name: arrays[x.name] for x in fields(ColourViews)})


def instances_of(
    category: str,
    config: ColourAdaptation,
    objects: str,
    appearance: AppearanceName,
) -> Iterator[SimulatedInstance]:
    """Instances of one of the domains.

    Args:
        category: category of the instances.
        config: settings.
        objects: ``real`` for the unlabelled images, ``test`` for those to measure on.
        appearance: ``studio`` for the first domain, ``field`` for the second.
    """
    first, models, count, seed = {
        "real": (_REAL_MODELS, config.real_models, config.real_views, _REAL),
        "test": (_TEST_MODELS, config.test_models, config.test_views, _TEST),
    }[objects]
    ideal = appearance == "studio"
    return simulated_instances(
        category,
        seed,
        count,
        model_seeds=range(first, first + models),
        style=SceneStyle.upright(),
        noise=SensorNoise.none() if ideal else SensorNoise.realistic(),
        mask_noise=MaskNoise.none() if ideal else MaskNoise.realistic(),
        pixels=config.pixels,
        colour=True,
        appearance=appearance,
    )


def pretrain(
    views: ColourViews,
    codes: Tensor,
    symmetric: bool,
    config: ColourAdaptation,
    checkpoint: Path,
    progress: Progress | None = None,
) -> Ssc6dEncoder:
    """Train the network in the first domain; an interrupted run resumes."""
    training = config.pretraining
    rounds = _StoredRounds(views, training.round_views, training.seed)
    run = Ssc6dTraining(rounds, codes, symmetric, training, torch.device("cpu"))
    return run.run(checkpoint, progress)


def adapt(
    model: CategoryModel,
    views: ColourViews,
    codes: Tensor,
    real: Sequence[SimulatedInstance],
    config: ColourAdaptation,
    method: MethodName,
    seed: int,
    checkpoint: Path,
    progress: Progress | None = None,
) -> Ssc6dEncoder:
    """Train the model's network further on the second domain.

    Args:
        model: model with the network of the first domain.
        views: labelled views of the first domain.
        codes: codes of their models.
        real: instances of the second domain.
        config: settings.
        method: one of `METHODS`; only ``labels`` uses the labels of `real`.
        seed: seed of order, augmentation and dropout.
        checkpoint: file to write, and to resume from if it exists.
        progress: called with the losses of every 50th step.
    """
    setup = config.adaptation
    setup = replace(setup, training=replace(setup.training, seed=seed))
    if method == "control":
        setup = replace(setup, losses="paper", real_weight=0.0)
    else:
        setup = replace(setup, losses=method)
    labels = None
    if method == "labels":
        seeds = range(_REAL_MODELS, _REAL_MODELS + config.real_models)
        models = (sample_model(model.category.name, x) for x in seeds)
        numbered = [replace(x, model_seed=x.model_seed - _REAL_MODELS) for x in real]
        labels = RealLabels.true(
            numbered, model_codes(models, model.decoder), setup.training.model_points
        )
    rounds = _StoredRounds(views, setup.training.round_views, seed + 1)
    run = ssc6d_self_training(
        model, (rounds, codes), [x.instance for x in real], setup, labels=labels
    )
    return run.run(checkpoint, progress)


def measure(
    model: CategoryModel,
    instances: Sequence[SimulatedInstance],
    *,
    refined: bool,
    progress: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Figures of `bench pose` of a network alone, or refined on the signed distance field."""
    estimator = PoseEstimator(
        EstimatorConfig(
            encoder="ssc6d",
            refine="sdf" if refined else "none",
            device="cpu",
            mesh_resolution=32,
            mesh_tolerance=0.0,
        ),
        models=[model],
    )
    cases = [
        PoseCase(str(i), [x.instance], x.truth, visibility=x.visibility)
        for i, x in enumerate(instances)
    ]
    outcomes = list(run_cases(estimator, cases, samples=0, progress=progress))
    mean: dict[str, Any] = summarise({model.category.name: outcomes})["mean"]
    return mean


def gap_closed(before: float, after: float, labels: float) -> float | None:
    """Share of the gap between two figures that a third one closes; None without a gap."""
    return (after - before) / (labels - before) if labels > before else None


def mean_and_sd(runs: Sequence[Mapping[str, float]], name: str) -> tuple[float, float]:
    """Mean and standard deviation of a figure over repeated runs."""
    values = np.array([x[name] for x in runs])
    return float(values.mean()), float(values.std())
