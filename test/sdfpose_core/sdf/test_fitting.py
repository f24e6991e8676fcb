import copy
from itertools import pairwise

import numpy as np
import pytest
import torch

from sdfpose_core.errors import ShapeError
from sdfpose_core.sdf.fitting import Distances, fit_codes


@pytest.fixture
def sampled(tiny_shapes, device):
    """Points and the tiny decoder's own distances of a sphere, a box and a cylinder."""
    rng = np.random.default_rng(4)
    decoder = copy.deepcopy(tiny_shapes.decoder).to(device)
    codes = tiny_shapes.codes[3:6].to(device)
    points = np.stack([shape.samples(rng, 800).points for shape in tiny_shapes.shapes[3:6]])
    points = torch.from_numpy(points).to(device)
    return decoder, codes, points, decoder(points, codes)


def test_codes_are_recovered_from_distances(sampled):
    decoder, codes, points, sdf = sampled
    found = fit_codes(decoder, Distances(points, sdf), iterations=30)
    assert (decoder(points, found) - sdf).abs().mean() < 2e-3
    spread = decoder.code_covariance.diagonal().sqrt()
    assert ((found - codes) / spread).abs().mean() < 0.15


def test_outliers_are_outvoted(sampled):
    decoder, _, points, sdf = sampled
    wrong = sdf.clone()
    wrong[:, :160] += 0.3
    found = fit_codes(decoder, Distances(points, wrong), iterations=30)
    assert (decoder(points, found) - sdf)[:, 160:].abs().mean() < 3e-3


def test_objects_do_not_disturb_one_another(sampled):
    decoder, _, points, sdf = sampled
    together = fit_codes(decoder, Distances(points, sdf), iterations=5)
    alone = fit_codes(decoder, Distances(points[1:2], sdf[1:2]), iterations=5)
    torch.testing.assert_close(together[1:2], alone, atol=1e-3, rtol=1e-3)


def test_without_iterations_there_is_the_prior(sampled):
    decoder, _, points, sdf = sampled
    found = fit_codes(decoder, Distances(points, sdf), iterations=0)
    assert torch.equal(found, decoder.code_mean.expand(3, -1))


def test_more_iterations_never_fit_worse(sampled):
    decoder, _, points, sdf = sampled
    errors = []
    for iterations in (0, 2, 5, 10, 20):
        codes = fit_codes(decoder, Distances(points, sdf), iterations=iterations)
        errors.append(float(((decoder(points, codes) - sdf) / 0.004).square().log1p().mean()))
    assert errors[-1] < 0.5 * errors[0]
    assert all(later <= earlier + 0.05 for earlier, later in pairwise(errors))


def test_no_tensor_is_made_without_a_device(sampled, explicit_devices):
    decoder, _, points, sdf = sampled
    with explicit_devices():
        fit_codes(decoder, Distances(points, sdf), iterations=2)


def test_no_tape_is_kept(sampled):
    decoder, _, points, sdf = sampled
    assert not fit_codes(
        decoder, Distances(points, sdf.requires_grad_(True)), iterations=1
    ).requires_grad


def test_a_bound_that_is_kept_says_nothing(sampled):
    """Points in free space, with 0 as their bound, move no code that leaves them outside."""
    decoder, _, points, sdf = sampled
    outside = sdf > 0.02
    value = torch.where(outside, 0.0, sdf)
    bounded = Distances(points, value, outside)
    assert (bounded.residual(sdf) == 0.0).all()
    found = fit_codes(decoder, bounded)
    misplaced = fit_codes(decoder, Distances(points, value))
    error, other = ((decoder(points, z) - sdf)[~outside].abs().mean() for z in (found, misplaced))
    assert error < 3e-3
    assert error < 0.5 * other


def test_a_bound_that_is_broken_pushes_the_surface_back(sampled):
    decoder, codes, points, _ = sampled
    zeros = torch.zeros_like(points[..., 0])
    small = 0.5 * points / points.norm(dim=-1, keepdim=True) * 0.3
    bounded = Distances(small, zeros, torch.ones_like(zeros, dtype=torch.bool))
    assert (decoder(small, codes) < -0.01).any()
    before = decoder(small, decoder.code_mean.expand(3, -1)).clamp(max=0.0).abs().mean()
    after = decoder(small, fit_codes(decoder, bounded)).clamp(max=0.0).abs().mean()
    assert after < 0.8 * before


def test_values_and_bounds_weigh_the_same(sampled):
    _, _, points, sdf = sampled
    bound = torch.zeros_like(sdf, dtype=torch.bool)
    bound[:, :100] = True
    weight = Distances(points, sdf, bound).weight()
    values, bounds = weight[:, 100:].sum(1), weight[:, :100].sum(1)
    torch.testing.assert_close(values, bounds)
    torch.testing.assert_close(Distances(points, sdf).weight().sum(1), values)


def test_shapes_are_checked():
    points, sdf = torch.zeros(2, 5, 3), torch.zeros(2, 5)
    with pytest.raises(ShapeError, match=r"\(2, 5, 3\) and \(2, 4\): expected \(B, N, 3\)"):
        Distances(points, sdf[:, :4])
    with pytest.raises(ShapeError, match=r"bound has shape \(5,\): expected \(2, 5\)"):
        Distances(points, sdf, torch.zeros(5, dtype=torch.bool))
