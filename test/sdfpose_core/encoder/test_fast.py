import math

import pytest
import torch

from sdfpose_core.encoder.encoding import Encoding
from sdfpose_core.encoder.fast import FastEncoder, FastEncoderConfig, view_frame
from sdfpose_core.errors import ShapeError, WeightsError
from sdfpose_core.geometry.similarity import Similarity, so3_exp
from sdfpose_core.weights import write_weights

CONFIG = FastEncoderConfig(
    code_length=6, points=65, patches=8, patch_points=6, width=16, layers=1, heads=2, hypotheses=3
)


@pytest.fixture
def encoder():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return FastEncoder(CONFIG, unit_m=0.2).eval()


def seen_points(batch=2):
    """Clouds that are symmetric about a point of theirs, which so is their median."""
    generator = torch.Generator().manual_seed(1)
    centre = torch.tensor([0.1, -0.2, 0.8]) + 0.05 * torch.randn(batch, 1, 3, generator=generator)
    offset = 0.05 * torch.randn(batch, 32, 3, generator=generator)
    return torch.cat([centre + offset, centre, centre - offset], dim=1)


def seen_plane(points, tilt=0.6):
    """The plane (B, 4) 0.1 m below each cloud's centre."""
    normal = torch.tensor([0.0, -math.cos(tilt), -math.sin(tilt)]).expand(len(points), 3)
    offset = (normal * points[:, 32]).sum(-1, keepdim=True) - 0.1
    return torch.cat([normal, offset], dim=1)


def turned_plane(plane, turn):
    return torch.cat([plane[:, :3] @ turn.T, plane[:, 3:]], dim=1)


def test_codes_and_their_spreads_are_told_in_the_frame_of_all_codes(encoder):
    """Without a word of the network's, they are the mean and the covariance."""
    generator = torch.Generator().manual_seed(2)
    factor = torch.randn(6, 6, generator=generator)
    mean, covariance = torch.randn(6, generator=generator), factor @ factor.T + torch.eye(6)
    encoder.set_code_prior(mean, covariance)
    torch.nn.init.zeros_(encoder.shape_head.weight)
    torch.nn.init.zeros_(encoder.shape_head.bias)
    with torch.no_grad():
        said = encoder(seen_points(), torch.zeros(2, 4))
    torch.testing.assert_close(said.codes, mean.expand(2, -1))
    torch.testing.assert_close(
        said.shape_spread.code_precision,
        torch.linalg.inv(covariance).expand(2, -1, -1),
        rtol=1e-3,
        atol=1e-4,
    )
    assert said.shape_spread.log_size_sd == pytest.approx(math.sqrt(2.0))


def test_shapes_of_the_output(encoder, device):
    encoder = encoder.to(device)
    with torch.no_grad():
        points = seen_points()
        encoding = encoder(points.to(device), seen_plane(points).to(device))
    assert encoding.similarity.rotation.shape == (2, 3, 3, 3)
    assert encoding.similarity.translation.shape == (2, 3, 3)
    assert encoding.similarity.scale.shape == (2, 3)
    assert encoding.logits.shape == (2, 3)
    assert encoding.log_spread.shape == (2, 3, 3)
    assert encoding.codes.shape == (2, 6)
    assert encoding.codes.device.type == device.type
    rotation = encoding.similarity.rotation
    eye = torch.eye(3, device=device).expand(2, 3, 3, 3)
    torch.testing.assert_close(rotation @ rotation.transpose(-1, -2), eye, atol=1e-5, rtol=0)
    assert (torch.linalg.det(rotation) > 0.9).all()
    assert (encoding.similarity.scale > 0.0).all()


def test_the_default_architecture_runs_and_trains():
    encoder = FastEncoder(FastEncoderConfig(), unit_m=0.2)
    assert sum(p.numel() for p in encoder.parameters()) < 2_000_000
    points = seen_points(1).repeat(1, 8, 1)[:, :512]
    encoding = encoder(points + 0.001 * torch.randn_like(points), seen_plane(points))
    loss = encoding.codes.sum() + encoding.logits.sum() + encoding.similarity.rotation.sum()
    loss.backward()
    assert encoder.patch[0].weight.grad.isfinite().all()


