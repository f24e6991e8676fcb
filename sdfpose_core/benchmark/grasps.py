"""Grasp benchmark: how many candidates hold the true object by force closure, in simulation.

Objects on simulated tables are estimated from one image each. The candidates of the estimate are
executed on the true mesh: the fingers close along a line, and the first hits are the contacts. They
hold, with soft fingers, if the line lies in both friction cones (Nguyen, IJRR 1988). The true table
is the plane that the true object touches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import open3d as o3d
from numpy.typing import NDArray

from sdfpose_core.benchmark.extents import GRASP_CONFIDENCE, GRASPS
from sdfpose_core.benchmark.outcomes import PoseCase
from sdfpose_core.estimation.estimator import PoseEstimator
from sdfpose_core.grasping.candidates import Grasp, grasp_candidates
from sdfpose_core.grasping.gripper import Gripper
from sdfpose_core.scene.distance_volume import DistanceVolumes
from sdfpose_core.scene.scene import Scene
from sdfpose_core.shapes.model import CadModel

__all__ = ["GraspOutcome", "TrueObject", "run_grasps", "summarise_grasps"]

Result = Literal["holds", "slips", "misses", "collides"]


@dataclass(frozen=True)
class GraspOutcome:
    """The candidates of one object, the best first.

    Attributes:
        category: of the object.
        confidence: of the estimate, 0 without one.
        results: what became of each candidate on the true object.
        through_table: (N,) whether the open gripper goes through the true table; False without one.
    """

    category: str
    confidence: float
    results: tuple[Result, ...]
    through_table: tuple[bool, ...]


class TrueObject:
    """A mesh that grippers close on.

    Args:
        vertices: (V, 3), metres.
        faces: (F, 3), counter-clockwise seen from outside.
    """

    def __init__(self, vertices: NDArray[np.floating], faces: NDArray[np.integer]) -> None:
        self.vertices = np.asarray(vertices, dtype=np.float64)
        self._rays = o3d.t.geometry.RaycastingScene()
        self._rays.add_triangles(
            o3d.core.Tensor.from_numpy(self.vertices.astype(np.float32)),
            o3d.core.Tensor.from_numpy(faces.astype(np.uint32)),
        )

    @classmethod
    def of(cls, case: PoseCase) -> TrueObject:
        """The object of a case with a model, camera frame."""
        model, truth = case.model, case.truth
        assert isinstance(model, CadModel)
        scaled = model.vertices * (truth.scale / model.diagonal_m)
        return cls(scaled @ truth.rotation.T + truth.translation, model.faces)

    def result(self, grasp: Grasp, friction_angle: float) -> Result:
        """What happens when the fingers close, each from its place in the open gripper.

        Args:
            grasp: candidate, in the frame of the mesh.
            friction_angle: half opening angle of the friction cone, radians.
        """
        axis, half = grasp.rotation[:, 0], 0.5 * grasp.opening_m
        ways = np.stack([axis, -axis])
        starts = grasp.translation - half * ways
        rays = np.concatenate([starts, ways], axis=1).astype(np.float32)
        inside = self._rays.compute_occupancy(o3d.core.Tensor.from_numpy(rays[:, :3].copy()))
        if inside.numpy().any():
            return "collides"
        hits = self._rays.cast_rays(o3d.core.Tensor.from_numpy(rays))
        if not hits["t_hit"].numpy().sum() < 2.0 * half:
            return "misses"
        cosine = np.abs((hits["primitive_normals"].numpy() * ways).sum(axis=1))
        return "holds" if (cosine > np.cos(friction_angle)).all() else "slips"

    def height(
        self, points: NDArray[np.floating], normal: NDArray[np.floating]
    ) -> NDArray[np.float64]:
        """Heights (N,) of points (N, 3) above the plane with that normal which the mesh is on."""
        up = normal.astype(np.float64)
        return np.asarray(points @ up - (self.vertices @ up).min())


def run_grasps(
    estimator: PoseEstimator,
    cases: Iterable[PoseCase],
    gripper: Gripper | None = None,
    *,
    progress: Callable[[], None] = lambda: None,
) -> Iterator[GraspOutcome]:
    """Estimate each case and judge the grasps of the estimate.

    Args:
        estimator: estimator to measure.
        cases: simulated objects, each with its model.
        gripper: gripper; by default that of `grasp_candidates`.
        progress: called after each case.
    """
    gripper = gripper or Gripper()
    volumes = DistanceVolumes()
    for case in cases:
        found = estimator.estimate(case.instances).estimates
        support = case.instances[0].support
        grasps: Sequence[Grasp] = ()
        if found:
            scene = Scene.of(found[:1], estimator.decoder, volumes)
            grasps = grasp_candidates(
                found[0],
                scene,
                found[0].mask_id,
                gripper=gripper,
                support=support,
                eye=np.zeros(3),
                count=GRASPS,
            )
        true = TrueObject.of(case)
        yield GraspOutcome(
            case.truth.category,
            found[0].confidence if found else 0.0,
            tuple(true.result(x, gripper.friction_angle) for x in grasps),
            tuple(
                support is not None and _least_height(true, x, gripper, support.normal) < 0.0
                for x in grasps
            ),
        )
        progress()


def summarise_grasps(outcomes: Iterable[GraspOutcome]) -> dict[str, Any]:
    """Figures of all categories, and of each: shares are in per cent, None without any grasp."""
    by_category: dict[str, list[GraspOutcome]] = {}
    for x in outcomes:
        by_category.setdefault(x.category, []).append(x)
    every = [x for some in by_category.values() for x in some]
    return {
        "overall": _figures(every),
        "categories": {name: _figures(some) for name, some in by_category.items()},
    }


def _figures(outcomes: Sequence[GraspOutcome]) -> Mapping[str, float | int | None]:
    results = [r for x in outcomes for r in x.results]
    first = [x.results[0] for x in outcomes if x.results]
    sure = [r for x in outcomes if x.confidence >= GRASP_CONFIDENCE for r in x.results]
    return {
        "n": len(outcomes),
        "with_grasps": _per_cent([bool(x.results) for x in outcomes]),
        "grasps": len(results),
        "hold": _per_cent([x == "holds" for x in results]),
        "hold_confident": _per_cent([x == "holds" for x in sure]),
        "best_holds": _per_cent([x == "holds" for x in first]),
        "slip": _per_cent([x == "slips" for x in results]),
        "miss": _per_cent([x == "misses" for x in results]),
        "collide": _per_cent([x == "collides" for x in results]),
        "through_table": _per_cent([y for x in outcomes for y in x.through_table]),
    }


def _per_cent(flags: Sequence[bool]) -> float | None:
    return 100.0 * sum(flags) / len(flags) if flags else None


def _least_height(
    true: TrueObject, grasp: Grasp, gripper: Gripper, normal: NDArray[np.floating]
) -> float:
    """Height of the lowest point of the open gripper above the true table, metres."""
    spheres = gripper.spheres(np.array([grasp.opening_m]))
    centres = spheres.centres[0] @ grasp.rotation.T + grasp.translation
    return float((true.height(centres, normal) - spheres.radii).min())
