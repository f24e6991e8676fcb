"""Training views: from images to records, and files of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sdfpose_core.errors import FrameError
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.mask_training import views as module
from sdfpose_core.mask_training.views import (
    VIEW_SIZE,
    MaskViewFile,
    MaskViews,
    make_view_files,
    simulated_clutter_views,
    view_records,
)
from sdfpose_core.observation.frame import RgbdFrame


def frame_of(width, height):
    """An image with two objects: the first is nearer and red."""
    camera = PinholeCamera(width, height, 1.0 * width, 1.0 * width, 0.5 * width, 0.5 * height)
    ids = np.zeros((height, width), dtype=np.uint16)
    ids[height // 4 : height // 2, width // 4 : width // 2] = 700
    ids[height // 2 :, width // 2 :] = 9
    depth = np.where(ids == 700, 0.8, 1.0).astype(np.float32)
    colour = np.zeros((height, width, 3), dtype=np.uint8)
    colour[ids == 700] = (200, 0, 0)
    return RgbdFrame(colour, depth, ids, camera), ids


@pytest.mark.parametrize(
    ("size", "rows", "columns"),
    [
        ((640, 480), 240, 320),
        ((320, 240), 240, 320),
        ((640, 360), 180, 320),
        ((480, 640), 240, 180),
    ],
)
def test_images_of_any_size_become_views(size, rows, columns):
    frame, ids = frame_of(*size)
    (view,) = view_records([(frame, ids)])
    assert view["ids"].shape == VIEW_SIZE
    assert set(np.unique(view["ids"])) == {0, 1, 2}
    nearer = view["depth"] == 800
    np.testing.assert_array_equal(view["ids"] == 2, nearer)
    assert np.count_nonzero(nearer) == pytest.approx(rows * columns / 16, rel=0.05)
    assert np.count_nonzero(view["depth"]) == rows * columns
    assert view["focal"] == pytest.approx(columns)
    assert ((view["colour"][..., 0] > 150) == nearer).mean() > 0.99


def test_an_image_that_is_all_object():
    frame, ids = frame_of(320, 240)
    (view,) = view_records([(frame, np.where(ids == 9, 9, 700).astype(np.uint16))])
    assert set(np.unique(view["ids"])) == {1, 2}


def test_too_many_objects_are_refused():
    frame, _ = frame_of(320, 240)
    many = (np.arange(320 * 240) // 200).reshape(240, 320).astype(np.uint16)
    with pytest.raises(FrameError, match="383 objects: expected at most 255"):
        view_records([(frame, many)])


def test_views_of_several_files_are_numbered_through():
    records = view_records([frame_of(320, 240)] * 5)
    records["focal"] = np.arange(5)
    views = MaskViews([records[:2], records[2:]])
    assert len(views) == 5
    assert views[[4, 0, 2, 1]]["focal"].tolist() == [4.0, 0.0, 2.0, 1.0]
    assert len(MaskViews([])) == 0


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A file of views whose images are not simulated."""
    monkeypatch.setattr(
        module, "simulated_clutter_views", lambda seed, count, _: [frame_of(320, 240)] * count
    )
    return MaskViewFile(tmp_path / "0.npy", 0, 3, range(1))


def test_files_are_made_once_and_read_again(file):
    assert list(make_view_files([file], 1)) == [file]
    written = file.path.stat().st_mtime_ns
    list(make_view_files([file], 1))
    assert file.path.stat().st_mtime_ns == written
    views = MaskViews.load([file.path, file.path])
    assert len(views) == 6
    expected = view_records([frame_of(320, 240)])
    assert views[[5]].tobytes() == expected.tobytes()


@pytest.mark.parametrize("content", [b"", b"x", b"\x93NUMPY\x01\x00"])
def test_damaged_files_are_named(file, content):
    file.path.write_bytes(content)
    with pytest.raises(FrameError, match=r"0\.npy: not a readable file.*delete it"):
        MaskViews.load([file.path])


def test_files_of_other_views_are_named(file):
    np.save(file.path, np.zeros(3))
    with pytest.raises(FrameError, match=r"0\.npy: contains float64 \(3,\).*delete it"):
        MaskViews.load([file.path])
    with pytest.raises(FrameError, match="not a readable file"):
        MaskViews.load([replace(file, path=file.path.with_name("1.npy")).path])


def test_scenes_have_an_id_for_every_object():
    (first,), (second,) = (list(simulated_clutter_views(3, 1, range(1))) for _ in range(2))
    frame, ids = first
    assert ids.shape == frame.depth.shape
    assert 2 <= len(np.unique(ids)) <= 40
    np.testing.assert_array_equal(ids, second[1])
    np.testing.assert_array_equal(frame.colour, second[0].colour)
