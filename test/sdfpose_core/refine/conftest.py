"""One simulated view of known shapes, as evidence for the refinement."""

from __future__ import annotations

import copy
from dataclasses import dataclass, fields

import numpy as np
import pytest
import torch

from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.geometry.similarity import Similarity, so3_exp, so3_log
from sdfpose_core.observation.free_space import free_space
from sdfpose_core.refine.evidence import Evidence, FreeSpaceMap
from sdfpose_core.refine.priors import Priors
from sdfpose_core.refine.state import ShapePose
from sdfpose_core.sdf.decoder import SdfDecoder
from sdfpose_core.sdf.tracing import trace


@dataclass(frozen=True)
class View:
    """A camera's view of B objects, rendered with the decoder itself.

    Attributes:
        decoder: of all B objects.
        truth: their poses and codes.
        evidence: 120 points on each, before a wall at 1.2 m.
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
                wide(e.surface),
                wide(e.surface_sigma),
                FreeSpaceMap(*(wide(getattr(e.free, x.name)) for x in fields(e.free))),
                wide(e.support),
            ),
            Priors(wide(p.code_mean), precision, wide(p.log_scale_mean), wide(p.log_scale_sd)),
        )


def _under(decoder, similarity, codes):
    """Planes (B, 4) across the y axis that touch the lowest points of the shapes."""
    y = torch.linspace(-0.6, 0.6, 241, device=codes.device)
    grid = torch.linspace(-0.3, 0.3, 13, device=codes.device)
    layers = torch.stack(torch.meshgrid(grid, y, grid, indexing="ij"), dim=-1).reshape(1, -1, 3)
    value = decoder(layers.expand(len(codes), -1, -1), codes).view(-1, 13, 241, 13)
    inside = (value < 0.0).any(dim=3).any(dim=1)
    lowest = y[inside.float().argmax(dim=1)]
    normal = similarity.rotation[:, :, 1]
    at = similarity.translation + similarity.scale[:, None] * lowest[:, None] * normal
    return torch.cat([normal, (normal * at).sum(-1, keepdim=True)], dim=-1)


def _look(decoder, similarity, codes, device):
    """B objects seen by a camera of 40x40 pixels."""
    count = len(codes)
    camera = PinholeCamera(width=40, height=40, fx=70.0, fy=70.0, cx=20.0, cy=20.0)
    rays = torch.from_numpy(camera.rays(camera.pixel_grid().reshape(1, -1, 2))).to(device)
    traced = trace(decoder, codes, similarity, rays.expand(count, -1, -1))
    generator = torch.Generator().manual_seed(0)
    surface, windows = [], []
    for i in range(count):
        hit = traced.hit[i].nonzero().squeeze(-1)
        depth = torch.where(traced.hit[i], traced.depth[i], 1.2).view(40, 40).cpu().numpy()
        pixels = camera.pixel_grid()[traced.hit[i].view(40, 40).cpu().numpy()]
        windows.append(free_space(depth, camera, pixels))
        hit = hit[torch.randperm(len(hit), generator=generator)[:120].to(device)]
        surface.append(traced.depth[i, hit, None] * rays[0, hit])
    points = torch.stack(surface)
    return View(
        decoder,
        ShapePose(similarity, codes),
        Evidence(
            points,
            torch.full_like(points[..., 0], 0.002),
            FreeSpaceMap(
                torch.from_numpy(np.stack([x.depth for x in windows]) - 0.005).to(device),
                torch.from_numpy(np.stack([x.outside for x in windows])).to(device),
                torch.tensor([x.camera.fx for x in windows], device=device),
                torch.tensor([(x.camera.cx, x.camera.cy) for x in windows], device=device),
                torch.full((count,), 0.002, device=device),
            ),
            _under(decoder, similarity, codes),
        ),
        Priors(
            decoder.code_mean,
            torch.linalg.inv(decoder.code_covariance),
            torch.tensor(-1.5, device=device),
            torch.tensor(0.3, device=device),
        ),
    )


@pytest.fixture
def view(tiny_shapes, device):
    """A box and a cylinder seen obliquely from half a metre."""
    decoder = copy.deepcopy(tiny_shapes.decoder).to(device)
    similarity = Similarity(
        so3_exp(torch.tensor([[2.6, 0.3, 0.5], [2.5, -0.4, 0.2]])),
        torch.tensor([[0.03, -0.02, 0.5], [-0.02, 0.01, 0.6]]),
        torch.tensor([0.2, 0.25]),
    ).to(device)
    return _look(decoder, similarity, tiny_shapes.codes[[1, 2]].to(device), device)


@pytest.fixture
def several_views(tiny_shapes, device):
    """A box seen from three sides."""
    decoder = copy.deepcopy(tiny_shapes.decoder).to(device)
    similarity = Similarity(
        so3_exp(torch.tensor([[2.6, 0.3, 0.5], [2.4, -0.9, 0.3], [2.7, 0.2, -1.2]])),
        torch.tensor([[0.03, -0.02, 0.5], [-0.02, 0.01, 0.6], [0.01, 0.02, 0.55]]),
        torch.full((3,), 0.2),
    ).to(device)
    return _look(decoder, similarity, tiny_shapes.codes[[1, 1, 1]].to(device), device)
