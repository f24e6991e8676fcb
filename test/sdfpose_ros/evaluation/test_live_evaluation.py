from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from sdfpose.msg import SdfObject, SdfObjectArray
from std_msgs.msg import Header

from sdfpose_core.tracking.tracker import TrackState
from sdfpose_ros.evaluation.live_evaluation import LiveEvaluation
from sdfpose_ros.graph.object_messages import ground_truth_message, object_message


def header(second: int) -> Header:
    message = Header(frame_id="optical")
    message.stamp.sec = second
    return message


@pytest.fixture
def truth(fakes):
    def truth(second, *items):
        head = header(second)
        objects = [ground_truth_message(fakes.make_truth(*item), head) for item in items]
        return SdfObjectArray(header=head, objects=objects)

    return truth


@pytest.fixture
def result(fakes):
    def result(second, *items, state="TRACKED"):
        head = header(second)
        objects = []
        for object_id, estimate in items:
            track = fakes.make_track(object_id, estimate, TrackState[state])
            objects.append(object_message(track, head, with_mesh=False))
        return SdfObjectArray(header=head, objects=objects)

    return result


def test_a_perfect_estimate_has_no_errors(fakes, truth, result):
    evaluation = LiveEvaluation(window=10)
    evaluation.add_truth(truth(1, (1, "mug")))
    evaluation.add_result(result(1, (7, fakes.make_estimate(1))), 1.25)
    (item,) = evaluation.latest.objects
    assert (item.reported.id, item.reported.category) == (7, "mug")
    assert item.errors.rot_err_deg == pytest.approx(0.0, abs=1e-5)
    assert item.errors.trans_err_cm == pytest.approx(0.0)
    assert item.errors.iou3d_oriented == pytest.approx(1.0)
    assert evaluation.latency_s == pytest.approx(0.25)


@pytest.mark.parametrize("truth_first", [True, False])
def test_result_and_truth_may_come_in_either_order(fakes, truth, result, truth_first):
    evaluation = LiveEvaluation(window=10)
    steps = [
        lambda: evaluation.add_truth(truth(1, (1, "mug"))),
        lambda: evaluation.add_result(result(1, (7, fakes.make_estimate(1))), 1.0),
    ]
    for step in steps if truth_first else reversed(steps):
        step()
    assert evaluation.best.evaluated_categories == {"mug"}


def test_errors_are_those_of_the_nearest_object_of_the_category(fakes, truth, result):
    evaluation = LiveEvaluation(window=10)
    evaluation.add_truth(truth(1, (1, "mug"), (5, "mug"), (2, "can")))
    near_5 = fakes.make_estimate(5)
    near_5 = dataclasses.replace(
        near_5, translation=near_5.translation + np.array([0.0, 0.0, 0.01])
    )
    evaluation.add_result(result(1, (7, near_5), (8, fakes.make_estimate(1))), 1.0)
    errors = {x.reported.id: x.errors.trans_err_cm for x in evaluation.latest.objects}
    assert errors == {7: pytest.approx(1.0), 8: pytest.approx(0.0)}


def test_yaw_has_no_meaning_where_the_truth_is_symmetric(fakes, truth, result):
    message = truth(1, (1, "mug"))
    message.objects[0].symmetric_about_y = True
    estimate = fakes.make_estimate(1)
    half_turn = np.diag([-1.0, 1.0, -1.0])
    turned = dataclasses.replace(estimate, rotation=estimate.rotation @ half_turn)
    evaluation = LiveEvaluation(window=10)
    evaluation.add_truth(message)
    evaluation.add_result(result(1, (7, turned)), 1.0)
    assert evaluation.latest.objects[0].errors.rot_err_deg == pytest.approx(0.0, abs=1e-4)


def test_an_object_without_truth_has_no_errors(fakes, truth, result):
    evaluation = LiveEvaluation(window=10)
    evaluation.add_truth(truth(1, (1, "mug")))
    evaluation.add_result(result(1, (7, fakes.make_estimate(1, "can"))), 1.0)
    assert evaluation.latest.objects[0].errors is None
    assert evaluation.latest.evaluated_categories == set()


