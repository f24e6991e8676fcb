from __future__ import annotations

import json

import numpy as np
import pytest

from sdfpose_core.evaluation.frame_evaluation import FrameEvaluation, ReportedObject, evaluate_frame
from sdfpose_core.evaluation.frame_metrics import frame_metrics, nocs_result
from sdfpose_core.observation.frame import GroundTruth

SIDES = np.array([0.1, 0.2, 0.1])


def reported(x: float, category: str = "mug", confidence: float = 0.9, **changes):
    fields = {
        "id": 7,
        "category": category,
        "rotation": np.eye(3),
        "translation": np.array([x, 0.0, 1.0]),
        "dimensions_m": SIDES,
        "confidence": confidence,
    }
    return ReportedObject(**(fields | changes))


def true(x: float, category: str = "mug", mask_id: int = 1, **changes):
    fields = {
        "mask_id": mask_id,
        "category": category,
        "instance": f"{category}_{mask_id}",
        "rotation": np.eye(3),
        "translation": np.array([x, 0.0, 1.0]),
        "dimensions_m": SIDES,
        "symmetric_about_y": False,
    }
    return GroundTruth(**(fields | changes))


def frames(count: int, shift: float = 0.01, **changes) -> list[FrameEvaluation]:
    truths = (true(0.0),)
    return [
        FrameEvaluation(
            str(i),
            i,
            evaluate_frame([reported(shift, **changes)], truths),
            truths,
            {"total": float(i)},
        )
        for i in range(count)
    ]


def test_partners_are_those_with_the_least_sum_of_distances():
    # Each alone would take the true one at 0.1.
    objects = evaluate_frame([reported(0.06), reported(0.3)], [true(0.1, mask_id=1), true(0.0)])
    assert [x.truth.translation[0] for x in objects] == [0.0, 0.1]
    assert [x.errors.trans_err_cm for x in objects] == pytest.approx([6.0, 20.0])


def test_another_category_and_those_left_over_have_no_truth():
    objects = evaluate_frame([reported(0.0), reported(0.2), reported(0.0, "can")], [true(0.0)])
    assert [x.errors is None for x in objects] == [False, True, True]


def test_without_a_true_size_there_is_no_overlap():
    (x,) = evaluate_frame([reported(0.01)], [true(0.0, dimensions_m=np.full(3, np.nan))])
    assert np.isnan(x.errors.iou3d_oriented)
    entry = x.as_json()
    assert entry["iou3d_oriented"] is None
    assert entry["trans_err_cm"] == pytest.approx(1.0)
    json.dumps(entry, allow_nan=False)


@pytest.mark.parametrize("count", [1, 9, 10])
def test_figures_have_the_number_of_objects_behind_them(count):
    metrics = frame_metrics(frames(count))
    assert metrics["errors"]["mug"]["n"] == count
    assert metrics["errors"]["mug"]["trans_err_cm_median"] == pytest.approx(1.0)
    assert metrics["average_precision"]["per_category"]["mug"]["n"] == count
    assert metrics["average_precision"]["mean"]["n"] == count
    assert metrics["average_precision"]["mean"]["iou50"] == pytest.approx(100.0)
    assert metrics["average_precision"]["mean"]["deg5_cm2"] == pytest.approx(100.0)
    assert metrics["confidence"] == {"n": count, "ece": pytest.approx(0.1), "auroc": None}


def test_figures_without_any_object_are_none():
    truths = (true(0.0, dimensions_m=np.full(3, np.nan)),)
    unsized = FrameEvaluation("f", 0, evaluate_frame([reported(0.0)], truths), truths)
    metrics = frame_metrics([unsized])
    assert metrics["errors"]["mug"]["rot_err_deg_median"] == pytest.approx(0.0)
    assert metrics["errors"]["mug"]["iou3d_oriented_median"] is None
    assert frame_metrics([])["confidence"] == {"n": 0, "ece": None, "auroc": None}


def test_misses_count_and_frames_without_truth_do_not():
    truths = (true(0.0),)
    missed = [FrameEvaluation(str(i), i, (), truths) for i in range(10)]
    unknown = [
        FrameEvaluation(str(i), i, evaluate_frame([reported(0.0)], []), None) for i in range(5)
    ]
    found = frame_metrics([*frames(10), *missed, *unknown])
    assert found["frames_with_truth"] == 20
    assert found["objects"] == 15
    assert found["average_precision"]["mean"]["deg5_cm2"] == pytest.approx(50.0)


def unknown(category: str = "mug") -> GroundTruth:
    return GroundTruth.without_pose(9, category)


def test_objects_without_a_true_pose_are_neither_right_nor_wrong():
    found = [reported(0.2, confidence=0.8), reported(0.0), reported(0.4), reported(0.0, "can")]
    truths = [true(0.0), unknown(), unknown("can")]
    objects = evaluate_frame(found, truths)
    assert [x.errors is None for x in objects] == [True, False, True, True]
    assert [x.is_unknown for x in objects] == [False, False, True, True]  # the most confident mug


def test_precision_ignores_objects_that_cannot_be_judged():
    some = (true(0.0), unknown())
    unsized = (true(0.0), true(0.5, mask_id=2, dimensions_m=np.full(3, np.nan)))
    both = [reported(0.0), reported(0.5, confidence=0.95)]
    frames = [
        FrameEvaluation(str(i), i, evaluate_frame(both, truths), truths[: 1 + (truths is unsized)])
        for i, truths in enumerate([some] * 6 + [unsized] * 6)
    ]
    assert frame_metrics(frames)["average_precision"]["mean"]["iou50"] == pytest.approx(100.0)
    # A second object where the truth says that there is one only is wrong.
    wrong = [
        FrameEvaluation(str(i), i, evaluate_frame(both, some[:1]), some[:1]) for i in range(12)
    ]
    assert frame_metrics(wrong)["average_precision"]["mean"]["iou50"] < 60.0


def test_times_are_over_all_frames():
    assert frame_metrics(frames(11))["stage_ms"] == {"total": {"mean": 5.0, "p50": 5.0, "p95": 9.5}}


def test_objects_become_results_in_the_format_of_nocs():
    turn = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
    result = nocs_result(
        "image",
        [reported(0.1, rotation=turn), reported(0.0, "car")],
        [true(0.2, "can", symmetric_about_y=True), true(0.0, dimensions_m=np.full(3, np.nan))],
    )
    assert result.found_class_ids.tolist() == [6]
    assert result.class_ids.tolist() == [4]
    scale = np.linalg.norm(SIDES)
    np.testing.assert_allclose(result.found_transforms[0, :3, :3], scale * turn)
    np.testing.assert_allclose(result.found_transforms[0, :3, 3], [0.1, 0.0, 1.0])
    np.testing.assert_allclose(result.found_sizes[0] * scale, SIDES)
    assert result.scores.tolist() == [0.9]
    assert result.handle_visible.tolist() == [False]
