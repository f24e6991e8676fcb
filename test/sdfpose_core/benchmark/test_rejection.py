"""The rejection benchmark on masks worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from calling_estimator import CallingEstimator
from mask_frames import TOP_M, block_frame, empty_frame

from sdfpose_core.benchmark.mask_cases import MaskCase, folder_cases, suite_cases
from sdfpose_core.benchmark.rejection import (
    JudgedMask,
    RejectionOutcome,
    match_found,
    run_rejection,
    true_masks,
)
from sdfpose_core.benchmark.rejection_figures import confident_estimates, summarise_rejection
from sdfpose_core.datasets import write_frame
from sdfpose_core.errors import FrameError
from sdfpose_core.masks.instance_mask import InstanceMask
from sdfpose_core.observation.frame import GroundTruth, InstanceLabel
from sdfpose_core.observation.input_warnings import InputWarning

OURS, BOX, FAR = 3, 8, 0


def row(*parts):
    """A mask of one row of ten pixels."""
    return np.array([parts], np.uint16)


TRUTH = row(3, 3, 3, 3, 3, 8, 8, 8, 0, 0)


@pytest.mark.parametrize(
    ("found", "objects", "background"),
    [
        (TRUTH, {3: 3}, {8}),
        # IoU 3 / 6 and 2 / 6
        (row(0, 0, 7, 7, 7, 7, 0, 0, 0, 0), {7: 3}, set()),
        (row(0, 0, 0, 7, 7, 7, 0, 0, 0, 0), {}, set()),
        # two parts of one object: 3 / 5 and 2 / 5
        (row(7, 7, 7, 6, 6, 0, 0, 0, 0, 0), {7: 3}, set()),
        # 1 of 6 and 1 of 5 pixels in the object
        (row(0, 0, 0, 0, 7, 7, 7, 7, 7, 7), {}, {7}),
        (row(0, 0, 0, 0, 7, 7, 7, 7, 7, 0), {}, set()),
        # nothing but background
        (row(0, 0, 0, 0, 0, 0, 0, 0, 4, 4), {}, {4}),
        (np.zeros_like(TRUTH), {}, set()),
    ],
)
def test_masks_of_objects_of_background_and_of_neither(found, objects, background):
    match = match_found(TRUTH, [OURS], found)
    assert match.objects == objects
    assert match.background == background


def test_ignored_pixels_are_no_background():
    found = row(0, 0, 0, 0, 0, 0, 0, 5, 5, 5)
    ignore = np.zeros((1, 10), bool)
    ignore[0, 9] = True
    assert match_found(TRUTH, [OURS], found).background == {5}
    assert match_found(TRUTH, [OURS], found, ignore).background == set()


def test_without_objects_all_is_background():
    assert match_found(TRUTH, [], TRUTH).background == {3, 8}


def judged(shows, called="", confidence=0.0, true="", right=None, rejected=False):
    return JudgedMask(1, shows, rejected, called, confidence, true, right, None)


MUG = judged("object", "mug", 0.9, "mug", right=True)
DOUBTED = judged("object", "mug", 0.49, "mug", right=True)
TURNED = judged("object", "mug", 0.8, "mug", right=False)
MISTAKEN = judged("object", "can", 0.5, "mug", right=False)
LOST = judged("object", true="mug", right=False, rejected=True)
TINY = judged("object", true="mug", right=False)
UNPOSED = judged("object", "mug", 0.9, "mug", right=None)
INVENTED = judged("background", "laptop", 0.5)
FAINT = judged("background", "laptop", 0.2)
REJECTED = judged("background", rejected=True)
HALF = judged("other", "mug", 0.99)


def test_figures():
    outcomes = [
        RejectionOutcome("a", 10.0, (MUG, DOUBTED, TURNED, MISTAKEN, LOST, TINY, UNPOSED, HALF)),
        RejectionOutcome("b", 20.0, (INVENTED, replace(INVENTED, called="bowl"), FAINT)),
        RejectionOutcome("c", 40.0, (REJECTED,)),
        RejectionOutcome("d", 50.0, ()),
    ]
    assert summarise_rejection(outcomes, 0.5) == {
        "objects": {
            "n": 7,
            "kept": pytest.approx(100 * 4 / 7),
            "kept_of_right": pytest.approx(100 * 1 / 3),  # of two that are right and one rejected
            "rejected": pytest.approx(100 / 7),
            "right_category": pytest.approx(100 * 4 / 7),
            "right": pytest.approx(100 * 2 / 6),
        },
        "distractors": {
            "n": 4,
            "confident": 50.0,
            "rejected": 25.0,
            "by_category": {"bowl": 25.0, "laptop": 25.0},
        },
        "frames": {"n": 4, "with_invention": 25.0},
        "ms": 30.0,
    }
    assert summarise_rejection(outcomes, 0.95)["distractors"]["confident"] == 0.0


def test_nothing_to_summarise():
    document = summarise_rejection([], 0.5)
    assert document["ms"] is None
    assert document["objects"] == {"n": 0} | dict.fromkeys(list(document["objects"])[1:])
    assert document["distractors"] == {
        "n": 0,
        "confident": None,
        "rejected": None,
        "by_category": {},
    }
    assert document["frames"] == {"n": 0, "with_invention": None}


def test_true_masks_that_are_incomplete_do_not_tell_what_is_invented():
    unknown = RejectionOutcome("b", 2.0, (judged(None, "can", 0.7),), has_truth=False)
    outcomes = [RejectionOutcome("a", 1.0, (MUG, INVENTED, FAINT)), unknown]
    document = summarise_rejection(outcomes, 0.5, complete=False)
    assert list(document) == ["objects", "unmatched", "frames", "ms"]
    assert document["unmatched"]["confident"] == 50.0
    assert document["frames"] == {"n": 1, "with_unmatched": 100.0, "without_truth": 1}
    listed = confident_estimates(outcomes, 0.5)
    assert [(x["frame"], x["category"], x["unmatched"]) for x in listed] == [
        ("a", "mug", False),
        ("a", "laptop", True),
        ("b", "can", None),
    ]


def block_case(**changes):
    """A mug (4), a laptop (2) whose pose is unknown, and a distractor (9)."""
    frame = block_frame({4: (slice(20, 50), slice(20, 50)), 2: (slice(60, 90), slice(90, 130))})
    truth = frame.mask.copy()
    truth[95:115, 10:40] = 9
    v, u = np.nonzero(truth == 4)
    pixel = np.array([[np.median(u), np.median(v)]], np.float32)
    middle = frame.camera.back_project(pixel, np.array([TOP_M], np.float32))[0]
    pose = GroundTruth(4, "cup", "", np.eye(3), middle, np.full(3, 0.1), False)
    fields = {"truth": truth, "categories": {4: "cup", 2: "laptop", 9: ""}, "ground_truth": [pose]}
    return MaskCase("one", frame, **(fields | changes))


def test_true_masks_have_no_categories():
    found = true_masks(block_case())
    assert found.labels == dict.fromkeys((2, 4, 9), InstanceLabel("any"))
    with pytest.raises(FrameError, match=r"no true masks: expected mask\.png, or masks from"):
        true_masks(block_case(truth=None))


def test_an_image_is_estimated_and_judged():
    shown = []
    estimator = CallingEstimator({4: ("mug", 0.9), 9: ("laptop", 0.8)})
    (outcome,) = run_rejection(
        estimator, true_masks, [block_case()], [], show=lambda *x: shown.append(x)
    )
    laptop, mug, box = outcome.masks
    assert outcome.ms > 0.0
    assert mug == JudgedMask(4, "object", False, "mug", 0.9, "mug", True, True)
    assert laptop == JudgedMask(2, "object", True, true_category="laptop", right=None)
    assert box == JudgedMask(9, "background", False, "laptop", 0.8, same_category=False)
    ((case, found, estimates, masks),) = shown
    assert (case.name, masks) == ("one", outcome.masks)
    assert [x.mask_id for x in estimates] == [4, 9]
    np.testing.assert_array_equal(found.ids, case.truth)


@pytest.mark.parametrize(
    ("pose", "called", "right"),
    [
        ({}, "mug", True),
        ({}, "can", False),
        ({"rotation": np.diag([-1.0, 1.0, -1.0])}, "mug", False),
        ({"rotation": np.diag([-1.0, 1.0, -1.0]), "symmetric_about_y": True}, "mug", True),
        ({"translation": np.full(3, np.nan)}, "mug", None),
    ],
)
def test_what_is_right(pose, called, right):
    case = block_case()
    case = replace(case, ground_truth=[replace(case.ground_truth[0], **pose)])
    estimator = CallingEstimator({4: (called, 0.9)})
    (outcome,) = run_rejection(estimator, true_masks, [case], [])
    assert outcome.masks[1].right is right
    assert outcome.masks[1].same_category is (called == "mug")


def test_too_few_points_are_no_rejection():
    case = block_case()
    case.frame.depth[case.truth == 9] = 0.0
    (outcome,) = run_rejection(CallingEstimator({}), true_masks, [case], [])
    assert [x.rejected for x in outcome.masks] == [True, True, False]


def test_problems_name_the_image():
    problems = []
    unused = [InputWarning("colour", "no colour")]
    outcomes = run_rejection(
        CallingEstimator({}, unused),
        lambda case: replace(true_masks(case), problem="no table"),
        [block_case(), block_case(truth=None)],
        problems,
    )
    assert len(outcomes) == 1
    assert problems[0] == "one: no table"
    assert problems[1].startswith("one: has no true masks: expected mask.png")
    assert problems[2] == "unused: 1 frame: no colour"


def test_found_masks_without_true_ones_are_not_judged():
    case = block_case()
    masks = InstanceMask(case.truth, {4: InstanceLabel("any")})
    estimator = CallingEstimator({4: ("mug", 0.9)})
    (outcome,) = run_rejection(estimator, lambda _: masks, [replace(case, truth=None)], [])
    assert not outcome.has_truth
    assert (outcome.masks[0].shows, outcome.masks[0].same_category) == (None, None)


def test_poses_of_frame_folders(tmp_path):
    write_frame(tmp_path / "one", block_frame(), block_case().ground_truth)
    write_frame(tmp_path / "two", empty_frame(0.8))
    one, two = folder_cases(tmp_path, [])
    assert [(x.mask_id, x.category) for x in one.ground_truth] == [(4, "mug")]
    assert list(two.ground_truth) == []


def test_poses_of_simulated_images():
    (case,) = suite_cases("clutter", 0, 1)
    assert {x.mask_id for x in case.ground_truth} == {i for i, x in case.categories.items() if x}
