import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from sdfpose_core.geometry.similarity import so3_exp, so3_log
from sdfpose_core.refine.covariance import pose_covariance
from sdfpose_core.refine.kernel import GemanMcClureKernel
from sdfpose_core.refine.priors import RotationPrior
from sdfpose_core.refine.solver import RefineConfig, refine, refine_multiview, total_cost
from sdfpose_core.refine.state import ShapePose

# A kernel wide enough to be drawn from a start that is off by many standard deviations.
CONFIG = RefineConfig(
    surface_weight=200.0,
    free_space_weight=100.0,
    anchors=120,
    kernel=GemanMcClureKernel(30.0),
)


def moved(view, seed, angle_deg=10.0, shift_m=0.02, log_scale=0.1):
    """The truth turned, moved and scaled by so much in random directions, with the mean code."""
    generator = torch.Generator().manual_seed(seed)
    unit = torch.nn.functional.normalize(torch.randn(2, 2, 3, generator=generator), dim=-1)
    change = torch.full((2, 1), log_scale)
    delta = torch.cat([math.radians(angle_deg) * unit[0], shift_m * unit[1], change], dim=-1)
    codes = view.decoder.code_mean.expand(2, -1)
    return ShapePose(view.truth.similarity.retract(delta.to(codes.device)), codes)


def run(view, state, iterations):
    return refine(view.decoder, state, view.evidence, view.priors, CONFIG, iterations)


def rotation_error_deg(view, solution):
    a, b = solution.state.similarity.rotation, view.truth.similarity.rotation
    error = torch.rad2deg(so3_log(a.transpose(-1, -2) @ b).norm(dim=-1))
    # The second object is a cylinder: its yaw is arbitrary.
    axis = (a[1, :, 1] @ b[1, :, 1]).clamp(-1.0, 1.0).acos().rad2deg()
    return [error[0].item(), axis.item()]


def test_a_perturbed_pose_of_a_known_shape_is_recovered(view):
    start = moved(view, 0)
    known = ShapePose(start.similarity, view.truth.codes)
    # The priors are those of this shape, not of all: nothing draws the solution away from it.
    priors = replace(
        view.priors,
        code_mean=view.truth.codes,
        log_scale_mean=view.truth.similarity.scale.log(),
    )
    solution = refine(view.decoder, known, view.evidence, priors, CONFIG, 25)
    assert max(rotation_error_deg(view, solution)) < 1.5
    truth, found = view.truth.similarity, solution.state.similarity
    assert (found.translation - truth.translation).norm(dim=-1).max() < 0.003
    assert ((found.scale / truth.scale).log().abs() < 0.03).all()
    assert (solution.surface_residual.abs().mean(-1) < 0.3).all()


@pytest.mark.parametrize("seed", [1, 2])
def test_pose_size_and_shape_are_recovered_together(view, seed):
    solution = run(view, moved(view, seed), 40)
    assert max(rotation_error_deg(view, solution)) < 6.0
    shift = solution.state.similarity.translation - view.truth.similarity.translation
    assert shift.norm(dim=-1).max() < 0.015
    assert (solution.surface_residual.abs().mean(-1) < 0.7).all()


@pytest.mark.parametrize("seed", range(4))
def test_the_cost_never_rises(view, seed):
    start = moved(view, seed, angle_deg=60.0, shift_m=0.08, log_scale=0.4)
    costs = [run(view, start, 0).cost]
    for iterations in range(1, 12):
        costs.append(run(view, start, iterations).cost)
        assert (costs[-1] <= costs[-2]).all()
    assert (costs[-1] < costs[0]).all()


def test_the_solution_is_a_minimum(view):
    solution = run(view, moved(view, 3), 60)
    generator = torch.Generator().manual_seed(5)
    size = solution.hessian.shape[-1]
    spread = torch.linalg.inv(solution.hessian).diagonal(dim1=1, dim2=2).sqrt()
    for _ in range(20):
        delta = torch.randn(2, size, generator=generator).to(spread.device) * 0.3 * spread
        nearby = run(view, solution.state.retract(delta), 0)
        assert (nearby.cost > solution.cost - 0.02).all()


def test_without_iterations_the_state_is_only_evaluated(view):
    start = moved(view, 0)
    solution = run(view, start, 0)
    assert torch.equal(solution.state.similarity.rotation, start.similarity.rotation)
    assert torch.equal(solution.state.codes, start.codes)
    assert solution.hessian.shape == (2, 15, 15)
    assert solution.surface_residual.shape == (2, 120)
    assert solution.violation.shape == (2, 120)


def test_rotations_stay_rotations(view):
    rotation = run(view, moved(view, 1), 40).state.similarity.rotation
    eye = torch.eye(3, device=rotation.device).expand(2, 3, 3)
    torch.testing.assert_close(rotation @ rotation.transpose(-1, -2), eye, atol=1e-5, rtol=0)


