"""One simulated view of known shapes, as evidence for the refinement."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import pytest
import torch

from sdfpose_core.camera import PinholeCamera
from sdfpose_core.refine.residuals import Evidence, Priors, ShapePose
from sdfpose_core.sdf.decoder import SdfDecoder
from sdfpose_core.sdf.tracing import trace
from sdfpose_core.similarity import Similarity, so3_exp, so3_log


@dataclass(frozen=True)
class View:
    """A camera's view of B objects, rendered with the decoder itself.

    Attributes:
        decoder: of all B objects.
        truth: their poses and codes.
        evidence: 120 points on each, and 60 beyond it.
        priors: of the decoder's shapes.
    """

    decoder: SdfDecoder
    truth: ShapePose
    evidence: Evidence
    priors: Priors

    def double(self) -> View:
        """The same in double precision, for comparison with autograd."""

        def wide(x: torch.Tensor) -> torch.Tensor:
            return x.double()

        s, e, p = self.truth.similarity, self.evidence, self.priors
        precision = 0.5 * wide(p.code_precision + p.code_precision.T)
        return View(
            copy.deepcopy(self.decoder).double(),
            ShapePose(
                Similarity(so3_exp(so3_log(wide(s.rotation))), wide(s.translation), wide(s.scale)),
                wide(self.truth.codes),
            ),
            Evidence(
                *map(wide, (e.surface, e.surface_sigma, e.beyond, e.beyond_weight, e.support))
            ),
            Priors(wide(p.code_mean), precision, p.log_scale_mean, p.log_scale_sd),
        )


def _under(decoder, similarity, codes):
    """Planes (2, 4) across the y axis that touch the lowest points of the shapes."""
    y = torch.linspace(-0.6, 0.6, 241, device=codes.device)
    grid = torch.linspace(-0.3, 0.3, 13, device=codes.device)
    layers = torch.stack(torch.meshgrid(grid, y, grid, indexing="ij"), dim=-1).reshape(1, -1, 3)
    value = decoder(layers.expand(2, -1, -1), codes).view(2, 13, 241, 13)
    inside = (value < 0.0).any(dim=3).any(dim=1)
    lowest = y[inside.float().argmax(dim=1)]
    normal = similarity.rotation[:, :, 1]
    at = similarity.translation + similarity.scale[:, None] * lowest[:, None] * normal
    return torch.cat([normal, (normal * at).sum(-1, keepdim=True)], dim=-1)


@pytest.fixture
def view(tiny_shapes, device):
    """A box and a cylinder seen obliquely from half a metre, by a camera of 40x40 pixels."""
    decoder = copy.deepcopy(tiny_shapes.decoder).to(device)
    codes = tiny_shapes.codes[[1, 2]].to(device)
    similarity = Similarity(
        so3_exp(torch.tensor([[2.6, 0.3, 0.5], [2.5, -0.4, 0.2]])),
        torch.tensor([[0.03, -0.02, 0.5], [-0.02, 0.01, 0.6]]),
        torch.tensor([0.2, 0.25]),
    ).to(device)
    camera = PinholeCamera(width=40, height=40, fx=70.0, fy=70.0, cx=20.0, cy=20.0)
    rays = torch.from_numpy(camera.rays(camera.pixel_grid().reshape(1, -1, 2))).to(device)
    traced = trace(decoder, codes, similarity, rays.expand(2, -1, -1))
    generator = torch.Generator().manual_seed(0)
    surface, beyond = [], []
    for i in range(2):
        hit = traced.hit[i].nonzero().squeeze(-1)
        missed = ((~traced.hit[i]) & (traced.least[i] > 0.03)).nonzero().squeeze(-1)
        hit = hit[torch.randperm(len(hit), generator=generator)[:120].to(device)]
        missed = missed[torch.randperm(len(missed), generator=generator)[:60].to(device)]
        surface.append(traced.depth[i, hit, None] * rays[0, hit])
        beyond.append(1.2 * rays[0, missed])
    points = torch.stack(surface)
    return View(
        decoder,
        ShapePose(similarity, codes),
        Evidence(
            points,
            torch.full_like(points[..., 0], 0.002),
            torch.stack(beyond),
            torch.ones_like(points[:, :60, 0]),
            _under(decoder, similarity, codes),
        ),
        Priors(decoder.code_mean, torch.linalg.inv(decoder.code_covariance), -1.5, 0.3),
    )
