import pytest

from sdfpose_core.storage.files import write_atomically


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
