"""Prepared faults of the images are named, and only they."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import cv2
import numpy as np
import pytest

from sdfpose_core.messages.encoding import camera_info_message
from sdfpose_core.observation.frame import InstanceLabel
from sdfpose_core.simulation import simulated_frame
from sdfpose_core.simulation.scene import CameraPose
from sdfpose_core.simulation.tabletop import TABLE_CAMERA, orbit, table_scene


def moved(depth, right: int, down: int):
    motion = np.array([[1.0, 0.0, right], [0.0, 1.0, down]])
    return cv2.warpAffine(depth, motion, depth.shape[::-1], flags=cv2.INTER_NEAREST)


def blurred(image, length: int, *, vertical: bool = False):
    kernel = np.full((length, 1) if vertical else (1, length), 1.0 / length, np.float32)
    return cv2.filter2D(image, -1, kernel)


FRAME_FAULTS: Mapping[str, tuple[str, Callable]] = {
    "depth moved right": ("alignment", lambda x: {"depth": moved(x.depth, 20, 0)}),
    "depth moved up": ("alignment", lambda x: {"depth": moved(x.depth, 0, -20)}),
    "most depth missing": (
        "missing depth",
        lambda x: {
            "depth": np.where(np.arange(x.depth.size).reshape(x.depth.shape) % 8, 0, x.depth)
        },
    ),
    "no depth": ("missing depth", lambda x: {"depth": np.zeros_like(x.depth)}),
    "dark": ("exposure", lambda x: {"colour": (0.05 * x.colour).astype(np.uint8)}),
    "black": ("exposure", lambda x: {"colour": np.zeros_like(x.colour)}),
    "one grey": ("exposure", lambda x: {"colour": np.full_like(x.colour, 128)}),
    "overexposed": (
        "exposure",
        lambda x: {"colour": np.minimum(4.0 * x.colour, 255.0).astype(np.uint8)},
    ),
    "motion": ("sharpness", lambda x: {"colour": blurred(x.colour, 17)}),
    "vertical motion": ("sharpness", lambda x: {"colour": blurred(x.colour, 17, vertical=True)}),
    "out of focus": ("sharpness", lambda x: {"colour": cv2.GaussianBlur(x.colour, (0, 0), 5.0)}),
    "ids without labels": ("masks", lambda x: {"labels": {90: InstanceLabel("mug")}}),
}


@pytest.mark.parametrize("fault", FRAME_FAULTS)
def test_a_fault_of_the_images_is_named(cameras, table_views, printed_views, fault):
    name, change = FRAME_FAULTS[fault]
    for frames in (table_views, printed_views):
        findings = cameras.findings(cameras.with_frames(frames, change))
        assert cameras.by_level(findings, "fault") == {name}
        assert all(x.remedy for x in findings if x.level != "ok")


@pytest.mark.parametrize(
    ("factor", "encoding", "unit"),
    [(1000.0, "32FC1", "0.001"), (10.0, "16UC1", "0.0001"), (0.1, "16UC1", "0.01")],
)
def test_a_wrong_unit_is_named_with_the_right_one(
    cameras, bags, table_views, factor, encoding, unit
):
    kind = {"32FC1": np.float32, "16UC1": np.uint16}[encoding]

    def change(messages, _):
        depth = messages["depth"]
        millimetres = np.frombuffer(depth.data, np.uint16).reshape(depth.height, depth.width)
        published = millimetres * (factor if encoding == "16UC1" else 0.001 * factor)
        return {**messages, "depth": bags.image(published.astype(kind), encoding, depth.header)}

    findings = cameras.findings(table_views, change)
    (finding,) = [x for x in findings if x.level == "fault"]
    assert finding.name == "depth unit"
    assert f"depth_unit to {unit}" in finding.text


def test_depth_of_another_resolution_is_named(cameras, bags, table_views):
    def change(messages, _):
        depth = messages["depth"]
        pixels = np.frombuffer(depth.data, np.uint16).reshape(depth.height, depth.width)
        return {**messages, "depth": bags.image(pixels[::2, ::2], "16UC1", depth.header)}

    findings = cameras.findings(table_views, change)
    assert cameras.by_level(findings, "fault") == {"alignment"}
    text = next(x.text for x in findings if x.name == "alignment")
    assert text.startswith("depth has 320x240 pixels and colour 640x480")


def test_depth_of_another_camera_is_named(cameras, table_views):
    """The raw depth of a stereo camera: a wider field of view, 5 cm beside colour."""
    scene, rng = table_scene(1), np.random.default_rng(0)
    wide = replace(TABLE_CAMERA, fx=460.0, fy=460.0)
    frames = []
    for frame, time_s in zip(table_views, (0.0, 9.0, 25.0), strict=True):
        pose = orbit(time_s)
        beside = CameraPose(pose.rotation, pose.translation + 0.05 * pose.rotation[:, 0])
        depth = simulated_frame(scene, wide, beside, rng, colour=False)[0].depth
        frames.append(replace(frame, depth=depth))
    findings = cameras.findings(frames)
    assert cameras.by_level(findings, "fault") == {"alignment"}
    text = next(x.text for x in findings if x.name == "alignment")
    assert "enlarged by 1." in text


@pytest.mark.parametrize(
    ("size", "named"),
    [((1280, 960), "far from the centre of 640x480"), ((1280, 720), "those of 1280x720 pixels")],
)
def test_intrinsics_of_another_resolution_are_named(cameras, bags, table_views, size, named):
    def change(messages, _):
        other = TABLE_CAMERA.resize(*size)
        info = camera_info_message(bags.new, other, messages["camera_info"].header)
        if size == (1280, 960):  # the driver scales the size, but not the intrinsics
            info = replace(info, width=640, height=480)
        return {**messages, "camera_info": info}

    findings = cameras.findings(table_views, change)
    assert cameras.by_level(findings, "fault") == {"intrinsics"}
    assert named in next(x.text for x in findings if x.name == "intrinsics")


def test_distortion_is_a_warning(cameras, table_views):
    def change(messages, _):
        info = replace(messages["camera_info"], d=np.array([0.1, -0.2, 0.0, 0.0, 0.0]))
        return {**messages, "camera_info": info}

    findings = cameras.findings(table_views, change)
    assert cameras.by_level(findings, "fault") == set()
    assert cameras.by_level(findings, "warning") == {"intrinsics"}
