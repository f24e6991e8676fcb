"""The pretrained trunk of the colour network: whose features it has, and which files it takes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from sdfpose_core.cues.mobilenet import MobileTrunk, read_pretrained
from sdfpose_core.cues.network import ColourCues, ColourCuesConfig
from sdfpose_core.errors import WeightsError

CONFIG = ColourCuesConfig(
    ("can", "camera"), ("can",), (4, 8, 8, 16), features=12, hidden=16, trunk="mobilenet"
)
RESIDUAL = (3, 5, 6, 8, 9, 10, 12, 13)
"""Blocks of MobileNetV2 with a shortcut, up to a sixteenth of the resolution."""


@pytest.fixture(scope="module")
def stages():
    """Stages of a trunk with random weights and the statistics of random images."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        found = MobileTrunk(16).stages.requires_grad_(False)
        for layer in found.modules():
            if isinstance(layer, nn.BatchNorm2d):
                nn.init.uniform_(layer.weight, 0.5, 1.5)
                nn.init.normal_(layer.bias, std=0.2)
                layer.momentum = 1.0
        found(torch.randn(4, 3, 96, 96))
        return found.eval()


@pytest.fixture
def content(stages):
    """Content of a file of pretrained weights, of which the last layers are not used."""
    used = {f"features.{name}": x.clone() for name, x in stages.state_dict().items()}
    return {**used, "features.14.conv.0.weight": torch.ones(576, 96, 1, 1)}


@pytest.fixture
def file(content, tmp_path):
    path = tmp_path / "mobilenet.pt"
    torch.save(content, path)
    return path


@pytest.fixture
def images():
    return torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(1))


def test_the_stages_are_those_of_torchvision(stages, images):
    models = pytest.importorskip("torchvision.models")
    theirs = models.mobilenet_v2(weights=None).features[:14].eval()
    values = stages.state_dict().values()
    theirs.load_state_dict(dict(zip(theirs.state_dict(), values, strict=True)))
    with torch.no_grad():
        torch.testing.assert_close(stages(images), theirs(images), rtol=1e-4, atol=1e-5)


def test_the_stages_are_those_of_the_paper(stages, images):
    def convolved(x, name, norm, stride=1):
        weight = state[f"{name}.weight"]
        groups = x.shape[1] if weight.shape[1] == 1 else 1
        x = nn.functional.conv2d(x, weight, None, stride, weight.shape[-1] // 2, groups=groups)
        names = ("running_mean", "running_var", "weight", "bias")
        return nn.functional.batch_norm(x, *(state[f"{norm}.{k}"] for k in names))

    state = stages.state_dict()
    x = convolved(images, "0.0", "0.1", 2).clamp(0.0, 6.0)
    for block in range(1, 14):
        wide, at = x, 0
        if block > 1:
            wide, at = convolved(x, f"{block}.conv.0", f"{block}.conv.1").clamp(0.0, 6.0), 3
        stride = 2 if block in (2, 4, 7) else 1
        wide = convolved(wide, f"{block}.conv.{at}", f"{block}.conv.{at + 1}", stride)
        narrow = convolved(wide.clamp(0.0, 6.0), f"{block}.conv.{at + 3}", f"{block}.conv.{at + 4}")
        x = x + narrow if block in RESIDUAL else narrow
    assert x.shape == (2, 96, 6, 6)
    torch.testing.assert_close(stages(images), x, rtol=1e-4, atol=1e-5)


def test_images_are_standardised_as_in_the_pretraining():
    trunk = MobileTrunk(16)
    seen = []
    trunk.stages.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    white = torch.full((1, 3, 96, 96), 255.0)
    trunk.eval()(white, torch.zeros(1, 2, 24, 24))
    expected = torch.tensor(
        [(1.0 - m) / s for m, s in ((0.485, 0.229), (0.456, 0.224), (0.406, 0.225))]
    )
    torch.testing.assert_close(seen[0][0, :, 0, 0], expected)


def test_a_file_gives_the_weights_of_the_stages(stages, file):
    found = read_pretrained(file)
    assert found.keys() == stages.state_dict().keys()
    for name, value in stages.state_dict().items():
        torch.testing.assert_close(found[name], value, rtol=0.0, atol=0.0)


def test_unusable_files_are_named_with_what_to_do(content, file, tmp_path):
    def refused(*reasons):
        with pytest.raises(WeightsError) as error:
            read_pretrained(file)
        for part in (str(file), "take the weights of MobileNetV2", *reasons):
            assert part in str(error.value)

    name = "features.3.conv.6.weight"
    torch.save({**content, name: torch.zeros(3)}, file)
    refused(f"{name} has shape (3,): ", "of shape (24, 144, 1, 1)")
    del content[name]
    torch.save(content, file)
    refused(f"{name} is no tensor")
    torch.save({**content, name: "24"}, file)
    refused(f"{name} is no tensor")
    torch.save(nn.Linear(2, 2), file)
    refused("refused")
    file.write_bytes(file.read_bytes()[:200])
    refused()
    file.unlink()
    refused("No such file")


def test_the_stored_network_needs_no_other_file(file, images, tmp_path):
    network = ColourCues(CONFIG).eval()
    network.trunk.stages.load_state_dict(read_pretrained(file))
    network.save(tmp_path / "colour.safetensors", "all")
    file.unlink()
    loaded = ColourCues.load(tmp_path / "colour.safetensors")
    assert loaded.config == CONFIG
    colour = (images.permute(0, 2, 3, 1) * 64.0 + 118.0).clamp(0.0, 255.0)
    depth = torch.zeros(2, 2, 24, 24)
    with torch.no_grad():
        expected = network(colour, depth)
        difference = loaded(colour, depth) - expected
    assert float(difference.norm()) < 0.03 * float(expected.norm())  # stored in half precision
    assert loaded.trunk.mean.flatten().tolist() == pytest.approx([123.675, 116.28, 103.53])


def test_depth_and_colour_reach_the_features(images):
    trunk = MobileTrunk(16).eval()
    depth = torch.zeros(2, 2, 24, 24)
    base = trunk(images, depth)
    assert base.shape == (2, 16, 6, 6)
    assert not torch.allclose(trunk(images + 50.0, depth), base)
    assert not torch.allclose(trunk(images, depth + 1.0), base)


def test_an_unknown_trunk_in_a_file_is_refused(tmp_path):
    network = ColourCues(CONFIG)
    network.config = replace(CONFIG, trunk="huge")
    network.save(tmp_path / "colour.safetensors", "all")
    with pytest.raises(WeightsError, match=r"(?s)'huge'.*train_colour\.py"):
        ColourCues.load(tmp_path / "colour.safetensors")
