from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing

import numpy as np
import pytest
from rosbags.rosbag2 import CompressionMode, StoragePlugin

from sdfpose_core.datasets.bags import bag_frames, find_topics, is_bag, open_bag
from sdfpose_core.errors import BagError
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.messages.decoding import LabelRules
from sdfpose_core.observation.frame import InstanceLabel, RgbdFrame

CAMERA = PinholeCamera(8, 6, 10.0, 10.0, 4.0, 3.0)
RULES = LabelRules({}, "mug")


def frame(number: int) -> RgbdFrame:
    rng = np.random.default_rng(number)
    return RgbdFrame(
        colour=rng.integers(0, 256, (6, 8, 3), dtype=np.uint8),
        depth=rng.integers(500, 900, (6, 8)).astype(np.float32) * np.float32(0.001),
        mask=np.full((6, 8), 3, dtype=np.uint16),
        camera=CAMERA,
        labels={3: InstanceLabel("bowl", 0.5, detected=True)},
        stamp_ns=1_000_000_000 + number * 33_000_000,
        frame_id="optical",
    )


def frames_of(bag, problems=None) -> list[RgbdFrame]:
    return [x.frame for x in bag_frames(bag, RULES, [] if problems is None else problems)]


def assert_same(read: RgbdFrame, written: RgbdFrame) -> None:
    np.testing.assert_array_equal(read.colour, written.colour)
    np.testing.assert_allclose(read.depth, written.depth, atol=1e-7)
    np.testing.assert_array_equal(read.mask, written.mask)
    assert read.camera == written.camera
    assert (read.stamp_ns, read.frame_id) == (written.stamp_ns, written.frame_id)


@pytest.mark.parametrize("plugin", list(StoragePlugin))
@pytest.mark.parametrize("compression", [None, CompressionMode.MESSAGE, CompressionMode.FILE])
def test_frames_of_a_bag_are_those_that_were_written(bags, tmp_path, plugin, compression):
    if plugin is StoragePlugin.MCAP and compression is CompressionMode.MESSAGE:
        compression = CompressionMode.STORAGE
    written = [frame(i) for i in range(4)]
    bag = bags.write(tmp_path / "bag", written, plugin, compression=compression)
    problems: list[str] = []
    read = frames_of(bag, problems)
    assert problems == []
    assert len(read) == 4
    for a, b in zip(read, written, strict=True):
        assert_same(a, b)
        assert a.labels == b.labels


@pytest.mark.parametrize(("plugin", "suffix"), [("MCAP", ".mcap"), ("SQLITE3", ".db3")])
def test_the_file_alone_serves_as_well_as_its_folder(bags, tmp_path, plugin, suffix):
    bag = bags.write(tmp_path / "bag", [frame(0)], StoragePlugin[plugin])
    file = bag / f"bag{suffix}"
    assert is_bag(bag)
    assert is_bag(file)
    assert not is_bag(tmp_path)
    assert_same(frames_of(file)[0], frame(0))


def test_without_labels_the_rules_say_what_mask_ids_are(bags, tmp_path):
    bag = bags.write(tmp_path / "bag", [frame(0)], without=["/camera/labels"])
    assert frames_of(bag)[0].labels == {3: InstanceLabel("mug")}


