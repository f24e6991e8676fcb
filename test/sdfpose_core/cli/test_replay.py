"""`sdfpose bag`, `sdfpose replay` and `sdfpose eval frames` on frames of a simulated table."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest

from sdfpose_core.cli import replay
from sdfpose_core.cli.main import main
from sdfpose_core.datasets import write_frame
from sdfpose_core.datasets.bag_writing import write_frames
from sdfpose_core.replay.run import Replay, ReplayedFrame


@pytest.fixture(scope="module")
def folders(table_frames, tmp_path_factory):
    folder = tmp_path_factory.mktemp("frames")
    for i, (frame, truths) in enumerate(table_frames):
        write_frame(folder / f"f{i}", frame, truths)
    return folder


@pytest.fixture(scope="module")
def bag(folders, tmp_path_factory):
    path = tmp_path_factory.mktemp("bag") / "table"
    assert main(["bag", "from-frames", str(folders), "--out", str(path)]) == 0
    return path


@pytest.fixture
def one_process(monkeypatch):
    """Poses are verified in this process: another one takes seconds to start."""
    config = replay.TrackerConfig
    monkeypatch.setattr(replay, "TrackerConfig", lambda **_: config())


def test_a_replay_shows_its_progress_without_a_terminal(bag, one_process, monkeypatch, capsys):
    monkeypatch.setattr("sdfpose_core.cli.progress._SHORTEST_S", 0.0)
    assert main(["replay", str(bag), "--threads", "1", "--encoder", "none"]) == 0
    captured = capsys.readouterr()
    assert "sdfpose: frames: 2 of 5 (40 %)" in captured.err
    assert "sdfpose: frames" not in captured.out


@pytest.fixture(scope="module")
def replayed(bag, tmp_path_factory):
    """What a replay leaves behind."""
    out = tmp_path_factory.mktemp("out")
    arguments = ["--json", "r.json", "--report", "r.html", "--out", "results"]
    paths = [x if x.startswith("--") else str(out / x) for x in arguments]
    assert main(["replay", str(bag), "--threads", "1", *paths]) == 0
    return out


def test_a_bag_made_of_frames_has_what_is_needed(bag, capsys):
    assert main(["bag", "info", str(bag)]) == 0
    output = capsys.readouterr().out
    for text in (
        "/camera/colour",
        "camera_info",
        "30 messages, 0.27 s",
        "5 frames can be put together",
    ):
        assert text in output
    assert "no ground truth" not in output


def test_info_says_what_is_missing(bags, table_frames, tmp_path, capsys):
    frames = [x for x, _ in table_frames[:1]]
    bag = bags.write(tmp_path / "bag", frames, without=["/camera/mask", "/camera/labels"])
    assert main(["bag", "info", str(bag)]) == 1
    output = capsys.readouterr()
    assert "has no topic for mask: expected one of type sensor_msgs/msg/Image" in output.err
    assert "/camera/depth" in output.out


def test_info_tells_of_missing_labels_and_truth(bags, table_frames, tmp_path, capsys):
    frames = [x for x, _ in table_frames[:1]]
    bag = bags.write(tmp_path / "bag", frames, without=["/camera/labels"])
    assert main(["bag", "info", str(bag)]) == 0
    output = capsys.readouterr().out
    assert "no labels: give the categories with --category or --mask-categories" in output
    assert "no ground truth of type sdfpose/msg/SdfObjectArray" in output


def test_a_bag_needs_frames(tmp_path, capsys):
    arguments = ["bag", "from-frames", str(tmp_path), "--out", str(tmp_path / "bag")]
    assert main(arguments) == 2
    assert "no frame can be read: expected frame folders" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_replay_judges_what_the_bag_says_is_true(replayed):
    document = json.loads((replayed / "r.json").read_text())
    assert (document["processed"], document["dropped"]) == (5, 0)
    assert document["frames_with_truth"] == 5
    assert document["average_precision"]["per_category"]["can"]["n"] == 5
    assert set(document["stage_ms"]) >= {"wait", "segment", "encode", "refine", "total", "write"}
    for frame in document["frames"]:
        assert [x["category"] for x in frame["objects"]].count("mug") == 1
        assert all(x["trans_err_cm"] < 5.0 for x in frame["objects"])
        assert all(x["state"] in ("TENTATIVE", "TRACKED") for x in frame["objects"])


def test_a_replay_leaves_a_report_and_a_bag(replayed):
    page = (replayed / "r.html").read_text()
    assert "Replay of table" in page
    assert page.count("data:image/jpeg") == 6
    assert (replayed / "results" / "results.mcap").is_file()


def test_results_serve_as_ground_truth_for_another_run(replayed, bag, tmp_path):
    arguments = ["--gt", str(replayed / "r.json"), "--json", str(tmp_path / "again.json")]
    assert main(["replay", str(bag), "--threads", "1", *arguments]) == 0
    document = json.loads((tmp_path / "again.json").read_text())
    errors = [x for frame in document["frames"] for x in frame["objects"]]
    assert len(errors) == 15
    assert max(x["trans_err_cm"] for x in errors) == 0.0
    assert max(x["rot_err_deg"] for x in errors) < 1e-4


@pytest.mark.usefixtures("one_process")
def test_transforms_of_results_serve_as_ground_truth(replayed, tmp_path, table_frames, bags):
    """Frames and the results' own transforms in one bag, as a motion capture would record them."""
    from sdfpose_core.datasets.bags import open_bag

    transforms = {}
    with open_bag(replayed / "results") as results:
        (connection,) = (x for x in results.connections if x.topic == "/tf")
        for _, stamp, data in results.messages([connection]):
            transforms[stamp] = results.deserialize(data, connection.msgtype)
    messages = []
    for (frame, _), transform in zip(table_frames, transforms.values(), strict=True):
        for x in transform.transforms:
            x.header.frame_id = "optical"
            x.child_frame_id = x.child_frame_id.replace("sdfpose/", "gt/")
        stamp_ns = transform.transforms[0].header.stamp
        shown = replace(frame, stamp_ns=stamp_ns.sec * 10**9 + stamp_ns.nanosec)
        messages.append(bags.messages_of(shown) | {"/tf": transform})
    bag = bags.write(tmp_path / "bag", messages, more={"/tf": "tf2_msgs/msg/TFMessage"})
    arguments = ["--gt", "tf:gt", "--json", str(tmp_path / "r.json"), "--threads", "1"]
    assert main(["replay", str(bag), *arguments]) == 0
    document = json.loads((tmp_path / "r.json").read_text())
    errors = [x for frame in document["frames"] for x in frame["objects"]]
    assert max(x["trans_err_cm"] for x in errors) < 1e-9
    assert all(x["iou3d_oriented"] is None for x in errors)
    assert document["average_precision"] is None


