"""Simulated scans of a known object on a table, and the error of a surface."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import open3d as o3d
import trimesh
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.observation.camera_pose import MeasuredCameraPose
from sdfpose_core.observation.frame import RgbdFrame
from sdfpose_core.shapes.families import sample_model
from sdfpose_core.shapes.model import CadModel
from sdfpose_core.simulation import primitives
from sdfpose_core.simulation.frames import simulated_frame
from sdfpose_core.simulation.paint import Paint
from sdfpose_core.simulation.rotations import yaw
from sdfpose_core.simulation.scene import CameraPose, Scene, SceneObject

__all__ = ["SurfaceError", "scan_frames", "surface_error"]

CAMERA = PinholeCamera(640, 480, 600.0, 600.0, 319.5, 239.5)
_PAINTS = {
    "mug": Paint((224, 122, 95), "dipped", (246, 239, 228), gloss=0.4),
    "bottle": Paint((46, 125, 100), "label", (240, 234, 214), gloss=0.5),
    "bowl": Paint((86, 124, 180), "speckled", (232, 236, 240), gloss=0.4),
}
_WOOD = Paint((214, 176, 132), "wood", (160, 116, 76), gloss=0.12)


def scan_frames(
    model: CadModel,
    count: int,
    *,
    turntable: bool = False,
    width: int = 640,
    seed: int = 0,
    turn_deg: float = 360.0,
    distance_m: float = 0.6,
    pose_noise_m: float = 0.001,
    pose_noise_deg: float = 0.1,
    paint: Paint | None = None,
) -> Iterator[RgbdFrame]:
    """Frames of a full turn: the camera moves and knows its pose, or the object turns before it."""
    rng = np.random.default_rng(seed)
    camera = CAMERA.resize(width, width * 3 // 4)
    coat = paint or _PAINTS.get(model.category, Paint((86, 124, 180), gloss=0.2))
    target = np.array([0.0, 0.4 * model.dimensions_m[1], 0.0])
    for i in range(count):
        share = i / count
        azimuth = np.deg2rad(turn_deg) * share
        elevation = np.deg2rad(35.0 + (0.0 if turntable else 15.0 * np.sin(4.0 * np.pi * share)))
        turned = yaw(azimuth + 0.3) if turntable else yaw(0.3)
        offset = np.array([0.015, 0.0, -0.01]) if turntable else np.zeros(3)
        where = turned @ offset + [0.0, 0.5 * model.dimensions_m[1], 0.0]
        around = 0.4 if turntable else 0.4 + azimuth
        direction = np.array(
            [np.cos(elevation) * np.cos(around), np.sin(elevation),
             np.cos(elevation) * np.sin(around)]
        )  # fmt: skip
        pose = CameraPose.look_at(target + distance_m * direction, target)
        table = SceneObject(
            0, "", primitives.box(1.0, 0.03, 1.0), np.eye(3), np.array([0.0, -0.015, 0.0]), _WOOD
        )
        item = SceneObject(1, model.category, model, turned, where, coat)
        frame, _ = simulated_frame(Scene([item], table), camera, pose, rng, stamp_ns=i * 10**8)
        if not turntable:
            error = Rotation.from_rotvec(np.deg2rad(pose_noise_deg) * rng.normal(size=3))
            rotation = pose.rotation @ error.as_matrix()
            shift = pose_noise_m * rng.normal(size=3)
            frame = replace(
                frame, camera_pose=MeasuredCameraPose(rotation, pose.translation + shift)
            )
        yield frame


class SurfaceError(NamedTuple):
    """Distances between a scanned surface and the true one.

    Attributes:
        of_true_m: mean distance of true points from the scan, metres.
        of_seen_m: the same of the true points that a turn at usual height shows.
        seen_near: share of these within 3 mm or 2 % of the diagonal, whichever is larger.
        of_found_m: mean distance of points of the scan from the true surface, metres.
    """

    of_true_m: float
    of_seen_m: float
    seen_near: float
    of_found_m: float


def surface_error(found: CadModel, true: CadModel) -> SurfaceError:
    """Compare a scan with the truth, after registration about y: scans have no front."""
    a, b = (_sampled(x) for x in (found, true))
    tree = cKDTree(b)
    starts = [a[::10] @ yaw(np.deg2rad(x)).T for x in np.arange(0.0, 360.0, 15.0)]
    poses = [_aligned(x, b, tree, 10) for x in starts]
    best = int(np.argmin([_both_ways(x, b, tree) for x in poses]))
    points = _aligned(a @ yaw(np.deg2rad(15.0 * best)).T, b, tree, 40)
    moved = np.linalg.lstsq(np.c_[a, np.ones(len(a))], points)[0]
    placed = np.c_[found.vertices, np.ones(len(found.vertices))] @ moved
    of_true = _distance(b, placed, found.faces)
    of_seen = of_true[_seen(true, b)]
    limit = max(0.003, 0.02 * true.diagonal_m)
    return SurfaceError(
        float(of_true.mean()),
        float(of_seen.mean()),
        float(np.mean(of_seen < limit)),
        float(_distance(points, true.vertices, true.faces).mean()),
    )


def _distance(
    points: NDArray[np.float64], vertices: NDArray[np.float64], faces: NDArray[np.int32]
) -> NDArray[np.float32]:
    scene = o3d.t.geometry.RaycastingScene()
    scene.add_triangles(
        o3d.core.Tensor.from_numpy(vertices.astype(np.float32)),
        o3d.core.Tensor.from_numpy(faces.astype(np.uint32)),
    )
    return np.asarray(
        scene.compute_distance(o3d.core.Tensor.from_numpy(points.astype(np.float32))).numpy()
    )


def _seen(model: CadModel, points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which surface points (N, 3) a camera sees that circles the model at 35 degrees."""
    item = SceneObject(1, "", model, np.eye(3), np.zeros(3))
    scene, seen = Scene([item]), np.zeros(len(points), dtype=np.bool_)
    for azimuth in np.deg2rad(np.arange(0.0, 360.0, 30.0)):
        c, s = np.cos(np.deg2rad(35.0)), np.sin(np.deg2rad(35.0))
        eye = 0.6 * np.array([c * np.cos(azimuth), s, c * np.sin(azimuth)])
        seen |= np.abs(scene.cast(eye, points - eye).distance - 1.0) < 0.002
    return seen


