#!/usr/bin/env python3
"""Write meshes of kettles, shoes and drills, for a try of ``sdfpose learn``.

    python training/example_meshes.py --out example_meshes
    sdfpose learn kettle --meshes example_meshes/learn/kettle --out packs/kettle
    sdfpose bench pose --suite meshes --data example_meshes/held_out --category kettle \
        --weights packs/kettle

OUT/learn/CATEGORY has the models to learn from, OUT/held_out/meshes/CATEGORY those to measure on,
which nothing should be learned from. Meshes are in metres, y up, front toward +x. Their surfaces
are level sets of smoothly united solids; no shape of the six shipped categories is made that way.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import reduce
from itertools import pairwise
from pathlib import Path

import numpy as np
import trimesh
from numpy.typing import ArrayLike, NDArray
from skimage.measure import marching_cubes

from sdfpose_core.cli.execution import execute
from sdfpose_core.cli.numbers import integer
from sdfpose_core.errors import MeshError

Solid = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Signed distances, negative inside, of points (N, 3); distances may be approximate."""

_CELLS = 90
"""Cells along the longest side of the box in which a surface is found."""


def _length(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.linalg.norm(vectors, axis=-1)
    return found


def limb(start: ArrayLike, end: ArrayLike, radius: float, end_radius: float) -> Solid:
    """A rod with round ends between two points, with a radius at each."""
    first, last = np.asarray(start, dtype=float), np.asarray(end, dtype=float)
    axis = last - first

    def distance(points: NDArray[np.float64]) -> NDArray[np.float64]:
        along = np.clip((points - first) @ axis / (axis @ axis), 0.0, 1.0)
        return _length(points - first - along[:, None] * axis) - (
            radius + along * (end_radius - radius)
        )

    return distance


def curve(corners: ArrayLike, radius: float) -> Solid:
    """A tube along a chain of points (N, 3)."""
    chain = np.asarray(corners, dtype=float)
    return union(*(limb(a, b, radius, radius) for a, b in pairwise(chain)))


def block(centre: ArrayLike, size: ArrayLike, rounding: float, tilt: float = 0.0) -> Solid:
    """A box with rounded edges; it is tilted about z by radians."""
    middle, half = np.asarray(centre, dtype=float), np.asarray(size, dtype=float) / 2 - rounding
    c, s = np.cos(tilt), np.sin(tilt)

    def distance(points: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y, z = (points - middle).T
        beyond = np.abs(np.stack([c * x + s * y, c * y - s * x, z], axis=1)) - half
        return _length(np.maximum(beyond, 0)) + np.minimum(beyond.max(axis=1), 0) - rounding

    return distance


def ellipsoid(centre: ArrayLike, radii: ArrayLike) -> Solid:
    """An ellipsoid along the axes; distances are good near its surface."""
    middle, half = np.asarray(centre, dtype=float), np.asarray(radii, dtype=float)

    def distance(points: NDArray[np.float64]) -> NDArray[np.float64]:
        scaled = (points - middle) / half
        norm = _length(scaled)
        return norm * (norm - 1) / np.maximum(_length(scaled / half), 1e-9)

    return distance


def turned(heights: ArrayLike, radii: ArrayLike) -> Solid:
    """A solid of revolution about y, from bottom to top, with linear sides."""
    levels, widths = np.asarray(heights, dtype=float), np.asarray(radii, dtype=float)

    def distance(points: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y, z = points.T
        side = np.hypot(x, z) - np.interp(y, levels, widths)
        cap = np.maximum(levels[0] - y, y - levels[-1])
        return np.minimum(np.maximum(side, cap), 0) + np.hypot(
            np.maximum(side, 0), np.maximum(cap, 0)
        )

    return distance


def union(*solids: Solid, smooth: float = 0.0) -> Solid:
    """Solids as one, with fillets of about the radius `smooth`, in metres."""

    def joined(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
        blend = np.maximum(smooth - np.abs(a - b), 0) / max(smooth, 1e-9)
        return np.minimum(a, b) - blend**2 * smooth / 4

    return lambda points: reduce(joined, (solid(points) for solid in solids))


def without(solid: Solid, *others: Solid) -> Solid:
    """What is left of a solid after others are cut away."""
    return lambda points: reduce(np.maximum, (-other(points) for other in others), solid(points))


def kettle(rng: np.random.Generator) -> Solid:
    """A kettle with lid and knob: spout in front, handle above or behind."""
    radius, height = rng.uniform(0.075, 0.1), rng.uniform(0.11, 0.19)
    shoulder, top = rng.uniform(0.35, 0.75), rng.uniform(0.45, 0.75) * radius
    belly = radius * rng.uniform(0.95, 1.1)
    body = turned(
        height * np.array([0, 0.08, shoulder, 0.9, 1]),
        [0.93 * radius, radius, belly, 1.15 * top, top],
    )
    lid = union(
        ellipsoid([0, height, 0], [0.9 * top, rng.uniform(0.008, 0.02), 0.9 * top]),
        ellipsoid([0, height + 0.022, 0], np.array([1, rng.uniform(0.7, 1.1), 1]) * 0.014),
        smooth=0.006,
    )
    low, reach = rng.uniform(0.4, 0.65) * height, rng.uniform(0.05, 0.085)
    mouth = low + rng.uniform(0.5, 1.0) * reach
    spout = limb([0.85 * radius, low, 0], [radius + reach, mouth, 0], 0.026, 0.012)
    if rng.random() < 0.5:
        arch = height + rng.uniform(0.06, 0.09)
        span = np.linspace(0, np.pi, 11)
        handle = curve(
            np.stack(
                [
                    0.92 * radius * np.cos(span),
                    0.3 * height + (arch - 0.3 * height) * np.sin(span) ** 0.5,
                    0 * span,
                ],
                axis=1,
            ),
            rng.uniform(0.006, 0.01),
        )
    else:
        out, upper = rng.uniform(0.045, 0.065), rng.uniform(0.8, 0.95) * height
        handle = curve(
            [
                [-0.8 * top, upper, 0],
                [-radius - out, upper, 0],
                [-radius - 1.1 * out, 0.6 * height, 0],
                [-0.95 * radius, 0.25 * height, 0],
            ],
            rng.uniform(0.009, 0.013),
        )
    return union(union(body, spout, smooth=0.02), lid, handle, smooth=0.006)


def shoe(rng: np.random.Generator) -> Solid:
    """A low shoe or a boot, of a left or a right foot, with its opening."""
    length, width = rng.uniform(0.24, 0.31), rng.uniform(0.085, 0.11)
    inward = rng.choice([-1, 1]) * rng.uniform(0.008, 0.016)
    sole = rng.uniform(0.015, 0.035)
    ankle = rng.uniform(0.08, 0.17)
    front, back = 0.27 * length, -0.36 * length
    toe = rng.uniform(0.05, 0.07)
    foot = union(
        ellipsoid([front, sole + 0.4 * toe, inward], [0.23 * length, 0.62 * toe, 0.5 * width]),
        ellipsoid([0, sole + 0.6 * toe, 0.5 * inward], [0.28 * length, 0.8 * toe, 0.42 * width]),
        ellipsoid([back, sole + 0.03, 0], [0.15 * length, 0.06, 0.36 * width]),
        smooth=0.03,
    )
    shaft = limb([back + 0.02, 0.05, 0], [back + 0.03, ankle - 0.02, 0], 0.041, 0.038)
    opening = limb([back + 0.025, 0.065, 0], [back + 0.035, ankle + 0.09, 0], 0.028, 0.035)
    slope = ellipsoid([back + 0.04, ankle + 0.07, 0], [0.1, 0.07, 0.1])
    upper = without(union(foot, shaft, smooth=0.04), opening, slope)
    heel = rng.uniform(0.0, 0.02)
    ground = union(
        block(
            [front - 0.02, sole / 2, 0.8 * inward],
            [0.46 * length, sole, 0.92 * width],
            0.45 * sole,
        ),
        block([back, sole / 2 + heel / 4, 0], [0.3 * length, sole, 0.74 * width], 0.45 * sole),
        block(
            [-0.1 * length, sole / 2, 0.3 * inward], [0.5 * length, sole, 0.62 * width], 0.4 * sole
        ),
        smooth=0.02,
    )
    solid = union(upper, ground, smooth=0.008)
    return without(solid, block([0, -0.05, 0], [1, 0.1, 1], 0.0))


def drill(rng: np.random.Generator) -> Solid:
    """A cordless drill that stands on its battery, the bit toward the front."""
    height = rng.uniform(0.17, 0.22)
    thick = rng.uniform(0.028, 0.036)
    axis = height - thick
    back, nose = -rng.uniform(0.06, 0.09), rng.uniform(0.05, 0.08)
    motor = limb([back, axis, 0], [nose, axis, 0], thick, rng.uniform(0.75, 0.95) * thick)
    chuck = limb([nose, axis, 0], [nose + rng.uniform(0.04, 0.06), axis, 0], 0.02, 0.013)
    solids = [motor, chuck]
    if rng.random() < 0.6:
        tip = nose + rng.uniform(0.08, 0.13)
        solids.append(limb([nose, axis, 0], [tip, axis, 0], 0.0045, 0.004))
    lean = rng.uniform(0.0, 0.035)
    grip = limb([-0.02, axis - 0.5 * thick, 0], [-0.02 - lean, 0.035, 0], 0.02, 0.017)
    trigger = limb([0.0, axis - thick - 0.012, 0], [-0.004, axis - thick - 0.03, 0], 0.01, 0.008)
    battery = block(
        [-0.01 - 0.7 * lean, 0.024, 0],
        [rng.uniform(0.09, 0.125), rng.uniform(0.042, 0.05), rng.uniform(0.055, 0.075)],
        0.008,
        rng.uniform(-0.05, 0.0),
    )
    if rng.random() < 0.4:
        chest = rng.uniform(0.03, 0.045)
        solids.append(limb([chest, axis, 0], [chest, axis - 0.01, 0.11], 0.014, 0.011))
    body = union(union(*solids, smooth=0.006), grip, battery, smooth=0.015)
    return union(body, trigger, smooth=0.004)


KINDS: dict[str, Callable[[np.random.Generator], Solid]] = {
    "kettle": kettle,
    "shoe": shoe,
    "drill": drill,
}


def surface(solid: Solid, reach: float = 0.3) -> trimesh.Trimesh:
    """The surface of a solid that lies within `reach` metres of the origin."""
    coarse = _sampled(solid, np.full(3, -reach), 2 * reach, 60)
    inside = np.argwhere(coarse < 2 * reach / 60) * (2 * reach / 60) - reach
    low, high = inside.min(axis=0) - 0.02, inside.max(axis=0) + 0.02
    field = _sampled(solid, low, float((high - low).max()), _CELLS)
    cell = float((high - low).max()) / _CELLS
    # No corner lies on the surface, where faces would degenerate and open it.
    field[np.abs(field) < 1e-6] = 1e-6
    vertices, faces, _, _ = marching_cubes(field, 0.0, spacing=(cell,) * 3)
    mesh = trimesh.Trimesh(vertices + low, faces)
    if not (mesh.is_watertight and mesh.body_count == 1):
        raise MeshError("a part of the solid does not touch the others, or leaves the box")
    return mesh


def _sampled(
    solid: Solid, low: NDArray[np.float64], side: float, cells: int
) -> NDArray[np.float64]:
    steps = np.arange(cells + 1) * (side / cells)
    grid = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1)
    return solid(grid.reshape(-1, 3) + low).reshape(grid.shape[:3])


def main() -> int:
    """Write the meshes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the meshes")
    parser.add_argument(
        "--learn", type=integer(), default=12, help="models to learn from (default: 12)"
    )
    parser.add_argument(
        "--held-out", type=integer(), default=6, help="models to measure on (default: 6)"
    )
    parser.add_argument("--seed", type=int, default=0, help="random seed (default: 0)")
    args = parser.parse_args()
    for kind, make in KINDS.items():
        for number in range(args.learn + args.held_out):
            learned = number < args.learn
            folder = args.out / ("learn" if learned else "held_out/meshes") / kind
            folder.mkdir(parents=True, exist_ok=True)
            mesh = surface(make(np.random.default_rng([args.seed, number, len(kind)])))
            mesh.export(folder / f"{kind}_{number:02d}.obj")
        print(f"{args.out}: {args.learn} + {args.held_out} models of '{kind}'")
    return 0


if __name__ == "__main__":
    raise SystemExit(execute("example_meshes", main))
