"""Recordings of librealsense, which the real library writes and plays."""

from __future__ import annotations

import time
from types import SimpleNamespace

import numpy as np
import pytest

from sdfpose_core.cameras.camera import CameraSettings
from sdfpose_core.cameras.errors import (
    CameraError,
    CameraUnavailableError,
    RecordingEndedError,
    UnsupportedProfileError,
)
from sdfpose_core.errors import ConfigurationError

rs = pytest.importorskip(
    "pyrealsense2", reason="pyrealsense2 is not installed: pip install 'sdfpose[realsense]'"
)

from realsense_recordings import PERIOD_NS, RECORDED, write_recording  # noqa: E402

from sdfpose_core.cameras.realsense_recording import (  # noqa: E402
    RealSenseRecording,
    open_realsense,
)

COUNT = 20


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    return write_recording(rs, tmp_path_factory.mktemp("recording"), COUNT, unit_m=0.0005)


@pytest.fixture
def play(recording):
    opened = []

    def start(**settings):
        opened.append(open_realsense(rs, CameraSettings(bag=str(recording), **settings)))
        return opened[-1]

    yield start
    for one in opened:
        one.close()
        one.close()  # again, as after an error


def read_on(camera, images):
    while True:
        images.append(camera.read(3.0))


def test_a_recording_is_played_once_with_stamps_of_this_clock(play, recording):
    before_ns = time.time_ns()
    camera = play()
    found = camera.description
    assert np.allclose(found.camera.matrix, RECORDED.matrix)
    assert (found.rate_hz, found.serial_number) == (30.0, "000000000001")
    assert found.connection == f"recording {recording.name}"
    assert found.warnings == (), "the USB port of then does not matter now"
    assert np.allclose(found.colour_translation, (0.015, 0.0, 0.0))
    images = []
    with pytest.raises(RecordingEndedError, match=rf"{recording.name} has ended"):
        read_on(camera, images)
    assert len(images) > COUNT // 2
    numbers = [x.number for x in images]
    assert numbers == sorted(set(numbers))
    stamps = np.array([x.stamp_ns for x in images])
    assert before_ns - 1e9 < stamps[0] < time.time_ns()
    steps = np.diff(stamps) / np.diff(numbers)
    assert np.median(steps) == pytest.approx(PERIOD_NS, rel=0.1)
    for x in images:
        assert tuple(x.colour[24, 32]) == (200, 100, 50)
        assert x.colour[0, 0, 0] == x.number
        assert x.depth_unit_m == pytest.approx(0.0005)
        assert x.depth[24, 32] * x.depth_unit_m == pytest.approx(0.8, abs=0.001)


def test_a_loop_starts_again_with_stamps_that_rise(play):
    camera = play(loop=True)
    images = [camera.read(3.0) for _ in range(COUNT + 5)]
    numbers = np.diff([x.number for x in images])
    assert np.count_nonzero(numbers < 0) >= 1
    assert np.all(np.diff([x.stamp_ns for x in images]) > 0)


def test_colour_that_was_recorded_as_bgr_is_rgb(recording):
    class Swapped:
        """The library, which names the recorded colour BGR."""

        def __getattr__(self, name):
            return getattr(rs, name)

        format = SimpleNamespace(rgb8=rs.format.bgr8, bgr8=rs.format.rgb8, z16=rs.format.z16)

    camera = RealSenseRecording(Swapped(), CameraSettings(bag=str(recording)))
    assert tuple(camera.read(3.0).colour[24, 32]) == (50, 100, 200)
    camera.close()


@pytest.mark.parametrize(
    ("settings", "kind", "message"),
    [
        ({"width": 640, "height": 480}, UnsupportedProfileError, "nearest are 64x48 at 30 Hz"),
        ({"exposure_us": 800}, ConfigurationError, "cannot set the exposure of a recording"),
        ({"laser_power": 0.5}, ConfigurationError, "cannot set the projector of a recording"),
    ],
)
def test_what_a_recording_does_not_have_is_refused(play, settings, kind, message):
    with pytest.raises(kind, match=message):
        play(**settings)


@pytest.mark.parametrize("name", ["none.bag", "text.bag", "cut.db3"])
def test_a_file_that_is_no_recording_is_refused_and_not_waited_for(recording, tmp_path, name):
    path = tmp_path / name
    if name == "text.bag":
        path.write_text("no recording")
    if name == "cut.db3":
        path.write_bytes(recording.read_bytes()[:20_000])
    with pytest.raises(CameraError, match=r"cannot be played .*expected a complete recording") as e:
        open_realsense(rs, CameraSettings(bag=str(path)))
    assert not isinstance(e.value, CameraUnavailableError)
