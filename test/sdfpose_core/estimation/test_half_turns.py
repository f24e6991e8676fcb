"""The half turns among the hypotheses of an instance."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sdfpose_core.estimation.estimator import EstimatorConfig, PoseEstimator
from sdfpose_core.estimation.hypothesis_search import Stage
from sdfpose_core.simulation import orbit, simulated_frame, table_scene
from sdfpose_core.simulation.tabletop import TABLE_CAMERA

ONE_IS_KEPT = (Stage(surface=64, anchors=48, kernel_sd=8.0, iterations=1, keep=1),)


@pytest.mark.parametrize("half_turns", [False, True])
def test_half_turns_of_the_best_hypothesis_are_candidates_unless_switched_off(
    half_turns: bool,
) -> None:
    frame, _ = simulated_frame(
        table_scene(3), TABLE_CAMERA, orbit(0.0), np.random.default_rng(0), colour=False
    )
    estimator = PoseEstimator(
        EstimatorConfig(device="cpu", half_turns=half_turns, schedule=ONE_IS_KEPT)
    )
    instances, _ = estimator.segment(frame)
    groups, _ = estimator.by_category(instances)
    (batch,) = estimator.search(estimator.encode(groups))
    assert batch.candidates is not None
    found = batch.candidates.hypotheses
    for i, model in enumerate(batch.models):
        best, *turned = found.state.similarity.rotation[found.owner == i]
        expected = ([1, 2, 3] if model.has_front else [1]) if half_turns else []
        axes = [int(torch.argmax((best.T @ x).diagonal())) + 1 for x in turned]
        assert sorted(axes) == expected
        for x in turned:
            np.testing.assert_allclose((best.T @ x).trace(), -1.0, atol=1e-4)
