"""Training views: from images to records, and files of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sdfpose_core.encoder.view_files import make_view_files
from sdfpose_core.errors import FrameError
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.mask_training import views as module
from sdfpose_core.mask_training.views import (
    IGNORED,
    VIEW_SIZE,
    MaskViewFile,
    MaskViews,
    view_records,
)
from sdfpose_core.observation.frame import RgbdFrame
from sdfpose_core.simulation.clutter import ClutterFrame


def frame_of(width, height):
    """An image with two objects: the first is nearer and red."""
    camera = PinholeCamera(width, height, 1.0 * width, 1.0 * width, 0.5 * width, 0.5 * height)
    ids = np.zeros((height, width), dtype=np.uint16)
    ids[height // 4 : height // 2, width // 4 : width // 2] = 700
    ids[height // 2 :, width // 2 :] = 9
    depth = np.where(ids == 700, 0.8, 1.0).astype(np.float32)
    colour = np.zeros((height, width, 3), dtype=np.uint8)
    colour[ids == 700] = (200, 0, 0)
    frame = RgbdFrame(colour, depth, np.zeros_like(ids), camera)
    return ClutterFrame(frame, ids, {700: "mug", 9: ""}, np.zeros(ids.shape, np.bool_), ())


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
    (view,) = view_records([frame_of(*size)])
    assert view["ids"].shape == VIEW_SIZE
    assert set(np.unique(view["ids"])) == {0, 1, 2}
    nearer = view["depth"] == 800
    np.testing.assert_array_equal(view["ids"] == 2, nearer)
    assert np.count_nonzero(nearer) == pytest.approx(rows * columns / 16, rel=0.05)
    assert np.count_nonzero(view["depth"]) == rows * columns
    assert view["focal"] == pytest.approx(columns)
    assert ((view["colour"][..., 0] > 150) == nearer).mean() > 0.99


def test_an_image_that_is_all_object():
    image = frame_of(320, 240)
    full = np.where(image.ids == 9, 9, 700).astype(np.uint16)
    (view,) = view_records([replace(image, ids=full)])
    assert set(np.unique(view["ids"])) == {1, 2}


def test_what_is_not_asked_for_is_marked():
    image = frame_of(640, 480)
    ids = np.where(image.ids == 9, 0, image.ids).astype(np.uint16)
    (view,) = view_records([replace(image, ids=ids, ignore=image.ids == 9)])
    np.testing.assert_array_equal(np.unique(view["ids"]), [0, 1, IGNORED])
    assert np.count_nonzero(view["ids"] == IGNORED) == 320 * 240 // 4


def test_too_many_objects_are_refused():
    many = (np.arange(320 * 240) // 200).reshape(240, 320).astype(np.uint16)
    with pytest.raises(FrameError, match="383 objects: expected at most 254"):
        view_records([replace(frame_of(320, 240), ids=many)])


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
        module, "simulated_clutter", lambda seed, count, style, **_: [frame_of(320, 240)] * count
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


def test_simulated_clutter_becomes_views(tmp_path):
    file = MaskViewFile(tmp_path / "0.npy", 3, 1, range(1))
    list(make_view_files([file], 1))
    (view,) = MaskViews.load([file.path])[[0]]
    assert 2 <= len(np.unique(view["ids"])) <= 40
    assert (view["depth"] > 0).mean() > 0.3
    assert view["colour"].any()
