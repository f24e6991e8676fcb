"""Decoders of solids whose signed distances are known exactly, and estimates of them."""

from __future__ import annotations

import itertools
import math

import numpy as np
import torch

from sdfpose_core.observation.frame import ObjectEstimate
from sdfpose_core.sdf.meshing import decode_mesh

CODE = torch.zeros(1)


class SolidDecoder:
    """A solid with given half sides, object units; any code is the same.

    A sphere, a box, a cylinder about y, or a cup, which is open at the top. With a thickness, the
    first three are shells, and the wall of a cup is so thick; its middle is as large as told.
    """

    reach = math.inf
    device = torch.device("cpu")
    code_mean = CODE
    code_covariance = torch.eye(1)

    def __init__(self, kind, half, thickness=None):
        self.kind, self.half, self.thickness = kind, torch.tensor(half), thickness

    def __call__(self, points, codes):
        if self.kind == "cup":
            at = torch.stack([points[..., ::2].norm(dim=-1), points[..., 1]], dim=-1)
            radius, height = self.half[0].item(), self.half[1].item()
            ends = [(0.0, -height), (radius, -height), (radius, height)]
            value = torch.minimum(*(_to_segment(at, *x) for x in itertools.pairwise(ends)))
            return value - 0.5 * self.thickness
        if self.kind == "sphere":
            value = points.norm(dim=-1) - self.half[0]
        else:
            d = points.abs() - self.half
            if self.kind == "cylinder":
                radius = points[..., ::2].norm(dim=-1)
                d = torch.stack([radius - self.half[0], d[..., 1]], dim=-1)
            value = d.clamp(min=0.0).norm(dim=-1) + d.amax(-1).clamp(max=0.0)
        return value if self.thickness is None else value.abs() - 0.5 * self.thickness

    def value_and_gradient(self, points, codes):
        with torch.enable_grad():
            at = points.detach().requires_grad_()
            value = self(at, codes)
            (gradient,) = torch.autograd.grad(value.sum(), at)
        return value.detach(), gradient

    def distance(self, points):
        """Exact signed distances (N,) of points (N, 3), object units; of shells, near them."""
        return self(torch.from_numpy(np.asarray(points, dtype=np.float32)), CODE).numpy()


def _to_segment(points, start, end):
    """Distances (...) of points (..., 2) from a segment."""
    a, b = torch.tensor(start), torch.tensor(end)
    share = ((points - a) @ (b - a) / (b - a).square().sum()).clamp(0.0, 1.0)
    return (points - a - share.unsqueeze(-1) * (b - a)).norm(dim=-1)


def solid_estimate(
    decoder, scale=0.2, rotation=None, translation=(0.0, 0.0, 0.0), mask_id=1, category="can"
):
    """An estimate of a solid with that many metres per object unit."""
    mesh = decode_mesh(decoder, CODE, 64)
    rotation = np.eye(3) if rotation is None else np.asarray(rotation)
    translation = np.asarray(translation, dtype=float)
    return ObjectEstimate(
        mask_id=mask_id,
        category=category,
        rotation=rotation,
        translation=rotation @ (scale * mesh.centre) + translation,
        scale=scale * float(np.linalg.norm(mesh.sides)),
        dimensions_m=scale * mesh.sides,
        confidence=0.9,
        covariance=np.eye(6),
        symmetric_about_y=False,
        code=CODE.numpy(),
        decoder_translation=translation,
        decoder_scale=scale,
        vertices=mesh.metric(scale),
        faces=mesh.faces,
        normals=mesh.normals,
    )
