"""A tracker whose estimator does what a test says, on images without noise."""

import dataclasses
import threading
import types

import numpy as np
import torch

from sdfpose_core.categories import default_categories
from sdfpose_core.estimation.estimator import FrameResult
from sdfpose_core.estimation.keyframes import decoder_states
from sdfpose_core.estimation.pose_following import NetworkPrediction
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.observation.frame import InstanceLabel, ObjectEstimate, RgbdFrame, SkippedInstance
from sdfpose_core.observation.segmentation import segment
from sdfpose_core.tracking.tracker import Tracker, TrackerConfig, TrackState

CAMERA = PinholeCamera(160, 120, 150.0, 150.0, 79.5, 59.5)
PERIOD_NS = 33_000_000
TENTATIVE, TRACKED, LOST = TrackState.TENTATIVE, TrackState.TRACKED, TrackState.LOST
VERTICES = np.array([[0.0, 0.0, 0.0], [0.1, 0.0, 0.0], [0.0, 0.1, 0.0]], np.float32)
CAN = {5: ("can", (0.0, 0.0, 1.0))}
LAPTOP = {1: ("laptop", (0.0, 0.0, 1.0))}
TURNED = np.diag([-1.0, 1.0, -1.0])
DELAYED = TrackerConfig(verification_delay_s=0.1)
"""3.03 periods: the result of a verification is used in the fourth image after its own."""


def make_frame(objects, index, period_ns=PERIOD_NS, frame_id="camera"):
    """A square patch for each object of {mask id: (category, centre in metres)}."""
    depth = np.zeros((CAMERA.height, CAMERA.width), np.float32)
    mask = np.zeros(depth.shape, np.uint16)
    for mask_id, (_, place) in objects.items():
        u, v = CAMERA.project(np.array([place], np.float32))[0].round().astype(int)
        mask[max(v - 4, 0) : v + 5, max(u - 4, 0) : u + 5] = mask_id
        depth[mask == mask_id] = place[2]
    return RgbdFrame(
        colour=np.zeros((*depth.shape, 3), np.uint8),
        depth=depth,
        mask=mask,
        camera=CAMERA,
        labels={
            mask_id: InstanceLabel(category, detected=True)
            for mask_id, (category, _) in objects.items()
        },
        stamp_ns=index * period_ns,
        frame_id=frame_id,
    )


def make_estimate(mask_id=1, category="can", place=(0.0, 0.0, 1.0), **changes):
    code = np.array(changes.pop("code", (0.3, -0.2)), np.float32)
    symmetric = changes.get("symmetric_about_y", category in ("bottle", "bowl", "can"))
    covariance = 1e-6 * np.eye(6)
    if symmetric:  # the refinement knows next to nothing of the yaw
        y_axis = changes.get("rotation", np.eye(3))[:, 1]
        covariance[3:, 3:] += 3.0 * np.outer(y_axis, y_axis)
    fields = {
        "mask_id": mask_id,
        "category": category,
        "rotation": np.eye(3),
        "translation": np.array(place, np.float64),
        "scale": 0.15,
        "dimensions_m": np.array([0.07, 0.12, 0.07]),
        "confidence": 0.9,
        "covariance": covariance,
        "symmetric_about_y": symmetric,
        "code": code,
        "decoder_translation": np.array(place, np.float64) + np.array([0.0, 0.002, 0.0]),
        "decoder_scale": 0.16,
        "vertices": VERTICES,
        "faces": np.array([[0, 1, 2]], np.int32),
        "normals": np.zeros((3, 3), np.float32),
        "diagnostics": {"inlier_ratio": 0.9},
    }
    return ObjectEstimate(**(fields | changes))


REJECTED = object()


