"""What the viewer opens: bags, frame folders and results, with random access."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from simple_estimates import make_alternative, make_estimate

from sdfpose_core.categories import default_categories
from sdfpose_core.datasets.bag_writing import write_frames
from sdfpose_core.datasets.bags import RecordedFrame
from sdfpose_core.datasets.folder_writing import write_frame
from sdfpose_core.errors import BagError, ConfigurationError
from sdfpose_core.evaluation.frame_evaluation import alternatives_as_json
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.geometry.meshes import write_ply
from sdfpose_core.observation.frame import GroundTruth, InstanceLabel, RgbdFrame
from sdfpose_core.replay.results import ResultBag
from sdfpose_core.tracking.tracker import Track, TrackerResult, TrackState
from sdfpose_core.viewer.opening import open_recording
from sdfpose_core.viewer.recording import EstimatedFrames
from sdfpose_core.viewer.result_files import estimate_from_json

CATEGORIES = default_categories()
CAMERA = PinholeCamera(64, 48, 60.0, 60.0, 31.5, 23.5)
SECOND_NS = 1_000_000_000
COUNT = 8
TRUTH = GroundTruth(1, "mug", "mug_1", np.eye(3), np.array([0.0, 0.0, 0.8]), np.full(3, 0.1), False)


def frame_at(number):
    """A grey image as bright as its number, one second after the last one."""
    size = CAMERA.height, CAMERA.width
    mask = np.zeros(size, np.uint16)
    mask[20:28, 28:36] = 1
    return RgbdFrame(
        np.full((*size, 3), 10 * number, np.uint8),
        np.full(size, 0.8, np.float32),
        mask,
        CAMERA,
        {1: InstanceLabel("mug")},
        stamp_ns=(100 + number) * SECOND_NS,
        frame_id="camera",
    )


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    path = tmp_path_factory.mktemp("bags") / "images"
    write_frames(path, [(frame_at(i), [TRUTH]) for i in range(COUNT)])
    return path


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """One mug that moves by a centimetre; a new surface with every third image."""
    path = tmp_path_factory.mktemp("bags") / "results"
    with ResultBag(path) as bag:
        for i in range(COUNT):
            estimate = make_estimate(at=(0.01 * i, 0.0, 0.8), side=0.1 + 0.01 * (i // 3))
            track = Track(5, TrackState.TRACKED, estimate, 1 + i // 3, frame_at(i).stamp_ns, 1 + i)
            recorded = RecordedFrame(frame_at(i), frame_at(i).stamp_ns + SECOND_NS // 5)
            bag.add(recorded, TrackerResult([track], [], [], [], {}))
    return path


@pytest.mark.parametrize("order", [range(COUNT), [7, 0, 3, 2, 6, 6, 1]])
def test_images_of_a_bag_are_found_in_any_order(images, order):
    recording = open_recording(images, CATEGORIES)
    np.testing.assert_allclose(recording.times_s, range(COUNT))
    for number in order:
        view = recording.view(number)
        assert view.objects == []
        assert (view.frame.colour == 10 * number).all()
    recording.close()


@pytest.mark.parametrize("order", [range(COUNT), [7, 0, 5, 2]])
def test_results_come_with_their_images_and_the_surfaces_of_their_time(results, images, order):
    recording = open_recording(results, CATEGORIES, images)
    for number in order:
        view = recording.view(number)
        (x,) = view.objects
        assert (x.id, x.state, x.revision) == (5, "tracked", 1 + number // 3)
        assert view.latency_s == pytest.approx(0.2)
        np.testing.assert_allclose(x.estimate.translation, [0.01 * number, 0.0, 0.8])
        radius = np.linalg.norm(x.estimate.vertices, axis=1)
        np.testing.assert_allclose(radius, 0.05 + 0.005 * (number // 3), rtol=1e-5)
        assert (view.frame.colour == 10 * number).all()
    recording.close()


def test_results_without_images_have_objects_alone(results):
    recording = open_recording(results, CATEGORIES)
    view = recording.view(2)
    assert view.frame is None
    assert len(view.objects) == 1
    recording.close()


@pytest.fixture
def folders(tmp_path):
    path = tmp_path / "frames"
    for i in range(2):
        write_frame(path / f"{i}", frame_at(i), [TRUTH])
    return path


def test_frame_folders_show_their_true_poses(folders):
    recording = open_recording(folders, CATEGORIES)
    assert len(recording.times_s) == 2
    view = recording.view(1)
    assert view.name == "1"
    assert (view.frame.colour == 10).all()
    (x,) = view.objects
    assert x.state == "ground truth"
    np.testing.assert_allclose(x.estimate.translation, TRUTH.translation)


def as_json(x):
    return {
        "mask_id": 1,
        "category": x.category,
        "R": x.rotation.tolist(),
        "t": x.translation.tolist(),
        "scale": x.scale,
        "dimensions_m": x.dimensions_m.tolist(),
        "confidence": x.confidence,
        "covariance": x.covariance.tolist(),
        "probability": 0.75,
        "alternatives": alternatives_as_json((make_alternative(),)),
        "diagnostics": {"inlier_ratio": 0.5},
    }


def test_an_object_of_a_json_file_is_read_back():
    estimate = make_estimate()
    found = estimate_from_json(json.loads(json.dumps(as_json(estimate))))
    np.testing.assert_allclose(found.rotation, estimate.rotation)
    np.testing.assert_allclose(found.covariance, estimate.covariance)
    assert found.probability == 0.75
    (rival,) = found.alternatives
    assert rival.category == "bowl"
    np.testing.assert_allclose(rival.dimensions_m, make_alternative().dimensions_m)


def test_a_file_of_estimates_finds_its_images_and_surfaces(folders, tmp_path):
    estimate = make_estimate()
    out = tmp_path / "out"
    write_ply(out / "0" / "mug_1.ply", estimate.vertices, estimate.faces, estimate.normals)
    document = {
        "frames": {"0": [as_json(estimate)], "1": []},
        "folders": {"0": str(folders / "0"), "1": str(folders / "1")},
        "out": str(out),
    }
    file = out / "estimates.json"
    file.write_text(json.dumps(document))
    for path in (file, out):
        recording = open_recording(path, CATEGORIES)
        (x,) = recording.view(0).objects
        np.testing.assert_allclose(x.estimate.vertices, estimate.vertices, atol=1e-6)
        assert x.colours is not None
        assert recording.view(1).objects == []
        assert (recording.view(1).frame.colour == 10).all()


def test_a_file_of_a_replay_finds_its_bag(images, tmp_path):
    entry = as_json(make_estimate())
    entry["id"] = entry.pop("mask_id")
    frames = [
        {"number": i, "stamp_ns": frame_at(i).stamp_ns, "objects": [entry | {"state": "TRACKED"}]}
        for i in (2, 4)
    ]
    file = tmp_path / "replay.json"
    file.write_text(json.dumps({"bag": str(images), "frames": frames}))
    recording = open_recording(file, CATEGORIES)
    assert list(recording.times_s) == [0.0, 2.0]
    view = recording.view(1)
    assert (view.frame.colour == 40).all()
    assert view.objects[0].state == "tracked"


def test_estimated_frames_are_read_again_when_they_are_shown(folders):
    frames = EstimatedFrames(CATEGORIES)
    estimate = replace(make_estimate(), mask_id=1)
    shown = frames.add("1", folders / "1", frame_at(1), [estimate])
    again = frames.view(0)
    assert again.objects == shown.objects
    np.testing.assert_array_equal(again.frame.colour, shown.frame.colour)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read as JSON"),
        ('{"category": "mug", "before": {}}', "holds no poses"),
        ('{"frames": {"a": [{"category": "mug"}]}}', "has another format: KeyError: 't'"),
    ],
)
def test_other_files_are_refused(tmp_path, content, message):
    file = tmp_path / "report.json"
    file.write_text(content)
    with pytest.raises(ConfigurationError, match=message):
        open_recording(file, CATEGORIES)


def test_a_path_without_anything_to_show_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="no such file or folder"):
        open_recording(tmp_path / "none", CATEGORIES)
    with pytest.raises(ConfigurationError, match="holds nothing to show"):
        open_recording(tmp_path, CATEGORIES)
    (tmp_path / "frame").mkdir()
    (tmp_path / "frame" / "overlay.png").touch()
    with pytest.raises(ConfigurationError, match=r"again with --json .*estimates.json"):
        open_recording(tmp_path, CATEGORIES)
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(ConfigurationError, match="several recordings or results: name one of a"):
        open_recording(tmp_path, CATEGORIES)
    (tmp_path / "text.txt").write_text("no bag")
    with pytest.raises(BagError):
        open_recording(tmp_path / "text.txt", CATEGORIES)
