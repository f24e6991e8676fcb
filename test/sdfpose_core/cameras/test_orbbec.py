"""The adapter of Orbbec cameras on a fake of the Orbbec SDK; no device was at hand."""

from __future__ import annotations

from enum import Enum
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from camera_contract import HEIGHT, WIDTH, check_camera, colour_pixels, depth_pixels, namespace

from sdfpose_core.cameras.camera import CameraSettings
from sdfpose_core.cameras.errors import (
    CameraAbsentError,
    CameraBusyError,
    CameraLostError,
    UnsupportedProfileError,
)
from sdfpose_core.cameras.orbbec import OrbbecCamera
from sdfpose_core.errors import ConfigurationError


class FakeSdk:
    """The part of pyorbbecsdk that the adapter uses."""

    OBError = type("OBError", (Exception,), {})
    OBFormat = Enum("OBFormat", "RGB MJPG Y16 YUYV")
    OBSensorType = Enum("OBSensorType", "COLOR_SENSOR DEPTH_SENSOR")
    OBStreamType = Enum("OBStreamType", "COLOR_STREAM")
    OBFrameAggregateOutputMode = Enum("OBFrameAggregateOutputMode", "FULL_FRAME_REQUIRE")
    OBPropertyID = Enum("OBPropertyID", "OB_PROP_LASER_POWER_LEVEL_CONTROL_INT")
    OBPermissionType = Enum("OBPermissionType", "PERMISSION_WRITE")
    OBCameraDistortionModel = Enum(
        "OBCameraDistortionModel",
        "NONE MODIFIED_BROWN_CONRADY INVERSE_BROWN_CONRADY BROWN_CONRADY BROWN_CONRADY_K6 "
        "KANNALA_BRANDT4",
    )

    def __init__(self, colour_format="RGB", serials=("A1",), connection="USB3.1", rates=(30,)):
        self.format, self.serials, self.connection = colour_format, serials, connection
        self.rates = rates
        self.number, self.enabled, self.laser = 0, [], None
        self.busy = self.gone = self.silent = self.stopped = False
        self.AlignFilter = self.make_align

    def Context(self):  # noqa: N802
        count = len(self.serials)
        return namespace(
            query_devices=SimpleNamespace(
                get_count=lambda: count,
                get_device_serial_number_by_index=lambda i: self.serials[i],
                get_device_name_by_index=lambda i: "Gemini 335",
                get_device_by_index=self.device,
            )
        )

    def device(self, index):
        if self.busy:
            raise self.OBError("device resource busy")
        info = namespace(
            get_name="Gemini 335",
            get_serial_number=self.serials[index],
            get_connection_type=self.connection,
        )
        return SimpleNamespace(
            get_device_info=lambda: info,
            is_property_supported=lambda *_: True,
            get_int_property_range=lambda _: SimpleNamespace(min=0, max=6),
            set_int_property=lambda _, level: setattr(self, "laser", level),
        )

    def profile(self, sensor, rate):
        is_colour = sensor == self.OBSensorType.COLOR_SENSOR
        pixels = self.OBFormat[self.format] if is_colour else self.OBFormat.Y16
        intrinsic = SimpleNamespace(width=WIDTH, height=HEIGHT, fx=600, fy=601, cx=320, cy=240)
        distortion = SimpleNamespace(
            model=self.OBCameraDistortionModel.BROWN_CONRADY_K6,
            **{f"k{i}": 0.1 * i for i in range(1, 7)}, p1=0.01, p2=0.02,
        )  # fmt: skip
        profile = namespace(
            get_width=WIDTH, get_height=HEIGHT, get_fps=rate, get_format=pixels,
            get_intrinsic=intrinsic, get_distortion=distortion,
            get_extrinsic_to=SimpleNamespace(
                rot=np.eye(3, dtype=np.float32), transform=np.array([-25.0, 0.0, 0.0])
            ),
        )  # fmt: skip
        profile.as_video_stream_profile = lambda: profile
        return profile

    def Pipeline(self, _):  # noqa: N802
        return SimpleNamespace(
            get_stream_profile_list=lambda sensor: SimpleNamespace(
                get_count=lambda: len(self.rates),
                get_stream_profile_by_index=lambda i: self.profile(sensor, self.rates[i]),
            ),
            enable_frame_sync=lambda: None,
            start=lambda _: None,
            stop=lambda: setattr(self, "stopped", True),
            wait_for_frames=self.wait,
        )

    def Config(self):  # noqa: N802
        return SimpleNamespace(
            enable_stream=self.enabled.append, set_frame_aggregate_output_mode=lambda _: None
        )

    def make_align(self, align_to_stream):
        assert align_to_stream == self.OBStreamType.COLOR_STREAM
        return SimpleNamespace(process=lambda frames: namespace(as_frame_set=frames))

    def wait(self, milliseconds):
        assert isinstance(milliseconds, int)
        if self.gone:
            raise self.OBError("camera disconnected")
        if self.silent:
            return None
        self.number += 1
        data = colour_pixels()
        if self.format == "MJPG":
            _, data = cv2.imencode(".jpg", cv2.cvtColor(data, cv2.COLOR_RGB2BGR), [1, 100])
        common = {"get_height": HEIGHT, "get_width": WIDTH, "get_index": self.number}
        return namespace(
            get_color_frame=namespace(
                get_data=np.frombuffer(data.tobytes(), np.uint8),
                get_format=self.OBFormat[self.format],
                get_timestamp_us=33_333 * self.number,
                **common,
            ),
            get_depth_frame=namespace(
                get_data=np.frombuffer((2 * depth_pixels()).tobytes(), np.uint8),
                get_depth_scale=0.5,  # millimetres per unit
                **common,
            ),
        )


