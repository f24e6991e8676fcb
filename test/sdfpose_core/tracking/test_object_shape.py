"""Size, shape and mesh of tracked objects, from their keyframes."""

import numpy as np
import pytest
from tracker_fakes import (
    CAN,
    TRACKED,
    FakeEstimator,
    detections,
    make_frame,
    make_tracker,
    only,
    run,
)

from sdfpose_core.errors import MeshError


def test_size_and_shape_change_only_with_detections_of_the_same_pose():
    codes = np.random.default_rng(0).normal(size=(20, 2))
    index = 0
    estimator = FakeEstimator(
        lambda instance, warm: {"code": codes[index] if warm is None else warm.code}
    )
    tracker = make_tracker(estimator)
    reported, seen_at = [], [0]
    for index in range(20):
        before = len(estimator.keyframes_added)
        reported.append(only(tracker.step(make_frame(CAN, index))).estimate.code)
        if len(estimator.keyframes_added) > before:
            seen_at.append(index)
    assert seen_at == [0, 2, 6, 14]  # after 2, 4, 8 images
    for index, code in enumerate(reported):
        views = [codes[i] for i in seen_at if i <= index]
        np.testing.assert_allclose(code, np.mean(views, axis=0), rtol=1e-5)


@pytest.mark.parametrize("found", [{"confidence": 0.4}, {"rotation": np.diag([1.0, -1.0, -1.0])}])
def test_a_detection_of_low_confidence_or_another_pose_is_no_keyframe(found):
    first = True
    estimator = FakeEstimator(lambda instance, warm: {} if warm or first else found)
    tracker = make_tracker(estimator)
    run(tracker, [CAN])
    first = False
    run(tracker, [CAN] * 2, start=1)
    assert detections(estimator) == 2
    assert not estimator.keyframes_added


def test_keyframes_without_a_common_surface_leave_the_shape():
    class Undecided(FakeEstimator):
        def add_keyframe(self, keyframes, instance, estimates):
            raise MeshError("no surface")

    tracks = [only(x) for x in run(make_tracker(Undecided()), [CAN] * 5)]
    assert all(np.allclose(x.estimate.code, (0.3, -0.2)) for x in tracks)
    assert tracks[-1].state == TRACKED


def test_the_revision_counts_meshes_that_differ():
    changes = [
        {},
        {"scale": 0.15005},  # 0.03 %
        {"scale": 0.1501},
        {"scale": 0.15016},  # 0.11 % since the mesh was made
        {"scale": 0.15016, "code": (0.5, 0.5)},
        {"scale": 0.15016, "code": (0.5, 0.5)},
    ]
    index = 0
    tracker = make_tracker(FakeEstimator(lambda instance, warm: changes[index]))
    revisions = []
    for index in range(len(changes)):
        revisions.append(only(tracker.step(make_frame(CAN, index))).mesh_revision)
    assert revisions == [1, 1, 1, 2, 3, 3]


def test_without_a_mesh_there_is_no_revision():
    empty = np.zeros((0, 3), np.float32)
    tracker = make_tracker(FakeEstimator(lambda instance, warm: {"vertices": empty}))
    assert [only(x).mesh_revision for x in run(tracker, [CAN] * 3)] == [0, 0, 0]
