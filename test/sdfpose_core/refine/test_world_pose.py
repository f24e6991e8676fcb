"""The common pose of views from known cameras."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sdfpose_core.geometry.similarity import Similarity, so3_exp, so3_log
from sdfpose_core.refine.kernel import GemanMcClureKernel
from sdfpose_core.refine.solver import RefineConfig, refine_multiview
from sdfpose_core.refine.state import ShapePose
from sdfpose_core.refine.world_pose import KnownCameras

CONFIG = RefineConfig(
    surface_weight=200.0, free_space_weight=100.0, anchors=120, kernel=GemanMcClureKernel(30.0)
)


def drawn(seed, views=4, hypotheses=2):
    """Cameras, common poses and the poses in the views, double precision."""
    rng = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=rng, dtype=torch.float64)

    cameras = KnownCameras(
        so3_exp(normal(views, 3)), normal(views, 3), 1e4 * torch.ones(views, 6).double()
    )
    common = Similarity(
        so3_exp(normal(hypotheses, 3)),
        normal(hypotheses, 3),
        torch.full((hypotheses,), 0.2, dtype=torch.float64),
    )
    return cameras, common, cameras.in_views(common)


@given(seed=st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_views_of_an_object_that_stands_still_have_its_pose_in_common(seed):
    cameras, common, poses = drawn(seed)
    found = cameras.common_pose(poses)
    torch.testing.assert_close(found.rotation, common.rotation, rtol=0.0, atol=1e-9)
    torch.testing.assert_close(found.translation, common.translation, rtol=0.0, atol=1e-9)
    assert cameras.residuals(poses, common).abs().max() < 1e-6


def test_the_common_pose_averages_the_errors_of_the_views():
    cameras, common, poses = drawn(1, views=6, hypotheses=1)
    errors = torch.randn(6, 7, generator=torch.Generator().manual_seed(2)).double() * 0.01
    errors[:, 6] = 0.0
    found = cameras.common_pose(poses.retract(errors))
    expected = (cameras.rotation @ errors[:, 3:6, None]).mean(0).squeeze(-1)
    torch.testing.assert_close(
        (found.translation - common.translation)[0], expected, rtol=0.1, atol=5e-4
    )


def test_a_wrong_camera_pose_hardly_moves_the_common_pose():
    cameras, common, poses = drawn(3, views=5, hypotheses=1)
    shift = torch.zeros(5, 7).double()
    shift[2, 3] = 0.5
    found = cameras.common_pose(poses.retract(shift))
    assert (found.translation - common.translation).norm() < 0.01


def test_unknown_cameras_do_not_count():
    cameras, common, poses = drawn(4, views=3, hypotheses=1)
    cameras.precision[1] = 0.0
    shift = torch.zeros(3, 7).double()
    shift[1, :6] = 0.4
    found = cameras.common_pose(poses.retract(shift))
    torch.testing.assert_close(found.translation, common.translation, rtol=0.0, atol=1e-9)


def test_gradient_and_hessian_are_those_of_the_cost():
    cameras, _, poses = drawn(5, views=3, hypotheses=1)
    poses = poses.retract(
        0.01 * torch.randn(3, 7, generator=torch.Generator().manual_seed(0)).double()
    )
    common = cameras.common_pose(poses)

    def half_cost(delta):
        """For the pose parameters of the views and of the common pose."""
        moved = Similarity(
            common.rotation @ so3_exp(delta[9:10, :3]), common.translation + delta[9:10, 3:],
            common.scale,
        )  # fmt: skip
        steps = torch.cat([delta[:3], torch.zeros(3, 1).double()], dim=1)
        residual = cameras.residuals(poses.retract(steps), moved)
        return 0.5 * (cameras.precision * residual.square()).sum()

    zero = torch.zeros(10, 6).double()
    exact = torch.autograd.functional.jacobian(half_cost, zero)
    cost, hessian, gradient = (
        torch.zeros(3).double(), torch.zeros(3, 9, 9).double(), torch.zeros(3, 9).double(),
    )  # fmt: skip
    cost = cameras.add_to(poses, cost, hessian, gradient)
    assert 0.5 * cost.sum() == pytest.approx(float(half_cost(zero)))
    torch.testing.assert_close(gradient[:, :6], exact[:3], rtol=0.02, atol=0.05)
    full, _ = cameras.with_common_pose(hessian, gradient)
    curvature = torch.autograd.functional.hessian(half_cost, zero)
    torch.testing.assert_close(full[1, :6, 6:12], curvature[1, :, 9], rtol=0.02, atol=150.0)
    torch.testing.assert_close(
        full[:, 6:12, 6:12].sum(0), curvature[9, :, 9], rtol=0.02, atol=300.0
    )


def test_known_cameras_bring_the_views_together(several_views):
    """Views that are free put the object at several places in the world."""
    truth = several_views.truth.similarity
    # The object is at rest at the origin of the world: each camera has the inverse pose.
    cameras = KnownCameras(
        truth.rotation.transpose(1, 2),
        -(truth.rotation.transpose(1, 2) @ truth.translation.unsqueeze(-1)).squeeze(-1),
        torch.tensor([1e5, 1e5, 1e5, 1e6, 1e6, 1e6]).to(truth.scale).repeat(3, 1),
    )
    rng = torch.Generator().manual_seed(0)
    unit = torch.nn.functional.normalize(torch.randn(2, 3, 3, generator=rng), dim=-1)
    delta = torch.cat(
        [math.radians(8.0) * unit[0], 0.01 * unit[1], torch.full((3, 1), 0.1)], dim=-1
    )
    codes = several_views.decoder.code_mean.expand(3, -1)
    start = ShapePose(truth.retract(delta.to(codes.device)), codes)

    def refined(known):
        return refine_multiview(
            several_views.decoder, start, several_views.evidence, several_views.priors, CONFIG, 30,
            3, known,
        ).state.similarity  # fmt: skip

    def spread(poses):
        return cameras.residuals(poses, cameras.common_pose(poses)).norm(dim=1).max()

    def error(poses):
        turn = so3_log(truth.rotation.transpose(1, 2) @ poses.rotation).norm(dim=1)
        return float(turn.mean()), float((poses.translation - truth.translation).norm(dim=1).mean())

    free, together = refined(None), refined(cameras)
    assert spread(together) < 0.3 * spread(free)
    # It costs nothing in the views themselves.
    for known, unknown in zip(error(together), error(free), strict=True):
        assert known < 1.1 * unknown
