import copy

import numpy as np
import open3d as o3d
import pytest
import torch

from sdfpose_core.errors import ShapeError
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.geometry.similarity import Similarity, so3_exp
from sdfpose_core.sdf.meshing import decode_mesh
from sdfpose_core.sdf.tracing import first_hits, trace

CAMERA = PinholeCamera(width=48, height=36, fx=60.0, fy=60.0, cx=24.0, cy=17.0)
TOLERANCE = 5e-5


class SphereDecoder:
    """Stands in for a decoder: a ball of radius 0.3 + code, or a shell of that radius."""

    def __init__(self, thickness: float | None = None) -> None:
        self.thickness = thickness

    def __call__(self, points, codes):
        f = points.norm(dim=-1) - 0.3 - codes[:, :1]
        return f if self.thickness is None else f.abs() - self.thickness / 2.0

    def value_and_gradient(self, points, codes):
        gradient = torch.nn.functional.normalize(points, dim=-1)
        if self.thickness is not None:
            gradient = gradient * (points.norm(dim=-1) - 0.3 - codes[:, :1]).sign().unsqueeze(-1)
        return self(points, codes), gradient


def poses(device, dtype=torch.float32):
    rotation = so3_exp(torch.tensor([[0.3, -1.0, 0.2], [2.5, 0.4, 0.0]], dtype=dtype))
    translation = torch.tensor([[0.02, -0.03, 0.5], [-0.05, 0.02, 0.9]], dtype=dtype)
    scale = torch.tensor([0.2, 0.45], dtype=dtype)
    return Similarity(rotation, translation, scale).to(device)


def image_rays(batch, device, dtype=torch.float32):
    rays = torch.from_numpy(CAMERA.rays(CAMERA.pixel_grid().reshape(-1, 2)))
    return rays.to(device=device, dtype=dtype).expand(batch, -1, 3)


def sphere_geometry(similarity, codes, rays):
    """Signed distance of rays from spheres (object units), and depth of the first meeting."""
    radius = similarity.scale[:, None] * (0.3 + codes)
    centre = similarity.translation[:, None]
    unit = torch.nn.functional.normalize(rays, dim=-1)
    along = (unit * centre).sum(-1)
    closest_sq = (centre - along[..., None] * unit).square().sum(-1)
    distance = along - (radius**2 - closest_sq).clamp(min=0.0).sqrt()
    return (closest_sq.sqrt() - radius) / similarity.scale[:, None], distance / rays.norm(dim=-1)


@pytest.mark.parametrize("unit_rays", [False, True])
def test_spheres_are_met_where_geometry_says(device, unit_rays):
    similarity, rays = poses(device), image_rays(2, device)
    if unit_rays:
        rays = torch.nn.functional.normalize(rays, dim=-1)
    codes = torch.tensor([[0.0], [0.1]], device=device)
    traced = trace(SphereDecoder(), codes, similarity, rays)
    clearance, depth = sphere_geometry(similarity, codes, rays)
    sure = clearance.abs() > 2 * TOLERANCE
    assert torch.equal(traced.hit[sure], (clearance < 0)[sure])
    inner = traced.hit & (clearance < -0.01)
    assert inner.sum() > 100
    torch.testing.assert_close(traced.depth[inner], depth[inner], atol=2e-6, rtol=0)
    met = depth[..., None] * rays - similarity.translation[:, None]
    normals = torch.nn.functional.normalize(met, dim=-1)
    torch.testing.assert_close(traced.normals[inner], normals[inner], atol=1e-3, rtol=0)
    assert not traced.depth[~traced.hit].any()
    assert not traced.normals[~traced.hit].any()


def test_the_least_distance_is_negative_inside_the_silhouette_and_positive_outside(device):
    similarity, rays = poses(device), image_rays(2, device)
    codes = torch.tensor([[0.0], [0.1]], device=device)
    traced = trace(SphereDecoder(), codes, similarity, rays)
    clearance, _ = sphere_geometry(similarity, codes, rays)
    assert torch.equal(traced.least < 0, clearance < 0)
    in_ball = clearance + 0.3 + codes < 0.52
    torch.testing.assert_close(traced.least[in_ball], clearance[in_ball], atol=2e-3, rtol=0)
    far = traced.least[~in_ball]
    assert (far > 0.0).all()
    assert (far <= clearance[~in_ball] + 1e-5).all()


