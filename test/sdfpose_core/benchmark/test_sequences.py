"""The sequences of the benchmark of tracking, and what becomes of them."""

import contextlib
import types
from itertools import islice, pairwise

import numpy as np
import pytest

from sdfpose_core.benchmark import sequences
from sdfpose_core.benchmark.sequences import SimulatedSequence, summarise_sequences, track_sequence
from sdfpose_core.benchmark.world_sequences import TF_SD_M, TF_SD_RAD
from sdfpose_core.categories import default_categories
from sdfpose_core.estimation.estimator import FrameResult
from sdfpose_core.evaluation.tracks import TrackSample, gaps
from sdfpose_core.observation.frame import ObjectEstimate
from sdfpose_core.observation.segmentation import segment
from sdfpose_core.shapes.families import HELD_OUT_SEED
from sdfpose_core.simulation.tabletop import TABLE_CAMERA

NAMES = ("can", "mug", "camera")
SLOW, PERMUTED, FAST = 0, 1, 2


@pytest.fixture(scope="module", autouse=True)
def small_images():
    """A quarter of the width and height: what happens is the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sequences, "TABLE_CAMERA", TABLE_CAMERA.resize(160, 120))
        yield


@pytest.fixture(scope="module")
def shown(small_images):
    """The frames of the first three sequences."""
    return {
        number: list(SimulatedSequence(NAMES, number, 0).frames())
        for number in (SLOW, PERMUTED, FAST)
    }


@pytest.fixture(scope="module")
def follow_shown(shown):
    """Follow a sequence in the frames of `shown`, which take longer to render than to follow."""

    def follow_shown(estimator, number, count=None, **options):
        class Shown(SimulatedSequence):
            def frames(self):
                return iter(shown[number][:count])

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sequences, "SimulatedSequence", Shown)
            return track_sequence(estimator, NAMES, number, 0, **options)

    return follow_shown


def truths_of(frames, i):
    """True poses of an object, by frame."""
    return {
        index: frame.views[i].truth
        for index, frame in enumerate(frames)
        if frame.views[i].truth is not None
    }


@pytest.mark.parametrize("images", [[], [object()]])
def test_the_tracker_is_closed(monkeypatch, images):
    closed = []
    monkeypatch.setattr(SimulatedSequence, "frames", lambda self: iter(images))
    tracker = types.SimpleNamespace(close=lambda: closed.append(True))
    monkeypatch.setattr(sequences, "Tracker", lambda estimator: tracker)
    with contextlib.suppress(AttributeError):  # no frame
        track_sequence(types.SimpleNamespace(uses_colour=False), NAMES, 0, 0)
    assert len(closed) == 1


def test_objects_of_all_categories_that_nothing_was_trained_on():
    sequence = SimulatedSequence(NAMES, 0, 0)
    categories = [x.category for x in sequence.models]
    assert categories[:3] == list(NAMES)
    assert len(categories) == 5
    assert set(categories[3:]) <= set(NAMES)
    seeds = [int(x.name.split("_")[1]) for x in sequence.models]
    assert min(seeds) >= HELD_OUT_SEED + 100_000
    assert len(set(seeds)) == 5


def test_seeds_and_numbers_draw_other_sequences():
    first, *others = (
        [x.name for x in SimulatedSequence(NAMES, *which).models]
        for which in ((0, 0), (0, 1), (1, 0))
    )
    assert all(x != first for x in others)


def test_frames_are_the_same_on_every_call(shown):
    for before, after, _ in zip(
        shown[PERMUTED], SimulatedSequence(NAMES, PERMUTED, 0).frames(), range(3), strict=False
    ):
        np.testing.assert_array_equal(before.frame.depth, after.frame.depth)
        np.testing.assert_array_equal(before.frame.mask, after.frame.mask)


def test_colour_changes_nothing_else(shown):
    coloured = SimulatedSequence(NAMES, PERMUTED, 0, colour=True).frames()
    images = []
    for before, after, _ in zip(shown[PERMUTED], coloured, range(2), strict=False):
        np.testing.assert_array_equal(before.frame.depth, after.frame.depth)
        np.testing.assert_array_equal(before.frame.mask, after.frame.mask)
        assert not before.frame.colour.any()
        images.append(after.frame.colour)
    assert all(x.std() > 10.0 for x in images)
    # The paint stays from image to image.
    assert np.abs(images[0].astype(float) - images[1]).mean() < 30.0


@pytest.mark.parametrize(("number", "rate_hz"), [(SLOW, 15), (PERMUTED, 15), (FAST, 30)])
def test_stamps_are_those_of_the_rate(shown, number, rate_hz):
    stamps = np.array([x.frame.stamp_ns for x in shown[number]])
    assert len(stamps) == len(SimulatedSequence(NAMES, number, 0))
    assert len(stamps) == round(sequences.DURATION_S * rate_hz)
    np.testing.assert_allclose(np.diff(stamps), 1e9 / rate_hz, atol=2.0)
    assert len({x.frame.frame_id for x in shown[number]}) == 1


def test_mask_ids_change_from_frame_to_frame_in_every_second_sequence(shown):
    for number, frames in shown.items():
        for i in range(5):
            ids = [x.mask_id for x in truths_of(frames, i).values()]
            changes = np.mean([a != b for a, b in pairwise(ids)])
            assert changes == 0.0 if number != PERMUTED else 0.6 < changes < 1.0


def test_known_cameras_have_the_errors_of_the_arm_and_change_nothing_else(shown):
    sequence = SimulatedSequence(NAMES, SLOW, 0, camera_known=True)
    frames = list(islice(sequence.frames(), 30))
    off, turn = [], []
    for index, (told, plain) in enumerate(zip(frames, shown[SLOW], strict=False)):
        rotation, centre = sequence.path.pose(index / sequence.rate_hz)
        found = told.frame.camera_pose
        off.append(found.translation - centre)
        turn.append(np.arccos(np.clip((np.trace(rotation.T @ found.rotation) - 1) / 2, -1, 1)))
        assert plain.frame.camera_pose is None
        np.testing.assert_array_equal(told.frame.depth, plain.frame.depth)
        np.testing.assert_array_equal(told.frame.mask, plain.frame.mask)
    assert np.std(off) == pytest.approx(TF_SD_M, rel=0.3)
    assert np.sqrt(np.mean(np.square(turn)) / 3) == pytest.approx(TF_SD_RAD, rel=0.3)


def test_masks_and_labels_are_those_of_the_objects(shown):
    for number, frames in shown.items():
        models = SimulatedSequence(NAMES, number, 0).models
        for index in range(0, len(frames), 10):
            frame, views = frames[index].frame, frames[index].views
            assert len({x.truth.mask_id for x in views if x.truth}) == sum(
                x.truth is not None for x in views
            )
            for view, model in zip(views, models, strict=True):
                if view.truth is None:
                    assert view.visibility == 0.0
                    continue
                assert view.truth.instance == model.name
                assert frame.labels[view.truth.mask_id].category == model.category
                assert view.hidden == (not np.any(frame.mask == view.truth.mask_id))
                if view.visibility > 0.8:
                    v, u = np.nonzero((frame.mask == view.truth.mask_id) & (frame.depth > 0))
                    points = frame.camera.back_project(np.stack([u, v], 1), frame.depth[v, u])
                    off = np.median(points, axis=0) - view.truth.translation
                    assert np.linalg.norm(off) < 0.6 * view.truth.scale


@pytest.mark.parametrize("number", [SLOW, PERMUTED, FAST])
def test_things_at_rest_stay_where_they_are_and_only_handled_ones_move(shown, number):
    sequence = SimulatedSequence(NAMES, number, 0)
    handled = {sequence.moving.scene.objects[i].mask_id - 1 for i in sequence.moving.motions}
    assert len(handled) == 3
    for i in range(5):
        places, upward = [], []
        for index, truth in truths_of(shown[number], i).items():
            rotation, centre = sequence.path.pose(index / sequence.rate_hz)
            places.append(rotation @ truth.translation + centre)
            upward.append(rotation @ truth.rotation)
        moved_by = np.ptp(places, axis=0).max()
        turned_by = np.linalg.norm(upward - upward[0], axis=(1, 2)).max()
        if i in handled:
            assert moved_by > 0.03 or turned_by > 0.3
        else:
            assert moved_by < 1e-9
            assert turned_by < 1e-9


def test_motion_from_frame_to_frame_is_small(shown):
    for number, frames in shown.items():
        rate_hz = 30 if number == FAST else 15
        for i in range(5):
            truths = truths_of(frames, i)
            for index in truths.keys() & {x - 1 for x in truths}:
                shift = truths[index + 1].translation - truths[index].translation
                assert np.linalg.norm(shift) * rate_hz < 2.5


@pytest.mark.parametrize("number", [SLOW, PERMUTED, FAST])
def test_objects_go_and_come_back(shown, number):
    histories = [
        [
            TrackSample(0.0, x.views[i].visibility >= 0.25, x.views[i].hidden, track_id=1)
            for x in shown[number]
        ]
        for i in range(5)
    ]
    rate_hz = 30 if number == FAST else 15
    found = [x for history in histories for x in gaps(history)]
    assert len(found) >= 2  # behind the board, and when the camera looks aside
    assert all(3 <= x.last - x.first + 1 < 3.0 * rate_hz for x in found)
    for i, history in enumerate(histories):
        assert sum(x.visible for x in history) > 0.3 * len(history), i


# --- following them ---


class Middles:
    """An estimator that finds each object at the middle of its points."""

    uses_colour = False

    def unused_cues(self, frame, instances):
        return []

    def __init__(self, finds=lambda instance: True):
        self.categories = default_categories()
        self.config = types.SimpleNamespace(min_points=20, refine="none")
        self.finds = finds

    def segment(self, frame):
        return segment(frame, self.categories, min_points=self.config.min_points)

    def estimate(self, instances, expected=None, *, draft=False):
        estimates = [self.found(x) for x in instances if self.finds(x)]
        return FrameResult(estimates, [], {"encode": 1.0, "refine": 2.0, "mesh": 0.5})

    def as_keyframe(self, instance):
        return instance

    def found(self, instance):
        centre = np.median(instance.points, axis=0).astype(np.float64)
        code, none = np.zeros(2, np.float32), np.zeros((0, 3), np.float32)
        return ObjectEstimate(
            mask_id=instance.mask_id,
            category=instance.category,
            rotation=np.eye(3),
            translation=centre,
            scale=0.15,
            dimensions_m=np.array([0.08, 0.1, 0.08]),
            confidence=0.9,
            covariance=1e-6 * np.eye(6),
            symmetric_about_y=True,
            code=code,
            decoder_translation=centre,
            decoder_scale=0.15,
            vertices=none,
            faces=np.zeros((0, 3), np.int32),
            normals=none,
        )


@pytest.fixture(scope="module")
def followed(follow_shown):
    return {number: follow_shown(Middles(), number) for number in (SLOW, PERMUTED)}


def test_visible_objects_are_counted_and_told_apart(shown, followed):
    found = followed[PERMUTED]
    views = [x.views for x in shown[PERMUTED]]
    visible = sum(x.visibility >= 0.25 for some in views for x in some)
    assert len(found.tracked) == visible
    assert [len(x) for x in found.histories] == [len(views)] * 5
    # Whose track it is is known by the mask, however often that changes its id.
    for i, history in enumerate(found.histories):
        for glimpse, some in zip(history, views, strict=True):
            assert glimpse.hidden == some[i].hidden
            if glimpse.visible and glimpse.track_id is not None:
                assert glimpse.centimetres < 60.0 * some[i].truth.scale
    assert len(found.detected) == len(found.tracked_where_detected) > 0
    for there, here in zip(found.detected, found.tracked_where_detected, strict=True):
        assert there.truth is here.truth
        # Both are at the middle of the same points, one of them filtered.
        assert there.centimetres == pytest.approx(here.centimetres, abs=5.0)


def test_what_is_never_found_is_missed(follow_shown):
    shares = []
    estimator = Middles(lambda x: x.category != "mug")
    found = follow_shown(estimator, SLOW, progress=shares.append)
    assert sum(shares) == pytest.approx(1.0)
    document = summarise_sequences([found])
    mug = document["per_category"]["mug"]
    assert mug["iou25"] == 0.0
    assert mug["rot_median_deg"] is None
    assert document["per_category"]["can"]["rot_median_deg"] is not None
    assert mug["n"] == sum(x.truth.category == "mug" for x in found.tracked)


def test_a_track_of_another_category_is_wrong_however_well_it_is_placed(follow_shown):
    """Nothing is told, and everything is taken for a can."""
    cans = Middles(lambda x: x.category == "can")
    found = follow_shown(cans, SLOW, count=30, category_known=False)
    for x in (*found.tracked, *found.detected):
        if x.reported is not None:
            assert x.reported.category == "can"
            assert np.isinf(x.degrees) == (x.truth.category != "can")
    document = summarise_sequences([found])
    reported = [x for x in found.tracked if x.reported is not None]
    others = sum(x.truth.category != "can" for x in reported)
    assert document["wrong_category"] == pytest.approx(100.0 * others / len(reported))
    assert document["per_category"]["mug"]["wrong_mode"] == 100.0
    assert document["first_mode_wrong"] >= 100.0 * 3 / document["tracks"]


def test_the_summary_counts_over_all_objects_of_all_sequences(followed):
    alone = [summarise_sequences([x]) for x in followed.values()]
    document = summarise_sequences(list(followed.values()))
    assert document["wrong_category"] == 0.0
    assert document["flips_per_track"] == document["flips"] / document["tracks"]
    counted = ("n", "id_switches", "flips", "tracks", "gaps", "recoveries", "frames")
    for key in (*counted, "drift_tracks"):
        assert document[key] == sum(x[key] for x in alone)
    assert document["incidents"] == alone[0]["incidents"] + alone[1]["incidents"]
    assert 0 < document["recoveries"] <= document["gaps"]
    assert len([x for x in document["incidents"] if x["kind"] == "gap"]) == (
        document["gaps"] - document["recoveries"]
    )
    assert set(document["time_ms"]) == {"segment", "encode", "refine", "mesh", "total"}
    assert set(document["detection"]) == set(document["mean"])
    assert document["detection"]["n"] == document["tracking_there"]["n"]
