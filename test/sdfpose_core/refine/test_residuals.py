from dataclasses import replace

import pytest
import torch

from sdfpose_core.geometry.similarity import Similarity, so3_exp
from sdfpose_core.refine.anchors import surface_anchors
from sdfpose_core.refine.priors import RotationPrior
from sdfpose_core.refine.residuals import (
    DecodedPoints,
    free_space_residuals,
    support_points,
    support_residuals,
    surface_points,
    surface_residuals,
)
from sdfpose_core.refine.state import ShapePose

SUPPORT = {"sigma": 0.01, "contact_sigma": 0.03}


def displaced(view, dtype):
    """States near the truth that violate both kinds of evidence."""
    size = 7 + view.truth.codes.shape[1]
    delta = 0.1 * torch.randn(2, size, generator=torch.Generator().manual_seed(1), dtype=dtype)
    delta[:, 3:6] *= 0.2
    delta[:, 6] = 0.1
    return view.truth.retract(delta.to(view.truth.codes.device))


def jacobian_by_autograd(function, state):
    """Jacobians (B, N, P) of residuals (B, N) by the tangent of each state."""
    batch, codes = state.codes.shape
    zero = torch.zeros(batch, 7 + codes, dtype=state.codes.dtype)
    full = torch.autograd.functional.jacobian(lambda d: function(state.retract(d)), zero)
    return torch.stack([full[i, :, i] for i in range(batch)])


def decoded(decoder, points, state):
    return DecodedPoints.of(decoder, points, state.codes)


def surface(decoder, state, evidence):
    points = decoded(decoder, surface_points(state, evidence), state)
    return surface_residuals(points, state, evidence)


def free_space(decoder, state, evidence, anchors):
    return free_space_residuals(decoded(decoder, anchors, state), state, evidence)


def support(decoder, state, evidence):
    points = decoded(decoder, support_points(state, evidence), state)
    return support_residuals(points, state, evidence, **SUPPORT)


def test_the_truth_explains_the_measurements(view):
    residual, _ = surface(view.decoder, view.truth, view.evidence)
    assert residual.shape == (2, 120)
    assert residual.abs().max() < 0.05
    violation, _ = free_space(view.decoder, view.truth, view.evidence, anchors_of(view, view.truth))
    assert violation.shape == (2, 200)
    assert violation.max() < 1.0
    assert (violation > 0.0).float().mean() < 0.02


def test_surface_residuals_are_distances_in_standard_deviations(view):
    """Moved towards the camera, a face that looks at it is nearer by just as much."""
    similarity = view.truth.similarity
    ray = view.evidence.surface / view.evidence.surface.norm(dim=-1, keepdim=True)
    nearer = replace(view.evidence, surface=view.evidence.surface - 0.002 * ray)
    residual, _ = surface(view.decoder, view.truth, nearer)
    q = similarity.inverse_transform(view.evidence.surface)
    _, gradient = view.decoder.value_and_gradient(q, view.truth.codes)
    facing = -(gradient @ similarity.rotation.transpose(-1, -2) * ray).sum(-1)
    torch.testing.assert_close(residual, facing, atol=0.1, rtol=0.1)


@pytest.mark.parametrize("kind", ["pose", "scale", "code"])
def test_the_jacobian_of_surface_residuals(view, kind):
    view = view.double()
    state = displaced(view, torch.float64)
    _, jacobian = surface(view.decoder, state, view.evidence)
    expected = jacobian_by_autograd(lambda s: surface(view.decoder, s, view.evidence)[0], state)
    columns = {"pose": slice(0, 6), "scale": slice(6, 7), "code": slice(7, None)}[kind]
    assert expected[..., columns].abs().max() > 1.0
    torch.testing.assert_close(jacobian[..., columns], expected[..., columns], atol=1e-8, rtol=1e-8)


def anchors_of(view, state):
    return surface_anchors(view.decoder, state.codes, 200)