def test_hypotheses_do_not_disturb_one_another(view):
    start = moved(view, 2)
    together = run(view, start, 5)
    alone = refine(view.decoder, start[:1], view.evidence[:1], view.priors, CONFIG, 5)
    torch.testing.assert_close(together[:1].cost, alone.cost, atol=1e-2, rtol=1e-3)
    torch.testing.assert_close(
        together.state.similarity.translation[:1],
        alone.state.similarity.translation,
        atol=1e-4,
        rtol=0,
    )


def test_hypotheses_that_have_settled_are_left_alone_and_the_others_go_on(view):
    end = run(view, moved(view, 2), 60).state
    start = moved(view, 2, angle_deg=20.0)
    both = view.evidence[torch.tensor([0, 0, 1])]
    state = ShapePose.cat([end[:1], start[:1], end[1:]])
    solution = refine(view.decoder, state, both, view.priors, CONFIG, 40)
    rotation = solution.state.similarity.rotation
    assert torch.equal(rotation[::2], end.similarity.rotation)
    assert torch.equal(solution.state.codes[::2], end.codes)
    alone = refine(view.decoder, start[:1], both[1:2], view.priors, CONFIG, 40)
    torch.testing.assert_close(rotation[1], alone.state.similarity.rotation[0], atol=1e-3, rtol=0)
    torch.testing.assert_close(solution.cost[1], alone.cost[0], atol=1e-2, rtol=1e-3)
    assert solution.cost[1] < run(view, start, 0).cost[0] - 1.0


def test_none_settles_where_that_is_asked_for(view):
    start = moved(view, 2)
    lazy = refine(view.decoder, start, view.evidence, view.priors, CONFIG, 3, math.inf)
    assert torch.equal(lazy.state.codes, start.codes)
    eager = refine(view.decoder, start, view.evidence, view.priors, CONFIG, 60, -math.inf)
    assert (eager.cost <= run(view, start, 60).cost + 1e-3).all()


def test_the_minimum_is_the_same_wherever_the_camera_frame_is_turned(view):
    """The whole scene turned about the camera's centre: the poses turn along.

    All but the free space, which is a window of the image.
    """
    turn = so3_exp(torch.tensor([0.2, -0.5, 0.9])).to(view.truth.codes.device)
    start = moved(view, 4)
    unknown = replace(view.evidence.free, depth=torch.zeros_like(view.evidence.free.depth))
    evidence = replace(view.evidence, free=unknown)
    turned_evidence = replace(
        evidence,
        surface=evidence.surface @ turn.T,
        support=torch.cat([evidence.support[:, :3] @ turn.T, evidence.support[:, 3:]], dim=1),
    )
    turned_start = ShapePose(
        type(start.similarity)(
            turn @ start.similarity.rotation,
            start.similarity.translation @ turn.T,
            start.similarity.scale,
        ),
        start.codes,
    )
    a = refine(view.decoder, start, evidence, view.priors, CONFIG, 0)
    b = refine(view.decoder, turned_start, turned_evidence, view.priors, CONFIG, 0)
    torch.testing.assert_close(a.cost, b.cost, atol=1e-2, rtol=1e-3)


def test_the_hessian_is_positive_definite(view):
    for iterations in (0, 20):
        solution = run(view, moved(view, 0), iterations)
        assert torch.equal(solution.hessian.isfinite().all(), torch.tensor(True))
        assert (torch.linalg.eigvalsh(solution.hessian.double()) > 0.0).all()


def test_a_hypothesis_far_from_everything_measured_has_a_covariance(view):
    start = view.truth.similarity
    start = type(start)(start.rotation, start.translation + 3.0, start.scale)
    solution = refine(
        view.decoder,
        ShapePose(start, view.truth.codes),
        view.evidence,
        view.priors,
        RefineConfig(kernel=GemanMcClureKernel(1e-3)),
        2,
    )
    assert torch.linalg.eigvalsh(solution.hessian.double()).min() > 0.5 * 3.0 / math.pi**2


def test_the_pose_covariance_is_that_of_the_box_in_the_camera_frame(view):
    solution = run(view, moved(view, 0), 20)[:1]
    similarity = solution.state.similarity
    rotation = similarity.rotation[0].double().cpu().numpy()
    centre = np.array([0.05, -0.02, 0.03])
    scale = float(similarity.scale[0])
    covariance = pose_covariance(solution, rotation, scale, centre, pose_only=False)
    np.testing.assert_array_equal(covariance, covariance.T)
    assert (np.linalg.eigvalsh(covariance) > 0.0).all()

    # The same by a numeric derivative of the box's centre and the rotation by the state.
    wide = similarity.to(torch.float64)

    def box(delta):
        moved = wide.retract(delta)
        centre_camera = moved.transform(torch.from_numpy(centre)[None, None])[0, 0]
        turn = so3_log(moved.rotation @ wide.rotation.transpose(-1, -2))[0]
        return torch.cat([centre_camera, turn])

    zero = torch.zeros(1, 7, dtype=torch.float64, device=wide.scale.device)
    jacobian = torch.autograd.functional.jacobian(box, zero)[:, 0].cpu().numpy()
    state = np.linalg.inv(solution.hessian[0].double().cpu().numpy())[:7, :7]
    np.testing.assert_allclose(covariance, jacobian @ state @ jacobian.T, rtol=1e-3, atol=1e-9)


