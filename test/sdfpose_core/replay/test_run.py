"""Bags through the real estimator and tracker."""

from __future__ import annotations

import numpy as np
import pytest

from sdfpose_core.datasets.bag_writing import write_frames
from sdfpose_core.datasets.bags import bag_frames, open_bag
from sdfpose_core.errors import BagError, FrameError
from sdfpose_core.estimation.estimator import PoseEstimator
from sdfpose_core.messages.decoding import LabelRules
from sdfpose_core.messages.objects import pose_arrays
from sdfpose_core.replay.results import ResultBag
from sdfpose_core.replay.run import replay
from sdfpose_core.replay.schedule import Schedule
from sdfpose_core.replay.truth import TopicTruth
from sdfpose_core.replay.worst_estimates import worst_images
from sdfpose_core.tracking.tracker import Tracker, TrackerResult

RULES = LabelRules({})
TRUTH = "/camera/ground_truth"


@pytest.fixture(scope="module")
def bag(table_frames, tmp_path_factory):
    path = tmp_path_factory.mktemp("replay") / "bag"
    write_frames(path, table_frames)
    return path


@pytest.fixture(scope="module")
def estimator(few_threads):
    return PoseEstimator()


@pytest.fixture(scope="module")
def replayed(bag, estimator, tmp_path_factory):
    """A replay with ground truth, and the bag of its results."""
    results = tmp_path_factory.mktemp("results") / "results"
    problems: list[str] = []
    truth = TopicTruth(TRUTH)
    with ResultBag(results) as writer:
        done = replay(bag, Tracker(estimator), RULES, problems, truth=truth, results=[writer])
    assert problems == []
    return done, done.evaluate(truth), results


def test_every_frame_is_worked_on_as_by_the_tracker_itself(replayed, estimator, table_frames, bag):
    done, _, _ = replayed
    tracker = Tracker(estimator)
    assert [x.number for x in done.frames] == list(range(len(table_frames)))
    for replayed_frame, recorded in zip(done.frames, bag_frames(bag, RULES, []), strict=True):
        expected = tracker.step(recorded.frame)
        assert [x.id for x in replayed_frame.tracks] == [x.id for x in expected.tracks]
        for a, b in zip(replayed_frame.tracks, expected.tracks, strict=True):
            np.testing.assert_array_equal(a.estimate.rotation, b.estimate.rotation)
            np.testing.assert_array_equal(a.estimate.translation, b.estimate.translation)
            assert len(a.estimate.vertices) == 0
            np.testing.assert_array_equal(done.with_mesh(a).faces, b.estimate.faces)


def test_frames_are_judged_by_the_truth_of_their_stamp(replayed, table_frames):
    _, evaluated, _ = replayed
    for frame, (_, truths) in zip(evaluated, table_frames, strict=True):
        assert {x.mask_id for x in frame.truths} == {x.mask_id for x in truths}
        assert {x.reported.category for x in frame.objects} == {"bowl", "can", "mug"}
        for x in frame.objects:
            assert x.errors.trans_err_cm < 5.0


def test_the_bag_of_results_holds_what_the_node_publishes(replayed):
    done, _, results = replayed
    received: dict[str, list] = {}
    with open_bag(results) as bag:
        for connection, _, data in bag.messages():
            message = bag.deserialize(data, connection.msgtype)
            received.setdefault(connection.topic, []).append(message)
    assert set(received) == {"/tf", "/sdfpose/objects", "/sdfpose/meshes"}
    assert len(received["/tf"]) == len(received["/sdfpose/objects"]) == len(done.frames)
    for message, transforms, frame in zip(
        received["/sdfpose/objects"], received["/tf"], done.frames, strict=True
    ):
        assert [x.id for x in message.objects] == [x.id for x in frame.tracks]
        names = {x.child_frame_id for x in transforms.transforms}
        assert names == {f"sdfpose/{x.estimate.category}_{x.id}" for x in frame.shown}
        for x, track in zip(message.objects, frame.tracks, strict=True):
            rotation, translation = pose_arrays(x.pose.pose)
            np.testing.assert_allclose(rotation, track.estimate.rotation, atol=1e-6)
            np.testing.assert_array_equal(translation, track.estimate.translation)
    first = received["/sdfpose/meshes"][0]
    assert all(len(x.mesh_vertices) and x.mesh_revision for x in first.objects)
    assert len(first.objects) == 3


def test_a_frame_that_the_tracker_refuses_costs_itself(bag):
    class Refusing:
        def step(self, frame):
            steps.append(frame)
            if len(steps) in (2, 3):
                raise FrameError(f"mask {len(steps)}: expected ids")
            return TrackerResult([], [], [], [], {})

    steps: list = []
    problems: list[str] = []
    done = replay(bag, Refusing(), RULES, problems)
    assert [x.number for x in done.frames] == [0, 3, 4]
    assert problems == [f"{bag}: 2 frames cannot be processed: mask 2: expected ids"]


def test_a_replay_is_the_same_in_every_run(replayed, bag, estimator):
    again = replay(bag, Tracker(estimator), RULES, [])
    for a, b in zip(again.frames, replayed[0].frames, strict=True):
        for x, y in zip(a.tracks, b.tracks, strict=True):
            np.testing.assert_array_equal(x.estimate.translation, y.estimate.translation)
            np.testing.assert_array_equal(x.estimate.rotation, y.estimate.rotation)


def test_a_busy_node_leaves_frames_out(bag, estimator):
    done = replay(bag, Tracker(estimator), RULES, [], schedule=Schedule(100.0))
    # 15 frames a second: at 0, 67, 133, 200 and 267 ms.
    assert [x.number for x in done.frames] == [0, 1, 2, 4]
    assert done.dropped == 1


def test_an_error_of_the_reader_reaches_the_caller(tmp_path, estimator):
    with pytest.raises(BagError, match="nowhere: no such bag"):
        replay(tmp_path / "nowhere", Tracker(estimator), RULES, [])


def test_an_error_of_the_tracker_ends_the_reader(bag):
    class Broken:
        def step(self, frame):
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        replay(bag, Broken(), RULES, [])


def test_pictures_show_the_worst_estimates_first(replayed, bag, estimator):
    done, evaluated, _ = replayed
    pictures = worst_images(bag, RULES, None, done, evaluated, estimator.categories)
    assert len(pictures) == 6  # two of each object
    assert all(x.image.shape == (320, 320, 3) for x in pictures)
    assert len({x.image.tobytes() for x in pictures}) == 6