@pytest.mark.parametrize("state", ["LOST", "UNOBSERVED"])
def test_objects_that_the_image_does_not_show_are_no_results(fakes, truth, result, state):
    evaluation = LiveEvaluation(window=10)
    evaluation.add_truth(truth(1, (1, "mug")))
    evaluation.add_result(result(1, (7, fakes.make_estimate(1)), state=state), 1.0)
    assert evaluation.latest.objects == ()


def test_the_best_frame_is_the_newest_with_most_categories(fakes, truth, result):
    evaluation = LiveEvaluation(window=10)
    two = (7, fakes.make_estimate(1)), (8, fakes.make_estimate(2, "can"))
    for second, shown in ((1, two), (2, two), (3, two[:1])):
        evaluation.add_truth(truth(second, (1, "mug"), (2, "can")))
        evaluation.add_result(result(second, *shown), float(second))
    assert evaluation.latest.stamp_ns == 3_000_000_000
    assert evaluation.best.stamp_ns == 2_000_000_000


def test_old_truth_is_forgotten(fakes, truth, result):
    evaluation = LiveEvaluation(window=2)
    for second in (1, 2, 3):
        evaluation.add_truth(truth(second, (1, "mug")))
    evaluation.add_result(result(1, (7, fakes.make_estimate(1))), 1.0)
    assert evaluation.latest.objects[0].errors is None


def test_rate_and_latency_are_those_of_the_last_seconds(fakes, result):
    evaluation = LiveEvaluation(window=10)
    assert evaluation.rate_hz == 0.0
    assert np.isnan(evaluation.latency_s)
    evaluation.add_result(result(0), 50.0)
    for second in range(100, 105):
        evaluation.add_result(result(second), second + 0.5)
    assert evaluation.rate_hz == pytest.approx(1.0)
    assert evaluation.latency_s == pytest.approx(0.5)


def test_the_json_entry_has_the_fields_of_objects_json(fakes, truth, result):
    evaluation = LiveEvaluation(window=10)
    evaluation.add_truth(truth(1, (1, "mug")))
    evaluation.add_result(result(1, (7, fakes.make_estimate(1))), 1.0)
    entry = json.loads(json.dumps(evaluation.latest.objects[0].as_json()))
    assert set(entry) == {
        "id", "category", "R", "t", "scale", "dimensions_m", "confidence", "rot_err_deg",
        "trans_err_cm", "iou3d_oriented",
    }  # fmt: skip
    np.testing.assert_allclose(entry["R"], fakes.make_estimate(1).rotation, atol=1e-12)
    assert entry["dimensions_m"] == [0.10, 0.12, 0.08]


def test_an_object_that_is_not_tracked_counts(fakes, truth, result):
    """A node without a tracker sends the state UNKNOWN."""
    evaluation = LiveEvaluation(window=10)
    evaluation.add_truth(truth(1, (1, "mug")))
    message = result(1, (7, fakes.make_estimate(1)))
    message.objects[0].state = SdfObject.UNKNOWN
    evaluation.add_result(message, 1.0)
    assert evaluation.latest.evaluated_categories == {"mug"}


def test_a_bag_that_starts_again_is_shown_again(fakes, truth, result):
    evaluation = LiveEvaluation(window=10)
    for second in (8, 9):
        evaluation.add_truth(truth(second, (1, "mug")))
        evaluation.add_result(result(second, (1, fakes.make_estimate(1))), second + 0.1)
    assert evaluation.best.stamp_ns == 9_000_000_000
    evaluation.add_result(result(2, (5, fakes.make_estimate(1))), 2.2)
    assert evaluation.latest.stamp_ns == 2_000_000_000
    assert evaluation.rate_hz == 0.0
    assert evaluation.latency_s == pytest.approx(0.2)
    assert evaluation.best.stamp_ns == 9_000_000_000
