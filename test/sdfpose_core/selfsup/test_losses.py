import math
from dataclasses import replace

import pytest
import torch
from scipy.spatial import cKDTree

from sdfpose_core.errors import CategoryError
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.geometry.similarity import Similarity, so3_exp
from sdfpose_core.sdf.deepsdf import DeepSdf, DeepSdfConfig
from sdfpose_core.sdf.tracing import first_hits, trace
from sdfpose_core.selfsup import losses as losses_module
from sdfpose_core.selfsup.losses import (
    CODE_GROWTH,
    PaperLosses,
    chamfer_distance,
    code_norm,
    sdf_alignment,
    shortened,
    visible_surface,
)

CAMERA = PinholeCamera(width=24, height=24, fx=45.0, fy=45.0, cx=12.0, cy=12.0)


@pytest.fixture
def view(tiny_shapes):
    """A box and a cylinder, and what a camera sees of them."""
    decoder, codes = tiny_shapes.decoder.double(), tiny_shapes.codes[[1, 2]].double()
    similarity = Similarity(
        so3_exp(torch.tensor([[2.6, 0.3, 0.5], [2.5, -0.4, 0.2]], dtype=torch.float64)),
        torch.tensor([[0.03, -0.02, 0.5], [-0.02, 0.01, 0.6]], dtype=torch.float64),
        torch.tensor([0.2, 0.25], dtype=torch.float64),
    )
    rays = torch.from_numpy(CAMERA.rays(CAMERA.pixel_grid().reshape(1, -1, 2))).double()
    rays = rays.expand(2, -1, -1)
    with torch.no_grad():
        traced = trace(decoder, codes, similarity, rays)
    points = traced.depth.unsqueeze(-1) * rays
    generator = torch.Generator().manual_seed(0)
    seen = [points[i][traced.hit[i]] for i in range(2)]
    observed = torch.stack([x[torch.randperm(len(x), generator=generator)[:80]] for x in seen])
    yield decoder, codes, similarity, observed, rays
    tiny_shapes.decoder.float()


@pytest.fixture
def paper_view(view, tiny_deepsdf):
    """The same with the papers' network, which knows distances near the surface only."""
    _, _, similarity, observed, rays = view
    codes = tiny_deepsdf.codes[[1, 2]].double()
    yield tiny_deepsdf.decoder.double(), codes, similarity, observed, rays
    tiny_deepsdf.decoder.float()


def test_the_chamfer_distance_of_sets():
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(3, n, 3, generator=generator, dtype=torch.float64) for n in (40, 25))
    in_a, in_b = torch.rand(3, 40, generator=generator) < 0.7, torch.rand(3, 25) < 0.7
    found = chamfer_distance(a, b, in_a, in_b)
    for i in range(3):
        one, two = a[i][in_a[i]].numpy(), b[i][in_b[i]].numpy()
        expected = (cKDTree(two).query(one)[0] ** 2).mean()
        expected += (cKDTree(one).query(two)[0] ** 2).mean()
        assert found[i].item() == pytest.approx(expected, rel=1e-9)


def test_an_empty_set_has_no_distance_and_no_gradient():
    a = torch.randn(2, 5, 3, requires_grad=True)
    none = torch.zeros(2, 5, dtype=torch.bool)
    found = chamfer_distance(a, torch.randn(2, 5, 3), none, ~none)
    assert found.tolist() == [0.0, 0.0]
    found.sum().backward()
    assert not a.grad.any()


def test_the_norm_of_a_code():
    codes = torch.tensor([[0.3, 0.4], [0.0, 0.0]], dtype=torch.float64)
    assert code_norm(codes, 4.0).tolist() == pytest.approx([math.exp(2.0) - 1.0, 0.0])


def test_the_truth_is_aligned_and_points_far_off_do_not_count(view):
    decoder, codes, similarity, observed, _ = view
    assert sdf_alignment(decoder, codes, similarity, observed).max() < 1e-3
    far = torch.cat([observed, observed[:, :40] + 1.0], dim=1)
    torch.testing.assert_close(
        sdf_alignment(decoder, codes, similarity, far),
        sdf_alignment(decoder, codes, similarity, observed),
    )


def test_alignment_is_in_units_of_half_the_diagonal(view):
    """Moved by 2 % of the diagonal against a face, points are 0.04 off."""
    decoder, codes, similarity, observed, _ = view
    _, normal = decoder.value_and_gradient(similarity.inverse_transform(observed), codes)
    normal = torch.nn.functional.normalize(normal, dim=-1)
    moved = observed + 0.02 * similarity.scale[:, None, None] * (
        normal @ similarity.rotation.transpose(1, 2)
    )
    found = sdf_alignment(decoder, codes, similarity, moved)
    assert found.tolist() == pytest.approx([0.04, 0.04], rel=0.1)