def test_yaw_of_a_cylinder_is_uncertain_and_its_axis_is_not(view):
    solution = run(view, ShapePose(view.truth.similarity, view.truth.codes), 5)
    covariance = torch.linalg.inv(solution.hessian[1].double())[:3, :3]
    spread = covariance.diagonal().sqrt()
    assert spread[1] > 5.0 * spread[0]
    assert spread[1] > 5.0 * spread[2]


def test_no_tensor_is_made_without_a_device(view, explicit_devices):
    start = moved(view, 0)
    with explicit_devices():
        run(view, start, 2)


# --- several views of one object ---


def together(view, state, iterations, views=3, evidence=None):
    evidence = view.evidence if evidence is None else evidence
    return refine_multiview(view.decoder, state, evidence, view.priors, CONFIG, iterations, views)


def perturbed(view, seed, **options):
    """Each view's pose is off by itself; size and code are the same wrong ones."""
    count = len(view.truth)
    generator = torch.Generator().manual_seed(seed)
    unit = torch.nn.functional.normalize(torch.randn(2, count, 3, generator=generator), dim=-1)
    delta = torch.cat(
        [math.radians(8.0) * unit[0], 0.01 * unit[1], torch.full((count, 1), 0.1)], dim=-1
    )
    codes = view.decoder.code_mean.expand(count, -1)
    return ShapePose(view.truth.similarity.retract(delta.to(codes.device)), codes)


def test_one_view_is_refined_as_before(view):
    start = moved(view, 1)
    one = refine(view.decoder, start, view.evidence, view.priors, CONFIG, 6)
    other = together(view, start, 6, views=1)
    torch.testing.assert_close(one.cost, other.cost, rtol=0.02, atol=0.05)
    torch.testing.assert_close(one.state.codes, other.state.codes, rtol=0.0, atol=0.02)


def test_size_and_code_stay_the_same_in_all_views(several_views):
    solution = together(several_views, perturbed(several_views, 0), 12)
    for values in (solution.state.similarity.scale, solution.state.codes):
        torch.testing.assert_close(values, values[:1].expand_as(values), rtol=1e-6, atol=1e-7)


def test_several_views_know_the_size_better_than_one(several_views):
    """What one of them hides another shows."""
    start = perturbed(several_views, 2)
    truth = several_views.truth.similarity.scale.log()

    def error(solution):
        return (solution.state.similarity.scale.log() - truth).abs()

    alone = refine(
        several_views.decoder, start, several_views.evidence, several_views.priors, CONFIG, 40
    )
    joint = together(several_views, start, 40)
    assert error(joint).max() < 0.7 * error(alone).max()
    assert error(joint).max() < 0.04


def test_the_total_never_rises(several_views):
    start = perturbed(several_views, 3)
    totals = [total_cost(together(several_views, start, n).cost, 3) for n in range(8)]
    assert all((b <= a).all() for a, b in itertools.pairwise(totals))
    assert (totals[-1] < 0.7 * totals[0]).all()


def test_hypotheses_of_several_views_do_not_disturb_one_another(several_views):
    first, second = perturbed(several_views, 0), perturbed(several_views, 1)
    rows = torch.arange(3).repeat(2)
    both = together(
        several_views, ShapePose.cat([first, second]), 6, evidence=several_views.evidence[rows]
    )
    torch.testing.assert_close(
        both[3:].cost, together(several_views, second, 6).cost, rtol=1e-3, atol=1e-2
    )


def test_a_view_of_another_object_hardly_counts(several_views):
    """Its points are not on this one: what the others agree on stands."""
    evidence = several_views.evidence
    spoilt = evidence.surface.clone()
    spoilt[2] = (
        spoilt[2] * 1.15
        + torch.randn(spoilt[2].shape, generator=torch.Generator().manual_seed(0)).to(spoilt) * 0.03
    )
    clean = together(several_views, several_views.truth, 10)
    robust = together(
        several_views, several_views.truth, 10, evidence=replace(evidence, surface=spoilt)
    )
    change = (robust.state.similarity.scale / clean.state.similarity.scale).log()[:2]
    assert change.abs().max() < 0.03


def test_another_prior_changes_nothing_but_the_cost(view):
    used = replace(
        view.priors,
        code_mean=view.truth.codes,
        code_precision=4.0 * view.priors.code_precision.expand(2, -1, -1),
        rotation=RotationPrior(
            view.truth.similarity.rotation, torch.ones(2, 2).to(view.truth.codes)
        ),
    )
    start = moved(view, 1)
    under_used = refine(view.decoder, start, view.evidence, used, CONFIG, 0)
    direct = refine(view.decoder, start, view.evidence, view.priors, CONFIG, 0)
    torch.testing.assert_close(
        under_used.with_priors(view.priors, used).cost, direct.cost, rtol=1e-4, atol=1e-3
    )
