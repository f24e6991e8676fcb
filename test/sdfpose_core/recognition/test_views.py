"""Training views of the recognition network: labels, files, and the masks they come from."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_windows import window_instance

from sdfpose_core.encoder.view_files import make_view_files
from sdfpose_core.errors import FrameError
from sdfpose_core.mask_training.views import MaskViewFile
from sdfpose_core.masks.network_masks import NetworkMasks
from sdfpose_core.observation.frame import GroundTruth
from sdfpose_core.recognition import views as module
from sdfpose_core.recognition.crop import recognition_crop
from sdfpose_core.recognition.views import (
    NO_CATEGORY,
    RECOGNITION_VIEW,
    RecognitionViewFile,
    network_masks,
    recognition_views,
)
from sdfpose_core.shapes.families import FAMILIES
from sdfpose_core.simulation.clutter import CLUTTER, simulated_clutter
from sdfpose_core.simulation.clutter_instances import ClutterInstance
from sdfpose_core.storage.record_files import Records

NAMES = ("bowl", "can", "mug")


def masks():
    """A mug that may be a can, something of no category, and a can whose pose is unknown."""
    both = window_instance("can"), window_instance("mug", distance=0.7)
    return [
        ClutterInstance(both, "mug", GroundTruth.without_pose(1, "mug")),
        ClutterInstance((window_instance("bowl", radius=0.1),), "", None),
        ClutterInstance((window_instance("can"),), "can", None),
    ]


@pytest.mark.parametrize("network", [False, True])
def test_masks_are_labelled_with_the_number_of_their_category(network):
    views = recognition_views(masks(), NAMES, np.random.default_rng(0), network=network)
    assert views.dtype == RECOGNITION_VIEW
    assert views["category"].tolist() == [2, NO_CATEGORY, 1]
    assert views["network"].tolist() == [network] * 3
    expected = recognition_crop(masks()[1].candidates[0]).astype(np.float16)
    np.testing.assert_array_equal(views["crop"][1], expected)
    none = recognition_views([], NAMES, np.random.default_rng(0), network=network)
    assert (none.dtype, none.shape) == (RECOGNITION_VIEW, (0,))


def test_any_measurement_of_a_mask_may_be_chosen():
    """Otherwise what is left of a mask under its true category would tell it."""
    some = masks()[:1] * 30
    views = recognition_views(some, NAMES, np.random.default_rng(0), network=False)
    first, second = (recognition_crop(x).astype(np.float16) for x in some[0].candidates)
    found = [(np.array_equal(x, first), np.array_equal(x, second)) for x in views["crop"]]
    assert set(found) == {(True, False), (False, True)}


@pytest.fixture(scope="module")
def clutter(tmp_path_factory):
    """A file of two views of clutter."""
    file = MaskViewFile(tmp_path_factory.mktemp("clutter") / "0.npy", 5, 2, range(2))
    file.make()
    return file.path


@pytest.fixture
def blobs(monkeypatch):
    """A mask network that finds nothing but the lower half; counts its images."""
    seen = []

    def segmentation(weights):
        def found(image, rng):
            seen.append((weights, image))
            ids = np.zeros_like(image.ids)
            ids[120:] = 1
            return ids

        return found

    monkeypatch.setattr(module, "network_masks", segmentation)
    return seen


def test_every_second_image_has_masks_of_the_network(tmp_path, clutter, blobs):
    weights = tmp_path / "masks.safetensors"
    file = RecognitionViewFile(tmp_path / "0.npy", clutter, tuple(FAMILIES), 7, weights)
    assert list(make_view_files([file], 1)) == [file]
    ((used, image),) = blobs
    assert used == weights
    views = Records.load([file.path], RECOGNITION_VIEW)
    network = views.field("network")
    assert np.count_nonzero(~network) >= 2
    assert np.count_nonzero(network) == 1
    category = views.field("category")[~network]
    assert category.max() < len(FAMILIES)
    assert set(category.tolist()) - {NO_CATEGORY}
    crops = views[np.arange(len(views))]["crop"]
    assert np.isfinite(crops).all()
    assert (crops[:, 13] > 0.0).any(axis=(1, 2)).mean() > 0.5
    assert image.frame.colour.any()
    file.make()
    assert len(blobs) == 1
    other = RecognitionViewFile(tmp_path / "1.npy", clutter, tuple(FAMILIES), 8, weights)
    again = RecognitionViewFile(tmp_path / "2.npy", clutter, tuple(FAMILIES), 7, weights)
    for x in (other, again):
        x.make()
    assert again.path.read_bytes() == file.path.read_bytes() != other.path.read_bytes()


def test_views_of_an_earlier_version_are_refused(tmp_path, clutter, blobs):
    old = tmp_path / "old.npy"
    np.save(old, np.zeros(2, dtype=[("colour", np.uint8, (4, 4, 3)), ("focal", np.float32)]))
    file = RecognitionViewFile(tmp_path / "0.npy", old, NAMES, 0)
    with pytest.raises(FrameError, match=r"old\.npy: contains .*focal.*delete it to make it again"):
        file.make()
    assert not file.path.exists()
    with pytest.raises(FrameError, match=r"0\.npy: contains .*categories.*: expected training"):
        Records.load([clutter], RECOGNITION_VIEW)


def test_a_segmentation_by_the_mask_network_remembers_no_other_image():
    images = list(simulated_clutter(5, 2, CLUTTER, width=160, model_seeds=range(1)))
    segmentation, rng = network_masks(None), np.random.default_rng(0)
    both = [segmentation(x, rng) for x in images]
    alone = NetworkMasks(device="cpu").segment(images[1].frame).ids
    assert both[0].any()
    pairs = np.unique(np.stack([both[1].ravel(), alone.ravel()]), axis=1)
    # The same masks, under other ids.
    assert pairs.shape[1] == len(np.unique(alone)) == len(np.unique(both[1]))
