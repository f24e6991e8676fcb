"""Learning from real instances without labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from sdfpose_core.encoder.views import Views
from sdfpose_core.errors import CategoryError, ConfigurationError, WeightsError
from sdfpose_core.estimation.category_model import CategoryModel
from sdfpose_core.estimation.estimator import EstimatorConfig
from sdfpose_core.observation.frame import Instance
from sdfpose_core.packs.collection import Packs
from sdfpose_core.sdf.training_shapes import procedural_codes
from sdfpose_core.selfsup.certificate import Certificate
from sdfpose_core.selfsup.teacher import labelled_views, pseudo_labels, teacher
from sdfpose_core.selfsup.training import (
    CertifiedTraining,
    SelfSupervision,
    self_supervised_training,
)
from sdfpose_core.simulation.instances import SimulatedInstance, simulated_instances
from sdfpose_core.simulation.scenes import SceneStyle

STYLE = SceneStyle.upright()


@pytest.fixture(scope="module")
def model() -> CategoryModel:
    return CategoryModel.load(Packs.beside_shipped()["can"], "fast", torch.device("cpu"))


@pytest.fixture(scope="module")
def seen() -> list[SimulatedInstance]:
    return list(
        simulated_instances("can", 5, 14, model_seeds=range(3), style=STYLE, min_visibility=0.6)
    )


@pytest.fixture(scope="module")
def synthetic(model: CategoryModel) -> tuple[Views, Tensor]:
    views = Views.collect(simulated_instances("can", 6, 16, model_seeds=range(3)))
    return views, procedural_codes("can", model.decoder, 3)


def setup(losses: str = "certified", steps: int = 4, **changes: object) -> SelfSupervision:
    config = SelfSupervision(losses=losses, synthetic_batch=4, real_batch=2)  # type: ignore[arg-type]
    training = replace(config.training, steps=steps, checkpoint_every=2, mirror_probability=0.5)
    return replace(config, training=training, **changes)  # type: ignore[arg-type]


def instances(seen: list[SimulatedInstance]) -> list[Instance]:
    return [x.instance for x in seen]


def test_certified_labels_are_right(model: CategoryModel, seen: list[SimulatedInstance]) -> None:
    labels = pseudo_labels(teacher(model), instances(seen), Certificate())
    assert len(labels.chosen) >= 8
    assert len(labels.views) == len(labels.codes) == len(labels.chosen)
    for row, number in enumerate(labels.chosen):
        truth = seen[number].truth
        off = np.linalg.norm(labels.views.translation[row] - truth.translation)
        assert off < 0.05
        assert labels.views.rotation[row, :, 1] @ truth.rotation[:, 1] > np.cos(np.radians(15.0))
        assert abs(np.log(labels.views.scale[row] / truth.scale)) < 0.4
    refused = len(seen) - len(labels.chosen)
    assert (refused == 0) == (not labels.objections)


def test_labelled_views_keep_points_of_the_whole_object() -> None:
    """Of an image's points, which come row by row, not the upper ones alone."""
    item = next(iter(simulated_instances("can", 5, 1, model_seeds=range(3), max_points=100_000)))
    count = 3000
    points = np.resize(item.instance.points, (count, 3))
    points = points[np.argsort(points[:, 1])]
    instance = replace(item.instance, points=points, pixels=np.zeros((count, 2), np.int32))

    class Estimate:
        rotation = np.eye(3)
        decoder_translation = np.zeros(3)
        decoder_scale = 0.2
        symmetric_about_y = True

    views = labelled_views([instance], [Estimate()])  # type: ignore[list-item]
    assert views.points.shape == (1, Views.POINTS, 3)
    middle = np.median(points[:, 1])
    assert 0.4 < (views.points[0, :, 1] > middle).mean() < 0.6


