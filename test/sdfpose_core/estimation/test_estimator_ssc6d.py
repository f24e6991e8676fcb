"""The estimator with the networks of the paper, small and untrained, on a simulated frame."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from own_pack import own_pack

from sdfpose_core.categories import default_categories
from sdfpose_core.encoder.ssc6d import Ssc6dConfig, Ssc6dEncoder
from sdfpose_core.errors import FrameError, WeightsError
from sdfpose_core.estimation.estimator import EstimatorConfig, PoseEstimator
from sdfpose_core.observation.frame import RgbdFrame
from sdfpose_core.observation.segmentation import segment
from sdfpose_core.sdf.decoder import DecoderConfig, SdfDecoder
from sdfpose_core.sdf.deepsdf import DeepSdf, DeepSdfConfig
from sdfpose_core.simulation import orbit, simulated_frame, table_scene
from sdfpose_core.simulation.tabletop import TABLE_CAMERA

CATEGORIES = ("can", "mug")
CODE_LENGTH = 16


def ball(radius: float = 0.4) -> DeepSdf:
    """A random network that is nearly a ball (Atzmon and Lipman, "SAL", CVPR 2020, theorem 1)."""
    decoder = DeepSdf(DeepSdfConfig(code_length=CODE_LENGTH, width=128, hidden_layers=3, skip_at=9))
    for layer in decoder.layers:
        torch.nn.init.normal_(layer.weight, std=math.sqrt(2.0 / layer.out_features))
        torch.nn.init.zeros_(layer.bias)
    torch.nn.init.normal_(decoder.layers[0].weight[:, :CODE_LENGTH], std=1e-3)
    torch.nn.init.constant_(decoder.output.weight, math.sqrt(math.pi / 128))
    torch.nn.init.constant_(decoder.output.bias, -2.0 * radius)
    return decoder


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    config = Ssc6dConfig(code_length=CODE_LENGTH, points=64, image_size=24, width=8)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        encoder = Ssc6dEncoder(config)
        encoder.heads["scale"][-1].bias.fill_(0.15)
        for category in CATEGORIES:
            own_pack(folder, category, {"decoder": ball(), "encoder": encoder}, like=category)
    return folder


@pytest.fixture(scope="module")
def frame() -> RgbdFrame:
    whole, _ = simulated_frame(
        table_scene(3), TABLE_CAMERA.resize(320, 240), orbit(0.0), np.random.default_rng(0)
    )
    labels = {i: x for i, x in whole.labels.items() if x.category in CATEGORIES}
    return replace(whole, labels=labels)


@pytest.mark.parametrize("refine", ["sdf", "icp"])
def test_all_objects_are_estimated(weights: Path, frame: RgbdFrame, refine: str) -> None:
    estimator = PoseEstimator(
        EstimatorConfig(
            encoder="ssc6d",
            refine=refine,  # type: ignore[arg-type]
            mesh_resolution=32,
        ),
        [weights],
    )
    result = estimator.run(frame)
    assert {x.mask_id for x in result.estimates} == set(frame.labels)
    for x in result.estimates:
        np.testing.assert_allclose(x.rotation @ x.rotation.T, np.eye(3), atol=1e-4)
        assert len(x.faces) > 100
        assert np.isfinite(x.covariance).all()
        assert 0.0 <= x.confidence <= 1.0
        assert len(x.code) == CODE_LENGTH
    again = estimator(frame)
    for x, y in zip(result.estimates, again, strict=True):
        np.testing.assert_array_equal(x.rotation, y.rotation)
        np.testing.assert_array_equal(x.vertices, y.vertices)


def test_colour_is_needed(weights: Path, frame: RgbdFrame) -> None:
    estimator = PoseEstimator(EstimatorConfig(encoder="ssc6d"), [weights])
    instances, _ = segment(frame, default_categories())
    with pytest.raises(FrameError, match="has no colour"):
        estimator.estimate([replace(x, colour=None) for x in instances])


def test_networks_that_do_not_belong_together_are_refused(weights: Path, tmp_path: Path) -> None:
    encoder = Ssc6dEncoder.load(weights / "mug" / "encoder.safetensors")
    networks = {"decoder": SdfDecoder(DecoderConfig(5, 8, 2)), "encoder": encoder}
    own_pack(tmp_path, "mug", networks)
    estimator = PoseEstimator(EstimatorConfig(encoder="ssc6d"), [tmp_path])
    with pytest.raises(
        WeightsError,
        match=r"mug.encoder.*codes of length 16, but those of decoder.* have length 5",
    ):
        estimator.load("mug")
    other = PoseEstimator(EstimatorConfig(encoder="fast"), [weights])
    with pytest.raises(WeightsError, match="contains 'sdfpose/1 ssc6d encoder': expected"):
        other.load("mug")
