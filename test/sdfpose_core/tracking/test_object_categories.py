"""Categories of tracked objects."""

import pytest
from tracker_fakes import CAN, LOST, TENTATIVE, FakeEstimator, make_frame, make_tracker, only, run

from sdfpose_core.categories import default_categories


def test_an_instance_of_another_category_is_a_new_object():
    tracker = make_tracker(FakeEstimator())
    run(tracker, [CAN] * 4)
    result = tracker.step(make_frame({5: ("mug", CAN[5][1])}, 4))
    assert [(x.id, x.estimate.category, x.state) for x in result.tracks] == [
        (1, "can", LOST),
        (2, "mug", TENTATIVE),
    ]


def test_detector_labels_of_one_category_match():
    results = run(make_tracker(FakeEstimator()), [{1: ("mug", CAN[5][1])}, {1: ("cup", CAN[5][1])}])
    assert only(results[1]).id == 1


def test_the_category_of_an_any_mask_is_decided_once():
    """Detected as what explains it, then followed as that: the others are not tried again."""
    tried = []

    def script(instance, warm):
        tried.append(instance.category)
        return {} if instance.category == "mug" else None

    tracker = make_tracker(FakeEstimator(script))
    objects = {4: ("any", (0.0, 0.0, 1.0))}
    first = only(tracker.step(make_frame(objects, 0)))
    assert set(tried) == set(default_categories())
    tried.clear()
    second = only(tracker.step(make_frame(objects, 1)))
    assert set(tried) == {"mug"}
    assert (first.id, first.estimate.category) == (second.id, second.estimate.category)
    assert second.estimate.category == "mug"


def test_after_a_pause_the_category_of_an_any_mask_is_decided_again():
    """Another object may be there by now: that of before does not decide."""
    shown = "mug"
    tracker = make_tracker(
        FakeEstimator(lambda instance, warm: {} if instance.category == shown else None)
    )
    objects = {4: ("any", (0.0, 0.0, 1.0))}
    first = only(tracker.step(make_frame(objects, 0)))
    shown = "can"
    result = tracker.step(make_frame(objects, 400))
    seen = [x for x in result.tracks if x.state != LOST]
    assert [x.estimate.category for x in seen] == ["can"]
    assert seen[0].id != first.id


@pytest.mark.parametrize(("confidence", "category"), [(0.9, "mug"), (0.3, "can")])
def test_a_category_that_explains_a_returned_any_mask_with_confidence_stays(confidence, category):
    """Of two that explain it about as well, now the one and now the other fits better."""
    explains = {"mug": 0.9}

    def script(instance, warm):
        found = explains.get(instance.category)
        return None if found is None else {"confidence": found}

    tracker = make_tracker(FakeEstimator(script))
    objects = {4: ("any", (0.0, 0.0, 1.0))}
    first = [only(tracker.step(make_frame(objects, k))) for k in range(4)][-1]
    assert first.estimate.category == "mug"
    explains |= {"can": 0.95, "mug": confidence}
    tracker.step(make_frame({}, 4))
    result = tracker.step(make_frame(objects, 50))  # 1.65 s later
    (seen,) = (x for x in result.tracks if x.state != LOST)
    assert seen.estimate.category == category
    assert (seen.id == first.id) == (category == "mug")


def test_a_tracked_object_is_behind_one_any_mask_alone():
    """After a pause the gate is wide: its neighbours do not take its category, too."""

    def script(instance, warm):
        place = float(instance.middle[0])
        wanted = "bowl" if place < 0.1 else "camera"
        return {} if instance.category == wanted else None

    tracker = make_tracker(FakeEstimator(script))
    first = only(tracker.step(make_frame({1: ("any", (0.0, 0.0, 1.0))}, 0)))
    assert first.estimate.category == "bowl"
    objects = {1: ("any", (0.0, 0.0, 1.0)), 2: ("any", (0.2, 0.0, 1.0))}
    result = tracker.step(make_frame(objects, 75))  # 2.5 s later
    assert [(x.id, x.estimate.category) for x in result.tracks] == [(1, "bowl"), (2, "camera")]


@pytest.mark.parametrize(("index", "categories"), [(75, ["can"]), (10, ["mug"])])
def test_an_old_prediction_that_explains_little_gives_way_to_a_detection(index, categories):
    """After a pause of 2.5 s, the mask is another object's. After 0.3 s, it is a bad image."""
    explains = {"mug": 0.9}

    def script(instance, warm):
        found = explains.get(instance.category)
        return None if found is None else {"confidence": found}

    tracker = make_tracker(FakeEstimator(script))
    objects = {4: ("any", (0.0, 0.0, 1.0))}
    for k in range(4):
        tracker.step(make_frame(objects, k))
    explains |= {"can": 0.95}
    explains["mug"] = 0.1
    # The fake returns categories in their order; the can comes before the mug.
    result = tracker.step(make_frame(objects, index))
    assert [x.estimate.category for x in result.tracks if x.state != LOST] == categories