@pytest.mark.parametrize("losses", ["certified", "paper"])
def test_a_resumed_training_gives_the_same_numbers(
    losses: str,
    model: CategoryModel,
    seen: list[SimulatedInstance],
    synthetic: tuple[Views, Tensor],
    tmp_path: Path,
) -> None:
    real = instances(seen)
    config = setup(losses)
    whole = self_supervised_training(model, synthetic, real, config)
    encoder = whole.run()
    checkpoint = tmp_path / "can.ckpt"
    half = self_supervised_training(model, synthetic, real, config)
    half._run_to(2, 2, checkpoint, None)
    resumed = self_supervised_training(model, synthetic, real, config).run(checkpoint)
    assert model.encoder is not None
    moved = 0.0
    for a, b, start in zip(
        encoder.parameters(), resumed.parameters(), model.encoder.parameters(), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=0.0, atol=0.0)
        moved += float((a - start).abs().sum())
    assert moved > 0.0
    if isinstance(whole, CertifiedTraining):
        assert whole.labels is not None


def test_the_paper_s_losses_are_told(
    model: CategoryModel, seen: list[SimulatedInstance], synthetic: tuple[Views, Tensor]
) -> None:
    training = self_supervised_training(model, synthetic, instances(seen), setup("paper"))
    losses = training._train_step()
    assert {"real_surface", "real_alignment", "real_code", "total", "pose"} <= set(losses)
    assert all(torch.isfinite(x) for x in losses.values())


def test_too_few_certified_instances_are_refused_with_the_reasons(
    model: CategoryModel, seen: list[SimulatedInstance], synthetic: tuple[Views, Tensor]
) -> None:
    config = setup(certificate=Certificate(confidence=1.1))
    training = self_supervised_training(model, synthetic, instances(seen), config)
    with pytest.raises(ConfigurationError, match=r"0 of 14 real instances .*confidence: 14"):
        training.run()


def test_without_real_instances_there_is_nothing_to_learn(
    model: CategoryModel, synthetic: tuple[Views, Tensor]
) -> None:
    with pytest.raises(ConfigurationError, match="no real instances"):
        self_supervised_training(model, synthetic, [], setup())


def test_a_network_of_another_kind_is_refused(
    model: CategoryModel, seen: list[SimulatedInstance], synthetic: tuple[Views, Tensor]
) -> None:
    with pytest.raises(ConfigurationError, match="encoder 'fast'"):
        self_supervised_training(replace(model, encoder=None), synthetic, instances(seen), setup())


def test_the_paper_has_no_setting_for_other_categories(
    model: CategoryModel, seen: list[SimulatedInstance], synthetic: tuple[Views, Tensor]
) -> None:
    other = replace(model, category=replace(model.category, name="teapot"))
    with pytest.raises(CategoryError, match="teapot"):
        self_supervised_training(other, synthetic, instances(seen), setup("paper"))


def test_a_checkpoint_of_another_training_is_refused_by_name(
    model: CategoryModel,
    seen: list[SimulatedInstance],
    synthetic: tuple[Views, Tensor],
    tmp_path: Path,
) -> None:
    checkpoint = tmp_path / "can.ckpt"
    self_supervised_training(model, synthetic, instances(seen), setup("paper"))._run_to(
        2, 2, checkpoint, None
    )
    training = self_supervised_training(model, synthetic, instances(seen), setup())
    with pytest.raises(WeightsError, match=r"can\.ckpt: the checkpoint has another"):
        training.run(checkpoint)


@pytest.mark.parametrize("name", ["synthetic_batch", "real_batch", "rounds"])
def test_batches_and_rounds_are_at_least_one(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} is 0"):
        SelfSupervision(**{name: 0})  # type: ignore[arg-type]


def test_the_teacher_refines_what_the_network_says(
    model: CategoryModel, seen: list[SimulatedInstance]
) -> None:
    def explained(refine: Literal["sdf", "none"]) -> float:
        estimates = [teacher(model, refine=refine).estimate([x.instance]).estimates for x in seen]
        return float(np.mean([x[0].diagnostics["inlier_ratio"] for x in estimates]))

    assert explained("sdf") > explained("none") + 0.05


def test_drawn_surfaces_are_as_fine_as_those_of_the_estimator(
    model: CategoryModel,
) -> None:
    fine = EstimatorConfig()
    config = teacher(model, refine="none", drawn=True).config
    assert (config.mesh_resolution, config.mesh_tolerance) == (
        fine.mesh_resolution,
        fine.mesh_tolerance,
    )
    assert teacher(model).config.mesh_resolution < fine.mesh_resolution
