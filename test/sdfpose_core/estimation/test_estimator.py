"""The estimator with the shipped weights, on a simulated frame of unseen objects."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from own_pack import copied_pack

from sdfpose_core.errors import CategoryError, DeviceError
from sdfpose_core.estimation.detection import earlier_cues
from sdfpose_core.estimation.estimator import EstimatorConfig, FrameResult, PoseEstimator
from sdfpose_core.estimation.keyframes import Keyframes
from sdfpose_core.estimation.pose_following import PredictedState
from sdfpose_core.evaluation import compare
from sdfpose_core.geometry.similarity import so3_exp
from sdfpose_core.observation.frame import GroundTruth, InstanceLabel, ObjectEstimate, RgbdFrame
from sdfpose_core.observation.segmentation import segment
from sdfpose_core.recognition.network import RecognitionConfig, RecognitionNetwork
from sdfpose_core.simulation import orbit, simulated_frame, table_scene
from sdfpose_core.simulation.tabletop import TABLE_CAMERA
from sdfpose_core.weights import RECOGNITION_FILE

SCENE_SEED = 3


@pytest.fixture(scope="module")
def table() -> tuple[RgbdFrame, dict[int, GroundTruth]]:
    frame, truths = simulated_frame(
        table_scene(SCENE_SEED), TABLE_CAMERA, orbit(0.0), np.random.default_rng(0), colour=False
    )
    return frame, {x.mask_id: x for x in truths}


@pytest.fixture(scope="module")
def estimator() -> PoseEstimator:
    return PoseEstimator()


@pytest.fixture(scope="module")
def result(
    estimator: PoseEstimator, table: tuple[RgbdFrame, dict[int, GroundTruth]]
) -> FrameResult:
    return estimator.run(table[0])


def test_every_category_is_estimated_and_most_are_right(
    result: FrameResult, table: tuple[RgbdFrame, dict[int, GroundTruth]]
) -> None:
    truths = table[1]
    assert {x.mask_id for x in result.estimates} == set(truths)
    assert not result.skipped
    errors = [compare(x, truths[x.mask_id]) for x in result.estimates]
    right = [x.rot_err_deg <= 10.0 and x.trans_err_cm <= 5.0 for x in errors]
    assert sum(right) >= len(right) - 1


def test_an_estimate_is_consistent_in_itself(result: FrameResult) -> None:
    for x in result.estimates:
        np.testing.assert_allclose(x.rotation @ x.rotation.T, np.eye(3), atol=1e-5)
        assert np.linalg.det(x.rotation) > 0.0
        assert x.scale == pytest.approx(float(np.linalg.norm(x.dimensions_m)))
        low, high = x.vertices.min(axis=0), x.vertices.max(axis=0)
        np.testing.assert_allclose(high - low, x.dimensions_m, rtol=1e-4)
        np.testing.assert_allclose(high + low, 0.0, atol=1e-5)
        assert 0.0 <= x.confidence <= 1.0
        assert np.linalg.eigvalsh(x.covariance).min() > 0.0


def test_yaw_of_a_symmetric_object_is_uncertain(result: FrameResult) -> None:
    can = next(x for x in result.estimates if x.category == "can")
    up = can.rotation[:, 1]
    across = can.rotation[:, 0]
    rotation = can.covariance[3:, 3:]
    assert up @ rotation @ up > 10.0 * (across @ rotation @ across)


def test_the_same_frame_gives_the_same_result(
    estimator: PoseEstimator,
    result: FrameResult,
    table: tuple[RgbdFrame, dict[int, GroundTruth]],
) -> None:
    again = estimator(table[0])
    for x, y in zip(result.estimates, again, strict=True):
        np.testing.assert_array_equal(x.rotation, y.rotation)
        np.testing.assert_array_equal(x.translation, y.translation)
        np.testing.assert_array_equal(x.vertices, y.vertices)


def moved(estimate: ObjectEstimate, by_m: float) -> ObjectEstimate:
    shift = np.array([by_m, 0.0, 0.0])
    return replace(
        estimate,
        translation=estimate.translation + shift,
        decoder_translation=estimate.decoder_translation + shift,
    )


def test_a_warm_start_returns_to_the_object(
    estimator: PoseEstimator,
    result: FrameResult,
    table: tuple[RgbdFrame, dict[int, GroundTruth]],
) -> None:
    starts = {x.mask_id: PredictedState(moved(x, 0.01)) for x in result.estimates}
    warm = estimator.run(table[0], starts)
    for x, y in zip(result.estimates, warm.estimates, strict=True):
        truth = table[1][x.mask_id]
        assert compare(y, truth).trans_err_cm < compare(x, truth).trans_err_cm + 0.6
        np.testing.assert_array_equal(x.code, y.code)
        assert x.decoder_scale == pytest.approx(y.decoder_scale, rel=1e-6)


def test_a_tracked_pose_keeps_the_cues_of_its_detection(
    estimator: PoseEstimator, table: tuple[RgbdFrame, dict[int, GroundTruth]], result: FrameResult
) -> None:
    known = {"colour_known": 1.5, "shape_known": -0.5, "colour_category": -0.2}
    before = [replace(x, diagnostics={**x.diagnostics, **known}) for x in result.estimates]
    assert any(x.diagnostics["upright"] != 0.0 for x in before)
    instances, _ = segment(table[0], estimator.categories)
    starts = {x.mask_id: PredictedState(x) for x in before}
    tracked = estimator.estimate(instances, starts).estimates
    for x, y, instance in zip(before, tracked, instances, strict=True):
        assert earlier_cues(y) == earlier_cues(x)
        _, joined = estimator.add_keyframe(Keyframes.of(instance, y), instance, [y, x])
        assert earlier_cues(joined) == earlier_cues(x)


def test_a_recognition_network_beside_the_weights_tells_of_shape(
    estimator: PoseEstimator,
    table: tuple[RgbdFrame, dict[int, GroundTruth]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = RecognitionNetwork(RecognitionConfig(("can", "mug"), (4, 4), 8))
    network.save(tmp_path / RECOGNITION_FILE, "any")
    own = PoseEstimator(EstimatorConfig(colour="none", device="cpu"), [tmp_path])
    noise = np.random.default_rng(0).integers(0, 255, table[0].colour.shape, dtype=np.uint8)
    instances, _ = segment(replace(table[0], colour=noise), estimator.categories)
    seen, colour = own.look(instances)
    assert colour is None
    assert own.recognition is not None
    expected = own.recognition.told_known(instances, colour=False)
    coloured = own.recognition.told_known(instances)
    assert [x.shape_log_odds for x in coloured] != [x.shape_log_odds for x in expected]
    assert not own.uses_colour
    assert [x.shape_log_odds for x in seen] == [x.shape_log_odds for x in expected]
    assert [x.shape_log_odds != 0.0 for x in seen] == [x.category in ("can", "mug") for x in seen]
    monkeypatch.setattr("sdfpose_core.estimation.estimator.RECOGNITION_FILE", "absent.safetensors")
    without = PoseEstimator(EstimatorConfig(colour="none", device="cpu"))
    assert without.recognition is None
    assert without.look(instances) == (instances, None)


def test_objects_are_followed_alike_alone_and_together(
    estimator: PoseEstimator, table: tuple[RgbdFrame, dict[int, GroundTruth]], result: FrameResult
) -> None:
    instances, _ = segment(table[0], estimator.categories)
    starts = {x.mask_id: PredictedState(x) for x in result.estimates}
    together = estimator.estimate(instances, starts).estimates
    assert len(together) == 6
    for instance, x in zip(instances, together, strict=True):
        (alone,) = estimator.estimate([instance], starts).estimates
        np.testing.assert_allclose(alone.translation, x.translation, atol=2e-5)
        np.testing.assert_allclose(alone.rotation, x.rotation, atol=5e-4)
        assert alone.confidence == pytest.approx(x.confidence, abs=1e-2)


def test_a_draft_is_finished_to_what_is_detected(
    estimator: PoseEstimator, table: tuple[RgbdFrame, dict[int, GroundTruth]]
) -> None:
    instances, _ = segment(table[0], estimator.categories)
    drafts = estimator.estimate(instances, draft=True).estimates
    assert len(drafts) == 6
    for draft in drafts:
        assert not len(draft.normals)
        finished = estimator.with_full_mesh(draft)
        assert len(finished.normals) == len(finished.vertices) > 0
        np.testing.assert_array_equal(finished.code, draft.code)
        # A thin rim may slip between the points of the coarse grid.
        np.testing.assert_allclose(finished.dimensions_m, draft.dimensions_m, atol=0.025)
        np.testing.assert_allclose(finished.translation, draft.translation, atol=0.01)
        low, high = finished.vertices.min(axis=0), finished.vertices.max(axis=0)
        np.testing.assert_allclose(high - low, finished.dimensions_m, rtol=1e-4)


def test_images_that_tell_nothing_new_leave_the_shape(
    estimator: PoseEstimator, result: FrameResult, table: tuple[RgbdFrame, dict[int, GroundTruth]]
) -> None:
    """The same image again and again: at first it counts for more, then nothing is left to gain."""
    instances = {x.mask_id: x for x in segment(table[0], estimator.categories)[0]}
    changes = []
    for x in result.estimates:
        keyframes, found = Keyframes.of(instances[x.mask_id], x), x
        for views in range(2, 7):
            before = found
            keyframes, found = estimator.add_keyframe(keyframes, instances[x.mask_id], [found, x])
            assert len(keyframes.instances) == views
            assert compare(found, table[1][x.mask_id]).trans_err_cm < 5.0
            same = np.array_equal(found.code, before.code)
            assert same == (found.decoder_scale == before.decoder_scale)
            changes.append((views, same))
    assert not all(same for views, same in changes if views == 2)
    assert sum(same for views, same in changes if views == 6) >= 4


def test_a_known_network_prediction_is_not_queried_again(
    estimator: PoseEstimator,
    table: tuple[RgbdFrame, dict[int, GroundTruth]],
    result: FrameResult,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    instances, _ = segment(table[0], estimator.categories)
    asked = estimator.estimate(instances, {x.mask_id: PredictedState(x) for x in result.estimates})
    assert asked.predictions.keys() == {x.mask_id for x in instances}
    known = {
        x.mask_id: PredictedState(x, asked.predictions[x.mask_id].aged(0.0, 0.0))
        for x in result.estimates
    }
    queried = []
    monkeypatch.setattr(estimator.models, "encode", lambda groups, _: queried.extend(groups) or [])
    again = estimator.estimate(instances, known)
    assert not queried
    for x, y in zip(asked.estimates, again.estimates, strict=True):
        np.testing.assert_allclose(x.rotation, y.rotation, atol=1e-6)
        assert x.diagnostics["belief"] == pytest.approx(y.diagnostics["belief"], abs=1e-5)
    # A prediction from long ago hardly counts.
    turned = so3_exp(torch.tensor([0.0, 0.0, 0.3])).numpy()
    wrong = {}
    for x in result.estimates:
        prediction = asked.predictions[x.mask_id]
        poses = prediction.encoding
        rotation = torch.from_numpy(turned) @ poses.similarity.rotation
        lie = replace(poses, similarity=replace(poses.similarity, rotation=rotation))
        wrong[x.mask_id] = replace(prediction, encoding=lie)
    drawn = {}
    for seconds in (0.0, 60.0):
        old = {i: PredictedState(known[i].estimate, w.aged(seconds, 0.5)) for i, w in wrong.items()}
        found = estimator.estimate(instances, old).estimates
        drawn[seconds] = np.mean([
            np.abs(x.rotation[:, 1] - y.rotation[:, 1]).max()
            for x, y in zip(found, asked.estimates, strict=True)
        ])  # fmt: skip
    assert drawn[60.0] < 0.5 * drawn[0.0]


def test_damaged_weights_leave_out_their_category_alone(
    tmp_path: Path, table: tuple[RgbdFrame, dict[int, GroundTruth]]
) -> None:
    (copied_pack(tmp_path, "mug") / "decoder.safetensors").write_bytes(b"rubbish")
    result = PoseEstimator(packs=[tmp_path]).run(table[0])
    assert [x.category for x in result.skipped] == ["mug"]
    assert "mug/decoder.safetensors: damaged" in result.skipped[0].reason
    assert len(result.estimates) == len(table[1]) - 1


def test_a_frame_without_instances(
    estimator: PoseEstimator, table: tuple[RgbdFrame, dict[int, GroundTruth]]
) -> None:
    empty = replace(table[0], mask=np.zeros_like(table[0].mask))
    assert estimator(empty) == []


def test_a_mask_id_without_label_is_skipped_and_the_others_are_not(
    estimator: PoseEstimator, table: tuple[RgbdFrame, dict[int, GroundTruth]]
) -> None:
    frame = table[0]
    two = dict(list(frame.labels.items())[:2])
    result = estimator.run(replace(frame, labels=two))
    assert {x.mask_id for x in result.estimates} == set(two)
    assert all("has no label" in x.reason for x in result.skipped)
    assert len(result.skipped) == len(frame.labels) - 2


def test_unknown_names_are_refused(estimator: PoseEstimator) -> None:
    with pytest.raises(CategoryError, match="did you mean 'mug'"):
        estimator.load("mgu")
    with pytest.raises(DeviceError, match="tpu"):
        PoseEstimator(EstimatorConfig(device="tpu"))


def test_labels_of_detectors_are_understood(
    estimator: PoseEstimator, table: tuple[RgbdFrame, dict[int, GroundTruth]]
) -> None:
    frame, truths = table
    mug = next(i for i, x in truths.items() if x.category == "mug")
    result = estimator.run(replace(frame, labels={mug: InstanceLabel("cup", 0.7)}))
    assert [x.category for x in result.estimates] == ["mug"]


def test_a_mask_of_any_category_gets_that_which_explains_it(
    estimator: PoseEstimator, table: tuple[RgbdFrame, dict[int, GroundTruth]]
) -> None:
    frame, truths = table
    unknown = replace(frame, labels={i: InstanceLabel("any") for i in truths})
    result = estimator.run(unknown)
    assert [x.mask_id for x in result.estimates] == sorted(truths)
    right = [x.category == truths[x.mask_id].category for x in result.estimates]
    assert sum(right) >= len(right) - 2


@pytest.mark.parametrize("refine", ["none", "icp"])
def test_other_refinements_run(
    table: tuple[RgbdFrame, dict[int, GroundTruth]], refine: str
) -> None:
    config = EstimatorConfig(refine=refine)  # type: ignore[arg-type]
    assert len(PoseEstimator(config)(table[0])) == len(table[1])
