import math

import pytest
import torch

from sdfpose_core.encoder.upright import upright_hypotheses


@pytest.fixture
def points(device):
    generator = torch.Generator().manual_seed(0)
    return (0.05 * torch.randn(200, 3, generator=generator)).to(device) + torch.tensor(
        [0.2, 0.1, 0.9], device=device
    )


def test_hypotheses_are_rotations_of_objects_that_stand(points):
    hypotheses = upright_hypotheses(points, 0.2)
    rotation = hypotheses.rotation
    assert rotation.shape == (48, 3, 3)
    eye = torch.eye(3, device=points.device).expand(48, 3, 3)
    torch.testing.assert_close(rotation @ rotation.transpose(1, 2), eye, atol=1e-5, rtol=0)
    torch.testing.assert_close(
        torch.linalg.det(rotation), torch.ones(48, device=points.device), atol=1e-5, rtol=0
    )
    # Up in the image is -y; a camera that looks down sees the top lean towards itself (-z).
    up = rotation[:, :, 1]
    assert (up[:, 1] < -0.4).all()
    assert (up[:, 2] < 0.0).all()
    torch.testing.assert_close(up[:, 0], torch.zeros_like(up[:, 0]), atol=1e-6, rtol=0)
    elevations = torch.rad2deg(torch.atan2(-up[:, 2], -up[:, 1]))
    expected = torch.tensor([10.0, 35.0, 60.0], device=points.device)
    torch.testing.assert_close(elevations, expected.repeat_interleave(16), atol=1e-3, rtol=0)


def test_directions_are_spread_evenly(points):
    facing = upright_hypotheses(points, 0.2).rotation.view(3, 16, 3, 3)[..., 0]
    cosine = (facing.unsqueeze(2) * facing.unsqueeze(1)).sum(-1)
    cosine = cosine - 2.0 * torch.eye(16, device=points.device)
    nearest = cosine.max(dim=-1).values
    step = math.cos(2.0 * math.pi / 16)
    torch.testing.assert_close(nearest, torch.full_like(nearest, step), atol=1e-5, rtol=0)


def test_centre_and_size_come_from_points_and_prior(points):
    hypotheses = upright_hypotheses(points, 0.25)
    assert hypotheses.scale.eq(0.25).all()
    median = points.median(dim=0).values
    expected = median * (1.0 + 0.2 * 0.25 / median.norm())
    torch.testing.assert_close(hypotheses.translation, expected.expand(48, 3))


def test_no_tensor_is_made_without_a_device(points, explicit_devices):
    with explicit_devices():
        hypotheses = upright_hypotheses(points.double(), 0.2)
    assert hypotheses.rotation.dtype == torch.float64
    assert hypotheses.scale.device.type == points.device.type
