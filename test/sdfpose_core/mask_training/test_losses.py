"""Losses: what the perfect network would have, gradients, and views with nothing in them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_mask_views import TINY, toy_views

from sdfpose_core.mask_training.augmentation import batch_of
from sdfpose_core.mask_training.losses import MaskLossConfig, border_pixels, mask_losses
from sdfpose_core.masks.network import MaskMaps, MaskNetwork

CONFIG = MaskLossConfig(pixels=300)
CPU = torch.device("cpu")


def perfect_maps(ids, radius=0.1):
    """Maps of which every pixel of object k votes for the point (k, 0, ...)."""
    inside = (ids > 0)[:, None]
    votes = torch.zeros(len(ids), 5, *ids.shape[1:])
    votes[:, 0] = ids.float()
    return MaskMaps(
        torch.where(inside, 20.0, -20.0),
        torch.where(inside, 20.0, -20.0),
        votes,
        torch.full((len(ids), 2, *ids.shape[1:]), -2.0 * math.log(radius)),
    )


def voting_for_object_1(maps, pixels):
    votes = maps.votes.clone()
    votes[:, 0][pixels] = 1.0
    return maps._replace(votes=votes)


def losses_of(maps, ids, config=CONFIG):
    return mask_losses(maps, ids, config, torch.Generator().manual_seed(0))


def test_a_perfect_network_has_almost_no_loss():
    ids = batch_of(toy_views(4), CPU).ids
    found = losses_of(perfect_maps(ids), ids)
    assert set(found) == {"foreground", "overlap", "seed", "grouping", "spread"}
    limits = {"foreground": 1e-6, "overlap": 1e-3, "seed": 1e-6, "grouping": 0.02, "spread": 1e-6}
    for name, value in found.items():
        assert 0.0 <= float(value) < limits[name], name
    assert float(CONFIG.weigh(found)) < 0.03


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("foreground", lambda m: m._replace(foreground=-m.foreground)),
        ("overlap", lambda m: m._replace(foreground=-m.foreground)),
        ("seed", lambda m: m._replace(seed=-m.seed)),
        ("grouping", lambda m: m._replace(votes=0.0 * m.votes)),
        ("grouping", lambda m: m._replace(log_precision=m.log_precision - 6.0)),
        ("spread", lambda m: m._replace(log_precision=m.log_precision + torch.rand(48, 64))),
    ],
)
def test_every_fault_has_its_loss(name, spoil):
    ids = batch_of(toy_views(2), CPU).ids
    with torch.random.fork_rng():
        torch.manual_seed(0)
        maps = spoil(perfect_maps(ids))
    assert float(losses_of(maps, ids)[name]) > 0.05


def test_background_that_votes_for_an_object_is_a_fault_where_it_is_compared():
    ids = batch_of(toy_views(2), CPU).ids
    compared = MaskLossConfig(pixels=300, background=300)
    exact = perfect_maps(ids)
    assert float(losses_of(exact, ids, compared)["grouping"]) < 0.02
    wrong = voting_for_object_1(exact, ids == 0)
    assert float(losses_of(wrong, ids, compared)["grouping"]) > 0.5
    assert float(losses_of(wrong, ids)["grouping"]) < 0.02


def test_background_is_compared_where_it_is_taken_for_an_object():
    ids = batch_of(toy_views(1), CPU).ids
    exact = perfect_maps(ids)
    far = (ids == 0) & ~border_pixels(ids)
    v, u = (int(x[0]) for x in np.nonzero(far[0].numpy()))
    patch = torch.zeros_like(far)
    patch[0, v, u] = True
    wrong = voting_for_object_1(exact, patch)
    mistaken = wrong._replace(foreground=torch.where(patch[:, None], 20.0, exact.foreground))
    compared = MaskLossConfig(pixels=300, background=300)
    unnoticed, noticed = (float(losses_of(x, ids, compared)["grouping"]) for x in (wrong, mistaken))
    assert noticed > unnoticed + 0.003


@settings(max_examples=15)
@given(st.permutations([1, 2, 3]))
def test_numbers_of_objects_have_no_meaning(order):
    ids = batch_of(toy_views(2), CPU).ids
    generator = torch.Generator().manual_seed(0)
    maps = MaskMaps(*(torch.randn(2, n, 48, 64, generator=generator) for n in (1, 1, 5, 2)))
    renamed = torch.tensor([0, *order])[ids]
    before, after = losses_of(maps, ids), losses_of(maps, renamed)
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, rtol=1e-4, atol=1e-5)


def test_seeds_are_to_say_how_near_the_vote_is():
    """One vote is off by a radius: its seed is to be exp(-1)."""
    ids = batch_of(toy_views(1), CPU).ids
    maps = perfect_maps(ids)
    v, u = (int(x[0]) for x in np.nonzero(ids[0].numpy() == 1))
    maps.votes[0, 3, v, u] += 0.1
    wanted = maps.seed.clone()
    wanted[0, 0, v, u] = math.log(math.exp(-1.0) / (1.0 - math.exp(-1.0)))
    as_wanted = losses_of(maps._replace(seed=wanted), ids)["seed"]
    assert float(as_wanted) < 1e-4 * float(losses_of(maps, ids)["seed"])


def test_small_objects_weigh_as_much_as_large_ones():
    ids = torch.zeros(1, 48, 64, dtype=torch.int64)
    ids[0, :30, :30] = 1
    ids[0, 40:46, 40:46] = 2
    found = []
    for number in (1, 2):
        maps = perfect_maps(ids)
        found.append(float(losses_of(
            maps._replace(seed=torch.where(ids[:, None] == number, -20.0, maps.seed)), ids
        )["seed"]))  # fmt: skip
    assert found[0] == pytest.approx(found[1], rel=1e-3)


def test_borders_are_where_ids_change():
    ids = torch.zeros(1, 12, 12, dtype=torch.int64)
    ids[0, :, 6:] = 3
    expected = torch.zeros(12, 12, dtype=torch.bool)
    expected[:, 4:8] = True
    assert torch.equal(border_pixels(ids)[0], expected)


@pytest.mark.parametrize("background", [0, 100])
@pytest.mark.parametrize("number", [0, 1])
def test_views_without_objects_or_without_background(number, background):
    ids = torch.full((2, 48, 64), number)
    maps = MaskMaps(*(torch.zeros(2, n, 48, 64, requires_grad=True) for n in (1, 1, 5, 2)))
    config = MaskLossConfig(pixels=300, background=background)
    total = config.weigh(losses_of(maps, ids, config))
    total.backward()
    assert torch.isfinite(total)
    assert all(torch.isfinite(x.grad).all() for x in maps if x.grad is not None)


def test_an_empty_view_among_others_changes_nothing_of_the_grouping():
    ids = batch_of(toy_views(1), CPU).ids
    both = torch.cat([torch.zeros_like(ids), ids])
    assert float(losses_of(perfect_maps(both), both)["grouping"]) < 0.02


def test_gradients_reach_every_parameter():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = MaskNetwork(TINY)
    batch = batch_of(toy_views(2), CPU)
    maps = network(batch.colour, batch.depth, batch.focal)
    CONFIG.weigh(losses_of(maps, batch.ids)).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert float(parameter.grad.abs().max()) > 0.0, name


def test_ignored_pixels_do_not_count():
    ids = batch_of(toy_views(2), CPU).ids
    other = torch.where(ids == 3, -1, ids)
    maps = perfect_maps(torch.where(ids == 3, 0, ids))
    wrong = perfect_maps(ids)
    for name, value in losses_of(maps, other).items():
        torch.testing.assert_close(losses_of(wrong, other)[name], value, msg=name)
    assert losses_of(maps, ids)["foreground"] > 1.0
    nothing = losses_of(maps, torch.full_like(ids, -1))
    assert all(torch.isfinite(x) for x in nothing.values())