def test_a_bag_is_read_without_any_ros_package(bags, tmp_path):
    bag = bags.write(tmp_path / "bag", [frame(0), frame(1)])
    code = (
        "import sys\n"
        "for name in ('rclpy', 'sensor_msgs', 'sdfpose', 'cv_bridge', 'message_filters'):\n"
        "    sys.modules[name] = None\n"
        "from sdfpose_core.datasets.bags import bag_frames\n"
        "from sdfpose_core.messages.decoding import LabelRules\n"
        f"print(len(list(bag_frames({str(bag)!r}, LabelRules({{}}, 'mug'), []))))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "2"


def test_a_frame_that_lacks_a_message_is_left_out(bags, tmp_path):
    broken = bags.messages_of(frame(1))
    del broken["/camera/mask"]
    bag = bags.write(tmp_path / "bag", [frame(0), broken, frame(2)])
    assert [x.stamp_ns for x in frames_of(bag)] == [
        frame(0).stamp_ns, frame(2).stamp_ns,
    ]  # fmt: skip


def test_frames_that_cannot_be_used_are_counted_with_the_reason(bags, tmp_path):
    broken = [bags.messages_of(frame(i)) for i in (1, 2)]
    for messages in broken:
        messages["/camera/depth"] = bags.image(
            np.zeros((3, 4), np.uint16), "16UC1", messages["/camera/depth"].header
        )
    problems: list[str] = []
    bag = bags.write(tmp_path / "bag", [frame(0), *broken])
    assert len(frames_of(bag, problems)) == 1
    assert len(problems) == 1
    assert "2 frames dropped: /camera/depth: image of 4x3 pixels" in problems[0]


def test_stamps_that_never_agree_are_told(bags, tmp_path):
    messages = bags.messages_of(frame(0))
    messages["/camera/mask"] = bags.image(frame(0).mask, "mono16", bags.header(9 * 10**9))
    problems: list[str] = []
    bag = bags.write(tmp_path / "bag", [messages])
    assert frames_of(bag, problems) == []
    assert "no stamps of colour, depth and mask agree within 0.02 s (1 on" in problems[0]
    assert "/camera/mask from 9.000 to 9.000 s" in problems[0]


def test_a_clock_that_jumps_back_is_told_and_the_frames_after_it_are_read(bags, tmp_path):
    frames = [frame(i) for i in (60, 61, 0, 1)]
    bag = bags.write(tmp_path / "bag", frames, StoragePlugin.MCAP)
    problems: list[str] = []
    read = frames_of(bag, problems)
    assert [x.stamp_ns for x in read] == [x.stamp_ns for x in frames]
    assert problems == [f"{bag}: time jumps back 1 times"]


@pytest.mark.parametrize("compression", [None, CompressionMode.MESSAGE])
def test_a_message_that_cannot_be_decoded_costs_its_frame_alone(bags, tmp_path, compression):
    frames = [frame(i) for i in range(4)]
    bag = bags.write(tmp_path / "bag", frames, StoragePlugin.SQLITE3, compression=compression)
    with closing(sqlite3.connect(bag / "bag.db3")) as database, database:
        database.execute("UPDATE messages SET data = substr(data, 1, 40) WHERE id = 13")
    problems: list[str] = []
    read = frames_of(bag, problems)
    assert [x.stamp_ns for x in read] == [frames[i].stamp_ns for i in (0, 1, 3)]
    assert "1 messages on /camera/mask cannot be decoded: " in problems[0]


@pytest.mark.parametrize(
    ("content", "problem"), [(None, "no such bag"), (b"", "cannot be read"), (b"x" * 99, "cannot")]
)
@pytest.mark.parametrize("suffix", ["mcap", "db3"])
def test_a_bag_that_cannot_be_read_is_named(tmp_path, content, problem, suffix):
    path = tmp_path / f"broken.{suffix}"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BagError, match=rf"broken\.{suffix}: {problem}"), open_bag(path):
        pass


def test_an_empty_bag_is_named(bags, tmp_path):
    bag = bags.write(tmp_path / "bag", [])
    with pytest.raises(BagError, match="bag: holds no messages"), open_bag(bag):
        pass


def bytes_of(bag):
    (file,) = (x for x in bag.iterdir() if x.suffix in (".mcap", ".db3"))
    return file, file.read_bytes()


@pytest.mark.parametrize("compression", [None, CompressionMode.STORAGE])
def test_an_mcap_file_that_was_not_closed_gives_its_whole_chunks(bags, tmp_path, compression):
    frames = [frame(i) for i in range(4)]
    bag = bags.write(tmp_path / "bag", frames, compression=compression)
    file, content = bytes_of(bag)
    (bag / "metadata.yaml").unlink()  # is written last
    file.write_bytes(content[: content.rindex(b"\x0f\x04\x00\x00\x00\x00\x00\x00\x00")])
    assert is_bag(bag)
    problems: list[str] = []
    read = frames_of(bag, problems)
    assert [x.stamp_ns for x in read] == [x.stamp_ns for x in frames]
    assert len(problems) == 1
    assert "bag.mcap: is incomplete (" in problems[0]
    assert "bytes can be read" in problems[0]


def test_an_mcap_file_that_ends_in_a_chunk_gives_those_before_it(bags, tmp_path):
    parts = [bags.write(tmp_path / f"{i}", [frame(i)]) for i in range(2)]
    whole, cut = (bytes_of(x)[1] for x in parts)
    bag = tmp_path / "split"
    bag.mkdir()
    (bag / "split_0.mcap").write_bytes(whole)
    (bag / "split_1.mcap").write_bytes(cut[:300])
    problems: list[str] = []
    assert [x.stamp_ns for x in frames_of(bag, problems)] == [frame(0).stamp_ns]
    assert any("split_1.mcap: is incomplete" in x for x in problems)


