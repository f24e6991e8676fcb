"""Bags as users have them: odd topics, damage, logs, missing parts, unusual names."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import rosbags.rosbag2.storage_mcap as writing
from rosbags.rosbag1 import Writer as Ros1Writer
from rosbags.rosbag2 import CompressionMode, StoragePlugin
from rosbags.typesys import Stores, get_typestore

from sdfpose_core.cli.main import main
from sdfpose_core.datasets import write_frame
from sdfpose_core.datasets.bag_files import bag_files, is_bag
from sdfpose_core.datasets.bag_storage import StorageError
from sdfpose_core.datasets.bags import bag_frames, open_bag
from sdfpose_core.errors import BagError
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.messages.decoding import LabelRules
from sdfpose_core.observation.frame import InstanceLabel, RgbdFrame

ODD, ODD_TOPIC = "vendor_msgs/msg/Telemetry", "/vendor"
PLUGINS = list(StoragePlugin)
INFO = "sensor_msgs/msg/CameraInfo"


def frame(number: int, size: tuple[int, int] = (6, 8)) -> RgbdFrame:
    rng = np.random.default_rng(number)
    return RgbdFrame(
        colour=rng.integers(0, 256, (*size, 3), dtype=np.uint8),
        depth=rng.integers(500, 900, size).astype(np.float32) * np.float32(0.001),
        mask=np.full(size, 3, dtype=np.uint16),
        camera=PinholeCamera(size[1], size[0], 10.0, 10.0, 4.0, 3.0),
        labels={3: InstanceLabel("bowl", 0.5, detected=True)},
        stamp_ns=1_000_000_000 + number * 33_000_000,
        frame_id="optical",
    )


def numbers(bag, problems=None) -> list[int]:
    """The numbers of the frames that are read."""
    found = bag_frames(bag, LabelRules({}, "mug"), [] if problems is None else problems)
    return [(x.frame.stamp_ns - 1_000_000_000) // 33_000_000 for x in found]


def storage_file(bag):
    (file,) = (x for x in bag.iterdir() if x.suffix in (".mcap", ".db3"))
    return file


# Topics that are no part of a frame.


@pytest.fixture
def with_odd_topic(bags, tmp_path, monkeypatch):
    """Writes three frames and a topic whose definition has another format and text."""

    def write(plugin, form, text):
        messages = [bags.messages_of(frame(i)) for i in range(3)]
        for x in messages:
            x[ODD_TOPIC] = x["/camera/camera_info"]
        bag = tmp_path / "bag"
        if plugin is StoragePlugin.MCAP:
            original = writing.write_schema

            def odd_schema(bio, schema):
                if schema.name == "sensor_msgs/msg/Temperature":
                    schema = schema._replace(name=ODD, encoding=form, data=text)
                original(bio, schema)

            monkeypatch.setattr(writing, "write_schema", odd_schema)
        more = {ODD_TOPIC: "sensor_msgs/msg/Temperature"}
        for x in messages:
            head = x["/camera/camera_info"].header
            x[ODD_TOPIC] = bags.new(more[ODD_TOPIC], header=head, temperature=1.0, variance=0.0)
        bags.write(bag, messages, plugin, more=more)
        if plugin is StoragePlugin.SQLITE3:
            with closing(sqlite3.connect(storage_file(bag))) as database, database:
                database.execute("UPDATE topics SET type = ? WHERE name = ?", (ODD, ODD_TOPIC))
                database.execute(
                    "UPDATE message_definitions SET topic_type = ?, encoding = ?, "
                    "encoded_message_definition = ? WHERE topic_type = ?",
                    (ODD, form, text, more[ODD_TOPIC]),
                )
        return bag

    return write


@pytest.mark.parametrize("plugin", PLUGINS)
@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("", ""),
        ("unknown", ""),
        ("ros2msg", ODD),
        ("ros2msg", "not a definition ("),
        ("ros2msg", "vendor_msgs/Missing part\n"),
        ("ros2idl", "module {"),
        ("jsonschema", "{}"),
        ("protobuf", "\n\x04\x12\x00\x7f"),
        ("ros1msg", "float32 x"),
    ],
)
def test_a_topic_with_an_unusable_definition_is_left_alone(with_odd_topic, plugin, form, text):
    bag = with_odd_topic(plugin, form, text)
    problems: list[str] = []
    assert numbers(bag, problems) == [0, 1, 2]
    assert problems == []
    with open_bag(bag) as reader:
        odd = next(x for x in reader.connections if x.topic == ODD_TOPIC)
        (_, _, data), *_ = reader.messages([odd])
        with pytest.raises(BagError, match=rf"^{ODD}: .*expected a message definition"):
            reader.deserialize(data, odd.msgtype)


@pytest.mark.parametrize("plugin", PLUGINS)
@pytest.mark.parametrize("encoding", ["json", "protobuf", "ros1", ""])
def test_a_topic_in_another_serialisation_is_named(bags, tmp_path, plugin, encoding, monkeypatch):
    if plugin is StoragePlugin.MCAP:
        original = writing.write_channel

        def odd_channel(bio, channel, schemas):
            if channel.topic == ODD_TOPIC:
                channel = channel._replace(message_encoding=encoding)
            original(bio, channel, schemas)

        monkeypatch.setattr(writing, "write_channel", odd_channel)
    # A further image, which would be a second colour topic if it were in CDR.
    messages = [bags.messages_of(frame(i)) for i in range(2)]
    for x in messages:
        x[ODD_TOPIC] = x["/camera/colour"]
    bag = tmp_path / "bag"
    bags.write(bag, messages, plugin, more={ODD_TOPIC: "sensor_msgs/msg/Image"})
    if plugin is StoragePlugin.SQLITE3:
        if not encoding:
            return
        with closing(sqlite3.connect(storage_file(bag))) as database, database:
            database.execute(
                "UPDATE topics SET serialization_format = ? WHERE name = ?", (encoding, ODD_TOPIC)
            )
    assert numbers(bag) == [0, 1]
    with open_bag(bag) as reader:
        (left_out,) = reader.left_out
    assert left_out.startswith(f"{ODD_TOPIC}: its messages are in {encoding or 'an unknown'}")


def test_an_mcap_file_in_another_serialisation_altogether_says_so(bags, tmp_path, monkeypatch):
    original = writing.write_channel
    monkeypatch.setattr(
        writing,
        "write_channel",
        lambda bio, x, schemas: original(bio, x._replace(message_encoding="ros1"), schemas),
    )
    bag = bags.write(tmp_path / "bag", [frame(0)])
    with pytest.raises(BagError, match=r"holds no messages; /camera/camera_info: .* in ros1"):
        numbers(bag)


def test_definitions_that_lack_standard_parts_are_completed(bags, tmp_path):
    bag = bags.write(tmp_path / "bag", [frame(0)], StoragePlugin.SQLITE3)
    with closing(sqlite3.connect(storage_file(bag))) as database, database:
        cut = "substr(encoded_message_definition, 1, instr(encoded_message_definition, '====') - 1)"
        database.execute(f"UPDATE message_definitions SET encoded_message_definition = {cut}")
    assert numbers(bag) == [0]


@pytest.mark.parametrize("text", ["", "sensor_msgs/msg/Image", "float32 a\n"])
def test_the_installed_definition_stands_in_for_one_that_cannot_be_used(bags, tmp_path, text):
    bag = bags.write(tmp_path / "bag", [frame(0)], StoragePlugin.SQLITE3)
    with closing(sqlite3.connect(storage_file(bag))) as database, database:
        database.execute(
            "UPDATE message_definitions SET encoded_message_definition = ? "
            "WHERE topic_type = 'sensor_msgs/msg/Image'",
            (text,),
        )
    assert numbers(bag) == [0]


def test_a_definition_that_contradicts_the_hash_of_the_type_is_named(bags, tmp_path):
    bag = bags.write(tmp_path / "bag", [frame(0)], StoragePlugin.SQLITE3)
    with closing(sqlite3.connect(storage_file(bag))) as database, database:
        database.execute(
            "UPDATE topics SET type_description_hash = 'RIHS01_0' WHERE name = '/camera/labels'"
        )
    problems: list[str] = []
    assert numbers(bag, problems) == []
    assert (
        "1 messages on /camera/labels cannot be decoded: sdfpose/msg/InstanceLabels" in problems[0]
    )
    assert "contradicts the recorded hash of the type" in problems[0]


def test_field_names_of_ros1_become_those_of_ros2(bags, tmp_path):
    """rosbags-convert keeps the definitions of ROS 1 unless it is told otherwise."""
    bag = bags.write(tmp_path / "bag", [frame(0)], StoragePlugin.SQLITE3)
    with closing(sqlite3.connect(storage_file(bag))) as database, database:
        query = "SELECT encoded_message_definition FROM message_definitions WHERE topic_type = ?"
        (text,) = database.execute(query, (INFO,)).fetchone()
        for name in "dkrp":
            text = text.replace(f" {name}\n", f" {name.upper()}\n")
        assert "float64[9] K\n" in text
        database.execute(
            "UPDATE message_definitions SET encoded_message_definition = ? WHERE topic_type = ?",
            (text, INFO),
        )
        database.execute("UPDATE topics SET type_description_hash = ''")
    with open_bag(bag) as reader:
        connection = next(x for x in reader.connections if x.msgtype == INFO)
        (_, _, data), *_ = reader.messages([connection])
        assert reader.deserialize(data, INFO).k[0] == 10.0


@pytest.mark.parametrize(
    ("kind", "name", "told"),
    [
        (INFO, "p", "1 frames dropped: "),
        (INFO, "header", "1 messages on /camera/camera_info differ from their type in ROS 2: "),
        ("sensor_msgs/msg/Image", "header", "messages on /camera/colour differ from their type"),
    ],
)
def test_messages_with_other_fields_are_told(bags, tmp_path, kind, name, told):
    bag = bags.write(tmp_path / "bag", [frame(0)], StoragePlugin.SQLITE3)
    with closing(sqlite3.connect(storage_file(bag))) as database, database:
        database.execute(
            "UPDATE message_definitions SET encoded_message_definition = "
            "replace(encoded_message_definition, ?, ?) WHERE topic_type = ?",
            (f" {name}\n", f" other_{name}\n", kind),
        )
        database.execute("UPDATE topics SET type_description_hash = ''")
    problems: list[str] = []
    assert numbers(bag, problems) == []
    assert any(told in x for x in problems), problems


# Damage.


@pytest.mark.parametrize("plugin", PLUGINS)
@pytest.mark.parametrize("data", [b"", b"\x00", b"\x00\x01\x00\x00", b"\xff" * 60, b"\x00\x07" * 9])
def test_a_message_that_is_no_cdr_costs_one_frame(bags, tmp_path, plugin, data, monkeypatch):
    frames = [frame(i) for i in range(4)]
    store = bags.store
    serialize, count = store.serialize_cdr, 0

    def damaged(message, kind):
        nonlocal count
        count += kind == INFO
        return data if kind == INFO and count == 2 else serialize(message, kind)

    monkeypatch.setattr(store, "serialize_cdr", damaged)
    bag = bags.write(tmp_path / "bag", frames, plugin)
    problems: list[str] = []
    # The camera info of the frame before serves for this one.
    assert set(numbers(bag, problems)) >= {0, 2, 3}
    assert "1 messages on /camera/camera_info cannot be decoded: " in problems[0]


@pytest.mark.parametrize("compression", [None, CompressionMode.STORAGE])
def test_a_damaged_chunk_costs_its_own_messages(bags, tmp_path, compression):
    frames = [frame(i, (240, 320)) for i in range(12)]
    bag = bags.write(tmp_path / "bag", frames, compression=compression)
    file = storage_file(bag)
    content = bytearray(file.read_bytes())
    if compression is None:  # no magic number and no checksum: damage the length of a record
        middle = content.index(b"\x05", len(content) // 2)
        while content[middle + 6 : middle + 9] != bytes(3):
            middle = content.index(b"\x05", middle + 1)
        content[middle + 1 : middle + 9] = b"\xff" * 8
    else:
        middle = content.index(b"\x28\xb5\x2f\xfd", len(content) // 2)
        content[middle : middle + 4] = bytes(4)
    file.write_bytes(content)
    problems: list[str] = []
    read = numbers(bag, problems)
    assert 5 < len(read) < 12
    assert (read[0], read[-1]) == (0, 11)
    assert "bag.mcap: a chunk of " in problems[0]
    assert "is damaged" in problems[0]


def test_a_wrong_checksum_is_found(bags, tmp_path):
    bag = bags.write(tmp_path / "bag", [frame(i) for i in range(2)])
    file = storage_file(bag)
    content = bytearray(file.read_bytes())
    chunk = 8 + 9 + int.from_bytes(content[9:17], "little")  # after the header
    assert content[chunk] == 6
    content[chunk + 9 + 24] = 1
    file.write_bytes(content)
    problems: list[str] = []
    assert numbers(bag, problems) == []
    assert "bag.mcap: a chunk of 10 messages at byte " in problems[0]
    assert "its checksum is wrong" in problems[0]


def test_a_damaged_page_costs_its_own_messages(bags, tmp_path):
    frames = [frame(i, (60, 80)) for i in range(30)]
    bag = bags.write(tmp_path / "bag", frames, StoragePlugin.SQLITE3)
    file = storage_file(bag)
    with closing(sqlite3.connect(file)) as database:
        (page_size,) = database.execute("PRAGMA page_size").fetchone()
        (root,) = database.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'messages'"
        ).fetchone()
    content = bytearray(file.read_bytes())
    page = content[(root - 1) * page_size : root * page_size]
    assert page[0] == 5  # an inner page: take a child in its middle
    cells = int.from_bytes(page[3:5], "big")
    at = int.from_bytes(page[12 + 2 * (cells // 2) :][:2], "big")
    child = int.from_bytes(page[at : at + 4], "big")
    content[(child - 1) * page_size : child * page_size] = b"\xa5" * page_size
    file.write_bytes(content)
    problems: list[str] = []
    read = numbers(bag, problems)
    assert 15 < len(read) < 30
    assert (read[0], read[-1]) == (0, 29)
    assert "bag.db3: is incomplete (" in problems[0]


@pytest.mark.parametrize("tail", [bytes(5000), b"\x05", b"\x06" + bytes([200] * 30)])
def test_rubbish_after_the_records_is_told(bags, tmp_path, tail):
    bag = bags.write(tmp_path / "bag", [frame(i) for i in range(3)])
    file = storage_file(bag)
    content = file.read_bytes()
    end = content.rindex(b"\x0f\x04\x00\x00\x00\x00\x00\x00\x00")
    file.write_bytes(content[:end] + tail)
    problems: list[str] = []
    assert numbers(bag, problems) == [0, 1, 2]
    assert f"{file}: is incomplete (it was not closed): {end} of " in problems[0]


# Write-ahead logs.

KILLED = """
import os, sqlite3, sys
source, target = (sqlite3.connect(x) for x in sys.argv[1:3])
mode, keep = sys.argv[3:]
target.execute(f"PRAGMA journal_mode={mode}")
target.execute("PRAGMA wal_autocheckpoint=0")
for (text,) in source.execute("SELECT sql FROM sqlite_master WHERE type='table'").fetchall():
    target.execute(text)
