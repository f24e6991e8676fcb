"""Random changes of views: colour, depth and ids stay together."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from toy_mask_views import STILL, toy_views

from sdfpose_core.mask_training.augmentation import MaskAugmentation, augmented, batch_of

CPU = torch.device("cpu")


def changed(count=64, seed=0, **amounts):
    batch = batch_of(toy_views(count), CPU)
    return batch, augmented(batch, replace(STILL, **amounts), torch.Generator().manual_seed(seed))


def test_records_become_tensors():
    batch = batch_of(toy_views(3), CPU)
    assert batch.colour.shape == (3, 3, 48, 64)
    assert batch.depth.shape == (3, 1, 48, 64)
    assert batch.ids.shape == (3, 48, 64)
    assert batch.ids.dtype == torch.int64
    assert float(batch.depth[0, 0, -1, -1]) == pytest.approx(1.0)
    assert batch.focal.tolist() == [60.0] * 3


def test_without_any_change_geometry_stays():
    before, after = changed()
    torch.testing.assert_close(after.ids, before.ids)
    torch.testing.assert_close(after.depth, before.depth)
    torch.testing.assert_close(after.focal, before.focal)


@pytest.mark.parametrize(
    "amounts",
    [{"zoom": 2.0}, {"roll_deg": 40.0}, {"flip": 0.5}, {"turned": 0.5}, {"zoom": 1.5, "flip": 1.0}],
)
def test_depth_and_ids_move_together(amounts):
    """In the toy views, only objects are nearer than the plane."""
    _, after = changed(**amounts)
    inside = after.depth[:, 0] > 0.0
    assert ((after.depth[:, 0] < 0.99) == (after.ids > 0))[inside].all()
    assert not after.ids[~inside].any()


def test_colour_moves_with_them():
    batch = batch_of(toy_views(32), CPU)
    red = torch.where(batch.ids[:, None] > 0, 255.0, 0.0).expand_as(batch.colour)
    batch = replace(batch, colour=red.contiguous())
    amounts = replace(STILL, zoom=1.8, roll_deg=20.0, flip=0.5, turned=0.3)
    after = augmented(batch, amounts, torch.Generator().manual_seed(1))
    bright = after.colour.mean(dim=1)
    agree = (bright > 100.0) == (after.ids > 0)
    assert float(agree.float().mean()) > 0.97


def test_a_larger_picture_has_a_longer_focal_length():
    before, after = changed(zoom=2.0)
    zoom = after.focal / before.focal
    assert float(zoom.max()) > 1.5
    assert 0.7 < float(zoom.min()) < 0.9
    large = (after.ids == 1).sum(dim=(1, 2)) / (before.ids == 1).sum(dim=(1, 2))
    whole = zoom < 1.05
    torch.testing.assert_close(large[whole], zoom[whole] ** 2, rtol=0.25, atol=0.05)


def test_a_turned_view_is_upside_down():
    before, after = changed(turned=1.0)
    agree = after.ids == before.ids.flip(1, 2)
    assert float(agree.float().mean()) > 0.99


def test_views_are_shifted_as_far_as_asked():
    before, after = changed(shift=0.125)
    empty = after.depth[:, 0] == 0.0
    columns, rows = empty.all(dim=1).sum(dim=1), empty.all(dim=2).sum(dim=1)
    assert 5 <= int(columns.max()) <= 8
    assert 4 <= int(rows.max()) <= 6
    assert (after.focal == before.focal).all()


def test_all_lengths_change_alike():
    before, after = changed(size=0.3)
    ratio = (after.depth / before.depth).flatten(1)
    assert float(ratio.std(dim=1).max()) < 1e-5
    assert 0.7 <= float(ratio.min()) < 0.8
    assert 1.2 < float(ratio.max()) <= 1.3


def test_colour_and_depth_get_lost_as_often_as_asked():
    _, after = changed(400, black=0.5, flat=0.25)
    black = after.colour.amax(dim=(1, 2, 3)) == 0.0
    flat = after.depth.amax(dim=(1, 2, 3)) == 0.0
    assert 0.4 < float(black.float().mean()) < 0.6
    assert 0.17 < float(flat.float().mean()) < 0.33


def test_holes_are_in_part_of_the_views():
    _, after = changed(200, holes=0.5)
    lost = (after.depth == 0.0).float().mean(dim=(1, 2, 3))
    assert 0.15 < float((lost > 0.0).float().mean()) < 0.55
    assert float(lost.max()) < 0.7


def test_noise_grows_with_the_square_of_depth():
    batch = batch_of(toy_views(100), CPU)
    batch = replace(batch, depth=torch.ones_like(batch.depth))
    amount = replace(STILL, depth_noise=0.01)
    near = augmented(batch, amount, torch.Generator().manual_seed(0)).depth - 1.0
    batch = replace(batch, depth=2.0 * batch.depth)
    far = augmented(batch, amount, torch.Generator().manual_seed(0)).depth - 2.0
    torch.testing.assert_close(far, 4.0 * near, rtol=0.01, atol=1e-5)
    assert 0.002 < float(near.std()) < 0.01


def test_the_same_draws_give_the_same_views():
    amounts = MaskAugmentation()
    batch = batch_of(toy_views(8), CPU)
    first, second = (augmented(batch, amounts, torch.Generator().manual_seed(3)) for _ in range(2))
    for name in vars(first):
        assert torch.equal(getattr(first, name), getattr(second, name))
    assert float(first.colour.min()) >= 0.0
    assert float(first.colour.max()) <= 255.0
