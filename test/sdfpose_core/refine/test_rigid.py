import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from sdfpose_core.geometry.similarity import so3_exp, so3_log
from sdfpose_core.refine import rigid, solver
from sdfpose_core.refine.anchors import surface_anchors
from sdfpose_core.refine.priors import Priors, RotationPrior
from sdfpose_core.refine.rigid import refine_rigid
from sdfpose_core.refine.solver import RefineConfig
from sdfpose_core.refine.state import ShapePose
from sdfpose_core.sdf.meshing import signed_distance_grid
from sdfpose_core.sdf.shape_decoder import newton_direction
from sdfpose_core.sdf.volume import SdfVolume, SdfVolumes

CONFIG = RefineConfig(anchors=60)


class LookedUp:
    """A decoder that gives what volume shapes give."""

    def __init__(self, shapes):
        self.shapes = SdfVolumes(shapes)

    def value_and_jacobian(self, points, codes):
        asked = np.ascontiguousarray(points.numpy().transpose(0, 2, 1))
        value, gradient = self.shapes.value_and_gradient(asked)
        d_code = self.shapes.d_code(asked, gradient)
        return tuple(
            torch.from_numpy(np.ascontiguousarray(x))
            for x in (value, gradient.transpose(0, 2, 1), d_code)
        )


def volume(view):
    """The shapes of a view, their samples moved onto the surface that is looked up."""
    shapes = []
    for code in view.truth.codes:
        grid = signed_distance_grid(view.decoder, code, 48)
        samples = surface_anchors(view.decoder, code[None], 2 * CONFIG.anchors)[0]
        shape = SdfVolume.of(view.decoder, code, grid, samples)
        lookup = LookedUp([shape])
        for _ in range(20):
            value, gradient, _ = lookup.value_and_jacobian(samples[None], code[None])
            samples = samples - 0.7 * value[0, :, None] * newton_direction(gradient[0])
        _, gradient, _ = lookup.value_and_jacobian(samples[None], code[None])
        steps = newton_direction(gradient[0]).numpy()
        shapes.append(replace(shape, samples=samples.numpy(), steps=steps))
    return shapes


def expectations(view, seed=0, precision=(40.0, 20.0)):
    """The view's priors for each object, with rotations that are somewhat off."""
    generator = torch.Generator().manual_seed(seed)
    off = so3_exp(0.1 * torch.randn(2, 3, generator=generator))
    rotation = RotationPrior(
        view.truth.similarity.rotation @ off, torch.tensor([precision, precision])
    )
    return replace(Priors.stack([view.priors] * 2), rotation=rotation)


def moved(view, seed, angle_deg=6.0, shift_m=0.01):
    generator = torch.Generator().manual_seed(seed)
    unit = torch.nn.functional.normalize(torch.randn(2, 2, 3, generator=generator), dim=-1)
    delta = torch.cat(
        [math.radians(angle_deg) * unit[0], shift_m * unit[1], torch.zeros(2, 1)], dim=-1
    )
    return ShapePose(view.truth.similarity.retract(delta), view.truth.codes)


@pytest.fixture
def seen(view):
    """A view on the CPU, where rigid refinement runs."""
    if view.truth.codes.is_cuda:
        pytest.skip("rigid refinement runs on the CPU")
    return view


def linearised(problem, state):
    similarity = state.similarity
    return problem.linearise(similarity.rotation.numpy(), similarity.translation.numpy())


@pytest.mark.parametrize("seed", range(4))
def test_it_is_the_solvers_problem(seen, seed):
    """Costs, gradients and Hessians are those of the tensor code, where the shape is the same."""
    shapes, priors = volume(seen), expectations(seen, seed)
    state = moved(seen, seed, angle_deg=15.0, shift_m=0.04)
    problem = rigid._Problem.of(shapes, state, seen.evidence, priors, CONFIG)
    anchors = torch.from_numpy(np.stack([x.samples[::2] for x in shapes]))
    expected = solver._Problem(LookedUp(shapes), seen.evidence, priors, CONFIG, anchors).linearise(
        state
    )
    found = linearised(problem, state)
    constant = replace(priors, rotation=None).cost(state).numpy()
    np.testing.assert_allclose(found.cost, expected.cost.numpy() - constant, rtol=2e-3, atol=2e-2)
    hessian = problem.hessian(found, state.similarity.rotation.numpy())
    scale = expected.hessian.diagonal(dim1=1, dim2=2).sqrt().numpy()
    np.testing.assert_allclose(
        hessian / (scale[:, :, None] * scale[:, None]),
        expected.hessian.numpy() / (scale[:, :, None] * scale[:, None]),
        atol=5e-3,
    )
    np.testing.assert_allclose(found.hessian, hessian[:, :6, :6], rtol=1e-4, atol=1e-2)
    np.testing.assert_allclose(
        found.gradient / scale[:, :6], expected.gradient.numpy()[:, :6] / scale[:, :6], atol=2e-2
    )
    violation = found.residual[:, 120 : 120 + CONFIG.anchors]
    np.testing.assert_allclose(violation, expected.violation.numpy(), atol=2e-2)
    assert (violation > 0.0).any()


