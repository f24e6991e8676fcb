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
    MASK_VIEW,
    VIEW_SIZE,
    MaskViewFile,
    as_clutter,
    view_records,
)
from sdfpose_core.observation.frame import RgbdFrame
from sdfpose_core.simulation.clutter import CLUTTER, ClutterFrame, simulated_clutter
from sdfpose_core.storage.record_files import Records


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


def test_a_view_is_an_image_again():
    """At the size of a view, only the numbers of the things change."""
    image = frame_of(320, 240)
    ignore = np.zeros(image.ids.shape, np.bool_)
    ignore[:20, :30] = True
    (view,) = view_records([replace(image, ignore=ignore)])
    again = as_clutter(view)
    np.testing.assert_array_equal(again.ids, np.select([image.ids == 9, image.ids == 700], [1, 2]))
    assert again.ids.dtype == np.uint16
    assert again.categories == {1: "", 2: "mug"}
    np.testing.assert_array_equal(again.ignore, ignore)
    np.testing.assert_array_equal(again.frame.colour, image.frame.colour)
    np.testing.assert_allclose(again.frame.depth, image.frame.depth, atol=6e-4)
    assert not again.frame.mask.any()
    assert again.truths == ()
    camera = again.frame.camera
    assert (camera.fx, camera.fy) == (320.0, 320.0)
    assert (camera.cx, camera.cy) == (159.5, 119.5)
    assert view_records([again]).tobytes() == view.tobytes()


def test_an_image_that_is_all_object_keeps_its_categories():
    image = frame_of(320, 240)
    full = np.where(image.ids == 9, 9, 700).astype(np.uint16)
    (view,) = view_records([replace(image, ids=full)])
    assert as_clutter(view).categories == {1: "", 2: "mug"}


def test_simulated_clutter_is_the_same_after_a_view_of_it():
    for image in simulated_clutter(5, 2, CLUTTER, width=320, model_seeds=range(2)):
        again = as_clutter(view_records([image])[0])
        pairs = set(zip(image.ids.ravel().tolist(), again.ids.ravel().tolist(), strict=True))
        assert len(pairs) == len(np.unique(image.ids)) == len(np.unique(again.ids))
        names = {image.categories.get(a, "") == again.categories.get(b, "") for a, b in pairs}
        assert names == {True}
        np.testing.assert_array_equal(again.ignore, image.ignore)


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
    views = Records.load([file.path, file.path], MASK_VIEW)
    assert len(views) == 6
    expected = view_records([frame_of(320, 240)])
    assert views[[5]].tobytes() == expected.tobytes()


def test_simulated_clutter_becomes_views(tmp_path):
    file = MaskViewFile(tmp_path / "0.npy", 3, 1, range(1))
    list(make_view_files([file], 1))
    (view,) = Records.load([file.path], MASK_VIEW)[[0]]
    assert 2 <= len(np.unique(view["ids"])) <= 40
    assert (view["depth"] > 0).mean() > 0.3
    assert view["colour"].any()