@pytest.mark.parametrize("kind", ["pose", "scale", "code"])
def test_the_jacobian_of_free_space(view, kind):
    """Against autograd, with the normals held that carry the anchors to the surface."""
    view = view.double()
    state = displaced(view, torch.float64)
    anchors = anchors_of(view, state) + 0.01
    residual, jacobian = free_space(view.decoder, state, view.evidence, anchors)
    _, gradient = view.decoder.value_and_gradient(anchors, state.codes)
    step = (gradient / gradient.square().sum(-1, keepdim=True)).detach()

    def intrusion(moved):
        f = view.decoder(anchors, moved.codes).unsqueeze(-1)
        points = moved.similarity.transform(anchors - f * step)
        return view.evidence.free.intrusion(points)[0] / view.evidence.free.sigma.unsqueeze(-1)

    active = residual > 0.0
    assert (active.sum(1) >= 20).all()
    assert not jacobian[~active].any()
    torch.testing.assert_close(residual, intrusion(state))
    expected = jacobian_by_autograd(intrusion, state)
    columns = {"pose": slice(0, 6), "scale": slice(6, 7), "code": slice(7, None)}[kind]
    torch.testing.assert_close(
        jacobian[..., columns][active], expected[..., columns][active], atol=1e-7, rtol=1e-7
    )


def test_an_object_beside_its_pixels_is_in_free_space(view):
    """Most of what the image shows of it is before the wall; the way out is to the pixels."""
    similarity = view.truth.similarity
    offset = torch.tensor([0.12, 0.0, 0.0], device=similarity.translation.device)
    aside = replace(
        view.truth, similarity=replace(similarity, translation=similarity.translation + offset)
    )
    residual, jacobian = free_space(view.decoder, aside, view.evidence, anchors_of(view, aside))
    assert ((residual > 5.0).float().mean(dim=1) > 0.15).all()
    # Farther to the right is worse.
    assert (jacobian[..., 3][residual > 5.0] > 0.0).float().mean() > 0.9


def test_anchors_lie_on_the_surface_and_all_over_it(view):
    anchors = anchors_of(view, view.truth)
    value = view.decoder(anchors, view.truth.codes)
    assert value.abs().median() < 1e-3
    assert value.abs().max() < 0.02
    extent = anchors.amax(dim=1) - anchors.amin(dim=1)
    diagonal = extent.norm(dim=-1)
    torch.testing.assert_close(diagonal, torch.ones_like(diagonal), atol=0.06, rtol=0.0)
    # No octant about the centre is left out.
    octant = ((anchors > 0.0) * torch.tensor([1, 2, 4], device=anchors.device)).sum(-1)
    for one in octant:
        assert (torch.bincount(one, minlength=8) > 12).all()


def lifted(view, metres):
    """The support moved along its normal, towards the object where `metres` is positive."""
    plane = view.evidence.support.clone()
    plane[:, 3] += metres
    return replace(view.evidence, support=plane)


def test_an_object_rests_on_its_support(view):
    residual, _ = support(view.decoder, view.truth, view.evidence)
    assert residual.shape == (2, 14)
    assert (residual < 0.7).all()


def test_a_support_that_cuts_in_and_one_that_is_out_of_reach(view):
    scale = view.truth.similarity.scale
    cut, _ = support(view.decoder, view.truth, lifted(view, 0.05 * scale))
    assert (cut[:, 0] > 3.0).all()  # under the middle, 0.05 deep
    assert not cut[:, -1].any()
    below, _ = support(view.decoder, view.truth, lifted(view, -0.06 * scale))
    assert not below[:, :-1].any()
    torch.testing.assert_close(below[:, -1], torch.full_like(below[:, -1], 2.0), atol=0.3, rtol=0.0)


def test_without_a_support_there_is_nothing_to_violate(view):
    evidence = replace(view.evidence, support=torch.zeros_like(view.evidence.support))
    residual, jacobian = support(view.decoder, view.truth, evidence)
    assert not residual.any()
    assert not jacobian.any()


@pytest.mark.parametrize("metres", [0.01, -0.02])
def test_jacobian_of_the_support(view, metres):
    """Against autograd, with the points of the support held where they are."""
    view = view.double()
    evidence = lifted(view, metres)
    state = displaced(view, torch.float64)
    residual, jacobian = support(view.decoder, state, evidence)
    points = state.similarity.transform(support_points(state, evidence)).detach()

    def distances(moved):
        return view.decoder(moved.similarity.inverse_transform(points), moved.codes)

    expected = jacobian_by_autograd(distances, state)
    active = residual[:, :-1] > 0.0
    torch.testing.assert_close(
        jacobian[:, :-1][active], -expected[active] / SUPPORT["sigma"], atol=1e-8, rtol=1e-8
    )
    nearest = distances(state).argmin(dim=1)
    for i in range(2):
        if residual[i, -1] > 0.0:
            torch.testing.assert_close(
                jacobian[i, -1], expected[i, nearest[i]] / SUPPORT["contact_sigma"]
            )


