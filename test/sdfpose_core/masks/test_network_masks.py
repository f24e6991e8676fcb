"""Masks from the mask network: a tiny one that knows views of blocks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from toy_mask_views import TINY, toy_network, toy_views

from sdfpose_core.errors import DeviceError, WeightsError
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.masks.network import MaskNetwork
from sdfpose_core.masks.network_masks import NetworkMasks
from sdfpose_core.observation.frame import RgbdFrame
from sdfpose_core.observation.segmentation import ANY_CATEGORY


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("masks") / "masks.safetensors"
    toy_network().save(path, "any")
    return path


def frame_of(view):
    """Half the resolution of a view: the network sees such small images enlarged."""
    camera = PinholeCamera(32, 24, 30.0, 30.0, 15.5, 11.5)
    depth = view["depth"][::2, ::2].astype(np.float32) / 1000.0
    ids = view["ids"][::2, ::2].astype(np.uint16)
    return RgbdFrame(np.ascontiguousarray(view["colour"][::2, ::2]), depth, ids, camera)


def blank(width, height, *, colour=100, depth=1.0):
    camera = PinholeCamera(width, height, 0.9 * width, 0.9 * width, 0.5 * width, 0.5 * height)
    image = np.full((height, width, 3), colour, dtype=np.uint8)
    z = np.full((height, width), depth, dtype=np.float32)
    return RgbdFrame(image, z, np.zeros((height, width), dtype=np.uint16), camera)


def overlap(a, b):
    return np.count_nonzero(a & b) / np.count_nonzero(a | b)


def best_overlaps(found, true):
    return [
        max((overlap(true == i, found == k) for k in np.unique(found[found > 0])), default=0.0)
        for i in np.unique(true[true > 0])
    ]


def test_objects_that_touch_have_masks_of_their_own(weights):
    masks = NetworkMasks(weights, "cpu")
    reached = []
    for view in toy_views(8):
        frame = frame_of(view)
        result = masks.segment(frame)
        assert result.ids.shape == frame.depth.shape
        assert result.ids.dtype == np.uint16
        assert set(np.unique(result.ids)) - {0} == set(result.labels)
        assert {x.category for x in result.labels.values()} == {ANY_CATEGORY}
        assert all(0.5 <= x.score <= 1.0 for x in result.labels.values())
        assert result.problem == ""
        reached += best_overlaps(result.ids, frame.mask)
    assert np.mean(np.array(reached) > 0.75) > 0.8


def test_ids_stay_until_a_reset(weights):
    masks, frame = NetworkMasks(weights, "cpu"), frame_of(toy_views(8)[0])
    first = masks.segment(frame)
    again = masks.segment(frame)
    np.testing.assert_array_equal(first.ids, again.ids)
    masks.reset()
    after = masks.segment(frame)
    assert not set(first.labels) & set(after.labels)
    np.testing.assert_array_equal(first.ids > 0, after.ids > 0)


def test_the_mask_of_the_frame_is_not_read(weights):
    frame = frame_of(toy_views(8)[1])
    empty = RgbdFrame(frame.colour, frame.depth, 0 * frame.mask, frame.camera)
    first, second = (NetworkMasks(weights, "cpu").segment(x) for x in (frame, empty))
    np.testing.assert_array_equal(first.ids, second.ids)


def test_limits_decide_what_is_an_object(weights):
    frame = frame_of(toy_views(8)[2])
    assert len(NetworkMasks(weights, "cpu").segment(frame).labels) == 3
    none = NetworkMasks(weights, "cpu", min_score=1.0).segment(frame)
    assert not none.ids.any()
    # The area of the whole image, in an image of 640x480 pixels.
    none = NetworkMasks(weights, "cpu", min_pixels=640 * 480).segment(frame)
    assert not none.labels


@pytest.mark.parametrize("size", [(16, 16), (1, 1), (48, 64), (480, 640), (1280, 720), (2000, 40)])
@pytest.mark.parametrize("depth", [0.0, 1.0])
def test_images_of_any_size_and_without_depth(weights, size, depth):
    frame = blank(*size, depth=depth)
    result = NetworkMasks(weights, "cpu").segment(frame)
    assert result.ids.shape == frame.depth.shape
    assert set(np.unique(result.ids)) - {0} == set(result.labels)


def test_colour_may_be_missing(weights):
    result = NetworkMasks(weights, "cpu").segment(blank(64, 48, colour=0))
    assert result.problem == ""


def test_an_image_of_nothing_has_a_problem(weights):
    result = NetworkMasks(weights, "cpu").segment(blank(64, 48, colour=0, depth=0.0))
    assert not result.ids.any()
    assert "neither depth nor colour" in result.problem


def test_many_objects_have_ids_of_their_own(weights):
    """Five rows of five views, with more objects than may be instances."""
    views = toy_views(8)
    colour, depth = (
        np.concatenate([np.concatenate([views[i][name] for i in range(5)], axis=1)] * 5)
        for name in ("colour", "depth")
    )
    camera = PinholeCamera(320, 240, 60.0, 60.0, 159.5, 119.5)
    unknown = np.zeros(depth.shape, dtype=np.uint16)
    frame = RgbdFrame(colour, depth.astype(np.float32) / 1000.0, unknown, camera)
    result = NetworkMasks(weights, "cpu").segment(frame)
    assert 40 < len(result.labels) <= 64


def test_weights_that_are_missing_or_of_another_kind_are_named(tmp_path):
    path = tmp_path / "masks.safetensors"
    with pytest.raises(WeightsError, match=r"masks\.safetensors: no such weights file"):
        NetworkMasks(path, "cpu")
    path.write_bytes(b"nothing")
    with pytest.raises(WeightsError, match="damaged"):
        NetworkMasks(path, "cpu")


def test_an_unknown_device_is_named(weights):
    with pytest.raises(DeviceError, match="'tpu' is unknown"):
        NetworkMasks(weights, "tpu")


def test_an_untrained_network_does_no_harm(tmp_path):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = MaskNetwork(TINY)
    with torch.no_grad():
        network.head.weight.normal_(0.0, 3.0)
    network.save(tmp_path / "masks.safetensors", "any")
    rng = np.random.default_rng(0)
    frame = blank(160, 120)
    frame.depth[:] = rng.uniform(0.0, 3.0, frame.depth.shape)
    frame.colour[:] = rng.integers(0, 256, frame.colour.shape)
    result = NetworkMasks(tmp_path / "masks.safetensors", "cpu", min_score=0.0).segment(frame)
    assert len(result.labels) <= 64
