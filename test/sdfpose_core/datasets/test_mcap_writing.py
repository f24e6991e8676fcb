"""MCAP files that are written message by message, and what happens when the disk is full."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sdfpose_core.datasets.bag_writing import offered_qos
from sdfpose_core.datasets.bags import open_bag
from sdfpose_core.datasets.mcap_writing import McapFile
from sdfpose_core.errors import BagError
from sdfpose_core.messages.definitions import message_definitions

STORE = message_definitions()
TEXT = "std_msgs/msg/String"
QOS = offered_qos(latched=False)


def text(content: str) -> bytes:
    return bytes(STORE.serialize_cdr(STORE.types[TEXT](data=content), TEXT))


def contents(path: Path, problems=None) -> list[tuple[str, int, str]]:
    with open_bag(path, problems) as bag:
        return [
            (x.topic, ns, bag.deserialize(data, x.msgtype).data) for x, ns, data in bag.messages()
        ]


def test_messages_of_topics_that_are_added_one_after_the_other(tmp_path):
    with McapFile(tmp_path / "a.mcap", STORE) as file:
        file.add_topic("/one", TEXT, QOS)
        file.write("/one", text("first"), 5)
        file.add_topic("/two", TEXT, offered_qos(latched=True))
        file.write("/two", text("second"), 6)
        file.write("/one", text("third"), 7)
        assert file.counts == {"/one": 2, "/two": 1}
    assert contents(tmp_path / "a.mcap") == [
        ("/one", 5, "first"),
        ("/two", 6, "second"),
        ("/one", 7, "third"),
    ]
    assert [x.name for x in tmp_path.iterdir()] == ["a.mcap"]
    with open_bag(tmp_path / "a.mcap") as bag:
        assert {x.topic: x.latched for x in bag.connections} == {"/one": False, "/two": True}


def test_it_is_closed_once(tmp_path):
    file = McapFile(tmp_path / "a.mcap", STORE)
    file.add_topic("/one", TEXT, QOS)
    file.write("/one", text("x"), 5)
    assert file.close() == file.close() == tmp_path / "a.mcap"
    assert file.size == (tmp_path / "a.mcap").stat().st_size


def test_an_existing_file_is_kept_or_replaced(tmp_path):
    path = tmp_path / "a.mcap"
    path.write_text("precious")
    with pytest.raises(BagError, match=r"a\.mcap: already exists: choose"):
        McapFile(path, STORE)
    assert path.read_text() == "precious"
    McapFile(path, STORE, replace=True).close()
    assert path.read_bytes().startswith(b"\x89MCAP")


def test_what_a_killed_process_has_left_can_be_read_and_is_not_lost(tmp_path):
    path = tmp_path / "a.mcap"
    file = McapFile(path, STORE)
    file.add_topic("/one", TEXT, QOS)
    for i in range(4):
        file.write("/one", text("x" * 2**20), i)  # a chunk each
    file._writer.storage.bio.flush()
    with pytest.raises(BagError, match="a recorder that was killed has left it"):
        McapFile(path, STORE)
    problems: list[str] = []
    assert len(contents(tmp_path / "a.recording", problems)) >= 3
    assert problems


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(BagError, match=r"b\.mcap: cannot be written"):
        McapFile(tmp_path / "file" / "b.mcap", STORE)


def test_an_unknown_type_is_named(tmp_path):
    file = McapFile(tmp_path / "a.mcap", STORE)
    with pytest.raises(BagError, match="/x: the definition of odd_msgs/msg/Odd is missing"):
        file.add_topic("/x", "odd_msgs/msg/Odd", QOS)


FULL = """
import resource, sys
from pathlib import Path
from sdfpose_core.datasets.bag_writing import offered_qos
from sdfpose_core.datasets.mcap_writing import McapFile
from sdfpose_core.errors import BagError
from sdfpose_core.messages.definitions import message_definitions

resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
store = message_definitions()
file = McapFile(Path(sys.argv[1]), store)
file.add_topic("/one", "std_msgs/msg/UInt8MultiArray", offered_qos(latched=False))
import numpy as np
rng = np.random.default_rng(0)
try:
    for i in range(100):
        file.write("/one", b"\\0\\1\\0\\0" + rng.bytes(60_000), i)
    file.close()
except BagError as error:
    print(error)
print(file.close())
"""


def test_a_file_that_cannot_grow_is_cut_off_and_says_so(tmp_path):
    """As on a full disk: the limit of the process takes its place."""
    path = tmp_path / "full.mcap"
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(path)], capture_output=True, text=True, check=True
    )
    message, end = done.stdout.splitlines()
    assert message.startswith(f"{path}: cannot be written: File too large: free space")
    assert "and what was written can be read" in message
    assert end == str(path)
    assert [x.name for x in tmp_path.iterdir()] == ["full.mcap"]
