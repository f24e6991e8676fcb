import os
import threading
from pathlib import Path

import pytest

from sdfpose_core.storage.files import create_atomically, replace_folder, write_atomically


def test_folders_are_made_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "a" / "b.txt"
    write_atomically(path, b"one")
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    assert [p.name for p in path.parent.iterdir()] == ["b.txt"]


def test_a_failed_write_keeps_the_old_file(tmp_path):
    path = tmp_path / "b.txt"
    write_atomically(path, b"one")
    with pytest.raises(TypeError):
        write_atomically(path, "no bytes")
    assert path.read_bytes() == b"one"
    assert [p.name for p in tmp_path.iterdir()] == ["b.txt"]


def test_others_may_read_the_file(tmp_path):
    path = tmp_path / "b.txt"
    write_atomically(path, b"one")
    plain = tmp_path / "plain"
    plain.write_bytes(b"one")
    assert path.stat().st_mode == plain.stat().st_mode


@pytest.mark.parametrize("name", [250 * "x", 125 * "ü", "x" * 255])
def test_the_longest_names_can_be_written(tmp_path, name):
    write_atomically(tmp_path / name, b"one")
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_a_link_is_written_through(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "file")
    write_atomically(tmp_path / "link", b"one")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"one"


def test_a_pipe_is_written_not_replaced(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    received = []
    reader = threading.Thread(target=lambda: received.append(path.read_bytes()), daemon=True)
    reader.start()
    write_atomically(path, b"one")
    reader.join(5.0)
    assert received == [b"one"]
    assert path.is_fifo()


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_is_there_is_not_created_again(tmp_path, monkeypatch, links):
    if not links:
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(PermissionError()))
    path = tmp_path / "a" / "b.txt"
    create_atomically(path, b"one")
    create_atomically(path, b"two")
    assert path.read_bytes() == b"one"
    assert [p.name for p in path.parent.iterdir()] == ["b.txt"]


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    folder = tmp_path / "new" / "x"
    for number in range(2):
        with replace_folder(folder) as temporary:
            assert temporary.parent == folder.parent
            (temporary / f"{number}.txt").write_text("whole")
            assert [x.name for x in folder.glob("*")] == ["0.txt"] * number
        assert [x.name for x in folder.iterdir()] == [f"{number}.txt"]
    assert [x.name for x in folder.parent.iterdir()] == ["x"]


def test_a_folder_that_cannot_be_moved_leaves_the_former_one(tmp_path, monkeypatch):
    folder = tmp_path / "x"
    folder.mkdir()
    (folder / "old.txt").touch()
    rename = Path.rename

    def fails(path, target):
        if target == folder and not (path / "old.txt").exists():
            raise OSError(5, "Input/output error")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fails)
    with pytest.raises(OSError, match="Input/output"), replace_folder(folder) as temporary:
        (temporary / "new.txt").touch()
    assert [x.name for x in folder.iterdir()] == ["old.txt"]
    assert [x.name for x in tmp_path.iterdir()] == ["x"]


def test_the_folder_that_a_link_leads_to_is_replaced(tmp_path):
    folder, link = tmp_path / "disk" / "real", tmp_path / "link"
    link.symlink_to(folder)
    for name in ("first", "second"):
        with replace_folder(link) as temporary:
            (temporary / name).touch()
        assert link.is_symlink()
        assert [x.name for x in folder.iterdir()] == [name]
    assert [x.name for x in tmp_path.iterdir() if x.name != "disk"] == ["link"]
    assert [x.name for x in folder.parent.iterdir()] == ["real"]
