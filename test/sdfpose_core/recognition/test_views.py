"""Training views of the recognition network: labels, files, and the masks they come from."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_windows import window_instance

from sdfpose_core.encoder.view_files import make_view_files
from sdfpose_core.errors import FrameError
from sdfpose_core.masks.network_masks import NetworkMasks
from sdfpose_core.observation.frame import GroundTruth
from sdfpose_core.recognition import views as module
from sdfpose_core.recognition.crop import recognition_crop
from sdfpose_core.recognition.views import (
    NO_CATEGORY,
    RecognitionViewFile,
    RecognitionViews,
    network_masks,
)
from sdfpose_core.simulation.clutter import CLUTTER, EMPTY, simulated_clutter
from sdfpose_core.simulation.clutter_instances import ClutterInstance, detected_masks

NAMES = ("bowl", "can", "mug")


def masks():
    """A mug that may be a can, and something of no category."""
    both = window_instance("can"), window_instance("mug", distance=0.7)
    return [
        ClutterInstance(both, GroundTruth.without_pose(1, "mug")),
        ClutterInstance((window_instance("bowl", radius=0.1),), None),
    ]


def test_masks_are_labelled_with_the_number_of_their_category():
    views = RecognitionViews.collect(masks(), NAMES, np.random.default_rng(0))
    assert views.category.tolist() == [2, NO_CATEGORY]
    assert views.category.dtype == np.int64
    expected = recognition_crop(masks()[1].candidates[0]).astype(np.float16)
    np.testing.assert_array_equal(views.crops[1], expected)


def test_any_measurement_of_a_mask_may_be_chosen():
    """Otherwise what is left of a mask under its true category would tell it."""
    some = masks()[:1] * 30
    views = RecognitionViews.collect(some, NAMES, np.random.default_rng(0))
    first, second = (recognition_crop(x).astype(np.float16) for x in some[0].candidates)
    found = [(np.array_equal(x, first), np.array_equal(x, second)) for x in views.crops]
    assert set(found) == {(True, False), (False, True)}


@pytest.fixture
def made_of(monkeypatch):
    """How the clutter of the files is asked for; it is not simulated."""
    asked = []

    def clutter_instances(seed, count, style, *, masks, model_seeds):
        asked.append((seed, count, style, masks, model_seeds))
        return made

    made = masks()
    monkeypatch.setattr(module, "clutter_instances", clutter_instances)
    return asked


def test_files_are_made_once_and_read_again(tmp_path, made_of):
    file = RecognitionViewFile(tmp_path / "0.npz", NAMES, 7, 2, EMPTY, range(3), network=False)
    assert list(make_view_files([file], 1)) == [file]
    assert made_of == [(7, 2, EMPTY, detected_masks, range(3))]
    file.make()
    assert len(made_of) == 1
    views = RecognitionViews.load(file.path)
    assert len(views) == 2
    assert views.crops.dtype == np.float16
    joined = RecognitionViews.joined([views, views])
    assert joined.category.tolist() == [2, NO_CATEGORY] * 2
    np.testing.assert_array_equal(joined.crops[2:], views.crops)


@pytest.mark.parametrize("content", [b"", b"x", b"PK\x03\x04"])
def test_damaged_files_are_named(tmp_path, content):
    path = tmp_path / "0.npz"
    path.write_bytes(content)
    with pytest.raises(FrameError, match=r"0\.npz: not a readable file of training.*delete it"):
        RecognitionViews.load(path)


def test_files_of_other_views_and_missing_ones_are_named(tmp_path):
    path = tmp_path / "0.npz"
    with pytest.raises(FrameError, match=r"0\.npz: not a readable file of training views"):
        RecognitionViews.load(path)
    np.savez(path, colour=np.zeros(3))
    with pytest.raises(FrameError, match=r"0\.npz: not a readable file of training views"):
        RecognitionViews.load(path)


def test_a_segmentation_by_the_mask_network_remembers_no_other_image():
    images = list(simulated_clutter(5, 2, CLUTTER, width=160, model_seeds=range(1)))
    segmentation, rng = network_masks(None), np.random.default_rng(0)
    both = [segmentation(x, rng) for x in images]
    alone = NetworkMasks(device="cpu").segment(images[1].frame).ids
    assert both[0].any()
    pairs = np.unique(np.stack([both[1].ravel(), alone.ravel()]), axis=1)
    # The same masks, under other ids.
    assert pairs.shape[1] == len(np.unique(alone)) == len(np.unique(both[1]))