class FakeEstimator:
    """Finds each object at the middle of its points; `script` changes what it reports.

    Of several categories of a mask id it reports the most confident one.

    The script is called with an instance and its warm start, None in a detection, and returns
    changes to the estimate's fields, None where there is none, or `REJECTED`.
    """

    def __init__(self, script=lambda instance, warm: {}, refine="sdf"):
        self.categories = default_categories()
        self.config = types.SimpleNamespace(min_points=20, refine=refine)
        self.script = script
        self.calls = []
        self.queried = []
        self.keyframes_added = []

    @property
    def warm_starts(self):
        """Of the last call."""
        return self.calls[-1]

    def estimate(self, instances, expected=None, *, draft=False):
        expected = expected or {}
        warm_starts = {i: x.estimate for i, x in expected.items()}
        if instances:
            self.calls.append(warm_starts)
            self.queried.append({i for i, x in expected.items() if x.prediction is None})
        estimates, skipped = [], []
        for instance in instances:
            warm = warm_starts.get(instance.mask_id)
            changes = self.script(instance, warm)
            if changes is None or changes is REJECTED:
                reason = "no surface" if changes is None else "nothing of the categories"
                skipped.append(
                    SkippedInstance(
                        instance.mask_id, instance.category, reason, changes is REJECTED
                    )
                )
                continue
            kept = {"category": instance.category}
            if warm:
                kept["rotation"] = warm.rotation
            place = np.median(instance.points, axis=0)
            estimates.append(make_estimate(instance.mask_id, place=place, **(kept | changes)))
        predictions = {
            i: x.prediction or NetworkPrediction(None, None) for i, x in expected.items()
        }
        stage_ms = {"encode": 1.0, "refine": 2.0, "mesh": 0.5}
        best = {}
        for x in estimates:
            if x.mask_id not in best or x.confidence > best[x.mask_id].confidence:
                best[x.mask_id] = x
        return FrameResult(list(best.values()), skipped, stage_ms, predictions)

    uses_colour = False

    def unused_cues(self, frame, instances):
        return []

    def as_keyframe(self, instance):
        return instance

    def segment(self, frame):
        return segment(frame, self.categories, min_points=self.config.min_points)

    def with_full_mesh(self, draft):
        return draft

    def shape_of(self, estimate):
        return None

    def add_keyframe(self, keyframes, instance, estimates):
        """Takes the more confident pose and the mean code of all detections."""
        self.keyframes_added.append(estimates)
        known = len(keyframes.instances)
        code = (known * keyframes.state.codes[0].numpy() + estimates[-1].code) / (known + 1)
        best = dataclasses.replace(max(estimates, key=lambda x: x.confidence), code=code)
        return keyframes.with_view(instance, decoder_states([best], torch.device("cpu"))), best


class Gated(FakeEstimator):
    """Its verifications wait until `gate` is set."""

    def __init__(self, *args):
        super().__init__(*args)
        self.gate = threading.Event()
        self.begun = []

    def estimate(self, instances, expected=None, *, draft=False):
        if draft:
            self.begun.append([x.mask_id for x in instances])
            assert self.gate.wait(10.0)
        return super().estimate(instances, expected, draft=draft)


def make_tracker(estimator, config=None):
    """A tracker in which every image waits for its verification."""
    config = dataclasses.replace(config or TrackerConfig(), verification_delay_s=0.0)
    return Tracker(estimator, config)


def run(tracker, frames, start=0, **options):
    """The results of frames given by their objects."""
    return [
        tracker.step(make_frame(objects, index, **options))
        for index, objects in enumerate(frames, start=start)
    ]


def only(result):
    """The single track of a result."""
    assert len(result.tracks) == 1
    return result.tracks[0]


def precision(track):
    """The confidence of a track, given that its mode is the right one."""
    return round(track.estimate.confidence / track.estimate.probability, 9)


def ids_by_mask(result):
    return {x.estimate.mask_id: x.id for x in result.tracks if x.state != LOST}


def detections(estimator):
    """The number of calls without a warm start."""
    return sum(1 for x in estimator.calls if not x)