def test_priors_pull_towards_the_mean(view):
    view = view.double()
    state = displaced(view, torch.float64)
    size = 7 + state.codes.shape[1]
    hessian = torch.zeros(2, size, size, dtype=torch.float64)
    gradient = torch.zeros(2, size, dtype=torch.float64)
    view.priors.add_to(state, hessian, gradient)

    def half_cost(delta):
        return 0.5 * view.priors.cost(state.retract(delta))

    zero = torch.zeros(2, size, dtype=torch.float64)
    expected = torch.autograd.functional.jacobian(half_cost, zero)
    torch.testing.assert_close(gradient, torch.stack([expected[i, i] for i in range(2)]))
    second = torch.autograd.functional.hessian(lambda d: half_cost(d).sum(), zero)
    torch.testing.assert_close(hessian, torch.stack([second[i, :, i] for i in range(2)]))


def test_an_expected_rotation_pulls_its_axes(view):
    """Cost and gradient against autograd; the Gauss-Newton Hessian of a nearly reached one."""
    view = view.double()
    state = displaced(view, torch.float64)
    prior = RotationPrior(
        view.truth.similarity.rotation,
        torch.tensor([[30.0, 4.0], [10.0, 0.0]], dtype=torch.float64),
    )
    size = 7 + state.codes.shape[1]
    hessian = torch.zeros(2, size, size, dtype=torch.float64)
    gradient = torch.zeros(2, size, dtype=torch.float64)
    prior.add_to(state.similarity.rotation, hessian, gradient)

    def half_cost(delta):
        return 0.5 * prior.cost(state.retract(delta).similarity.rotation)

    zero = torch.zeros(2, size, dtype=torch.float64)
    expected = torch.autograd.functional.jacobian(half_cost, zero)
    torch.testing.assert_close(gradient, torch.stack([expected[i, i] for i in range(2)]))
    assert not gradient[:, 3:].any()

    reached = torch.zeros_like(hessian)
    prior.add_to(view.truth.similarity.rotation, reached, torch.zeros_like(gradient))
    second = torch.autograd.functional.hessian(
        lambda d: 0.5 * prior.cost(view.truth.retract(d).similarity.rotation).sum(), zero
    )
    torch.testing.assert_close(reached, torch.stack([second[i, :, i] for i in range(2)]))
    assert prior.cost(view.truth.similarity.rotation).abs().max() < 1e-12
    # The second says nothing of the front.
    turn = so3_exp(torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64))
    cost = prior.cost(view.truth.similarity.rotation @ turn)
    assert cost[0] > 1.0
    assert cost[1] < 1e-12


def test_states_and_evidence_are_indexed_together(view):
    state, evidence = view.truth, view.evidence
    assert len(state) == 2
    assert len(state[1:]) == 1
    torch.testing.assert_close(evidence[1:].surface, evidence.surface[1:])
    torch.testing.assert_close(evidence[1:].free.depth, evidence.free.depth[1:])
    subsampled = evidence.subsampled(10)
    assert subsampled.surface.shape == (2, 10, 3)
    assert subsampled.surface_sigma.shape == (2, 10)


def test_where_takes_each_hypothesis_whole(view):
    a = view.truth
    identity = Similarity(
        torch.eye(3, device=a.codes.device).expand(2, 3, 3),
        torch.zeros_like(a.similarity.translation),
        torch.ones_like(a.similarity.scale),
    )
    b = ShapePose(identity, torch.zeros_like(a.codes))
    mixed = a.where(torch.tensor([True, False], device=a.codes.device), b)
    assert torch.equal(mixed.codes[0], a.codes[0])
    assert torch.equal(mixed.codes[1], b.codes[1])
    assert torch.equal(mixed.similarity.rotation[0], a.similarity.rotation[0])
    assert torch.equal(mixed.similarity.rotation[1], b.similarity.rotation[1])
    assert mixed.similarity.scale.tolist() == [a.similarity.scale[0].item(), 1.0]