def test_a_thin_wall_is_not_passed(device):
    similarity, rays = poses(device), image_rays(2, device)
    codes = torch.zeros(2, 1, device=device)
    traced = trace(SphereDecoder(thickness=0.01), codes, similarity, rays)
    clearance, _ = sphere_geometry(similarity, codes + 0.005, rays)
    sure = clearance.abs() > 2 * TOLERANCE
    assert torch.equal(traced.hit[sure], (clearance < 0)[sure])
    assert (traced.least[traced.hit] <= TOLERANCE).all()
    assert (traced.least >= -0.005 - 1e-5).all()
    _, depth = sphere_geometry(similarity, codes + 0.005, rays)
    inner = traced.hit & (clearance < -0.01)
    torch.testing.assert_close(traced.depth[inner], depth[inner], atol=2e-6, rtol=0)


def test_objects_behind_or_around_the_camera_are_not_hit(device):
    similarity = poses(device)
    codes, rays = torch.zeros(2, 1, device=device), image_rays(2, device)
    behind = Similarity(similarity.rotation, -similarity.translation, similarity.scale)
    around = Similarity(similarity.rotation, 0.1 * similarity.translation, similarity.scale)
    assert not trace(SphereDecoder(), codes, behind, rays).hit.any()
    traced = trace(SphereDecoder(), codes, around, rays)
    assert not traced.hit.any()
    assert (traced.least < 0).all()


def test_objects_do_not_disturb_one_another(device, tiny_shapes):
    decoder = copy.deepcopy(tiny_shapes.decoder).to(device)
    codes = tiny_shapes.codes[:2].to(device)
    similarity, rays = poses(device), image_rays(2, device)
    both = trace(decoder, codes, similarity, rays)
    for i in range(2):
        alone = trace(decoder, codes[i : i + 1], similarity[i : i + 1], rays[:1])
        assert torch.equal(alone.hit[0], both.hit[i])
        torch.testing.assert_close(alone.depth[0], both.depth[i], atol=4e-6, rtol=0)


def test_agreement_with_ray_casting_of_the_extracted_mesh(tiny_shapes):
    """Within 0.1 % of the diagonal along the normal: the sagitta of the mesh's triangles."""
    codes = tiny_shapes.codes[[0, 1, 2]]
    similarity = Similarity(
        so3_exp(torch.tensor([[0.3, -1.0, 0.2], [2.5, 0.4, 0.0], [0.5, 0.5, -0.6]])),
        torch.tensor([[0.02, -0.03, 0.5], [-0.05, 0.02, 0.6], [0.0, 0.0, 0.4]]),
        torch.tensor([0.3, 0.35, 0.2]),
    )
    rays = image_rays(3, torch.device("cpu"))
    traced = trace(tiny_shapes.decoder, codes, similarity, rays)
    for i in range(3):
        mesh = decode_mesh(tiny_shapes.decoder, codes[i], 96)
        vertices = similarity[i].transform(torch.from_numpy(mesh.vertices)).numpy()
        scene = o3d.t.geometry.RaycastingScene(nthreads=1)
        scene.add_triangles(vertices, mesh.faces.astype(np.uint32))
        answer = scene.cast_rays(
            o3d.core.Tensor(torch.cat([torch.zeros_like(rays[i]), rays[i]], dim=-1).numpy())
        )
        depth = answer["t_hit"].numpy()
        hit = np.isfinite(depth)
        assert hit.sum() > 100
        assert (hit != traced.hit[i].numpy()).sum() <= 0.02 * hit.sum()
        both = hit & traced.hit[i].numpy()
        normals = traced.normals[i].numpy()
        cosine = np.abs((normals * rays[i].numpy()).sum(-1))
        error = np.abs(depth[both] - traced.depth[i].numpy()[both]) / similarity.scale[i].item()
        assert np.quantile(error * cosine[both], 0.99) < 1e-3
        assert np.median(error) < 2e-4
        alike = (normals * answer["primitive_normals"].numpy()).sum(-1)[both]
        assert np.quantile(alike, 0.1) > 0.97


@pytest.fixture
def differentiable(tiny_shapes):
    """Depth and least distance in float64 as functions of the pose's tangent and the codes."""
    decoder = copy.deepcopy(tiny_shapes.decoder).double()
    start = poses(torch.device("cpu"), torch.float64)
    rays = image_rays(2, torch.device("cpu"), torch.float64)
    codes = tiny_shapes.codes[[1, 5]].double()
    traced = trace(decoder, codes, start, rays)
    facing = (traced.normals * torch.nn.functional.normalize(rays, dim=-1)).sum(-1) < -0.3
    chosen = torch.stack([x.nonzero().squeeze(-1)[::40][:4] for x in facing])
    # Beside the silhouette, where the march ends in a single closest approach.
    outside = (traced.least > 0.01) & (traced.least < 0.1)
    beside = torch.stack([x.nonzero().squeeze(-1)[::15][:3] for x in outside])

    def function(index):
        picked = rays.gather(1, index.unsqueeze(-1).expand(-1, -1, 3))

        def outputs(delta, codes):
            return trace(decoder, codes, start.retract(delta), picked, tolerance=1e-10)

        return outputs

    delta = torch.zeros(2, 7, dtype=torch.float64, requires_grad=True)
    return function(chosen), function(beside), delta, codes.requires_grad_(True)


