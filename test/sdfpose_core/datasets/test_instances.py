"""Files of instances."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sdfpose_core.datasets.instances import StoredInstance, read_instances, write_instances
from sdfpose_core.errors import FrameError
from sdfpose_core.simulation.instances import simulated_instances


@pytest.fixture(scope="module")
def items() -> list[StoredInstance]:
    views = list(simulated_instances("bowl", 0, 3, model_seeds=range(2)))
    found = [StoredInstance(f"image {i}", x.instance, x.truth) for i, x in enumerate(views)]
    return [found[0], replace(found[1], truth=None), found[2]]


def test_what_is_written_is_read(items: list[StoredInstance], tmp_path: Path) -> None:
    path = tmp_path / "deep" / "bowl.npz"
    write_instances(path, items)
    again = read_instances(path)
    assert [x.image for x in again] == [x.image for x in items]
    for x, y in zip(items, again, strict=True):
        a, b = x.instance, y.instance
        assert (a.mask_id, a.category, a.score, a.mask_pixels) == (
            b.mask_id,
            b.category,
            b.score,
            b.mask_pixels,
        )
        assert sorted(map(tuple, a.points.tolist())) == sorted(map(tuple, b.points.tolist()))
        np.testing.assert_array_equal(a.free.depth, b.free.depth)
        np.testing.assert_array_equal(a.free.outside, b.free.outside)
        assert a.free.camera == b.free.camera
        assert a.free.hidden == b.free.hidden
        assert (a.support is None) == (b.support is None)
        if a.support is not None and b.support is not None:
            np.testing.assert_array_equal(a.support.normal, b.support.normal)
            assert b.support.offset == pytest.approx(a.support.offset)
            assert b.support.noise == pytest.approx(a.support.noise)
        assert (x.truth is None) == (y.truth is None)
        if x.truth is not None and y.truth is not None:
            np.testing.assert_array_equal(x.truth.rotation, y.truth.rotation)
            np.testing.assert_array_equal(x.truth.dimensions_m, y.truth.dimensions_m)
            assert x.truth.instance == y.truth.instance


def test_of_large_instances_some_points_are_kept_with_their_pixels(
    items: list[StoredInstance], tmp_path: Path
) -> None:
    count = 5000
    points = np.arange(3 * count, dtype=np.float32).reshape(count, 3)
    pixels = points[:, :2].astype(np.int32)
    large = replace(items[0].instance, points=points, pixels=pixels)
    write_instances(tmp_path / "x.npz", [replace(items[0], instance=large), items[1]])
    first, second = read_instances(tmp_path / "x.npz")
    assert len(first.instance.points) == 1024
    np.testing.assert_array_equal(first.instance.points[:, :2], first.instance.pixels)
    assert np.ptp(first.instance.points) > 0.9 * np.ptp(points)
    assert len(second.instance.points) == len(items[1].instance.points)


def test_an_empty_file_is_one(tmp_path: Path) -> None:
    write_instances(tmp_path / "x.npz", [])
    assert read_instances(tmp_path / "x.npz") == []


@pytest.mark.parametrize("content", [b"", b"rubbish", b"PK\x03\x04 cut short"])
def test_damaged_files_are_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(content)
    with pytest.raises(FrameError, match=r"x\.npz: cannot be read as instances"):
        read_instances(path)


def test_files_of_another_kind_are_named(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, format=np.array("something/2"))
    with pytest.raises(FrameError, match="has format something/2"):
        read_instances(path)
    np.savez(path, other=np.zeros(3))
    with pytest.raises(FrameError, match="cannot be read as instances"):
        read_instances(path)
    np.savez(path, format=np.array([object()], dtype=object))
    with pytest.raises(FrameError, match="cannot be read as instances"):
        read_instances(path)
