"""Time surface extraction: coarse to fine, on a dense grid, and with DeepSDF's network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from skimage.measure import marching_cubes
from torch import Tensor, nn

from sdfpose_core.benchmark.stopwatch import elapsed_ms, median_ms
from sdfpose_core.sdf.decoder import SdfDecoder
from sdfpose_core.sdf.deepsdf import DeepSdf
from sdfpose_core.sdf.meshing import GRID_HALF_SIDE, DecodedMesh, decode_mesh

__all__ = ["DenseMesher", "time_meshes"]

_REPETITIONS = 7

_CHUNKS = {"cpu": (1024, 4096, 16384), "cuda": (16384, 65536, 262144)}
"""Candidate batch sizes in points; each network is timed with its fastest one."""


@dataclass(frozen=True)
class DenseMesher:
    """Extract a surface from a densely evaluated grid, the baseline of `decode_mesh`.

    Attributes:
        network: maps points (1, N, 3) and codes (1, D) to values (1, N).
        code: (D,) latent code.
        chunk: points per evaluation.
        level: iso value of the surface; None uses the median of all values, so that networks with
            random weights have a surface too.
    """

    network: nn.Module
    code: Tensor
    chunk: int = 4096
    level: float | None = 0.0

    def __call__(self, resolution: int) -> DecodedMesh:
        """Extract the surface on a grid with `resolution` cells along each axis."""
        axis = torch.linspace(-GRID_HALF_SIDE, GRID_HALF_SIDE, resolution + 1).to(self.code)
        points = torch.cartesian_prod(axis, axis, axis)
        with torch.no_grad():
            grid = torch.cat([self._values(part) for part in points.split(self.chunk)])
        values = grid.view((resolution + 1,) * 3).cpu().numpy()
        level = float(np.median(values)) if self.level is None else self.level
        spacing = 2.0 * GRID_HALF_SIDE / resolution
        vertices, faces, _, _ = marching_cubes(values, level, spacing=(spacing,) * 3)
        vertices = (vertices - GRID_HALF_SIDE).astype(np.float32)
        normals = torch.cat(
            [self._normals(part) for part in torch.from_numpy(vertices).split(self.chunk)]
        )
        return DecodedMesh(vertices, faces.astype(np.int32), normals.cpu().numpy())

    def best_chunk(self) -> int:
        """Return the fastest number of points per evaluation."""
        device = self.code.device
        chunks = _CHUNKS[device.type]
        points = torch.zeros(max(chunks), 3).to(self.code)

        def evaluate(chunk: int) -> None:
            for part in points.split(chunk):
                self._values(part)

        with torch.no_grad():
            return min(chunks, key=lambda chunk: median_ms(partial(evaluate, chunk), 3, device))

    def _values(self, points: Tensor) -> Tensor:
        values: Tensor = self.network(points.unsqueeze(0), self.code.unsqueeze(0))
        return values[0]

    def _normals(self, points: Tensor) -> Tensor:
        with torch.enable_grad():
            points = points.to(self.code).requires_grad_(True)
            (gradient,) = torch.autograd.grad(self._values(points).sum(), points)
        return nn.functional.normalize(gradient, dim=-1)


def time_meshes(decoders: Sequence[SdfDecoder | DeepSdf]) -> dict[str, float]:
    """Time meshing, with marching cubes and normals.

    Returns:
        Milliseconds per mesh, averaged over the decoders. ``dense_64``: dense 64^3 grid;
        ``fast_64`` and ``fast_128``: `decode_mesh`; ``paper_dense_64``: dense 64^3 grid with the
        network of DeepSDF and SSC-6D and random weights. ``fast_*`` are medians of `_REPETITIONS`
        runs after one warm-up run, the others single runs.
    """
    figures: dict[str, list[float]] = {"dense_64": [], "fast_64": [], "fast_128": []}
    for decoder in decoders:
        code = decoder.code_mean
        chunk = DenseMesher(decoder, code).best_chunk()
        for name, mesh, repetitions in (
            ("dense_64", partial(DenseMesher(decoder, code, chunk), 64), 1),
            ("fast_64", partial(decode_mesh, decoder, code, 64), _REPETITIONS),
            ("fast_128", partial(decode_mesh, decoder, code, 128), _REPETITIONS),
        ):
            figures[name].append(median_ms(mesh, repetitions, code.device))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        paper = DeepSdf().to(decoders[0].device).eval().requires_grad_(False)
    code = torch.zeros(paper.config.code_length, device=decoders[0].device)
    chunk = DenseMesher(paper, code).best_chunk()
    paper_ms = elapsed_ms(partial(DenseMesher(paper, code, chunk, level=None), 64), code.device)
    means = {name: float(np.mean(ms)) for name, ms in figures.items()}
    return means | {"paper_dense_64": paper_ms}