@pytest.mark.usefixtures("one_process")
def test_objects_are_tracked_in_a_frame_of_the_bag(bags, table_frames, tmp_path, capsys):
    """The first frame has no pose of the camera."""
    frames = [x for x, _ in table_frames[:3]]
    messages = [bags.messages_of(x) for x in frames]
    for x, message in zip(frames[1:], messages[1:], strict=True):
        pose = "base", "optical", np.eye(3), np.zeros(3)
        message["/tf"] = bags.transforms(x.stamp_ns, pose)
    bag = bags.write(tmp_path / "bag", messages, more={"/tf": "tf2_msgs/msg/TFMessage"})
    out = tmp_path / "r.json"
    arguments = ["--world", "base", "--threads", "1", "--json", str(out)]
    assert main(["replay", str(bag), *arguments]) == 0
    assert json.loads(out.read_text())["processed"] == 2
    assert "1 frames cannot be processed: the pose of 'optical'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--hz", "10"], "--hz has no effect alone: expected --busy-ms as well"),
        (["--busy-ms", "-1"], "argument --busy-ms: '-1': expected a finite number above 0"),
        (["--gt", "/nowhere"], "/nowhere, given for ground truth, is not in the bag"),
        (["--category", "cat"], "unknown category 'cat'"),
        (["--world", "base"], "has no topic /tf, needed for the poses of the camera in 'base'"),
    ],
)
def test_arguments_that_are_wrong_are_named(bag, arguments, problem, capsys):
    assert main(["replay", str(bag), *arguments]) == 2
    assert problem in capsys.readouterr().err


@pytest.mark.usefixtures("one_process")
def test_without_labels_the_user_says_what_mask_ids_are(bags, table_frames, tmp_path, capsys):
    frames = [x for x, _ in table_frames[:1]]
    bag = bags.write(tmp_path / "bag", frames, without=["/camera/labels"])
    assert main(["replay", str(bag)]) == 2
    assert (
        "has no label topic: give the categories of the mask ids with --category"
        in capsys.readouterr().err
    )
    (mask_id,) = (i for i, x in frames[0].labels.items() if x.category == "can")
    path = tmp_path / "r.json"
    arguments = ["--mask-categories", f"{mask_id}:can", "--json", str(path), "--threads", "1"]
    assert main(["replay", str(bag), *arguments]) == 0
    (frame,) = json.loads(path.read_text())["frames"]
    assert [x["category"] for x in frame["objects"]] == ["can"]


