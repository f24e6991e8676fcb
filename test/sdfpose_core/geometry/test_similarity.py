import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from torch.autograd import gradcheck

from sdfpose_core.geometry.similarity import Similarity, hat, orthonormal_frame, so3_exp, so3_log

F64 = torch.float64


def vectors(limit):
    component = st.floats(-limit, limit, allow_nan=False)
    return st.tuples(component, component, component).map(lambda x: torch.tensor(x, dtype=F64))


def known_rotation(w):
    return torch.from_numpy(Rotation.from_rotvec(w.numpy()).as_matrix())


def random_similarity(seed, *shape, dtype=F64):
    generator = torch.Generator().manual_seed(seed)

    def normal(*size):
        return torch.randn((*shape, *size), generator=generator, dtype=dtype)

    return Similarity(so3_exp(normal(3)), normal(3), (0.5 * normal()).exp())


def assert_same(a, b, **tolerance):
    torch.testing.assert_close(a.rotation, b.rotation, **tolerance)
    torch.testing.assert_close(a.translation, b.translation, **tolerance)
    torch.testing.assert_close(a.scale, b.scale, **tolerance)


def test_hat_is_the_cross_product():
    w, x = torch.randn(2, 5, 3, dtype=F64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close((hat(w) @ x[..., None])[..., 0], torch.linalg.cross(w, x))


def test_known_rotations():
    quarter = so3_exp(torch.tensor([0.0, 0.0, math.pi / 2], dtype=F64))
    expected = torch.tensor([[0, -1, 0], [1, 0, 0], [0, 0, 1]], dtype=F64)
    torch.testing.assert_close(quarter, expected, atol=1e-15, rtol=0)
    torch.testing.assert_close(so3_exp(torch.zeros(3, dtype=F64)), torch.eye(3, dtype=F64))
    half = torch.diag(torch.tensor([-1.0, 1.0, -1.0], dtype=F64))
    torch.testing.assert_close(so3_log(half).abs(), torch.tensor([0, math.pi, 0], dtype=F64))


@given(vectors(3.0))
def test_exponentials_are_rotations(w):
    rotation = so3_exp(w)
    torch.testing.assert_close(rotation @ rotation.T, torch.eye(3, dtype=F64), atol=1e-13, rtol=0)
    assert float(torch.linalg.det(rotation)) == pytest.approx(1.0, abs=1e-13)
    torch.testing.assert_close(rotation, known_rotation(w), atol=1e-12, rtol=0)


@given(vectors(1.0).filter(lambda w: w.norm() > 0.01), st.floats(0.0, math.pi - 1e-6))
def test_the_logarithm_undoes_the_exponential(axis, angle):
    w = angle * axis / axis.norm()
    torch.testing.assert_close(so3_log(so3_exp(w)), w, atol=1e-8, rtol=0)


@pytest.mark.parametrize("angle", [0.0, 1e-9, 9e-5, 1.1e-4, 1e-2])
def test_small_angles_are_exact(angle):
    w = torch.tensor([0.36, -0.48, 0.8], dtype=F64) * angle
    torch.testing.assert_close(so3_exp(w), known_rotation(w), atol=1e-15, rtol=0)
    torch.testing.assert_close(so3_log(so3_exp(w)), w, atol=1e-15, rtol=1e-8)


@pytest.mark.parametrize("axis", [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.6, 0.0, -0.8], [1, 1, 1]])
@pytest.mark.parametrize("gap", [0.0, 1e-9, 1e-5, 1e-2])
def test_angles_near_pi_are_exact(axis, gap):
    unit = torch.tensor(axis, dtype=F64) / torch.tensor(axis, dtype=F64).norm()
    rotation = so3_exp((math.pi - gap) * unit)
    w = so3_log(rotation)
    assert float(w.norm()) == pytest.approx(math.pi - gap, abs=1e-8)
    torch.testing.assert_close(so3_exp(w), rotation, atol=1e-8, rtol=0)


def test_single_precision_is_good_to_microradians(device):
    generator = torch.Generator().manual_seed(1)
    w = torch.randn(200, 3, generator=generator)
    w = w / w.norm(dim=-1, keepdim=True) * 3.0 * torch.rand(200, 1, generator=generator)
    w = w.to(device)
    torch.testing.assert_close(so3_log(so3_exp(w)), w, atol=3e-6, rtol=0)


@pytest.mark.parametrize("scale", [1e-6, 0.5, 2.0])
def test_gradients_of_exponential_and_logarithm(scale):
    w = scale * torch.tensor([[0.3, -0.5, 0.8], [1.0, 0.2, -0.1]], dtype=F64)
    w.requires_grad_(True)
    assert gradcheck(so3_exp, w, atol=1e-6)
    assert gradcheck(lambda w: so3_log(so3_exp(w)), w, atol=1e-5)


def test_the_gradient_at_the_identity_is_finite():
    w = torch.zeros(3, dtype=F64, requires_grad=True)
    jacobian = torch.autograd.functional.jacobian(so3_exp, w)
    expected = torch.stack([hat(e) for e in torch.eye(3, dtype=F64)], dim=-1)
    torch.testing.assert_close(jacobian, expected)