def perturbed(similarity, shift):
    offset = torch.tensor([[0.0, 0.0, shift]], dtype=torch.float64)
    return Similarity(similarity.rotation, similarity.translation + offset, similarity.scale)


def test_the_weights_are_the_papers(view):
    decoder, codes, similarity, observed, rays = view
    losses = PaperLosses.of("mug")(decoder, codes, perturbed(similarity, 0.02), observed, rays)
    assert (losses["surface"] > 0).all()
    torch.testing.assert_close(
        losses["total"],
        100.0 * losses["surface"] + losses["alignment"] + 0.01 * losses["code"],
    )
    assert PaperLosses.of("laptop").beta == CODE_GROWTH["laptop"] == 1.5
    with pytest.raises(CategoryError, match="no setting for 'spoon': expected one of bottle"):
        PaperLosses.of("spoon")


def test_the_loss_is_least_at_the_truth(view):
    decoder, codes, similarity, observed, rays = view
    losses = PaperLosses(beta=1.0, code_weight=0.0)

    def total(shift):
        with torch.no_grad():
            return losses(decoder, codes, perturbed(similarity, shift), observed, rays)["total"]

    truth = total(0.0)
    for shift in (-0.03, -0.01, 0.01, 0.03):
        assert (total(shift) > truth).all()


def test_descent_finds_the_place(view):
    """Gradients reach the pose through the rendered surface and through the observed points."""
    decoder, codes, similarity, observed, rays = view
    losses = PaperLosses(beta=1.0, code_weight=0.0)
    shift = torch.full((2, 3), 0.015, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.Adam([shift], lr=2e-3)
    for _ in range(60):
        moved = Similarity(similarity.rotation, similarity.translation + shift, similarity.scale)
        optimiser.zero_grad()
        losses(decoder, codes, moved, observed, rays)["total"].sum().backward()
        optimiser.step()
    assert shift.detach().norm(dim=1).max() < 0.005


def test_the_visible_surface_moves_with_the_object(view):
    decoder, codes, similarity, _, rays = view
    offset = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    moved = Similarity(similarity.rotation, similarity.translation + offset, similarity.scale)
    points, hit = visible_surface(decoder, codes, moved, rays)
    (points[0, hit[0]] @ torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)).mean().backward()
    torch.testing.assert_close(offset.grad[0], torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64))
    assert decoder(moved.inverse_transform(points), codes)[hit].abs().max() < 1e-3


def test_codes_get_gradients(view):
    decoder, codes, similarity, observed, rays = view
    codes = codes.clone().requires_grad_(True)
    losses = PaperLosses(beta=1.0, code_weight=0.0)
    losses(decoder, codes, perturbed(similarity, 0.01), observed, rays)["total"].sum().backward()
    assert torch.isfinite(codes.grad).all()
    assert (codes.grad.abs().sum(dim=1) > 0.0).all()


def test_the_paper_s_decoder_serves_as_well(paper_view):
    """Rendered where the shape is; the gradients reach place, size and code."""
    decoder, codes, similarity, observed, rays = paper_view
    losses = PaperLosses(beta=1.0)
    with torch.no_grad():
        points, hit = visible_surface(decoder, codes, similarity, rays)
        off = torch.cdist(points, observed).amin(dim=-1)[hit]
        truth = losses(decoder, codes, similarity, observed, rays)["total"]
        moved = perturbed(similarity, 0.02)
        assert (losses(decoder, codes, moved, observed, rays)["total"] > truth).all()
    assert off.mean() < 0.01, "metres, of objects of 20 cm"
    found = (codes, similarity.translation, similarity.scale)
    parameters = [x.clone().requires_grad_(True) for x in found]
    code, translation, scale = parameters
    estimate = Similarity(similarity.rotation, translation, scale)
    losses(decoder, code, estimate, observed, rays)["total"].sum().backward()
    for x in parameters:
        assert torch.isfinite(x.grad).all()
        assert (x.grad.abs().reshape(2, -1).sum(dim=1) > 0.0).all()

    def alignment(place):
        pose = Similarity(similarity.rotation, place, similarity.scale)
        return sdf_alignment(decoder, codes, pose, observed).sum()

    place = similarity.translation.clone().requires_grad_(True)
    assert torch.autograd.gradcheck(alignment, place, eps=1e-8, atol=1e-3, rtol=1e-3)


PUBLISHED = PaperLosses.published("mug")