@pytest.mark.usefixtures("one_process")
def test_what_the_user_says_of_mask_ids_goes_before_the_labels(bag, table_frames, tmp_path):
    (mask_id,) = (i for i, x in table_frames[0][0].labels.items() if x.category == "can")
    path = tmp_path / "r.json"
    arguments = ["--mask-categories", f"{mask_id}:bottle", "--json", str(path), "--threads", "1"]
    assert main(["replay", str(bag), *arguments]) == 0
    frames = json.loads(path.read_text())["frames"]
    assert {x["category"] for frame in frames for x in frame["objects"]} == {"bottle"}


@pytest.mark.usefixtures("one_process")
def test_a_bag_whose_frames_cannot_be_used_says_why(bags, table_frames, tmp_path, capsys):
    messages = bags.messages_of(table_frames[0][0])
    messages["/camera/depth"] = bags.image(
        np.zeros((3, 4), np.uint16), "16UC1", messages["/camera/depth"].header
    )
    bag = bags.write(tmp_path / "bag", [messages])
    assert main(["replay", str(bag), "--out", str(tmp_path / "results")]) == 2
    error = capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [bag]
    assert "no frame could be used" in error
    assert "1 frames dropped: /camera/depth: image of 4x3 pixels" in error


def test_damage_is_reported_although_an_error_follows(bags, table_frames, tmp_path, capsys):
    bag = bags.write(tmp_path / "bag", [x for x, _ in table_frames])
    (file,) = bag.glob("*.mcap")
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 3 // 4])
    assert main(["replay", str(bag), "--gt", "/nowhere"]) == 2
    error = capsys.readouterr().err
    assert error.count("is incomplete") == 1


@pytest.mark.usefixtures("one_process")
def test_frames_without_objects_are_a_failure(table_frames, tmp_path):
    frame, _ = table_frames[0]
    empty = replace(frame, mask=np.zeros_like(frame.mask))
    write_frames(tmp_path / "bag", [(empty, [])])
    assert main(["replay", str(tmp_path / "bag"), "--threads", "1"]) == 1


@pytest.mark.usefixtures("one_process")
def test_a_replay_reports_what_the_node_does(bags, table_frames, tmp_path, capsys):
    """Depth in a wrong unit and mask ids without a category, in the log and in the JSON."""
    messages = bags.messages_of(table_frames[0][0])
    head = messages["/camera/depth"].header
    metres = table_frames[0][0].depth
    messages["/camera/depth"] = bags.image(1000 * metres, "32FC1", head)
    bag = bags.write(tmp_path / "bag", [messages], without=["/camera/labels"])
    path = tmp_path / "r.json"
    arguments = ["--mask-categories", "65000:can", "--json", str(path), "--threads", "1"]
    assert main(["replay", str(bag), *arguments]) == 1
    problems = json.loads(path.read_text())["problems"]
    ids = sorted(table_frames[0][0].labels)
    assert "1 frame: /camera/depth: depth with a median of" in problems[0]
    assert [x.partition("frame: ")[2].partition(":")[0] for x in problems[1:]] == [
        f"mask id {i} has no label" for i in ids
    ]
    err = capsys.readouterr().err
    assert all(x in err for x in problems)


def test_truth_in_millimetres_is_reported(table_frames):
    class Truth:
        listeners: ClassVar[dict] = {}

        def at(self, stamp, frame_id):
            return [replace(x, translation=1e3 * x.translation) for x in table_frames[0][1]]

    done = Replay([ReplayedFrame(i, i, "optical", (), (), {}) for i in range(2)])
    problems = done.truth_problems(Truth())
    assert len(problems) == 3
    assert all(x.startswith("ground truth: 2 frames: the true position is") for x in problems)
    assert done.truth_problems(None) == []


def test_frame_folders_are_evaluated_one_by_one(folders, tmp_path, capsys):
    path, report = tmp_path / "e.json", tmp_path / "e.html"
    arguments = ["--json", str(path), "--report", str(report)]
    assert main(["eval", "frames", str(folders / "f0"), str(folders / "f1"), *arguments]) == 0
    document = json.loads(path.read_text())
    assert [x["name"] for x in document["frames"]] == ["f0", "f1"]
    assert all(len(x["objects"]) == 3 for x in document["frames"])
    assert document["errors"]["can"]["n"] == 2
    assert document["errors"]["can"]["rot_err_deg_median"] < 10.0
    assert document["average_precision"]["per_category"]["can"]["n"] == 2
    assert document["average_precision"]["mean"]["iou50"] > 50.0
    assert "Worst estimates" in report.read_text()
    printed = capsys.readouterr().out
    assert "can_" in printed
    assert "fewer than 10 objects say little" in printed


def test_frames_without_truth_cannot_be_evaluated(table_frames, tmp_path, capsys):
    write_frame(tmp_path / "f", table_frames[0][0], [])
    assert main(["eval", "frames", str(tmp_path / "f")]) == 2
    assert "no frame has ground truth: expected meta.json with 'gt'" in capsys.readouterr().err
