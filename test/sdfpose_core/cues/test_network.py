"""The colour network: what it answers, and when it keeps silent."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from sdfpose_core.cues.crop import CROP_SIDE, GRID_SIDE, colour_crop_of
from sdfpose_core.cues.network import ColourCues, ColourCuesConfig
from sdfpose_core.errors import FrameError, ShapeError, WeightsError
from sdfpose_core.geometry.similarity import so3_exp
from sdfpose_core.observation.colour_crop import ColourCrop
from sdfpose_core.observation.frame import Instance
from sdfpose_core.observation.free_space import FreeSpace
from sdfpose_core.weights import write_weights

CONFIG = ColourCuesConfig(
    ("can", "camera"), ("can",), width=0.25, channels=16, features=12, hidden=16
)
CENTRE = torch.tensor([0.2, -0.1, 0.9])


@pytest.fixture(scope="module")
def network():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return ColourCues(CONFIG).eval()


def picture(seed=0):
    return np.random.default_rng(seed).integers(256, size=(120, 160, 3), dtype=np.uint8)


def measured(colour, corner=(30, 20), size=(40, 60)):
    """An instance that fills a box of the image, nearer at its right side."""
    u, v = np.meshgrid(np.arange(size[0]) + corner[0], np.arange(size[1]) + corner[1])
    pixels = np.stack([u.ravel(), v.ravel()], axis=-1).astype(np.int32)
    z = 1.0 - 0.002 * (pixels[:, :1] - corner[0])
    points = np.concatenate([0.001 * pixels, z], axis=1).astype(np.float32)
    return Instance(1, "can", 1.0, points, pixels, FreeSpace.unknown(), len(pixels), colour=colour)


def rotations(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return so3_exp(2.0 * torch.randn(1, count, 3, generator=generator))


def test_the_crop_shows_the_box_and_a_margin():
    image = np.zeros((120, 160, 3), np.uint8)
    image[20:80, 30:70] = (200, 100, 50)
    crop = colour_crop_of(measured(image))
    assert crop.colour.shape == (CROP_SIDE, CROP_SIDE, 3)
    covered = np.all(crop.colour == (200, 100, 50), axis=-1)
    rows, columns = np.flatnonzero(covered.any(axis=1)), np.flatnonzero(covered.any(axis=0))
    assert 0.75 < len(rows) / CROP_SIDE < 0.87
    assert len(columns) / len(rows) == pytest.approx(40 / 60, abs=0.05)
    assert rows.mean() == pytest.approx(0.5 * (CROP_SIDE - 1), abs=1.5)


def test_the_depth_grid_tells_near_from_far_and_measured_from_missing():
    depth, present = colour_crop_of(measured(picture())).depth
    assert present.shape == (GRID_SIDE, GRID_SIDE)
    assert present.mean() == pytest.approx(40 * 60 / (1.2 * 60) ** 2, abs=0.1)
    assert np.all(depth[present == 0.0] == 0.0)
    middle = depth[GRID_SIDE // 2][present[GRID_SIDE // 2] > 0.0]
    assert np.all(np.diff(middle) < 0.0)
    assert middle[0] > 0.0 > middle[-1]


def test_a_stored_crop_is_seen_like_the_image():
    instance = measured(picture())
    stored = ColourCrop.around(instance.colour, instance.pixels)
    np.testing.assert_array_equal(
        colour_crop_of(replace(instance, colour=stored)).colour, colour_crop_of(instance).colour
    )


@pytest.mark.parametrize(
    ("change", "missing"),
    [({"colour": None}, "colour"), ({"points": np.zeros((0, 3), np.float32)}, "points")],
)
def test_an_instance_that_cannot_be_cropped_is_named(change, missing):
    with pytest.raises(FrameError, match=rf"mask id 1 \(can\) has no {missing}"):
        colour_crop_of(replace(measured(picture()), **change))


def test_outputs_have_the_documented_shapes(network):
    features = network.encode([measured(picture(i)) for i in range(3)])
    assert features.values.shape == (3, 12)
    assert features.seen.tolist() == [True] * 3
    names = ["can", "camera", "camera"]
    scores = network.log_scores(
        features, names, rotations(5).expand(3, -1, -1, -1), CENTRE.expand(3, 5, 3)
    )
    assert scores.shape == (3, 5)
    probabilities = network.category_log_probabilities(features).exp()
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(3))


def test_looking_twice_gives_the_same(network):
    instance = measured(picture())
    first, second = network.encode([instance]), network.encode([instance, measured(picture(1))])
    torch.testing.assert_close(first.values[0], second.values[0], rtol=1e-4, atol=1e-5)


def test_without_colour_there_is_no_evidence(network):
    items = [
        measured(None),
        measured(picture()),
        replace(measured(picture()), points=np.zeros((0, 3))),
    ]
    features = network.encode(items)
    assert features.seen.tolist() == [False, True, False]
    scores = network.log_scores(
        features, ["camera"] * 3, rotations(4).expand(3, -1, -1, -1), CENTRE.expand(3, 4, 3)
    )
    assert torch.all(scores[[0, 2]] == 0.0)
    assert torch.any(scores[1] != 0.0)
    logs = network.category_log_probabilities(features)
    assert torch.all(logs[[0, 2]] == 0.0)
    assert torch.all(logs[1] < 0.0)
    known = network.known_log_odds(features)
    assert torch.all(known[[0, 2]] == 0.0)
    assert known[1] != 0.0


def test_a_temperature_divides_the_log_odds_of_being_known():
    network = ColourCues(CONFIG).eval()
    features = network.encode([measured(picture())])
    known = float(network.known_log_odds(features))
    network.known_temperature.fill_(4.0)
    assert float(network.known_log_odds(features)) == pytest.approx(known / 4.0)


def test_a_category_of_ones_own_gets_no_evidence(network):
    features = network.encode([measured(picture())] * 2)
    turned, centres = rotations(4).expand(2, -1, -1, -1), CENTRE.expand(2, 4, 3)
    scores = network.log_scores(features, ["shoe", "camera"], turned, centres)
    assert torch.all(scores[0] == 0.0)
    assert torch.any(scores[1] != 0.0)
    assert torch.all(network.category_log_probabilities(features, ["can", "shoe"]) == 0.0)


def test_candidates_share_the_probability(network):
    features = network.encode([measured(picture())])
    assert network.category_log_probabilities(features, ["camera"]).item() == pytest.approx(0.0)
    both = network.category_log_probabilities(features, ["camera", "can"])
    torch.testing.assert_close(both, network.category_log_probabilities(features).flip(1))


def test_yaw_does_not_count_for_a_symmetric_category(network):
    features = network.encode([measured(picture())] * 2)
    yaws = so3_exp(torch.tensor([[0.0, a, 0.0] for a in (0.0, 0.7, 2.0)]))
    turned = (rotations(1) @ yaws).expand(2, -1, -1, -1)
    scores = network.log_scores(features, ["can", "camera"], turned, CENTRE.expand(2, 3, 3))
    torch.testing.assert_close(scores[0], scores[0, :1].expand(3), rtol=1e-4, atol=1e-5)
    assert float(scores[1].max() - scores[1].min()) > 1e-3


def test_turning_the_camera_about_its_vertical_axis_changes_nothing(network):
    features = network.encode([measured(picture())])
    turned, centres = rotations(5, seed=3), CENTRE.expand(1, 5, 3)
    pan = so3_exp(torch.tensor([0.0, 0.4, 0.0]))
    before = network.log_scores(features, ["camera"], turned, centres)
    after = network.log_scores(features, ["camera"], pan @ turned, centres @ pan.T)
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-5)
    wrong = network.log_scores(features, ["camera"], turned, centres @ pan.T)
    assert float((wrong - before).abs().max()) > 1e-3


def test_tilting_the_camera_changes_little(network):
    features = network.encode([measured(picture())])
    turned, centres = rotations(5, seed=3), torch.tensor([0.03, -0.1, 0.9]).expand(1, 5, 3)
    tilt = so3_exp(torch.tensor([0.3, 0.0, 0.0]))
    before = network.log_scores(features, ["camera"], turned, centres)
    after = network.log_scores(features, ["camera"], tilt @ turned, centres @ tilt.T)
    wrong = network.log_scores(features, ["camera"], tilt @ turned, centres)
    assert float((after - before).norm()) < 0.5 * float((wrong - before).norm())


def test_the_density_of_rotations_integrates_to_one(network):
    features = network.encode([measured(picture())])
    many = rotations(4000, seed=5)
    found = network.log_scores(features, ["camera"], many, CENTRE.expand(1, 4000, 3))
    assert float(found.exp().mean()) == pytest.approx(1.0, abs=0.05)


def test_temperatures_divide_differences_of_scores(network):
    features = network.encode([measured(picture())])
    cold = ColourCues(CONFIG).eval()
    cold.load_state_dict(network.state_dict())
    cold.rotation_temperature.copy_(torch.tensor([1.0, 2.0]))
    arguments = features, ["camera"], rotations(3), CENTRE.expand(1, 3, 3)
    cool, hot = (x.log_scores(*arguments).diff() for x in (cold, network))
    torch.testing.assert_close(2.0 * cool, hot)


def test_a_file_gives_back_the_network(network, tmp_path):
    network.save(tmp_path / "colour.safetensors", "all")
    loaded = ColourCues.load(tmp_path / "colour.safetensors")
    assert loaded.config == CONFIG
    assert not any(x.requires_grad for x in loaded.parameters())
    for name, value in network.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], value, rtol=1e-3, atol=1e-3)


def test_bad_files_are_explained(network, tmp_path):
    path = tmp_path / "colour.safetensors"
    with pytest.raises(WeightsError, match="no such weights file"):
        ColourCues.load(path)
    path.write_bytes(b"no tensors")
    with pytest.raises(WeightsError, match="damaged, not a readable safetensors file"):
        ColourCues.load(path)
    settings = {"categories": ["can"], "symmetric": []}
    write_weights(path, ColourCues.KIND, "all", settings, network.state_dict())
    with pytest.raises(
        WeightsError, match=r"(?s)do not fit the colour network's.*train_colour\.py"
    ):
        ColourCues.load(path)
    for settings in (
        {"categories": ["can"], "widths": []},
        {"categories": ["can"], "widths": [1]},
        {},
    ):
        write_weights(path, ColourCues.KIND, "all", settings, network.state_dict())
        with pytest.raises(WeightsError, match=r"do not fit the colour network's"):
            ColourCues.load(path)
    write_weights(path, "encoder", "can", {}, {})
    with pytest.raises(WeightsError, match="expected 'sdfpose/1 colour network'"):
        ColourCues.load(path)


def test_wrong_shapes_are_refused(network):
    with pytest.raises(ShapeError, match=r"expected \(2, 96, 96, 3\) and \(2, 2, 24, 24\)"):
        network(torch.zeros(2, 64, 64, 3), torch.zeros(2, 2, 24, 24))


def test_the_network_is_small():
    categories = ("bottle", "bowl", "camera", "can", "laptop", "mug")
    network = ColourCues(ColourCuesConfig(categories))
    assert sum(x.numel() for x in network.parameters()) < 1_500_000
