"""Reconstruction of shapes from measurements with known pose, by optimising the latent code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sdfpose_core.categories import Categories
from sdfpose_core.errors import MeshError
from sdfpose_core.evaluation.shape_metrics import ShapeErrors, compare_surfaces
from sdfpose_core.evaluation.surfaces import (
    CLOSED_LEAST,
    OPEN_LEAST,
    Surface,
    escaping_share,
    visible_surface,
)
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.observation.frame import InstanceLabel, RgbdFrame
from sdfpose_core.observation.segmentation import segment
from sdfpose_core.sdf.fitting import Distances, fit_codes
from sdfpose_core.sdf.meshing import decode_mesh
from sdfpose_core.sdf.shape_decoder import ShapeDecoder
from sdfpose_core.shapes.model import CadModel
from sdfpose_core.simulation.mask_noise import MaskNoise
from sdfpose_core.simulation.primitives import box
from sdfpose_core.simulation.rendering import render
from sdfpose_core.simulation.rotations import yaw
from sdfpose_core.simulation.scene import CameraPose, Scene, SceneObject
from sdfpose_core.simulation.sensor import SensorNoise

__all__ = [
    "SURFACE_NOISE",
    "VIEW_NOISE",
    "ShapeEvidence",
    "evidence_from_surface",
    "evidence_from_view",
    "reconstruct",
    "reconstruct_models",
]

SURFACE_NOISE, VIEW_NOISE = 0.002, 0.008
"""Standard deviations of the evidence from a full surface and from one view, object units. Chosen
on held-out procedural shapes that are not part of the benchmark."""

_SURFACE_POINTS, _SPACE_POINTS = 3000, 2000
"""Number of points on and around the surface of a fully known shape."""

_SPACE_SD = 0.03
"""Standard deviation of the distance of half of the space points from the surface, diagonals."""

_BALL_RADIUS = 0.55

_VIEW_POINTS, _FREE_RAYS, _SAMPLES_PER_RAY = 1200, 400, 6
"""Number of observed points, rays through free space, and samples per ray."""

_FREE_MARGIN = 0.02
"""A ray is free space up to this distance before the measured point, diagonals."""

_VIEW_DISTANCE = 3.2
"""Distance of the camera in diagonals of the object..."""

_MIN_DISTANCE_M = 0.4
"""...but at least this distance."""

_ELEVATION_DEG = (15.0, 65.0)


@dataclass(frozen=True)
class ShapeEvidence:
    """Evidence about one shape, normalised object units.

    Attributes:
        points: (N, 3) float32.
        sdf: (N,) float32, signed distances or lower bounds.
        bound: (N,) bool, whether `sdf` is only a lower bound.
    """

    points: NDArray[np.float32]
    sdf: NDArray[np.float32]
    bound: NDArray[np.bool_]


def reconstruct(
    decoder: ShapeDecoder, evidence: Sequence[ShapeEvidence], resolution: int, noise: float
) -> tuple[Tensor, list[Surface | None]]:
    """Fit latent codes (B, D) to evidence and decode their surfaces (None if there is none).

    Args:
        decoder: decoder of the category.
        evidence: evidence of B shapes, all from a surface or all from a view.
        resolution: grid resolution of the surfaces.
        noise: standard deviation of the evidence, object units: `SURFACE_NOISE` or `VIEW_NOISE`.
    """
    device = decoder.device
    known = Distances(
        torch.from_numpy(np.stack([x.points for x in evidence])).to(device),
        torch.from_numpy(np.stack([x.sdf for x in evidence])).to(device),
        torch.from_numpy(np.stack([x.bound for x in evidence])).to(device),
    )
    codes = fit_codes(decoder, known, noise=noise)
    surfaces: list[Surface | None] = []
    for code in codes:
        try:
            mesh = decode_mesh(decoder, code, resolution)
            surfaces.append(Surface(mesh.vertices.astype(np.float64), mesh.faces))
        except MeshError:
            surfaces.append(None)
    return codes, surfaces


def reconstruct_models(
    decoder: ShapeDecoder, models: Sequence[CadModel], *, vessel: bool, resolution: int = 128
) -> list[tuple[CadModel, ShapeErrors]]:
    """Reconstruct fully known models with a decoder, in their metric size, and compute the errors.

    Raises:
        MeshError: the code of a model has no surface.
    """
    rngs = [np.random.default_rng(i) for i in range(len(models))]
    true = [visible_surface(x.normalised_vertices, x.faces, vessel=vessel) for x in models]
    evidence = [
        evidence_from_surface(x, rng, vessel=vessel) for x, rng in zip(true, rngs, strict=True)
    ]
    found = []
    for model, surface, made, rng in zip(
        models,
        true,
        reconstruct(decoder, evidence, resolution, SURFACE_NOISE)[1],
        rngs,
        strict=True,
    ):
        if made is None:
            raise MeshError(f"{model.name}: cannot be reconstructed: its code has no surface")
        size = model.diagonal_m
        faces = made.faces.astype(np.int32)
        copy = CadModel(model.name, model.category, made.vertices * size, faces)
        found.append((copy, compare_surfaces(made, surface, rng)))
    return found


def evidence_from_surface(
    surface: Surface, rng: np.random.Generator, *, vessel: bool
) -> ShapeEvidence:
    """Sample points on a visible surface, and distances of points in the space around it.

    Points inside are not used, because the inside of many scans is undefined.

    Args:
        surface: visible surface, normalised object units.
        rng: random generator of the points.
        vessel: see `visible_surface`.

    Raises:
        MeshError: the surface has no area.
    """
    on = surface.sample(rng, _SURFACE_POINTS)
    # Twice as many points as needed, because those inside are dropped.
    near = surface.sample(rng, _SPACE_POINTS) + _SPACE_SD * rng.normal(size=(_SPACE_POINTS, 3))
    ball = rng.normal(size=(_SPACE_POINTS, 3))
    ball *= (
        _BALL_RADIUS
        * rng.random((len(ball), 1)) ** (1 / 3)
        / np.linalg.norm(ball, axis=1, keepdims=True)
    )
    around = rng.permutation(np.concatenate([near, ball]))
    least = OPEN_LEAST if vessel else CLOSED_LEAST
    around = around[escaping_share(surface.rays, around[:, None]) >= least]
    around = np.resize(around, (_SPACE_POINTS, 3))
    distance, _ = surface.nearest(around)
    return ShapeEvidence(
        np.concatenate([on, around]).astype(np.float32),
        np.concatenate([np.zeros(len(on)), distance]).astype(np.float32),
        np.zeros(len(on) + len(around), dtype=np.bool_),
    )


def evidence_from_view(
    model: CadModel, categories: Categories, rng: np.random.Generator
) -> ShapeEvidence:
    """Simulate the evidence from one noisy depth image of a model on a table, in the model frame.

    Sensor and mask noise are `SensorNoise.realistic` and `MaskNoise.realistic`.

    Raises:
        MeshError: the model is not visible to the camera.
    """
    camera = PinholeCamera(640, 480, 600.0, 600.0, 319.5, 239.5)
    item = SceneObject(
        1,
        model.category,
        model,
        yaw(float(rng.uniform(0.0, 2.0 * np.pi))),
        np.array([0.0, 0.5 * model.dimensions_m[1], 0.0]),
    )
    table = SceneObject(0, "", box(3.0, 0.04, 3.0), np.eye(3), np.array([0.0, -0.02, 0.0]))
    scene = Scene([item], table)
    elevation = np.deg2rad(rng.uniform(*_ELEVATION_DEG))
    distance = max(_VIEW_DISTANCE * model.diagonal_m, _MIN_DISTANCE_M)
    eye = item.translation + distance * np.array([np.cos(elevation), np.sin(elevation), 0.0])
    pose = CameraPose.look_at(eye, item.translation)
    rendering = render(scene, camera, pose, colour=False)
    frame = RgbdFrame(
        colour=rendering.colour,
        depth=SensorNoise.realistic().apply(rendering, camera, rng),
        mask=MaskNoise.realistic().apply(rendering.mask, camera, rng),
        camera=camera,
        labels={1: InstanceLabel(model.category)},
    )
    instances, skipped = segment(frame, categories)
    if not instances:
        reason = skipped[0].reason if skipped else "it is not in the image"
        raise MeshError(f"{model.name}: not visible to the simulated camera: {reason}")
    to_object = pose.rotation.T @ item.rotation
    centre = pose.to_camera(item.translation)

    def normalised(points: NDArray[np.floating]) -> NDArray[np.float64]:
        return np.asarray((points - centre) @ to_object / model.diagonal_m)

    seen = instances[0].points[rng.integers(len(instances[0].points), size=_VIEW_POINTS)]
    on = normalised(seen)
    ends = on[:_FREE_RAYS]
    stops = np.full(len(ends), _FREE_MARGIN)
    around = instances[0].free.ends()
    if len(around):
        picks = rng.integers(len(around), size=_FREE_RAYS)
        ends = np.concatenate([ends, normalised(around[picks])])
        stops = np.concatenate([stops, np.zeros(_FREE_RAYS)])
    else:
        ends, stops = np.tile(ends, (2, 1)), np.tile(stops, 2)
    free = _free_samples(normalised(np.zeros(3)), ends, stops, rng)
    return ShapeEvidence(
        np.concatenate([on, free]).astype(np.float32),
        np.zeros(len(on) + len(free), dtype=np.float32),
        np.concatenate([np.zeros(len(on), dtype=np.bool_), np.ones(len(free), dtype=np.bool_)]),
    )


def _free_samples(
    eye: NDArray[np.float64],
    ends: NDArray[np.float64],
    stops: NDArray[np.float64],
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Sample points (M * S, 3) on rays from the eye (3,), inside the ball around the shape.

    Args:
        eye: centre of the camera, normalised object units.
        ends: (M, 3), measured end points of the rays.
        stops: (M,), distance before its end at which a ray stops being free.
        rng: random generator of the points.
    """
    ray = ends - eye
    length = np.linalg.norm(ray, axis=1)
    ray /= length[:, None]
    closest = -(ray @ eye)
    half_sq = _BALL_RADIUS**2 - (eye @ eye - closest**2)
    # Rays that miss the ball carry no information and are replaced by others.
    used = rng.choice(np.flatnonzero(half_sq > 0.0), len(ends))
    ray, closest, half = ray[used], closest[used], np.sqrt(half_sq[used])
    near = closest - half
    far = np.maximum(np.minimum(closest + half, (length - stops)[used]), near)
    at = near[:, None] + (far - near)[:, None] * rng.random((len(used), _SAMPLES_PER_RAY))
    return (eye + at[..., None] * ray[:, None]).reshape(-1, 3)