def test_an_orthonormal_frame_keeps_y_and_turns_x_least():
    y = torch.tensor([0.0, 2.0, 0.0], dtype=F64)
    x = torch.tensor([3.0, 5.0, 3.0], dtype=F64)
    frame = orthonormal_frame(y, x)
    root = math.sqrt(0.5)
    expected = torch.tensor([[root, 0, -root], [0, 1, 0], [root, 0, root]], dtype=F64)
    torch.testing.assert_close(frame, expected)


@given(vectors(2.0), vectors(2.0))
def test_orthonormal_frames_are_rotations(y, x):
    if torch.linalg.cross(y, x).norm() < 1e-3:
        return
    frame = orthonormal_frame(y, x)
    torch.testing.assert_close(frame.T @ frame, torch.eye(3, dtype=F64), atol=1e-9, rtol=0)
    assert float(torch.linalg.det(frame)) == pytest.approx(1.0)
    assert float(frame[:, 1] @ y) == pytest.approx(float(y.norm()))
    assert float(frame[:, 0] @ x) > 0.0


def test_a_frame_is_recovered_from_its_own_axes_with_gradients():
    rotation = random_similarity(3, 4).rotation
    torch.testing.assert_close(orthonormal_frame(rotation[..., 1], rotation[..., 0]), rotation)
    y, x = (rotation[..., i].clone().requires_grad_(True) for i in (1, 0))
    assert gradcheck(orthonormal_frame, (y, x))


def test_a_similarity_scales_turns_and_moves():
    quarter = so3_exp(torch.tensor([0.0, 0.0, math.pi / 2], dtype=F64))
    similarity = Similarity(
        quarter, torch.tensor([1.0, 2.0, 3.0], dtype=F64), torch.tensor(2.0, dtype=F64)
    )
    points = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], dtype=F64)
    expected = torch.tensor([[1.0, 4.0, 3.0], [1.0, 2.0, 5.0]], dtype=F64)
    torch.testing.assert_close(similarity.transform(points), expected)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_the_inverse_undoes(shape):
    similarity = random_similarity(0, *shape)
    points = torch.randn(*shape, 7, 3, dtype=F64, generator=torch.Generator().manual_seed(9))
    there = similarity.transform(points)
    torch.testing.assert_close(similarity.inverse_transform(there), points)
    torch.testing.assert_close(similarity.inverse().transform(there), points)
    identity = similarity.compose(similarity.inverse())
    eye = torch.eye(3, dtype=F64).expand(*shape, 3, 3)
    assert_same(
        identity,
        Similarity(eye, torch.zeros(*shape, 3, dtype=F64), torch.ones(shape, dtype=F64)),
        atol=1e-12,
        rtol=0,
    )
    assert similarity.batch_shape == torch.Size(shape)


def test_composition_applies_the_second_first():
    a, b, c = (random_similarity(seed, 3) for seed in range(3))
    points = torch.randn(3, 7, 3, dtype=F64, generator=torch.Generator().manual_seed(9))
    torch.testing.assert_close(a.compose(b).transform(points), a.transform(b.transform(points)))
    assert_same(a.compose(b).compose(c), a.compose(b.compose(c)))


def test_retraction_moves_in_its_documented_frames():
    start = random_similarity(5, 1)
    moved = start.retract(torch.tensor([[0.0, 0.3, 0.0, 0.1, 0.0, 0.0, math.log(2)]], dtype=F64))
    torch.testing.assert_close(moved.scale, 2.0 * start.scale)
    torch.testing.assert_close(
        moved.translation - start.translation, torch.tensor([[0.1, 0.0, 0.0]], dtype=F64)
    )
    # About the object's own y axis, which stays where it is.
    torch.testing.assert_close(moved.rotation[..., 1], start.rotation[..., 1])
    assert_same(start.retract(torch.zeros(1, 7, dtype=F64)), start)


def test_transforms_pass_gradcheck():
    start = random_similarity(6, 2)
    points = torch.randn(2, 4, 3, dtype=F64, generator=torch.Generator().manual_seed(2))
    delta = torch.zeros(2, 7, dtype=F64, requires_grad=True)
    points.requires_grad_(True)
    assert gradcheck(lambda d, p: start.retract(d).transform(p), (delta, points))
    assert gradcheck(lambda d, p: start.retract(d).inverse_transform(p), (delta, points))
    assert gradcheck(lambda d, p: start.retract(d).inverse().transform(p), (delta, points))


def test_indexing_and_conversion():
    batch = random_similarity(7, 4)
    assert_same(
        batch[1:2], Similarity(batch.rotation[1:2], batch.translation[1:2], batch.scale[1:2])
    )
    mask = torch.tensor([True, False, True, False])
    assert batch[mask].batch_shape == (2,)
    single = batch.to(torch.float32)
    assert {single.rotation.dtype, single.translation.dtype, single.scale.dtype} == {torch.float32}


def test_no_tensor_is_made_without_a_device(explicit_devices, device):
    a, b = (random_similarity(seed, 3, dtype=torch.float32).to(device) for seed in range(2))
    with explicit_devices():
        w = so3_log(a.compose(b.inverse()).rotation)
        moved = a.retract(torch.cat([w, w, w[:, :1]], dim=-1))
        frame = orthonormal_frame(moved.translation, w)
    assert frame.device.type == device.type