def test_an_sqlite_file_that_breaks_off_gives_the_rows_before_it(bags, tmp_path):
    frames = [frame(i) for i in range(60)]
    bag = bags.write(tmp_path / "bag", frames, StoragePlugin.SQLITE3)
    file, content = bytes_of(bag)
    (bag / "metadata.yaml").unlink()
    file.write_bytes(content[: len(content) * 2 // 3])
    problems: list[str] = []
    read = [x.stamp_ns for x in frames_of(bag, problems)]
    assert read == [x.stamp_ns for x in frames[: len(read)]]
    assert 10 < len(read) < 60
    assert "bag.db3: is incomplete (" in problems[0]
    assert "messages can be read" in problems[0]


def test_a_damaged_bag_is_refused_where_nobody_is_told(bags, tmp_path):
    bag = bags.write(tmp_path / "bag", [frame(0)])
    file, content = bytes_of(bag)
    file.write_bytes(content[: content.rindex(b"\x0f\x04\x00\x00\x00\x00\x00\x00\x00")])
    problem = r"bag: cannot be read completely; .*bag\.mcap: is incomplete"
    with pytest.raises(BagError, match=problem), open_bag(bag):
        pass


def test_an_unknown_compression_is_named(bags, tmp_path):
    bag = bags.write(tmp_path / "bag", [frame(0)], compression=CompressionMode.FILE)
    metadata = bag / "metadata.yaml"
    metadata.write_text(metadata.read_text().replace("format: zstd", "format: lz77"))
    with pytest.raises(BagError, match=r"bag: cannot be read: .*'lz77' is not supported"):
        frames_of(bag)


def test_listeners_are_told_of_their_topics(bags, tmp_path):
    truth = {"/truth": "sdfpose/msg/SdfObjectArray"}
    messages = [
        bags.messages_of(frame(i)) | {"/truth": bags.truth_of(frame(i).stamp_ns, [])}
        for i in range(2)
    ]
    bag = bags.write(tmp_path / "bag", messages, more=truth)
    heard = []
    frames = list(bag_frames(bag, RULES, [], listeners={"/truth": heard.append}))
    assert len(frames) == 2
    assert [x.header.stamp.nanosec for x in heard] == [0, 33_000_000]


def topics_of(bags, tmp_path, rename=None, given=None, without=()):
    bag = bags.write(tmp_path / "bag", [frame(0)], rename=rename, without=without)
    with open_bag(bag) as reader:
        return find_topics(reader.connections, "bag", given or {})


def test_topics_of_a_realsense_driver_are_found(bags, tmp_path):
    names = {
        "/camera/colour": "/camera/camera/color/image_raw",
        "/camera/depth": "/camera/camera/aligned_depth_to_color/image_raw",
        "/camera/mask": "/detector/segmentation",
        "/camera/camera_info": "/camera/camera/color/camera_info",
    }
    found = topics_of(bags, tmp_path, names)
    assert found.colour == names["/camera/colour"]
    assert found.depth == names["/camera/depth"]
    assert found.mask == names["/camera/mask"]
    assert found.camera_info == names["/camera/camera_info"]
    assert found.labels == "/camera/labels"


def test_a_topic_may_be_given_by_its_role(bags, tmp_path):
    rename = {"/camera/mask": "/ids"}
    with pytest.raises(BagError, match="has no topic for mask: expected one of type sensor_msgs"):
        topics_of(bags, tmp_path / "a", rename)
    assert topics_of(bags, tmp_path / "b", rename, {"mask": "/ids"}).mask == "/ids"


def test_two_topics_that_would_fit_have_to_be_told_apart(bags, tmp_path):
    rename = {"/camera/colour": "/left/rgb", "/camera/mask": "/right/rgb"}
    with pytest.raises(BagError, match=r"/left/rgb, /right/rgb could all be colour: choose one"):
        topics_of(bags, tmp_path / "a", rename)
    assert topics_of(bags, tmp_path / "b", rename, {"mask": "/right/rgb"}).colour == "/left/rgb"


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"depth": "/nowhere"}, "/nowhere, given for depth, is not there"),
        ({"depth": "/camera/labels"}, "/camera/labels, given for depth, has type sdfpose/msg"),
        ({"cloud": "/camera/depth"}, "unknown topic role: cloud"),
    ],
)
def test_a_topic_that_cannot_play_its_role_is_refused(bags, tmp_path, given, problem):
    with pytest.raises(BagError, match=problem):
        topics_of(bags, tmp_path, given=given)
