"""A camera that goes away and comes back; clock, profiles, rectification, packages."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdfpose_core.cameras import makers
from sdfpose_core.cameras.camera import CameraDescription, Distortion, RgbdImages
from sdfpose_core.cameras.clock import DeviceClock
from sdfpose_core.cameras.errors import (
    CameraAbsentError,
    CameraBusyError,
    CameraLostError,
    CameraUnavailableError,
    UnsupportedProfileError,
    open_error,
)
from sdfpose_core.cameras.makers import MAKERS, load_package, open_camera, require_package
from sdfpose_core.cameras.profiles import Profile, choose_profile
from sdfpose_core.cameras.rectification import Rectifier
from sdfpose_core.cameras.supervision import CameraCounts, SupervisedCamera
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.geometry.camera import PinholeCamera

CAMERA = PinholeCamera(64, 48, 60.0, 60.0, 31.5, 23.5)


class ScriptedCamera:
    """Gives frames with these numbers, then is lost."""

    description = CameraDescription("Test", "7", "USB 3.2", 30.0, CAMERA, warnings=("slow port",))

    def __init__(self, numbers):
        self.numbers, self.closed = list(numbers), False

    def read(self, timeout_s):
        if not self.numbers:
            raise CameraLostError("Test was unplugged")
        pixels = np.zeros((48, 64), np.uint16)
        return RgbdImages(np.zeros((48, 64, 3), np.uint8), pixels, 0.001, 0, self.numbers.pop(0))

    def close(self):
        self.closed = True


class Log:
    def __init__(self):
        self.lines = []

    def info(self, message):
        self.lines.append(f"info {message}")

    def warning(self, message):
        self.lines.append(f"warning {message}")


def supervised(outcomes):
    """A camera whose openings have these outcomes; gives it, its log and its waits."""
    log, waits, left = Log(), [], iter(outcomes)

    def opened():
        outcome = next(left)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return SupervisedCamera(opened, log, waits.append, 1.0), log, waits


def test_an_unplugged_camera_is_told_once_and_found_again():
    first, second = ScriptedCamera([5, 6, 9]), ScriptedCamera([0, 1])
    absent = CameraAbsentError("none found")
    camera, log, waits = supervised([first, *[absent] * 7, second])
    camera.start(wait=False)
    read = [camera.read() for _ in range(3)]
    assert all(x is not None for x in read)
    assert camera.counts == CameraCounts(frames=3, lost=2)
    assert camera.read() is None
    assert first.closed
    assert "was unplugged; waiting for the camera to come back" in camera.problem
    assert camera.description is None
    assert [camera.read() for _ in range(8)] == [None] * 8
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0, 8.0], "bounded"
    assert camera.read() is not None
    assert camera.counts == CameraCounts(frames=4, lost=2, reconnects=1)
    assert camera.problem == ""
    found = "info Test, serial number 7, USB 3.2: 64x48 at 30 Hz"
    assert log.lines == [
        found,
        "warning slow port",
        "warning Test was unplugged; waiting for the camera to come back",
        found,
        "warning slow port",
    ]


def test_a_busy_camera_is_told_once_while_it_is_waited_for():
    busy = CameraBusyError("Test is busy")
    camera, log, _ = supervised([busy, busy, busy, ScriptedCamera([0])])
    camera.start(wait=True)
    for _ in range(3):
        assert camera.read() is None
    assert camera.read() is not None
    assert sum("busy" in x for x in log.lines) == 1


def test_without_waiting_the_start_fails_and_other_errors_always_end_it():
    camera, _, _ = supervised([CameraAbsentError("none found")])
    with pytest.raises(CameraAbsentError):
        camera.start(wait=False)
    wrong = UnsupportedProfileError("no such profile")
    camera, _, _ = supervised([ScriptedCamera([]), wrong])
    camera.start(wait=True)
    assert camera.read() is None
    with pytest.raises(UnsupportedProfileError):
        camera.read()


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("xioctl(VIDIOC_S_FMT) failed, errno=16 Device or resource busy", CameraBusyError, "busy"),
        ("failed to set power state", CameraBusyError, "end the other one"),
        ("RS2_USB_STATUS_ACCESS", CameraUnavailableError, "udev rules"),
        ("hwmon timeout", CameraUnavailableError, "plug it in again"),
        ("", CameraUnavailableError, "RuntimeError"),
    ],
)
def test_errors_of_the_libraries_are_translated(text, kind, message):
    error = open_error("D435", RuntimeError(text))
    assert type(error) is kind
    assert message in str(error)


def test_profiles_are_chosen_by_equality_and_else_refused():
    available = [Profile(640, 480, 29.97), Profile(1280, 720, 30.0), Profile(424, 240, 60.0)]
    assert choose_profile("C", Profile(640, 480, 30.0), available) == (available[0], ())
    with pytest.raises(UnsupportedProfileError, match=r"nearest are 640x480 at 29\.97 Hz, "):
        choose_profile("C", Profile(640, 400, 30.0), available)
    with pytest.raises(UnsupportedProfileError, match="none for colour with depth"):
        choose_profile("C", Profile(640, 400, 30.0), [])


def test_on_usb_2_nothing_larger_is_taken():
    available = [Profile(1280, 720, 6.0), Profile(640, 480, 15.0), Profile(424, 240, 30.0)]
    chosen, warnings = choose_profile("C", Profile(640, 480, 30.0), available, slow=True)
    assert chosen == available[1]
    assert len(warnings) == 1
    same, warnings = choose_profile("C", available[1], available, slow=True)
    assert same == available[1]
    assert "expected USB 3" in warnings[0]


@given(
    st.lists(st.integers(0, 30_000_000), min_size=2, max_size=300),
    st.floats(-5e-5, 5e-5),
    st.integers(-(10**18), 10**18),
)
def test_stamps_of_a_camera_clock_rise_and_are_near_the_truth(delays_ns, drift, offset_ns):
    clock, period_ns = DeviceClock(), 100_000_000
    stamps = []
    for i, delay in enumerate(delays_ns):
        true_ns = i * period_ns
        device_ns = offset_ns + round(true_ns * (1.0 + drift))
        stamps.append(clock.stamp_ns(device_ns, true_ns + delay))
        least = min(delays_ns[: i + 1])
        # As late as the quickest message of the window, and what the clocks drift in two windows.
        assert -1_100_000 <= stamps[-1] - true_ns <= max(delays_ns) + 1_100_000
        if i < 100:
            assert stamps[-1] - true_ns <= least + 1_100_000
    assert all(b > a for a, b in itertools.pairwise(stamps))


def test_a_camera_clock_that_starts_again_is_followed():
    clock = DeviceClock()
    assert clock.stamp_ns(10**12, 5 * 10**12) == 5 * 10**12
    assert clock.stamp_ns(10**9, 6 * 10**12) == 6 * 10**12


def test_rectification_straightens_and_keeps_depth_values():
    distortion = Distortion("plumb_bob", (-0.3, 0.1, 0.0, 0.0, 0.0))
    wide = PinholeCamera(320, 240, 200.0, 200.0, 159.5, 119.5)
    rng = np.random.default_rng(0)
    values = rng.choice(np.array([500, 900, 1500], np.uint16), (240, 320))
    images = RgbdImages(rng.integers(0, 255, (240, 320, 3), np.uint8), values, 0.001, 5, 6)
    out = Rectifier(wide, distortion)(images)
    assert set(np.unique(out.depth)) <= {0, 500, 900, 1500}
    assert (out.stamp_ns, out.number, out.colour.shape) == (5, 6, (240, 320, 3))
    # A pixel comes from where the lens puts its ray.
    u, v = 60, 40
    x, y = (u - 159.5) / 200.0, (v - 119.5) / 200.0
    factor = 1.0 - 0.3 * (x * x + y * y) + 0.1 * (x * x + y * y) ** 2
    from_u, from_v = round(x * factor * 200.0 + 159.5), round(y * factor * 200.0 + 119.5)
    near = values[from_v - 1 : from_v + 2, from_u - 1 : from_u + 2]
    assert out.depth[v, u] in near


def test_fisheye_lenses_are_rectified_too():
    camera = PinholeCamera(320, 240, 200.0, 200.0, 159.5, 119.5)
    pixels = np.full((240, 320), 700, np.uint16)
    images = RgbdImages(np.zeros((240, 320, 3), np.uint8), pixels, 0.001, 0, 0)
    out = Rectifier(camera, Distortion("equidistant", (0.01, 0.0, 0.0, 0.0)))(images)
    assert out.depth[120, 160] == 700


@pytest.mark.parametrize("name", MAKERS)
def test_a_package_that_is_not_installed_is_named_with_its_command(name, monkeypatch):
    monkeypatch.setattr(makers.importlib.util, "find_spec", lambda _: None)

    def fail(module):
        raise ModuleNotFoundError(f"No module named '{module}'", name=module)

    expected = f'need {MAKERS[name].package}, which is not installed: run "{MAKERS[name].install}'
    with pytest.raises(ConfigurationError) as error:
        require_package(name)
    assert expected in str(error.value)
    monkeypatch.setattr(makers.importlib, "import_module", fail)
    with pytest.raises(ConfigurationError) as error:
        load_package(name)
    assert expected in str(error.value)


def test_unknown_kinds_are_refused():
    with pytest.raises(ConfigurationError, match="camera 'webcam' is unknown: expected one of"):
        open_camera("webcam", None)


def test_a_kind_is_opened_by_its_adapter(monkeypatch):
    import sdfpose_core.cameras.oak as oak

    monkeypatch.setattr(makers, "load_package", lambda name: f"package of {name}")
    monkeypatch.setattr(oak, "OakCamera", lambda package, settings: (package, settings))
    assert open_camera("oak", "settings") == ("package of oak", "settings")
    for maker in MAKERS.values():
        module, _, adapter = maker.adapter.partition(".")
        loaded = makers.importlib.import_module(f"sdfpose_core.cameras.{module}")
        assert hasattr(loaded, adapter)
