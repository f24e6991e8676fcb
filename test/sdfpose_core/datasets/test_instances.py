"""Files of instances."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sdfpose_core.datasets.instances import (
    StoredInstance,
    read_instances,
    read_truths,
    write_instances,
)
from sdfpose_core.encoder.ssc6d import colour_view
from sdfpose_core.errors import FrameError
from sdfpose_core.observation.frame import Instance
from sdfpose_core.simulation.instances import simulated_instances


@pytest.fixture(scope="module")
def items() -> list[StoredInstance]:
    views = list(simulated_instances("bowl", 0, 3, model_seeds=range(2), colour=True))
    found = [StoredInstance(f"image {i}", x.instance, x.truth) for i, x in enumerate(views)]
    colourless = replace(found[2], instance=replace(found[2].instance, colour=None))
    return [found[0], replace(found[1], truth=None), colourless]


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
        assert (a.up is None) == (b.up is None)
        if a.up is not None and b.up is not None:
            np.testing.assert_array_equal(a.up, b.up)
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
    large = replace(items[0].instance, points=points, pixels=pixels, colour=None)
    write_instances(tmp_path / "x.npz", [replace(items[0], instance=large), items[1]])
    first, second = read_instances(tmp_path / "x.npz")
    assert len(first.instance.points) == 1024
    np.testing.assert_array_equal(first.instance.points[:, :2], first.instance.pixels)
    assert np.ptp(first.instance.points) > 0.9 * np.ptp(points)
    assert len(second.instance.points) == len(items[1].instance.points)


def test_colour_views_are_those_of_the_whole_image(
    items: list[StoredInstance], tmp_path: Path
) -> None:
    """The window is that of all points, also of those that are not stored."""
    path = tmp_path / "x.npz"
    write_instances(path, items)
    stored = read_instances(path)
    assert [x.instance.colour is None for x in stored] == [False, False, True]
    for whole, again in zip(items[:2], stored[:2], strict=True):
        assert isinstance(whole.instance.colour, np.ndarray)
        expected = replace(
            whole.instance, points=again.instance.points, pixels=again.instance.pixels
        )
        seen, read = (
            colour_view(x, 96, 300, np.random.default_rng(0)) for x in (expected, again.instance)
        )
        np.testing.assert_array_equal(seen.colour, read.colour)
        np.testing.assert_array_equal(seen.index, read.index)
    few = [replace(x, instance=_without_border(x.instance)) for x in stored[:2]]
    write_instances(path, few)
    for a, b in zip(few, read_instances(path), strict=True):
        assert a.instance.colour == b.instance.colour


def _without_border(instance: Instance) -> Instance:
    """Remove the points that decide on the window."""
    inner = instance.pixels[:, 0] > instance.pixels[:, 0].min()
    return replace(instance, points=instance.points[inner], pixels=instance.pixels[inner])


def test_parts_of_a_file(items: list[StoredInstance], tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    write_instances(path, items)
    second, first = read_instances(path, [1, 0], free_space=False, colour=False)
    assert (first.image, second.image) == ("image 0", "image 1")
    assert first.instance.colour is None
    assert first.instance.free.hidden == 1.0
    assert len(second.instance.points) == len(items[1].instance.points)
    truths, coloured = read_truths(path)
    assert coloured.tolist() == [True, True, False]
    assert truths[1] is None
    for i in (0, 2):
        found, written = truths[i], items[i].truth
        assert found is not None
        assert written is not None
        assert found.instance == written.instance
        np.testing.assert_array_equal(found.translation, written.translation)


def test_an_empty_file_is_one(tmp_path: Path) -> None:
    write_instances(tmp_path / "x.npz", [])
    assert read_instances(tmp_path / "x.npz") == []
    assert read_truths(tmp_path / "x.npz")[0] == []


@pytest.mark.parametrize("content", [b"", b"rubbish", b"PK\x03\x04 cut short"])
def test_damaged_files_are_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(content)
    for read in (read_instances, read_truths):
        with pytest.raises(FrameError, match=r"x\.npz: cannot be read as instances"):
            read(path)


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