@pytest.mark.parametrize("seed", range(3))
def test_the_pose_is_recovered_and_size_and_code_stay(seen, seed):
    start = moved(seen, seed)
    priors = Priors.stack([seen.priors] * 2)
    solution = refine_rigid(volume(seen), start, seen.evidence, priors, CONFIG, 10)
    truth, found = seen.truth.similarity, solution.state.similarity
    turn = so3_log(found.rotation.transpose(1, 2) @ truth.rotation).norm(dim=-1)
    axis = (found.rotation[:, :, 1] * truth.rotation[:, :, 1]).sum(-1).clamp(max=1.0).acos()
    # The second object is a cylinder: its yaw is arbitrary.
    assert math.degrees(max(turn[0], axis[1])) < 1.5
    assert (found.translation - truth.translation).norm(dim=-1).max() < 0.003
    assert torch.equal(found.scale, start.similarity.scale)
    assert torch.equal(solution.state.codes, start.codes)
    size = 7 + start.codes.shape[1]
    assert solution.hessian.shape == (2, size, size)
    assert solution.surface_residual.shape == (2, 120)
    assert solution.violation.shape == (2, CONFIG.anchors)
    eye = torch.eye(3).expand(2, 3, 3)
    torch.testing.assert_close(found.rotation @ found.rotation.mT, eye, atol=1e-5, rtol=0.0)


def test_the_cost_never_rises(seen):
    start, priors = moved(seen, 1, angle_deg=40.0, shift_m=0.05), expectations(seen)
    costs = [
        refine_rigid(volume(seen), start, seen.evidence, priors, CONFIG, iterations).cost
        for iterations in range(8)
    ]
    assert all((b <= a + 1e-4).all() for a, b in itertools.pairwise(costs))
    assert (costs[-1] < costs[0]).all()


def test_a_step_that_gains_nothing_is_not_taken(seen):
    priors = Priors.stack([seen.priors] * 2)
    settled = refine_rigid(volume(seen), seen.truth, seen.evidence, priors, CONFIG, 20)
    again = refine_rigid(volume(seen), settled.state, seen.evidence, priors, CONFIG, 20)
    assert torch.equal(again.state.similarity.rotation, settled.state.similarity.rotation)


def test_what_is_expected_of_the_rotation_draws_it(seen):
    """A cylinder's yaw is all that it decides."""
    shapes = volume(seen)
    turned = seen.truth.similarity.rotation @ so3_exp(torch.tensor([0.0, 0.3, 0.0]))
    drawn = {}
    for precision in (0.0, 1e4):
        rotation = RotationPrior(turned, torch.tensor([[0.0, precision]] * 2))
        priors = replace(Priors.stack([seen.priors] * 2), rotation=rotation)
        solution = refine_rigid(shapes, seen.truth, seen.evidence, priors, CONFIG, 10)
        off = so3_log(solution.state.similarity.rotation.mT @ turned)[1].norm()
        drawn[precision] = float(off)
    assert drawn[1e4] < 0.03 < 0.2 < drawn[0.0]


def test_objects_do_not_disturb_one_another(seen):
    shapes, start, priors = volume(seen), moved(seen, 2), expectations(seen)
    together = refine_rigid(shapes, start, seen.evidence, priors, CONFIG, 6)
    for i in range(2):
        alone = refine_rigid(
            shapes[i : i + 1], start[i : i + 1], seen.evidence[i : i + 1], priors[i : i + 1],
            CONFIG, 6,
        )  # fmt: skip
        torch.testing.assert_close(
            alone.state.similarity.translation[0],
            together.state.similarity.translation[i],
            atol=1e-5,
            rtol=0.0,
        )


def test_a_point_behind_the_camera_is_no_error(seen):
    start = moved(seen, 0)
    behind = replace(start.similarity, translation=-start.similarity.translation)
    priors = Priors.stack([seen.priors] * 2)
    solution = refine_rigid(
        volume(seen), replace(start, similarity=behind), seen.evidence, priors, CONFIG, 5
    )
    assert torch.isfinite(solution.state.similarity.translation).all()
    assert torch.isfinite(solution.hessian).all()
