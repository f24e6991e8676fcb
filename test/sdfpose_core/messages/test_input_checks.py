"""The checks of inputs: what the node logs, everything that reads a bag reports."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sdfpose_core.cli.main import main
from sdfpose_core.datasets import read_frame, read_frames, write_frame
from sdfpose_core.datasets.bags import Pairing, bag_frames
from sdfpose_core.errors import FrameError
from sdfpose_core.messages.decoding import LabelRules
from sdfpose_core.messages.encoding import compressed_depth_message, millimetres
from sdfpose_core.observation.frame import RgbdFrame
from sdfpose_core.samples import sample_frame
from sdfpose_core.selfsup.recordings import recorded_instances

FRAME = replace(read_frame(sample_frame()).frame, stamp_ns=1_000_000_000, frame_id="optical")
RULES = LabelRules({})
TENTH = np.clip(10 * millimetres(FRAME.depth).astype(int), 0, 65535).astype(np.uint16)


def changed(bags, **images):
    """Messages of three frames with other images or camera infos."""
    for i in range(3):
        messages = bags.messages_of(replace(FRAME, stamp_ns=FRAME.stamp_ns + i * 10**8))
        for name, change in images.items():
            topic = f"/camera/{name}"
            messages[topic] = change(messages[topic])
        yield messages


def with_depth(bags, pixels, encoding):
    return lambda message: bags.image(pixels, encoding, message.header)


def with_distortion(message):
    return replace(message, d=np.array([0.2, -0.1, 0.0, 0.0, 0.0]))


def read(path, **pairing) -> tuple[list[RgbdFrame], list[str]]:
    problems: list[str] = []
    return [
        x.frame for x in bag_frames(path, RULES, problems, pairing=Pairing(**pairing))
    ], problems


def test_a_good_bag_has_no_problems(bags, tmp_path):
    frames, problems = read(bags.write(tmp_path / "bag", changed(bags)))
    assert (len(frames), problems) == (3, [])


@pytest.mark.parametrize(
    ("pixels", "encoding", "problem", "unit"),
    [
        (TENTH, "16UC1", "/camera/depth: depth looks like units of 0.1 mm", 0.0001),
        (1000 * FRAME.depth, "32FC1", "at most 20 m (32FC1 is in metres", 0.001),
        (4 * millimetres(FRAME.depth), "mono16", "units of 0.25 mm (or 0.2 mm)", 0.00025),
    ],
)
def test_a_wrong_unit_is_counted_and_can_be_set(bags, tmp_path, pixels, encoding, problem, unit):
    depth = with_depth(bags, pixels, encoding)
    bag = bags.write(tmp_path / "bag", changed(bags, depth=depth))
    frames, problems = read(bag)
    assert len(frames) == 3
    assert len(problems) == 1
    assert f"{bag}: 3 frames: /camera/depth: " in problems[0]
    assert problem in problems[0]
    frames, problems = read(bag, depth_unit=unit)
    assert problems == []
    np.testing.assert_allclose(frames[0].depth, FRAME.depth, atol=1e-3)


def test_the_unit_of_compressed_depth_is_checked(bags, tmp_path):
    depth = {"/camera/depth/compressedDepth": "sensor_msgs/msg/CompressedImage"}
    messages = [
        x | {k: compressed_depth_message(bags.new, TENTH, x["/camera/depth"].header) for k in depth}
        for x in changed(bags)
    ]
    bag = bags.write(tmp_path / "bag", messages, without=["/camera/depth"], more=depth)
    _, (problem,) = read(bag)
    assert "/camera/depth/compressedDepth: depth looks like units of 0.1 mm" in problem
    assert read(bag, depth_unit=0.0001)[1] == []


def test_distortion_and_empty_masks_are_counted(bags, tmp_path):
    empty = with_depth(bags, np.zeros_like(FRAME.mask), "16UC1")
    bag = bags.write(tmp_path / "bag", changed(bags, camera_info=with_distortion, mask=empty))
    frames, problems = read(bag)
    assert len(frames) == 3
    assert [x.partition(" frames: ")[0] for x in problems] == [f"{bag}: 3", f"{bag}: 3"]
    assert "distortion coefficients [0.2, -0.1" in problems[0]
    assert "/camera/mask: the mask is empty" in problems[1]


def test_problems_of_a_bag_are_reported_if_the_reader_stops(bags, tmp_path):
    bag = bags.write(tmp_path / "bag", changed(bags, camera_info=with_distortion))
    problems: list[str] = []
    frames = bag_frames(bag, RULES, problems)
    next(frames)
    frames.close()
    assert "1 frame: /camera/camera_info: distortion" in problems[0]


def test_a_recording_without_usable_instances_says_why(bags, tmp_path):
    bag = bags.write(
        tmp_path / "bag", changed(bags, depth=with_depth(bags, 1000 * FRAME.depth, "32FC1"))
    )
    problems: list[str] = []
    with pytest.raises(FrameError, match=r"no usable instance of 'can'.*depth looks like units"):
        recorded_instances(bag, "can", problems)
    assert any("mask id" in x and "3 frames" in x for x in problems)
    assert len(recorded_instances(bag, "can", [], depth_unit=0.001)) == 3


def test_adapt_and_bag_info_report_what_the_node_does(bags, tmp_path, capsys):
    bag = bags.write(
        tmp_path / "bag", changed(bags, depth=with_depth(bags, 1000 * FRAME.depth, "32FC1"))
    )
    out = ["--out", str(tmp_path / "weights")]
    assert main(["adapt", str(bag), "--category", "can", *out]) == 2
    assert "3 frames: /camera/depth: depth with a median of" in capsys.readouterr().err
    assert main(["bag", "info", str(bag)]) == 0
    assert "3 frames: /camera/depth: depth with a median of" in capsys.readouterr().err
    assert main(["bag", "info", str(bag), "--depth-unit", "mm"]) == 0
    assert capsys.readouterr().err == ""


def test_frame_folders_count_their_warnings(tmp_path):
    for i in range(3):
        write_frame(tmp_path / f"f{i}", FRAME)
    problems: list[str] = []
    assert len(list(read_frames(tmp_path, problems))) == 3
    assert problems == []
    assert len(list(read_frames(tmp_path, problems, depth_unit=0.01))) == 3
    (problem,) = problems
    assert problem.startswith(f"{tmp_path}: 3 frames: {tmp_path / 'f0' / 'depth.png'}: depth looks")


def test_a_depth_unit_that_is_none_is_refused(tmp_path, capsys):
    assert main(["estimate", str(tmp_path), "--depth-unit", "1000"]) == 2
    assert "expected metres per unit of depth, above 0 and at most 1" in capsys.readouterr().err
