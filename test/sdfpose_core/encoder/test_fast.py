import pytest
import torch

from sdfpose_core.encoder.fast import FastEncoder, FastEncoderConfig, view_frame
from sdfpose_core.errors import ShapeError, WeightsError
from sdfpose_core.similarity import so3_exp
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


def test_shapes_of_the_output(encoder, device):
    encoder = encoder.to(device)
    with torch.no_grad():
        encoding = encoder(seen_points().to(device))
    assert encoding.similarity.rotation.shape == (2, 3, 3, 3)
    assert encoding.similarity.translation.shape == (2, 3, 3)
    assert encoding.similarity.scale.shape == (2, 3)
    assert encoding.logits.shape == (2, 3)
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
    encoding = encoder(points + 0.001 * torch.randn_like(points))
    loss = encoding.codes.sum() + encoding.logits.sum() + encoding.similarity.rotation.sum()
    loss.backward()
    assert encoder.patch[0].weight.grad.isfinite().all()


def test_instances_do_not_disturb_one_another(encoder):
    points = seen_points(3)
    with torch.no_grad():
        together, alone = encoder(points), encoder(points[1:2])
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
        before, after = encoder(points), encoder(points @ turn.T)
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
        before, after = encoder(points), encoder(points - 0.5 * centre)
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
        encoding = encoder(stray)
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
        encoder(torch.zeros(shape))


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
        a, b = encoder(seen_points()), loaded(seen_points().to(device))
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
    with explicit_devices(), torch.no_grad():
        encoder(points)