def test_the_depth_has_the_gradient_of_finite_differences(differentiable):
    at_surface, _, delta, codes = differentiable
    assert at_surface(delta, codes).hit.all()
    torch.autograd.gradcheck(
        lambda *x: at_surface(*x).depth, (delta, codes), eps=1e-5, atol=1e-6, rtol=1e-4
    )


def test_the_least_distance_has_the_gradient_of_finite_differences(differentiable):
    """Its place on the ray is known to a few thousandths only, and with it the gradient."""
    _, beside, delta, codes = differentiable
    assert not beside(delta, codes).hit.any()
    torch.autograd.gradcheck(
        lambda *x: beside(*x).least, (delta, codes), eps=1e-4, atol=2e-2, rtol=5e-2
    )


def test_the_march_leaves_no_tape(tiny_shapes):
    similarity, rays = poses(torch.device("cpu")), image_rays(2, torch.device("cpu"))
    calls = []

    class Watched:
        def __call__(self, points, codes):
            calls.append(torch.is_grad_enabled())
            return tiny_shapes.decoder(points, codes)

        def value_and_gradient(self, points, codes):
            calls.append(torch.is_grad_enabled())
            return tiny_shapes.decoder.value_and_gradient(points, codes)

    codes = tiny_shapes.codes[:2].clone().requires_grad_(True)
    traced = trace(Watched(), codes, similarity, rays)
    assert sum(calls) == 1
    assert traced.depth.requires_grad
    assert not traced.normals.requires_grad
    with torch.no_grad():
        assert not trace(Watched(), codes, similarity, rays).depth.requires_grad


def test_the_number_of_steps_is_bounded():
    calls = []

    class Slow(SphereDecoder):
        def __call__(self, points, codes):
            calls.append(points.shape)
            return 1e-3 * super().__call__(points, codes)

    codes, cpu = torch.zeros(2, 1), torch.device("cpu")
    traced = trace(Slow(), codes, poses(cpu), image_rays(2, cpu), max_steps=7)
    assert not traced.hit.any()
    assert len(calls) <= 7 + 10


def test_no_tensor_is_made_without_a_device(explicit_devices, device, tiny_shapes):
    decoder = copy.deepcopy(tiny_shapes.decoder).to(device)
    codes, similarity = tiny_shapes.codes[:2].to(device), poses(device)
    rays = image_rays(2, device)
    with explicit_devices():
        traced = trace(decoder, codes, similarity, rays)
    for tensor in (traced.depth, traced.hit, traced.least, traced.normals):
        assert tensor.device.type == device.type


def test_arguments_that_do_not_fit_are_refused():
    similarity, cpu = poses(torch.device("cpu")), torch.device("cpu")
    codes = torch.zeros(2, 1)
    with pytest.raises(ShapeError, match=r"rays has shape \(3, 1728, 3\): expected \(2, N, 3\)"):
        trace(SphereDecoder(), codes, similarity, image_rays(3, cpu))
    with pytest.raises(ShapeError, match=r"similarity has shape \(1,\): expected \(2,\)"):
        trace(SphereDecoder(), codes, similarity[:1], image_rays(2, cpu))


def test_first_hits_are_those_of_the_trace(device):
    similarity, rays = poses(device), image_rays(2, device)
    codes = torch.tensor([[0.05], [-0.1]], device=device)
    traced = trace(SphereDecoder(), codes, similarity, rays)
    points, hit = first_hits(SphereDecoder(), codes, similarity, rays)
    assert torch.equal(hit, traced.hit)
    expected = similarity.inverse_transform(traced.depth.unsqueeze(-1) * rays)
    # The trace adds a last step, which is longer for grazing rays.
    torch.testing.assert_close(points[hit], expected[hit], atol=1e-3, rtol=0.0)
    assert SphereDecoder()(points, codes)[hit].abs().max() < TOLERANCE
    with pytest.raises(ShapeError, match="rays has shape"):
        first_hits(SphereDecoder(), codes, similarity, rays[0])