tables = ("schema", "metadata", "topics", "message_definitions", "messages")
for table in tables:
    rows = source.execute(f"SELECT * FROM {table}").fetchall()
    for number, row in enumerate(rows):
        target.execute(f"INSERT INTO {table} VALUES ({','.join('?' * len(row))})", row)
        if table == "messages" and number == int(keep):
            target.commit()
            target.execute("PRAGMA wal_checkpoint(FULL)").fetchall()
    target.commit()
os._exit(9)
"""


@pytest.fixture
def killed(bags, tmp_path):
    """A bag of three frames, whose recorder was killed; most messages are in its log."""
    source = storage_file(bags.write(tmp_path / "s", [frame(i) for i in range(3)], PLUGINS[0]))
    assert source.suffix == ".db3"
    bag = tmp_path / "run #1"
    bag.mkdir()
    command = [sys.executable, "-c", KILLED, source, bag / "run_0.db3", "WAL", "4"]
    subprocess.run(command, check=False)
    assert (bag / "run_0.db3-wal").stat().st_size
    return bag


@pytest.mark.parametrize("with_index", [True, False])
def test_the_write_ahead_log_of_a_killed_recorder_is_read(killed, with_index):
    if not with_index:
        (killed / "run_0.db3-shm").unlink()
    before = {x.name: x.read_bytes() for x in killed.iterdir() if not x.name.endswith("-shm")}
    assert numbers(killed) == [0, 1, 2]
    assert numbers(killed / "run_0.db3") == [0, 1, 2]
    after = {x.name: x.read_bytes() for x in killed.iterdir() if not x.name.endswith("-shm")}
    assert after == before


def test_a_log_that_cannot_be_used_in_place_is_used_in_a_copy(killed, monkeypatch):
    from sdfpose_core.datasets import sqlite_storage

    connect = sqlite_storage._connect

    def refuse(file, options):
        if options == "mode=ro":  # as SQLite does in a folder that is read-only
            raise sqlite3.OperationalError("unable to open database file")
        return connect(file, options)

    monkeypatch.setattr(sqlite_storage, "_connect", refuse)
    assert numbers(killed) == [0, 1, 2]


def test_a_log_is_not_deleted_with_an_empty_file_beside_it(killed):
    (killed / "run_0.db3").write_bytes(b"")
    with pytest.raises(BagError, match=r"run_0\.db3: cannot be read: it is empty"):
        numbers(killed)
    assert (killed / "run_0.db3-wal").is_file()


def test_nothing_is_written_beside_a_bag_that_was_closed(bags, tmp_path):
    bag = bags.write(tmp_path / "bag", [frame(0)], StoragePlugin.SQLITE3)
    with closing(sqlite3.connect(storage_file(bag))) as database:
        database.execute("PRAGMA journal_mode = WAL")
    before = sorted(bag.iterdir())
    assert numbers(bag) == [0]
    assert sorted(bag.iterdir()) == before


# Names.


@pytest.mark.parametrize("plugin", PLUGINS)
@pytest.mark.parametrize(
    "name",
    ["run#3", "what?", "a%20b", "it's", 'a"b', "a b&c=d", "[red]x[bold]", "größe", "50%", "a\\b"],
)
def test_any_name_of_a_folder_will_do(bags, tmp_path, plugin, name):
    plain = bags.write(tmp_path / "plain" / "bag", [frame(0)], plugin)
    bag = shutil.move(plain, tmp_path / name)
    file = storage_file(bag)
    file.rename(bag / f"{name}{file.suffix}")
    assert numbers(bag) == [0]
    assert numbers(storage_file(bag)) == [0]


def test_a_relative_path_will_do(bags, tmp_path, monkeypatch):
    bag = bags.write(tmp_path / "bag", [frame(0)], StoragePlugin.SQLITE3)
    storage_file(bag).rename(bag / "a#b.db3")
    bag.rename(tmp_path / "a#b")
    monkeypatch.chdir(tmp_path)
    assert numbers("a#b/a#b.db3") == [0]
    monkeypatch.chdir(tmp_path / "a#b")
    assert numbers(".") == [0]


def test_a_name_that_is_no_text_will_do(bags, tmp_path):
    bag = bags.write(tmp_path / "bag", [frame(0)], StoragePlugin.SQLITE3)
    odd = os.fsdecode(os.fsencode(str(tmp_path)) + b"/caf\xe9")
    shutil.copytree(bag, odd)
    assert numbers(odd) == [0]


# Compression and missing metadata.


@pytest.mark.parametrize("plugin", PLUGINS)
@pytest.mark.parametrize("compression", [None, *CompressionMode])
@pytest.mark.parametrize("metadata", ["removed", "empty", "damaged", "another", "none of it"])
def test_metadata_is_not_needed(bags, tmp_path, plugin, compression, metadata):
    if compression in (CompressionMode.NONE, CompressionMode.STORAGE) and plugin is PLUGINS[0]:
        return
    bag = bags.write(
        tmp_path / "bag", [frame(i) for i in range(2)], plugin, compression=compression
    )
    file = bag / "metadata.yaml"
    content = {"empty": "", "damaged": file.read_text()[:60] + "\n - {", "another": "a: 1\n"}
    if metadata == "removed":
        file.unlink()
    else:
        file.write_text(content.get(metadata, "[]\n"))
    assert is_bag(bag)
    problems: list[str] = []
    assert numbers(bag, problems) == [0, 1]
    assert len(problems) == (metadata != "removed")
    assert all("metadata.yaml: cannot be read (" in x for x in problems)


@pytest.mark.parametrize("plugin", PLUGINS)
def test_a_compressed_file_alone_will_do(bags, tmp_path, plugin):
    bag = bags.write(tmp_path / "bag", [frame(0)], plugin, compression=CompressionMode.FILE)
    (file,) = bag.glob("*.zstd")
    assert is_bag(file)
    assert numbers(file) == [0]
    cut = tmp_path / file.name
    cut.write_bytes(file.read_bytes()[:20])
    problems: list[str] = []
    with pytest.raises(BagError, match=r"bag\.(mcap|db3)\.zstd: "):
        numbers(cut, problems)


def test_a_compressed_file_that_breaks_off_gives_what_is_there(bags, tmp_path):
    frames = [frame(i, (240, 320)) for i in range(12)]
    bag = bags.write(tmp_path / "bag", frames, compression=CompressionMode.FILE)
    (file,) = bag.glob("*.zstd")
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    problems: list[str] = []
    read = numbers(bag, problems)
    assert read == list(range(len(read)))
    assert 0 < len(read) < 12
    assert "bag.mcap.zstd: is incomplete (" in problems[0]
    assert "bag.mcap.zstd: is incomplete (it was not closed)" in problems[1]


# Parts.


@pytest.fixture
def parts(bags, tmp_path):
    """A recording in three parts, which metadata.yaml lists."""
    bag = tmp_path / "split"
    bag.mkdir()
    for i in range(3):
        part = bags.write(tmp_path / f"part_{i}", [frame(i)], StoragePlugin.SQLITE3)
        storage_file(part).replace(bag / f"split_{i}.db3")
        text = (part / "metadata.yaml").read_text()
    listed = "relative_file_paths: [split_0.db3, split_1.db3, split_2.db3]"
    lines = [x for x in text.splitlines() if not x.strip().startswith("- part_")]
    text = "\n".join(x.split("relative")[0] + listed if "relative_file" in x else x for x in lines)
    (bag / "metadata.yaml").write_text(text)
    return bag


def test_all_parts_are_read(parts):
    problems: list[str] = []
    assert sorted(numbers(parts, problems)) == [0, 1, 2]
    assert problems == []


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("missing", [0, 1])
def test_a_missing_part_is_told(parts, listed, missing):
    (parts / f"split_{missing}.db3").unlink()
    if not listed:
        (parts / "metadata.yaml").unlink()
    problems: list[str] = []
    assert sorted(numbers(parts, problems)) == [i for i in range(3) if i != missing]
    told = f"split_{missing}.db3, a file of the bag, is" if listed else f"part {missing} of the"
    assert len(problems) == 1
    assert f"{told}" in problems[0]
    assert "missing" in problems[0]


def test_a_part_that_is_not_listed_is_read_and_told(parts):
    """A recorder that is killed after it began another file has not listed that file."""
    text = (parts / "metadata.yaml").read_text()
    (parts / "metadata.yaml").write_text(text.replace(", split_2.db3", ""))
    problems: list[str] = []
    assert sorted(numbers(parts, problems)) == [0, 1, 2]
    assert problems == [
        f"{parts / 'split_2.db3'}: is not listed in metadata.yaml, but read as well"
    ]


def test_a_damaged_part_costs_itself_and_keeps_its_finding(parts):
    (parts / "split_1.db3").write_bytes(b"SQLite format 3\x00" + bytes(200))
    problems: list[str] = []
    assert sorted(numbers(parts, problems)) == [0, 2]
    assert f"{parts / 'split_1.db3'}: cannot be read: " in problems[0]


def test_parts_of_both_formats_are_one_recording(bags, tmp_path):
    bag = tmp_path / "mixed"
    bag.mkdir()
    for i, plugin in enumerate(PLUGINS):
        file = storage_file(bags.write(tmp_path / f"p{i}", [frame(i)], plugin))
        file.replace(bag / f"mixed_{i}{file.suffix}")
    assert sorted(numbers(bag)) == [0, 1]


def test_a_converted_copy_is_not_read_twice(bags, tmp_path):
    bag = bags.write(tmp_path / "bag", [frame(0)], StoragePlugin.SQLITE3)
    other = storage_file(bags.write(tmp_path / "other", [frame(0)], StoragePlugin.MCAP))
    other.replace(bag / "bag.mcap")
    problems: list[str] = []
    assert numbers(bag, problems) == [0]
    assert problems == [f"{bag / 'bag.mcap'}: is not listed in metadata.yaml; skipped"]
    (bag / "metadata.yaml").unlink()
    with pytest.raises(BagError, match=r"holds bag\.db3 and bag\.mcap: expected one of them"):
        numbers(bag)


def test_a_decompressed_copy_is_not_read_twice(bags, tmp_path):
    """Some versions of `ros2 bag play` leave it beside the compressed file."""
    bag = bags.write(tmp_path / "bag", [frame(0)], compression=CompressionMode.FILE)
    plain = storage_file(bags.write(tmp_path / "plain", [frame(0)]))
    plain.replace(bag / "bag.mcap")
    problems: list[str] = []
    assert numbers(bag, problems) == [0]
    assert problems == []


def test_parts_are_in_the_order_of_their_numbers(tmp_path):
    for i in range(12):
        (tmp_path / f"x_{i}.mcap").touch()
    problems: list[str] = []
    assert [x.stem for x in bag_files(tmp_path, problems)] == [f"x_{i}" for i in range(12)]
    assert problems == []


@pytest.mark.parametrize("name", ["run_2.mcap", "2024_01_05-10_20_30.db3", "a.mcap"])
def test_a_number_in_the_name_of_a_single_file_is_no_part(tmp_path, name):
    (tmp_path / name).touch()
    problems: list[str] = []
    assert len(bag_files(tmp_path, problems)) == 1
    assert problems == []


# What is no rosbag2, and findings beside an error.


def ros1_bag(path):
    store = get_typestore(Stores.ROS1_NOETIC)
    with Ros1Writer(path) as writer:
        kind = "std_msgs/msg/String"
        connection = writer.add_connection("/text", kind, typestore=store)
        writer.write(connection, 1, store.serialize_ros1(store.types[kind]("x"), kind))
    return path


@pytest.mark.parametrize("name", ["one.bag", "it's #1.bag", "recording.dat"])
def test_a_ros1_bag_is_named_with_the_remedy(tmp_path, name, capsys):
    path = ros1_bag(tmp_path / name)
    assert is_bag(path)
    with pytest.raises(BagError, match="it is a ROS 1 bag: expected a rosbag2: convert it with"):
        numbers(path)
    assert main(["bag", "info", str(path)]) == 2
    assert "rosbags-convert --src" in capsys.readouterr().err


def test_the_remedy_for_a_ros1_bag_works(tmp_path):
    path = ros1_bag(tmp_path / "it's #1.bag")
    with pytest.raises(BagError) as error:
        numbers(path)
    command = shlex.split(str(error.value).partition("convert it with '")[2].rstrip("'"))
    program = Path(sys.executable).parent / "rosbags-convert"
    subprocess.run([program, *command[1:]], check=True)
    with open_bag(path.with_suffix("")) as reader:
        assert [x.topic for x in reader.connections] == ["/text"]


@pytest.mark.parametrize("names", [[], ["readme.txt"], ["x.bag.active"], ["x.mcap.lz4"]])
def test_a_folder_without_a_bag_is_named(tmp_path, names):
    for x in names:
        (tmp_path / x).touch()
    with pytest.raises(BagError, match=r"cannot be read: it has no storage file: expected \.mcap"):
        numbers(tmp_path)
    with pytest.raises(StorageError, match=r"its name does not end in \.mcap, \.db3"):
        bag_files(tmp_path / "x.txt", [])


@pytest.mark.parametrize("inner", [".", "000000"])
def test_frame_folders_are_no_bag_and_the_commands_for_them_are_named(tmp_path, inner):
    write_frame((tmp_path / "frames" / inner).resolve(), frame(0))
    with pytest.raises(BagError, match=r"frame folders and no bag: .*'sdfpose eval frames'.*'sdf"):
        numbers(tmp_path / "frames")


def test_an_error_keeps_what_was_found_before_it(bags, tmp_path):
    bag = bags.write(tmp_path / "bag", [frame(0)], without=["/camera/mask"])
    file = storage_file(bag)
    content = file.read_bytes()
    file.write_bytes(content[: content.rindex(b"\x0f\x04\x00\x00\x00\x00\x00\x00\x00")])
    problem = r"no topic for mask: .*; .*bag\.mcap: is incomplete"
    problems: list[str] = []
    with pytest.raises(BagError, match=problem):
        numbers(bag, problems)
    assert problems == []


def test_info_shows_what_is_wrong_and_what_can_be_used(bags, tmp_path, capsys):
    bag = bags.write(tmp_path / "[red]bag", [frame(0), frame(1)])
    file = storage_file(bag)
    content = file.read_bytes()
    file.write_bytes(content[: content.rindex(b"\x0f\x04\x00\x00\x00\x00\x00\x00\x00")])
    assert main(["bag", "info", str(bag)]) == 0
    output = capsys.readouterr()
    assert "2 frames can be put together" in output.out
    assert output.err.count("[red]bag.mcap: is incomplete") == 1


# What other recorders write.


@pytest.mark.parametrize("newest", [True, False])
def test_tables_of_older_versions_are_read(bags, tmp_path, newest):
    bag = bags.write(tmp_path / "bag", [frame(0)], StoragePlugin.SQLITE3)
    with closing(sqlite3.connect(storage_file(bag))) as database, database:
        for table in ("message_definitions", "schema", "metadata"):
            database.execute(f"DROP TABLE {table}")
        database.execute("ALTER TABLE topics DROP COLUMN type_description_hash")
        if not newest:
            database.execute("ALTER TABLE topics DROP COLUMN offered_qos_profiles")
    assert numbers(bag) == [0]


def changed(bags, tmp_path, *commands):
    """A bag of one frame in SQLite whose tables are changed."""
    bag = bags.write(tmp_path / "bag", [frame(0)], StoragePlugin.SQLITE3)
    with closing(sqlite3.connect(storage_file(bag))) as database, database:
        for x in commands:
            database.execute(x)
    return bag


@pytest.mark.parametrize(
    ("table", "column"),
    [("topics", "id"), ("topics", "type"), ("messages", "timestamp"), ("messages", "data")],
)
def test_tables_without_a_column_are_named(bags, tmp_path, table, column):
    bag = changed(bags, tmp_path, f"ALTER TABLE {table} RENAME COLUMN {column} TO other")
    with pytest.raises(BagError, match=f"its table '{table}' lacks {column}: expected the columns"):
        numbers(bag)


def test_columns_that_are_not_needed_may_be_anything(bags, tmp_path):
    bag = changed(
        bags,
        tmp_path,
        "ALTER TABLE message_definitions RENAME COLUMN topic_type TO other",
        "ALTER TABLE topics ADD COLUMN broken_name",
    )
    file = storage_file(bag)
    file.write_bytes(file.read_bytes().replace(b"broken_name", b"broken\xffname"))
    assert numbers(bag) == [0]


def test_a_topic_without_a_name_is_left_out(bags, tmp_path, capsys):
    bag = changed(bags, tmp_path, "UPDATE topics SET name = '' WHERE name = '/camera/labels'")
    assert numbers(bag) == [0]
    assert main(["bag", "info", str(bag)]) == 0
    assert "1 messages are on a topic without a name; skipped" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["std_msgs/msg/String", "sensor_msgs/msg/CompressedImage"])
def test_a_topic_of_two_types_has_that_of_most_messages(bags, tmp_path, kind, capsys):
    bag = changed(
        bags,
        tmp_path,
        "INSERT INTO topics (id, name, type, serialization_format, offered_qos_profiles, "
        f"type_description_hash) VALUES (99, '/camera/depth', '{kind}', 'cdr', '', '')",
    )
    assert numbers(bag) == [0]
    assert main(["bag", "info", str(bag)]) == 0
    told = f"/camera/depth: has 1 messages of type sensor_msgs/msg/Image, and 0 of type {kind}"
    assert told in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("relative_file_paths: bag.mcap", "relative_file_paths is 'bag.mcap': expected a list"),
        ("relative_file_paths: [path: bag.mcap]", r"relative_file_paths is \[\{.*expected a list"),
        ("relative_file_paths:", "relative_file_paths is None: expected a list"),
        ("files: [bag.mcap]", "expected rosbag2_bagfile_information with relative_file_paths"),
    ],
)
def test_metadata_of_other_versions_is_not_needed(bags, tmp_path, text, reason):
    bag = bags.write(tmp_path / "bag", [frame(0)])
    (bag / "metadata.yaml").write_text(f"rosbag2_bagfile_information:\n  version: 99\n  {text}\n")
    problems: list[str] = []
    assert numbers(bag, problems) == [0]
    (problem,) = problems
    assert re.search(rf"metadata.yaml: cannot be read \({reason}.*; all storage files", problem)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_metadata_may_have_another_encoding(bags, tmp_path, encoding):
    bag = bags.write(tmp_path / "bag", [frame(0)])
    metadata = bag / "metadata.yaml"
    metadata.write_text(metadata.read_text(), encoding=encoding)
    problems: list[str] = []
    assert numbers(bag, problems) == [0]
    assert not problems


@pytest.mark.parametrize("compression", ["NONE", "LZ4", "ZSTD"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"use_chunking": False},
        {"chunk_size": 300},
        {"index_types": 0, "use_statistics": False, "use_summary_offsets": False},
        {"repeat_channels": False, "repeat_schemas": False},
    ],
    ids=lambda x: "-".join(x) or "default",
)
def test_mcap_files_of_any_layout_are_read(bags, tmp_path, compression, options):
    mcap = pytest.importorskip("mcap.writer")
    if "index_types" in options:
        options = options | {"index_types": mcap.IndexType.NONE}
    source = bags.write(tmp_path / "bag", [frame(i) for i in range(3)])
    path = tmp_path / "other.mcap"
    with path.open("wb") as file, open_bag(source) as bag:
        writer = mcap.Writer(file, compression=mcap.CompressionType[compression], **options)
        writer.start(profile="", library="other")
        channels = {
            x: writer.register_channel(x.topic, "cdr", writer.register_schema(x.msgtype, "", b""))
            for x in bag.connections
        }
        for connection, recorded_ns, data in reversed(list(bag.messages())):
            writer.add_message(channels[connection], recorded_ns, data, recorded_ns)
        writer.finish()
    problems: list[str] = []
    assert numbers(path, problems) == [0, 1, 2]
    assert problems == []
    with open_bag(path) as bag:
        assert bag.message_count == 15
        assert bag.duration_s == pytest.approx(0.014)
