"""The adapter of OAK cameras on a fake of DepthAI; no device was at hand."""

from __future__ import annotations

from datetime import timedelta
from enum import Enum
from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import pytest
from camera_contract import check_camera, colour_pixels, depth_pixels, namespace

from sdfpose_core.cameras.camera import CameraSettings
from sdfpose_core.cameras.errors import (
    CameraAbsentError,
    CameraBusyError,
    CameraLostError,
    UnsupportedProfileError,
)
from sdfpose_core.cameras.oak import OakCamera

FIRST_S = 1000.0


class FakeDepthai:
    """The part of depthai that the adapter uses; nodes are mocks that note their calls."""

    UsbSpeed = Enum("UsbSpeed", "UNKNOWN LOW FULL HIGH SUPER SUPER_PLUS")
    Platform = Enum("Platform", "RVC2 RVC4")
    CameraBoardSocket = Enum("CameraBoardSocket", "CAM_A CAM_B CAM_C")
    LengthUnit = Enum("LengthUnit", "METER")
    MessageQueue = SimpleNamespace(QueueException=type("QueueException", (Exception,), {}))
    node = SimpleNamespace(Camera="Camera", StereoDepth="Stereo", Sync="Sync", ImageAlign="Align")
    Clock = SimpleNamespace(now=staticmethod(lambda: timedelta(seconds=FIRST_S + 1.0)))

    def __init__(self, ids=("14442C",), speed="SUPER", platform="RVC2"):
        self.number, self.silent, self.gone, self.busy, self.laser = 0, False, False, False, None
        self.nodes, self.started, self.stopped = {}, False, False
        self.speed, self.platform = self.UsbSpeed[speed], self.Platform[platform]
        infos = [namespace(getDeviceId=x) for x in ids]
        self.Device = self.make_device
        self.Device.__func__.getAllAvailableDevices = lambda: infos

    def make_device(self, info):
        if self.busy:
            raise RuntimeError("X_LINK_DEVICE_ALREADY_IN_USE: already in use")
        extrinsics = np.eye(4)
        extrinsics[0, 3] = 0.0375
        return SimpleNamespace(
            getProductName=lambda: "OAK-D S2",
            getDeviceId=info.getDeviceId,
            getUsbSpeed=lambda: self.speed,
            getPlatform=lambda: self.platform,
            setIrLaserDotProjectorIntensity=lambda x: setattr(self, "laser", x),
            readCalibration=lambda: namespace(getCameraExtrinsics=extrinsics.tolist()),
            close=lambda: None,
        )

    def Pipeline(self, _):  # noqa: N802
        def create(kind):
            made = MagicMock(name=kind)
            made.build.return_value = made
            if kind == "Sync":
                made.out.createOutputQueue.return_value = SimpleNamespace(get=self.get)
            self.nodes.setdefault(kind, []).append(made)
            return made

        return SimpleNamespace(
            create=create,
            start=lambda: setattr(self, "started", True),
            stop=lambda: setattr(self, "stopped", True),
        )

    def get(self, timeout):
        assert isinstance(timeout, timedelta)
        if self.gone:
            raise self.MessageQueue.QueueException("closed")
        if self.silent:
            return None
        self.number += 1
        k = [[500.0, 0.0, 320.0], [0.0, 500.0, 240.0], [0.0, 0.0, 1.0]]
        return {
            "colour": namespace(
                getCvFrame=colour_pixels()[..., ::-1],
                getTimestamp=timedelta(seconds=FIRST_S + self.number / 15.0),
                getSequenceNum=self.number,
                getTransformation=namespace(getIntrinsicMatrix=k),
            ),
            "depth": namespace(getFrame=depth_pixels()),
        }


@pytest.mark.parametrize("platform", ["RVC2", "RVC4"])
def test_the_contract(platform):
    dai = FakeDepthai(platform=platform)
    settings = CameraSettings(serial_number="14442C", exposure_us=9000, laser_power=0.7)
    camera = OakCamera(dai, settings)
    found = check_camera(camera, "14442C")
    assert found.distortion.is_zero, "the device removes it"
    assert found.camera.fx == 500.0
    assert found.connection == "USB SUPER"
    assert dai.laser == 0.7
    colour, left, _ = dai.nodes["Camera"]
    assert colour.build.call_args.args == (dai.CameraBoardSocket.CAM_A,)
    assert colour.requestOutput.call_args.args == ((640, 480),)
    assert colour.requestOutput.call_args.kwargs == {"fps": 15.0, "enableUndistortion": True}
    assert colour.initialControl.setManualExposure.call_args.args[0] == 9000
    assert left.requestOutput.return_value.link.called
    assert ("Align" in dai.nodes) == (platform == "RVC4")
    camera.close()
    assert dai.stopped


def test_no_camera_and_a_busy_one_are_told():
    with pytest.raises(CameraAbsentError, match="no OAK camera found"):
        OakCamera(FakeDepthai(ids=()), CameraSettings())
    dai = FakeDepthai()
    dai.busy = True
    with pytest.raises(CameraBusyError, match="OAK 14442C is busy"):
        OakCamera(dai, CameraSettings())


def test_an_unplugged_or_silent_camera_is_lost():
    dai = FakeDepthai()
    camera = OakCamera(dai, CameraSettings())
    dai.silent = True
    with pytest.raises(CameraLostError, match="OAK-D S2 sends no images"):
        camera.read(0.1)
    dai.gone = True
    with pytest.raises(CameraLostError, match="was lost"):
        camera.read(0.1)


def test_profiles():
    slow = OakCamera(FakeDepthai(speed="HIGH"), CameraSettings())
    assert "USB 2" in slow.description.warnings[0]
    with pytest.raises(UnsupportedProfileError, match="does not send 640x480 at 120 Hz"):
        OakCamera(FakeDepthai(), CameraSettings(rate_hz=120.0))


def test_the_names_of_the_fake_are_those_of_depthai():
    dai = pytest.importorskip(
        "depthai", reason="depthai is not installed: pip install 'sdfpose[oak]'"
    )
    for kind in ("UsbSpeed", "Platform", "CameraBoardSocket", "LengthUnit"):
        for value in getattr(FakeDepthai, kind):
            assert hasattr(getattr(dai, kind), value.name)
    assert issubclass(dai.MessageQueue.QueueException, Exception)
    methods = {
        dai.Device: "getAllAvailableDevices getProductName getDeviceId getUsbSpeed getPlatform "
        "setIrLaserDotProjectorIntensity readCalibration close",
        dai.DeviceInfo: "getDeviceId",
        dai.Pipeline: "create start stop",
        dai.node.Camera: "build requestOutput initialControl",
        dai.node.StereoDepth: "left right depth inputAlignTo",
        dai.node.ImageAlign: "input inputAlignTo outputAligned",
        dai.node.Sync: "setSyncThreshold inputs out",
        dai.MessageQueue: "get",
        dai.ImgFrame: "getCvFrame getFrame getTimestamp getSequenceNum getTransformation",
        dai.ImgTransformation: "getIntrinsicMatrix",
        dai.CameraControl: "setManualExposure",
        dai.CalibrationHandler: "getCameraExtrinsics",
    }
    for kind, names in methods.items():
        for name in names.split():
            assert hasattr(kind, name), f"{kind}.{name}"
