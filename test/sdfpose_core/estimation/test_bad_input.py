"""Cues that are bad or missing: poses are those without the cue, and the result says so."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from sdfpose_core.estimation.estimator import EstimatorConfig, FrameResult, PoseEstimator
from sdfpose_core.evaluation.frame_evaluation import ObjectEvaluation, ReportedObject
from sdfpose_core.observation.frame import InstanceLabel, ObjectEstimate, RgbdFrame
from sdfpose_core.simulation import orbit, simulated_frame, table_scene
from sdfpose_core.simulation.tabletop import TABLE_CAMERA


@pytest.fixture(scope="module")
def frame() -> RgbdFrame:
    """A mug and a can on a table."""
    shown, truths = simulated_frame(
        table_scene(3), TABLE_CAMERA, orbit(0.0), np.random.default_rng(0)
    )
    labels = {x.mask_id: InstanceLabel(x.category) for x in truths if x.category in ("can", "mug")}
    mask = np.where(np.isin(shown.mask, list(labels)), shown.mask, 0)
    return replace(shown, mask=mask.astype(np.uint16), labels=labels)


@pytest.fixture(scope="module")
def estimator() -> PoseEstimator:
    return PoseEstimator(EstimatorConfig(device="cpu", mesh_resolution=48))


@pytest.fixture(scope="module")
def without_colour(frame: RgbdFrame) -> FrameResult:
    config = EstimatorConfig(device="cpu", mesh_resolution=48, colour="none")
    return PoseEstimator(config).run(frame)


def assert_same(found: FrameResult, expected: FrameResult) -> None:
    for x, y in zip(found.estimates, expected.estimates, strict=True):
        np.testing.assert_array_equal(x.rotation, y.rotation)
        np.testing.assert_array_equal(x.translation, y.translation)
        assert x.probability == pytest.approx(y.probability)
        assert x.confidence == pytest.approx(y.confidence)


def assert_valid(x: ObjectEstimate) -> None:
    """What `SdfObject` and the JSON files promise."""
    turns = [x.rotation, *x.symmetries, *(y.rotation for y in x.alternatives)]
    for rotation in turns:
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-5)
        assert np.linalg.det(rotation) > 0.0
    assert x.probability + math.fsum(y.probability for y in x.alternatives) == pytest.approx(1.0)
    assert 0.0 <= x.confidence <= x.probability + 1e-9
    likely = [y.probability for y in x.alternatives]
    assert likely == sorted(likely, reverse=True)
    for y in (x, *x.alternatives):
        assert np.isfinite(y.translation).all()
        assert (y.dimensions_m > 0.0).all()
        assert y.scale == pytest.approx(np.linalg.norm(y.dimensions_m))
    assert np.isfinite(x.covariance).all()
    np.testing.assert_array_equal(x.covariance, x.covariance.T)
    assert np.linalg.eigvalsh(x.covariance).min() > 0.0
    assert all(math.isfinite(y) for y in x.diagnostics.values())
    entry = ObjectEvaluation(ReportedObject.of(x)).as_json()
    assert len(entry["alternatives"]) == len(x.alternatives)


@pytest.mark.parametrize("level", [0, 255])
def test_black_and_saturated_colour_is_no_colour(
    estimator: PoseEstimator, frame: RgbdFrame, without_colour: FrameResult, level: int
) -> None:
    assert without_colour.warnings == []
    found = estimator.run(replace(frame, colour=np.full_like(frame.colour, level)))
    assert_same(found, without_colour)
    (told,) = found.warnings
    assert f"around mask id {', '.join(map(str, frame.labels))}: colour is not used" in told.text


def test_a_missing_colour_network_is_told(
    frame: RgbdFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sdfpose_core.estimation.estimator.COLOUR_FILE", "no_colour.safetensors")
    blind = PoseEstimator(EstimatorConfig(device="cpu"))
    instances, _ = blind.segment(frame)
    (told,) = blind.unused_cues(frame, instances)
    assert "colour.safetensors: no such colour network: colour is not used" in told.text
    assert blind.unused_cues(frame, []) == []
    deaf = PoseEstimator(EstimatorConfig(device="cpu", colour="none"))
    assert deaf.unused_cues(frame, instances) == []


def test_a_direction_up_that_the_table_contradicts_changes_nothing(
    estimator: PoseEstimator, frame: RgbdFrame
) -> None:
    expected = estimator.run(frame)
    assert expected.warnings == []
    up = expected.estimates[0].rotation[:, 1]
    wrong = Rotation.from_euler("x", 45, degrees=True).as_matrix() @ up
    for x in (-up, wrong):
        found = estimator.run(replace(frame, up=x / np.linalg.norm(x)))
        assert_same(found, expected)
        assert [y.kind for y in found.warnings] == ["gravity"]
    for x in expected.estimates:
        assert_valid(x)


def test_labels_of_any_score_and_of_unknown_categories(
    estimator: PoseEstimator, frame: RgbdFrame
) -> None:
    first, second = frame.labels
    for score in (math.nan, 0.0, 1.0):
        labels = {
            first: InstanceLabel(frame.labels[first].category, score, detected=True),
            second: InstanceLabel("teapot", score, detected=True),
        }
        result = estimator.run(replace(frame, labels=labels))
        assert [(x.mask_id, x.category) for x in result.estimates] == [
            (first, frame.labels[first].category)
        ]
        assert_valid(result.estimates[0])
        (skipped,) = result.skipped
        assert "unknown label 'teapot'" in skipped.reason


def test_all_depth_missing(estimator: PoseEstimator, frame: RgbdFrame) -> None:
    for up in (None, np.array([0.0, -1.0, 0.0])):
        empty = replace(frame, depth=np.zeros_like(frame.depth), up=up)
        result = estimator.run(empty)
        assert result.estimates == []
        assert result.warnings == []
        assert all("has 0 usable depth pixels" in x.reason for x in result.skipped)
        assert len(result.skipped) == 2


def test_objects_of_few_pixels(frame: RgbdFrame) -> None:
    """Three pixels of no category and one of a mug: they are skipped, unless asked for."""
    v, u = np.argwhere((frame.mask > 0) & (frame.depth > 0.0)).T
    mask = np.zeros_like(frame.mask)
    mask[v[:3], u[:3]] = 1
    mask[v[-1], u[-1]] = 2
    tiny = replace(frame, mask=mask, labels={1: InstanceLabel("any"), 2: InstanceLabel("mug")})
    default = PoseEstimator(EstimatorConfig(device="cpu"))
    assert [x.mask_id for x in default.run(tiny).skipped] == [1, 2]
    config = EstimatorConfig(device="cpu", min_points=1, mesh_resolution=32)
    result = PoseEstimator(config).run(tiny)
    assert [x.mask_id for x in result.estimates] == [1, 2]
    for x in result.estimates:
        assert_valid(x)
