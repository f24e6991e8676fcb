"""Bags and frame folders as cameras."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from sdfpose_core.categories import default_categories
from sdfpose_core.datasets import write_frame
from sdfpose_core.diagnosis.alignment import check_alignment
from sdfpose_core.diagnosis.depth import check_depth_unit
from sdfpose_core.diagnosis.recordings import bag_sample, folder_sample
from sdfpose_core.errors import BagError, FrameError


@pytest.fixture
def frames(table_frames):
    return [x for x, _ in table_frames]


@pytest.fixture
def folder(table_frames, tmp_path):
    for i, (frame, truths) in enumerate(table_frames):
        write_frame(tmp_path / "frames" / f"{i:03d}", frame, truths)
    return tmp_path / "frames"


def test_a_bag_is_sampled(bags, frames, tmp_path):
    sample = bag_sample(bags.write(tmp_path / "bag", frames))
    assert len(sample.headers) == 25
    assert {x.role for x in sample.headers} == {"colour", "depth", "mask", "camera_info", "labels"}
    np.testing.assert_array_equal(sample.streams()["depth"].stamps_ns, [x.stamp_ns for x in frames])
    assert [x.level for x in sample.findings] == ["ok"]
    shown = sample.views[0]
    np.testing.assert_array_equal(shown.colour, frames[0].colour)
    np.testing.assert_allclose(shown.depth, frames[0].depth, atol=1e-6)
    np.testing.assert_array_equal(shown.mask, frames[0].mask)
    assert shown.camera == frames[0].camera
    assert {i: x.category for i, x in shown.labels.items()} == {
        i: x.category for i, x in frames[0].labels.items()
    }


def test_the_first_seconds_of_a_bag(bags, frames, tmp_path):
    # The bag has a message each millisecond, and five of an image.
    sample = bag_sample(bags.write(tmp_path / "bag", frames), seconds=0.0095)
    assert len(sample.headers) == 10


def test_a_bag_without_depth_says_which_topics_there_are(bags, frames, tmp_path):
    path = bags.write(tmp_path / "bag", frames, without=("/camera/depth",))
    (finding,) = bag_sample(path).findings
    assert (finding.level, finding.name) == ("fault", "topics")
    assert "has no topic for depth" in finding.text


def test_a_topic_of_a_bag_without_messages_is_named(bags, frames, tmp_path):
    messages = [
        {k: x for k, x in bags.messages_of(frame).items() if k != "/camera/depth"}
        for frame in frames
    ]
    findings = bag_sample(bags.write(tmp_path / "bag", messages)).findings
    assert [(x.level, x.text) for x in findings[1:]] == [("fault", "/camera/depth: no message")]


def test_what_is_not_there_is_an_error(tmp_path):
    with pytest.raises(BagError, match="no such bag"):
        bag_sample(tmp_path / "none")
    with pytest.raises(FrameError, match="no such folder"):
        folder_sample(tmp_path / "none")


def test_frame_folders_are_sampled(folder, frames):
    sample = folder_sample(folder)
    assert sample.findings == []
    assert len(sample.views) == len(frames)
    np.testing.assert_array_equal(sample.views[2].mask, frames[2].mask)


def test_depth_of_frame_folders_is_not_limited(folder):
    sample = folder_sample(folder, depth_unit=1.0)
    assert float(np.median(sample.views[0].depth)) > 100.0
    assert check_depth_unit(sample.views, default_categories()).level == "fault"


def test_frames_that_cannot_be_read_are_counted(folder):
    for name in ("001", "003"):
        path = folder / name / "depth.png"
        cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[::2, ::2])
    (finding,) = folder_sample(folder).findings
    assert (finding.level, finding.name) == ("fault", "frames")
    assert "2 frames" in finding.text
    assert "is 160x120: expected 320x240" in finding.text


def test_frames_without_colour_are_judged_by_depth(folder):
    for path in folder.glob("*/color.png"):
        path.unlink()
    sample = folder_sample(folder)
    assert [x.level for x in sample.findings] == ["warning"]
    assert check_alignment(sample.views) is None
    assert all(x.colour is None for x in sample.views)


def test_views_without_masks(frames, bags, tmp_path):
    path = bags.write(tmp_path / "bag", frames, without=("/camera/mask", "/camera/labels"))
    assert all(x.mask is None and x.labels is None for x in bag_sample(path).views)


def test_float_depth_keeps_what_is_missing(frames, bags, tmp_path):
    depth = np.where(frames[0].depth == 0.0, np.nan, frames[0].depth).astype(np.float32)
    messages = bags.messages_of(frames[0])
    head = messages["/camera/depth"].header
    messages["/camera/depth"] = bags.image(depth, "32FC1", head)
    (view,) = bag_sample(bags.write(tmp_path / "bag", [messages])).views
    np.testing.assert_array_equal(view.depth, frames[0].depth)
    assert view.depth_unit == 1.0
    assert replace(view, depth=None).depth is None
