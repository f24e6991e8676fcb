"""Records in several files: numbers, fields, and files that do not fit."""

from __future__ import annotations

import numpy as np
import pytest

from sdfpose_core.errors import FrameError
from sdfpose_core.storage.record_files import Records, write_records

KIND = np.dtype([("image", np.uint8, (2, 3)), ("number", np.float32)])


def records(count):
    made = np.zeros(count, dtype=KIND)
    made["number"] = np.arange(count)
    made["image"] = np.arange(6 * count).reshape(count, 2, 3)
    return made


def test_records_of_several_arrays_are_numbered_through():
    some = records(5)
    joined = Records([some[:2], some[2:2], some[2:]])
    assert len(joined) == 5
    chosen = [4, 0, 2, 1, 2]
    assert joined[chosen].tobytes() == some[chosen].tobytes()
    assert joined[np.array(chosen)].dtype == KIND
    np.testing.assert_array_equal(joined.field("number"), some["number"])
    np.testing.assert_array_equal(joined.field("image"), some["image"])


def test_none_may_be_asked_for_or_be_there():
    none = Records([records(3)])[[]]
    assert none.dtype == KIND
    assert none.shape == (0,)
    assert len(Records([])) == len(Records([records(0)])) == 0
    with pytest.raises(IndexError):
        Records([records(3)])[[3]]


def test_written_records_are_read_again_as_they_are_needed(tmp_path):
    paths = [tmp_path / "0.npy", tmp_path / "1.npy"]
    for path in paths:
        write_records(path, records(2))
    loaded = Records.load(paths, KIND)
    assert loaded[[3, 0]].tobytes() == records(2)[[1, 0]].tobytes()
    assert loaded.field("number").tolist() == [0.0, 1.0, 0.0, 1.0]
    assert {x.name for x in tmp_path.iterdir()} == {"0.npy", "1.npy"}


@pytest.mark.parametrize("content", [b"", b"x", b"\x93NUMPY\x01\x00"])
def test_damaged_files_are_named(tmp_path, content):
    path = tmp_path / "0.npy"
    path.write_bytes(content)
    with pytest.raises(FrameError, match=r"0\.npy: not a readable file.*delete it"):
        Records.load([path], KIND)


def test_missing_files_and_pickles_are_named(tmp_path):
    path = tmp_path / "0.npy"
    with pytest.raises(FrameError, match=r"0\.npy: not a readable file"):
        Records.load([path], KIND)
    np.save(path, np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(FrameError, match=r"0\.npy: not a readable file"):
        Records.load([path], KIND)


OTHER = np.dtype([*KIND.descr, ("category", np.int8)])


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (np.zeros(3), r"float64 \(3,\)"),
        (np.zeros(2, dtype=OTHER), r".*category.* \(2,\)"),
        (np.zeros((2, 2), dtype=KIND), r".*number.* \(2, 2\)"),
    ],
)
def test_records_of_another_type_are_refused(tmp_path, content, shown):
    path = tmp_path / "0.npy"
    np.save(path, content)
    expected = rf"0\.npy: contains {shown}: expected training views of this version; delete it"
    with pytest.raises(FrameError, match=expected):
        Records.load([path], KIND)
