"""Frame folders and bags as unlabelled instances."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sdfpose_core.datasets import write_frame
from sdfpose_core.errors import ConfigurationError, FrameError
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.observation.frame import InstanceLabel, RgbdFrame
from sdfpose_core.selfsup.recordings import recorded_frames, recorded_instances


def frame(number: int, category: str = "can") -> RgbdFrame:
    """A ball over a wall."""
    v, u = np.mgrid[0:60, 0:80]
    ball = (u - 40) ** 2 + (v - 30) ** 2 < 20**2
    return RgbdFrame(
        colour=np.zeros((60, 80, 3), np.uint8),
        depth=np.where(ball, 0.5 + 0.001 * number, 0.8).astype(np.float32),
        mask=np.where(ball, 7, 0).astype(np.uint16),
        camera=PinholeCamera(80, 60, 90.0, 90.0, 40.0, 30.0),
        labels={7: InstanceLabel(category)},
        stamp_ns=number * 100_000_000,
        frame_id="optical",
    )


@pytest.fixture(params=["folders", "bag"])
def recording(request, tmp_path: Path, bags) -> Path:
    frames = [frame(0), frame(1, "bowl"), *(frame(i) for i in range(2, 7))]
    if request.param == "bag":
        return bags.write(tmp_path / "recording", frames)
    for i, item in enumerate(frames):
        write_frame(tmp_path / "recording" / f"{i:03d}", item)
    return tmp_path / "recording"


def test_instances_of_the_category_are_found_in_order(recording: Path) -> None:
    problems: list[str] = []
    found = recorded_instances(recording, "can", problems)
    assert [round(float(np.median(x.points[:, 2])), 3) for x in found] == [
        0.5, 0.502, 0.503, 0.504, 0.505, 0.506,
    ]  # fmt: skip
    assert problems == []


def test_every_nth_frame_is_taken(recording: Path) -> None:
    names = [name for name, _ in recorded_frames(recording, "can", [], every=3)]
    assert len(names) == 3
    with pytest.raises(ConfigurationError, match="every is 0: expected at least 1"):
        next(recorded_frames(recording, "can", [], every=0))


def test_without_a_topic_of_labels_all_instances_are_of_the_category(bags, tmp_path: Path) -> None:
    bag = bags.write(tmp_path / "bag", [frame(0), frame(1)], without=["/camera/labels"])
    assert [x.category for x in recorded_instances(bag, "mug", [])] == ["mug", "mug"]


def test_a_topic_may_be_given(bags, tmp_path: Path) -> None:
    bag = bags.write(tmp_path / "bag", [frame(0)], rename={"/camera/mask": "/ids"})
    assert len(recorded_instances(bag, "can", [], topics={"mask": "/ids"})) == 1


def test_a_recording_without_the_category_is_named(recording: Path) -> None:
    with pytest.raises(FrameError, match="recording: no usable instance of 'laptop'"):
        recorded_instances(recording, "laptop", [])