def _both_ways(points: NDArray[np.float64], others: NDArray[np.float64], tree: cKDTree) -> float:
    back = cKDTree(points).query(others[::10])[0]
    return float(tree.query(points)[0].mean() + back.mean())


def _aligned(
    points: NDArray[np.float64], others: NDArray[np.float64], tree: cKDTree, rounds: int
) -> NDArray[np.float64]:
    """Closest-point registration about y."""
    for _ in range(rounds):
        near = others[tree.query(points)[1]]
        x, y = points - points.mean(axis=0), near - near.mean(axis=0)
        turn = np.arctan2(
            np.sum(x[:, 2] * y[:, 0] - x[:, 0] * y[:, 2]), np.sum(x[:, [0, 2]] * y[:, [0, 2]])
        )
        points = x @ yaw(turn).T + near.mean(axis=0)
    return points


def _sampled(model: CadModel) -> NDArray[np.float64]:
    mesh = trimesh.Trimesh(model.vertices, model.faces, process=False)
    return np.asarray(trimesh.sample.sample_surface(mesh, 8000, seed=0)[0])


def main() -> None:
    """Print the errors of scans: category, number of images, measured poses or a turntable."""
    from sdfpose_core.scanning.scan import scan_object
    from sdfpose_core.scanning.views import scan_view

    category, count, kind = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    true = sample_model(category, 5)
    frames = scan_frames(true, count, turntable=kind == "turntable")
    views = [scan_view(str(i), x, x.mask == 1) for i, x in enumerate(frames)]
    scan = scan_object(category, category, views)
    lines = [scan.report]
    error = surface_error(scan.model, true)
    lines.append(
        f"true surface from the scan {1e3 * error.of_true_m:.2f} mm (where it can be seen "
        f"{1e3 * error.of_seen_m:.2f} mm, {100 * error.seen_near:.1f} % near), scan from the true "
        f"surface {1e3 * error.of_found_m:.2f} mm"
    )
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