@pytest.mark.parametrize("losses", [PaperLosses.of("mug"), PUBLISHED], ids=["ours", "published"])
@pytest.mark.parametrize("name", ["rotation", "translation", "size", "code"])
def test_the_whole_loss_has_the_gradient_of_finite_differences(losses, name, view, monkeypatch):
    """By pose, size and code, with the hit points fixed to the object, as `visible_surface` says.

    The published loss lets the code move the points that are compared, not their rendering.
    """
    decoder, codes, similarity, observed, rays = view
    similarity, codes = perturbed(similarity, 0.01), 0.4 * codes
    hits = first_hits(decoder, codes, similarity, rays)
    monkeypatch.setattr(losses_module, "first_hits", lambda *_: hits)
    if name == "code" and losses is PUBLISHED:
        losses = replace(losses, surface_weight=0.0)
    generator = torch.Generator().manual_seed(0)
    size = {"rotation": 3, "translation": 3, "size": 1, "code": codes.shape[1]}[name]
    scale = {"rotation": 1.0, "translation": 0.1, "size": 1.0, "code": 1.0}[name]

    def total(change):
        change = scale * change
        moved = Similarity(
            so3_exp(change) @ similarity.rotation if name == "rotation" else similarity.rotation,
            similarity.translation + (change if name == "translation" else 0.0),
            similarity.scale * (change[:, 0].exp() if name == "size" else 1.0),
        )
        return losses(decoder, codes + (change if name == "code" else 0.0), moved, observed, rays)[
            "total"
        ]

    at = torch.zeros(2, size, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(total(at).sum(), at)
    step = 1e-6
    with torch.no_grad():
        for _ in range(3):
            way = torch.nn.functional.normalize(
                torch.randn(2, size, generator=generator, dtype=torch.float64), dim=1
            )
            slope = (total(step * way) - total(-step * way)) / (2.0 * step)
            torch.testing.assert_close((gradient * way).sum(dim=1), slope, rtol=1e-4, atol=1e-5)


def test_the_published_surface_is_moved_by_the_pose_alone(view):
    decoder, codes, similarity, observed, rays = view
    codes = codes.clone().requires_grad_(True)
    losses = replace(PUBLISHED, alignment_weight=0.0, code_weight=0.0)
    total = losses(decoder, codes, perturbed(similarity, 0.01), observed, rays)["total"]
    (gradient,) = torch.autograd.grad(total.sum() + 0.0 * codes.sum(), codes)
    assert not gradient.any()


def test_long_codes_are_decoded_shorter_and_counted_whole(view):
    decoder, codes, similarity, observed, rays = view
    unit = torch.nn.functional.normalize(codes, dim=1)
    torch.testing.assert_close(shortened(3.0 * unit, 1.0), unit)
    torch.testing.assert_close(shortened(0.3 * unit, 1.0), 0.3 * unit)
    short, long = (
        PUBLISHED(decoder, length * unit, similarity, observed, rays) for length in (1.0, 2.0)
    )
    for name in ("surface", "alignment"):
        torch.testing.assert_close(short[name], long[name])
    assert long["code"].tolist() == pytest.approx([math.exp(8.0) - 1.0] * 2)


def test_the_published_setting_fits_the_decoder(tiny_shapes):
    paper = PaperLosses.published("can", DeepSdf(DeepSdfConfig(width=32)))
    assert (paper.beta, paper.code_unit, paper.code_bound, paper.clamp) == (2.5, 1.0, 1.0, 0.5)
    assert not paper.surface_moved_by_code
    decoder = tiny_shapes.decoder
    other = PaperLosses.published("can", decoder)
    square = decoder.code_covariance.trace() + decoder.code_mean.square().sum()
    assert other.code_unit == pytest.approx(float(square) ** 0.5)
    assert math.isinf(other.code_bound)


def test_losses_without_weight_are_not_computed(view):
    decoder, codes, similarity, observed, rays = view
    none = PaperLosses(1.0, surface_weight=0.0, alignment_weight=0.0)
    found = none(decoder, codes, perturbed(similarity, 0.02), observed, rays)
    assert not found["surface"].any()
    assert not found["alignment"].any()
    torch.testing.assert_close(found["total"], 0.01 * found["code"])


def test_invalid_observed_points_do_not_count(view):
    decoder, codes, similarity, observed, rays = view
    losses, moved = PaperLosses(1.0), perturbed(similarity, 0.01)
    more = torch.cat([observed, observed[:, :30] + 0.02], dim=1)
    valid = torch.arange(more.shape[1]) < observed.shape[1]
    found = losses(decoder, codes, moved, more, rays, valid.expand(2, -1))
    expected = losses(decoder, codes, moved, observed, rays)
    torch.testing.assert_close(found["total"], expected["total"])


def test_nothing_in_view_has_no_surface_loss(view):
    decoder, codes, similarity, observed, rays = view
    away = Similarity(similarity.rotation, similarity.translation + 5.0, similarity.scale)
    points, hit = visible_surface(decoder, codes, away, rays)
    assert points.shape == (2, 0, 3)
    assert hit.shape == (2, 0)
    assert PaperLosses(1.0)(decoder, codes, away, observed, rays)["surface"].tolist() == [0.0, 0.0]
