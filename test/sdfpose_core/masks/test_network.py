"""The mask network: shapes, stored files, and what it may cost."""

from __future__ import annotations

import re

import pytest
import torch

from sdfpose_core.errors import ShapeError, WeightsError
from sdfpose_core.masks.network import UNIT_PX, MaskNetwork, MaskNetworkConfig

SMALL = MaskNetworkConfig(widths=(8, 12, 16), blocks=(1, 1, 1), free=2)


def seeded(config=SMALL):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return MaskNetwork(config).eval().requires_grad_(False)


def images(count=1, height=32, width=48):
    generator = torch.Generator().manual_seed(0)
    colour = torch.randint(256, (count, 3, height, width), generator=generator)
    depth = 0.5 + torch.rand(count, 1, height, width, generator=generator)
    return colour.to(torch.uint8), depth, torch.full((count,), 50.0)


@pytest.mark.parametrize("size", [(2, 2), (16, 16), (48, 32), (34, 62)])
def test_every_even_size_has_maps_of_that_size(size):
    maps = seeded()(*images(2, *size))
    assert [tuple(x.shape) for x in maps] == [(2, n, *size) for n in (1, 1, 5, 2)]
    assert all(torch.isfinite(x).all() for x in maps)


def test_the_shipped_architecture_is_as_small_as_it_should_be():
    network = MaskNetwork()
    assert sum(x.numel() for x in network.parameters()) <= 3_000_000


def test_votes_start_at_the_pixels():
    network = seeded()
    network.head.weight.zero_()
    colour, _, focal = images()
    maps = network(colour, torch.full((1, 1, 32, 48), 1.0), focal)
    u, v = torch.arange(48).expand(32, -1), torch.arange(32)[:, None].expand(-1, 48)
    torch.testing.assert_close(UNIT_PX * maps.votes[0, :2], torch.stack([u, v]).float())
    torch.testing.assert_close(maps.votes[0, 2:], torch.zeros(3, 32, 48))
    assert (maps.foreground < 0.0).all()


def test_images_of_a_batch_do_not_depend_on_each_other():
    network = seeded()
    colour, depth, focal = images(3)
    together = network(colour, depth, focal)
    for i in range(3):
        alone = network(colour[i : i + 1], depth[i : i + 1], focal[i : i + 1])
        for a, b in zip(together, alone, strict=True):
            torch.testing.assert_close(a[i : i + 1], b, rtol=1e-4, atol=1e-5)


def test_bfloat16_changes_little():
    network = seeded()
    exact = network(*images())
    network.mixed_precision = True
    for a, b in zip(exact, network(*images()), strict=True):
        assert b.dtype == torch.float32
        torch.testing.assert_close(a, b, rtol=0.05, atol=0.05)


def test_a_saved_network_is_the_same(tmp_path):
    network = seeded()
    network.save(tmp_path / "masks.safetensors", "any")
    loaded = MaskNetwork.load(tmp_path / "masks.safetensors")
    assert loaded.config == network.config
    assert not loaded.training
    for a, b in zip(network(*images()), loaded(*images()), strict=True):
        torch.testing.assert_close(a, b, rtol=0.01, atol=0.01)


def test_files_that_do_not_fit_are_named(tmp_path):
    path = tmp_path / "masks.safetensors"
    with pytest.raises(WeightsError, match="no such weights file; expected the mask network"):
        MaskNetwork.load(path)
    network = seeded()
    network.config = MaskNetworkConfig(widths=(8, 12, 20), blocks=(1, 1, 1), free=2)
    network.save(path, "any")
    with pytest.raises(WeightsError, match=r"(?s)do not fit the mask network.*train_masks\.py"):
        MaskNetwork.load(path)


@pytest.mark.parametrize(
    "shapes",
    [
        ((1, 3, 32, 48), (1, 1, 32, 46), (1,)),
        ((1, 3, 31, 48), (1, 1, 31, 48), (1,)),
        ((2, 3, 32, 48), (2, 1, 32, 48), (1,)),
        ((3, 32, 48), (1, 32, 48), (1,)),
        ((1, 32, 48, 3), (1, 32, 48, 1), (1,)),
    ],
)
def test_other_shapes_are_refused(shapes):
    arguments = [torch.zeros(x) for x in shapes]
    with pytest.raises(ShapeError, match=re.escape(f"{shapes[1]}")) as caught:
        seeded()(*arguments)
    assert "expected (B, 3, H, W)" in str(caught.value)


def test_everything_is_made_on_the_device_of_the_network(device, explicit_devices):
    network = seeded().to(device)
    colour, depth, focal = (x.to(device) for x in images())
    with explicit_devices():
        maps = network(colour, depth, focal)
    assert {x.device.type for x in maps} == {device.type}
    assert network.device.type == device.type