@pytest.mark.parametrize("pixel_format", ["RGB", "MJPG"])
def test_the_contract(pixel_format):
    sdk = FakeSdk(pixel_format)
    camera = OrbbecCamera(sdk, CameraSettings(serial_number="A1", laser_power=0.5))
    found = check_camera(camera, "A1")
    assert found.distortion.model == "rational_polynomial"
    assert np.allclose(found.distortion.coefficients, (0.1, 0.2, 0.01, 0.02, 0.3, 0.4, 0.5, 0.6))
    assert np.allclose(found.colour_translation, (-0.025, 0.0, 0.0))
    assert len(sdk.enabled) == 2
    assert sdk.laser == 3
    camera.close()
    assert sdk.stopped


def test_no_camera_a_busy_one_and_another_one_are_told():
    with pytest.raises(CameraAbsentError, match="no Orbbec camera found"):
        OrbbecCamera(FakeSdk(serials=()), CameraSettings())
    with pytest.raises(CameraAbsentError, match="serial number B2: expected one of A1"):
        OrbbecCamera(FakeSdk(), CameraSettings(serial_number="B2"))
    sdk = FakeSdk()
    sdk.busy = True
    with pytest.raises(CameraBusyError, match="Gemini 335 is busy"):
        OrbbecCamera(sdk, CameraSettings())


def test_an_unplugged_or_silent_camera_is_lost():
    sdk = FakeSdk()
    camera = OrbbecCamera(sdk, CameraSettings())
    sdk.silent = True
    with pytest.raises(CameraLostError, match="sends no images"):
        camera.read(0.1)
    sdk.gone = True
    with pytest.raises(CameraLostError, match=r"was lost .camera disconnected"):
        camera.read(0.1)


def test_profiles():
    with pytest.raises(UnsupportedProfileError, match="nearest are 640x480 at 30 Hz"):
        OrbbecCamera(FakeSdk(), CameraSettings(width=1920, height=1080))
    camera = OrbbecCamera(FakeSdk(connection="USB2.1", rates=(15,)), CameraSettings())
    assert "in place of 640x480 at 30 Hz" in camera.description.warnings[0]


def test_what_is_not_offered_is_refused():
    with pytest.raises(ConfigurationError, match="cannot set the exposure of Orbbec"):
        OrbbecCamera(FakeSdk(), CameraSettings(exposure_us=8000))
    with pytest.raises(ConfigurationError, match=r"filters spatial: .*expected no filter"):
        OrbbecCamera(FakeSdk(), CameraSettings(filters=frozenset({"spatial"})))


def test_the_names_of_the_fake_are_those_of_the_sdk():
    ob = pytest.importorskip(
        "pyorbbecsdk", reason="pyorbbecsdk2 is not installed: pip install --no-deps pyorbbecsdk2"
    )
    for kind, values in vars(FakeSdk).items():
        if isinstance(values, type) and issubclass(values, Enum):
            for value in values:
                assert hasattr(getattr(ob, kind), value.name)
    assert issubclass(ob.OBError, Exception)
    methods = {
        "Context": "query_devices",
        "DeviceList": "get_count get_device_serial_number_by_index get_device_by_index",
        "Device": "get_device_info is_property_supported get_int_property_range set_int_property",
        "DeviceInfo": "get_name get_serial_number get_connection_type",
        "Pipeline": "get_stream_profile_list enable_frame_sync start stop wait_for_frames",
        "Config": "enable_stream set_frame_aggregate_output_mode",
        "StreamProfileList": "get_count get_stream_profile_by_index",
        "VideoStreamProfile": "get_width get_height get_fps get_format get_intrinsic "
        "get_distortion get_extrinsic_to as_video_stream_profile",
        "AlignFilter": "process",
        "FrameSet": "get_color_frame get_depth_frame as_frame_set",
        "ColorFrame": "get_data get_format get_height get_width get_timestamp_us get_index",
        "DepthFrame": "get_data get_height get_width get_depth_scale",
    }
    for kind, names in methods.items():
        for name in names.split():
            assert hasattr(getattr(ob, kind), name), f"{kind}.{name}"