def test_instances_do_not_disturb_one_another(encoder):
    points = seen_points(3)
    with torch.no_grad():
        plane = seen_plane(points)
        together, alone = encoder(points, plane), encoder(points[1:2], plane[1:2])
    torch.testing.assert_close(together.codes[1:2], alone.codes, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        together.similarity.translation[1:2], alone.similarity.translation, atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("angle", [0.3, -0.8])
def test_a_view_turned_about_the_vertical_turns_the_poses(encoder, angle):
    """The network sees points along the ray to them: where in the image they are is one to it."""
    turn = so3_exp(torch.tensor([0.0, angle, 0.0]))
    points = seen_points()
    with torch.no_grad():
        plane = seen_plane(points)
        before = encoder(points, plane)
        after = encoder(points @ turn.T, turned_plane(plane, turn))
    torch.testing.assert_close(
        after.similarity.rotation, turn @ before.similarity.rotation, atol=1e-4, rtol=0
    )
    torch.testing.assert_close(
        after.similarity.translation, before.similarity.translation @ turn.T, atol=1e-5, rtol=0
    )
    torch.testing.assert_close(after.similarity.scale, before.similarity.scale, atol=1e-5, rtol=0)
    torch.testing.assert_close(after.codes, before.codes, atol=1e-4, rtol=0)
    torch.testing.assert_close(after.logits, before.logits, atol=1e-4, rtol=0)


def test_a_nearer_object_is_the_same_object(encoder):
    points = seen_points()
    centre = points[:, 32:33]
    with torch.no_grad():
        before = encoder(points, seen_plane(points))
        nearer = points - 0.5 * centre
        after = encoder(nearer, seen_plane(nearer))
    torch.testing.assert_close(after.codes, before.codes, atol=1e-4, rtol=0)
    torch.testing.assert_close(
        after.similarity.translation,
        before.similarity.translation - 0.5 * centre,
        atol=1e-5,
        rtol=0,
    )


def test_background_far_off_is_squashed(encoder):
    points = seen_points()
    stray = points.clone()
    stray[:, 20] += torch.tensor([0.0, 0.0, 100.0])
    with torch.no_grad():
        encoding = encoder(stray, seen_plane(points))
    shift = (encoding.similarity.translation - points[:, 32:33]).norm(dim=-1)
    assert (shift < 2.0).all()


def test_the_view_frame_looks_along_the_ray_and_is_level(device):
    centre = torch.tensor([[0.3, 0.2, 1.0], [0.0, 0.0, 0.5], [-0.4, -0.6, 2.0]], device=device)
    frame = view_frame(centre)
    eye = torch.eye(3, device=device).expand(3, 3, 3)
    torch.testing.assert_close(frame @ frame.transpose(1, 2), eye, atol=1e-6, rtol=0)
    assert (torch.linalg.det(frame) > 0.99).all()
    torch.testing.assert_close(
        frame[:, :, 2], torch.nn.functional.normalize(centre, dim=-1), atol=1e-6, rtol=0
    )
    torch.testing.assert_close(frame[:, 1, 0], torch.zeros(3, device=device), atol=1e-7, rtol=0)
    assert (frame[:, 0, 0] > 0.0).all()
    torch.testing.assert_close(frame[1], torch.eye(3, device=device))


@pytest.mark.parametrize("shape", [(65, 3), (2, 64, 3), (2, 65, 4)])
def test_points_that_do_not_fit_are_refused(encoder, shape):
    with pytest.raises(ShapeError, match=r"points has shape \(.*\): expected \(B, 65, 3\)"):
        encoder(torch.zeros(shape), torch.zeros(2, 4))


def test_a_support_that_does_not_fit_is_refused(encoder):
    with pytest.raises(ShapeError, match=r"support has shape \(2, 3\): expected \(2, 4\)"):
        encoder(seen_points(), torch.zeros(2, 3))


def test_what_is_not_told_of_the_support_is_not_the_camera_s_plane(encoder):
    """Zeros mean 'unknown': another answer than any plane gives."""
    points = seen_points()
    with torch.no_grad():
        known, unknown = encoder(points, seen_plane(points)), encoder(points, torch.zeros(2, 4))
    assert (known.codes - unknown.codes).abs().max() > 1e-4


def mixture(logits, log_spread=0.0):
    """Two hypotheses of one instance, a quarter turn about x apart."""
    rotation = so3_exp(torch.tensor([[[0.0, 0.0, 0.0], [math.pi / 2, 0.0, 0.0]]]))
    similarity = Similarity(rotation, torch.zeros(1, 2, 3), torch.ones(1, 2))
    spread = torch.full((1, 2, 3), log_spread)
    return Encoding(similarity, torch.tensor([logits]), spread, torch.zeros(1, 4))


def test_belief_is_that_of_a_mixture_of_laplace_densities():
    encoding = mixture([math.log(0.8), math.log(0.2)], log_spread=-1.0)
    belief = encoding.log_density(encoding.similarity.rotation, has_front=True).exp()
    unit = math.exp(3.0)  # 1 / b^2 of the y axis times 1 / b of the x axis
    far = math.exp(-math.sqrt(2.0) * math.e)  # the y axes are a chord of sqrt(2) apart
    torch.testing.assert_close(
        belief[0], torch.tensor([unit * (0.8 + 0.2 * far), unit * (0.2 + 0.8 * far)])
    )


def test_belief_ignores_yaw_where_it_has_no_meaning():
    encoding = mixture([0.0, 0.0])
    turn = so3_exp(torch.tensor([0.0, 1.0, 0.0]))
    rotation = encoding.similarity.rotation
    before = encoding.log_density(rotation, has_front=False)
    torch.testing.assert_close(encoding.log_density(rotation @ turn, has_front=False), before)
    assert (encoding.log_density(rotation @ turn, has_front=True) < before - 0.1).all()


def test_likelihood_rewards_weight_and_sharpness_where_they_are_right():
    errors = [torch.tensor([[0.01, 1.0]])] * 3
    symmetric = torch.tensor([False])

    def loss(logits, spread):
        return mixture(logits, spread).negative_log_likelihood(*errors, symmetric).item()

    assert loss([1.0, 0.0], -1.0) < loss([0.0, 1.0], -1.0)
    assert loss([1.0, 0.0], -3.0) < loss([1.0, 0.0], -1.0)
    assert loss([0.0, 90.0], -3.0) > loss([0.0, 90.0], 0.0)


def test_what_is_saved_in_half_precision_is_loaded(encoder, tmp_path, device):
    path = tmp_path / "mug.encoder.safetensors"
    encoder.save(path, "mug")
    weights = sum(t.numel() for t in encoder.state_dict().values())
    assert path.stat().st_size < 2 * weights + 6000
    loaded = FastEncoder.load(path, device)
    assert loaded.config == CONFIG
    assert not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())
    # The length that everything is measured by is not rounded.
    assert float(loaded.unit) == pytest.approx(0.2, rel=1e-6)
    assert next(loaded.parameters()).dtype == torch.float32
    with torch.no_grad():
        points = seen_points()
        plane = seen_plane(points)
        a, b = encoder(points, plane), loaded(points.to(device), plane.to(device))
    torch.testing.assert_close(b.codes.cpu(), a.codes, atol=5e-3, rtol=0)
    torch.testing.assert_close(
        b.similarity.translation.cpu(), a.similarity.translation, atol=2e-3, rtol=0
    )


def test_weights_of_another_architecture_are_refused(encoder, tmp_path):
    path = tmp_path / "mug.encoder.safetensors"
    state = encoder.state_dict()
    for settings in ({"unit_m": 0.2}, {"points": 65}, {"unit_m": 0.2, "depth": 3}):
        write_weights(path, "encoder", "mug", settings, state)
        with pytest.raises(WeightsError, match=r"(?s)encoder\.safetensors: the tensors do not fit"):
            FastEncoder.load(path)


def test_no_tensor_is_made_without_a_device(encoder, device, explicit_devices):
    encoder = encoder.to(device)
    points = seen_points().to(device)
    plane = seen_plane(seen_points()).to(device)
    with explicit_devices(), torch.no_grad():
        encoding = encoder(points, plane)
        encoding.log_density(encoding.similarity.rotation, has_front=True)
