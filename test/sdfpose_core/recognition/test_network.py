"""The recognition network: shapes, what it tells of instances, and stored files."""

from __future__ import annotations

import re
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from simulated_windows import window_instance

from sdfpose_core.errors import ShapeError, WeightsError
from sdfpose_core.recognition.crop import CHANNELS, SIDE, recognition_crop
from sdfpose_core.recognition.network import RecognitionConfig, RecognitionNetwork
from sdfpose_core.weights import write_weights

SMALL = RecognitionConfig(("can", "mug"), widths=(6, 8), features=12)


@pytest.fixture(scope="module")
def network():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return RecognitionNetwork(SMALL).eval().requires_grad_(False)


def crops(count):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, CHANNELS, SIDE, SIDE, generator=generator)


def test_every_crop_has_a_logit_and_one_for_each_category(network):
    known, category = network(crops(3))
    assert (tuple(known.shape), tuple(category.shape)) == ((3,), (3, 2))
    alone, _ = network(crops(3)[1:2])
    torch.testing.assert_close(alone, known[1:2], rtol=1e-4, atol=1e-5)


def test_where_no_pixel_is_the_objects_own_the_answer_is_finite(network):
    without = crops(2)
    without[:, 4] = 0.0
    assert all(torch.isfinite(x).all() for x in network(without))


@pytest.mark.parametrize(
    "shape", [(1, CHANNELS, SIDE, SIDE - 2), (CHANNELS, SIDE, SIDE), (2, 4, SIDE, SIDE)]
)
def test_other_shapes_are_refused(network, shape):
    message = re.escape(f"crops have shape {shape}: expected (B, {CHANNELS}, {SIDE}, {SIDE})")
    with pytest.raises(ShapeError, match=message):
        network(torch.zeros(shape))


def told(network, instances):
    return [x.shape_log_odds for x in network.told_known(instances)]


def logit(network, instance):
    known, _ = network(torch.from_numpy(recognition_crop(instance))[None])
    return pytest.approx(float(known), rel=1e-4, abs=1e-5)


def test_masks_with_the_same_id_are_one_object(network):
    near, far = window_instance(mask_id=1), window_instance(mask_id=2, distance=0.9)
    again = replace(window_instance("mug", mask_id=1), points=near.points[: len(near.points) // 2])
    found = told(network, [near, far, again])
    assert found[0] == found[2] == logit(network, near)
    assert found[1] == logit(network, far)
    assert found[0] != pytest.approx(found[1])
    assert told(network, [again])[0] != pytest.approx(found[0])


def test_a_category_that_it_does_not_know_is_told_nothing(network):
    can, kettle = window_instance("can"), window_instance("kettle")
    assert told(network, [can, kettle]) == [logit(network, can), 0.0]
    assert told(network, [kettle]) == [0.0]


def test_an_instance_without_points_is_told_nothing(network):
    empty = window_instance()
    empty = replace(empty, points=empty.points[:0], pixels=empty.pixels[:0])
    assert told(network, [empty]) == [0.0]
    assert network.told_known([]) == []


def test_colour_counts_unless_it_is_to_be_ignored(network):
    plain = window_instance()
    image = np.random.default_rng(0).integers(0, 255, (96, 96, 3), dtype=np.uint8)
    coloured = replace(plain, colour=image)
    (with_colour,), (ignored,), (without,) = (
        network.told_known([x], colour=colour)
        for x, colour in ((coloured, True), (coloured, False), (plain, True))
    )
    assert ignored.shape_log_odds == without.shape_log_odds
    assert with_colour.shape_log_odds != pytest.approx(without.shape_log_odds)
    assert ignored.colour is image


def test_nothing_else_of_an_instance_changes(network):
    before = window_instance()
    (after,) = network.told_known([before])
    assert replace(after, shape_log_odds=0.0) == replace(before, shape_log_odds=0.0)


def test_a_saved_network_is_the_same(network, tmp_path):
    path = tmp_path / "recognition.safetensors"
    network.save(path, "any")
    loaded = RecognitionNetwork.load(path)
    assert loaded.config == SMALL
    assert not loaded.training
    for a, b in zip(network(crops(2)), loaded(crops(2)), strict=True):
        torch.testing.assert_close(a, b, rtol=0.02, atol=0.02)


def test_files_that_do_not_fit_are_named(network, tmp_path):
    path = tmp_path / "recognition.safetensors"
    with pytest.raises(WeightsError, match=r"recognition\.safetensors: no such weights file"):
        RecognitionNetwork.load(path)
    path.write_bytes(b"x")
    with pytest.raises(WeightsError, match=r"recognition\.safetensors: "):
        RecognitionNetwork.load(path)
    write_weights(path, "mask network", "any", {}, {"x": torch.zeros(1)})
    with pytest.raises(WeightsError, match=r"recognition\.safetensors: .*mask network"):
        RecognitionNetwork.load(path)
    tensors = network.state_dict()
    write_weights(path, "recognition network", "any", {"categories": ["can"]}, tensors)
    misfit = r"(?s)do not fit the recognition network.*train_recognition\.py"
    with pytest.raises(WeightsError, match=misfit):
        RecognitionNetwork.load(path)
    # Earlier versions saw no colour.
    tensors["trunk.0.weight"] = tensors["trunk.0.weight"][:, :10].contiguous()
    write_weights(path, "recognition network", "any", asdict(SMALL), tensors)
    with pytest.raises(WeightsError, match=misfit):
        RecognitionNetwork.load(path)


def test_everything_is_made_on_the_device_of_the_network(device, explicit_devices):
    network = RecognitionNetwork(SMALL).eval().to(device)
    some = crops(2).to(device)
    with explicit_devices():
        known, category = network(some)
    assert {known.device.type, category.device.type, network.device.type} == {device.type}
    (found,) = network.told_known([window_instance()])
    assert np.isfinite(found.shape_log_odds)
