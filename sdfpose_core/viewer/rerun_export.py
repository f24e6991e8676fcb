"""Recordings and results as a file for the viewer of Rerun (https://rerun.io).

Rerun is imported when a file is written, and not before.
"""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from sdfpose_core.categories import Categories
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.messages.encoding import millimetres
from sdfpose_core.observation.frame import RgbdFrame
from sdfpose_core.viewer.packages import require_rerun
from sdfpose_core.viewer.recording import Recording
from sdfpose_core.viewer.scene import Scene, SceneMesh, SceneObject, describe_scene
from sdfpose_core.viewer.views import FrameView

__all__ = ["export_rerun"]

_SCENE, _CAMERA, _PLOTS = "scene", "scene/camera", "plots"
_OBJECTS, _ALTERNATIVES = "scene/objects", "scene/alternatives"

_JPEG_QUALITY = 90
_UNITS_PER_METRE = 1000.0
_CAMERA_M = 0.08
"""Distance at which the image hangs before the camera."""

_ELLIPSOID_COLOUR = (255, 196, 0)
_MIN_RADIUS_M = 5e-4


def export_rerun(recording: Recording, path: Path, categories: Categories) -> int:
    """Write all images and objects of a recording.

    Colour, depth, boxes, axes, surfaces and the 95 % ellipsoids of the positions are archetypes of
    Rerun below ``scene``, in metres and in the camera frame; latency and confidences are below
    ``plots``. The time lines are ``time`` (since the first image) and ``image`` (its number).

    Args:
        recording: what is written; it is not closed.
        path: of the file, which is replaced if it exists.
        categories: provide the colours.

    Returns:
        The number of images.

    Raises:
        ViewerError: Rerun is not installed.
        SdfposeError: an image cannot be read.
    """
    require_rerun()
    rerun = importlib.import_module("rerun")
    times_s = recording.times_s
    with rerun.RecordingStream("sdfpose") as stream:
        stream.set_log_time_enabled(False)  # when it was written is of no interest
        stream.set_log_tick_enabled(False)
        stream.save(path, default_blueprint=_blueprint())
        stream.send_recording_name(path.stem)
        writer = _Writer(rerun, stream, categories)
        for number, time_s in enumerate(times_s):
            stream.set_time("time", duration=time_s)
            stream.set_time("image", sequence=number)
            writer.write(recording.view(number))
        stream.flush()
        stream.disconnect()
    return len(times_s)


def _blueprint() -> Any:
    """The layout: the scene on the left; images and plots on the right."""
    layout = importlib.import_module("rerun.blueprint")
    return layout.Blueprint(
        layout.Horizontal(
            layout.Spatial3DView(origin=_SCENE, name="Scene"),
            layout.Vertical(
                layout.Spatial2DView(origin=f"{_CAMERA}/colour", name="Colour"),
                layout.Spatial2DView(origin=f"{_CAMERA}/depth", name="Depth"),
                layout.TimeSeriesView(origin=f"{_PLOTS}/confidence", name="Confidence"),
                layout.TimeSeriesView(origin=f"{_PLOTS}/latency_ms", name="Latency (ms)"),
            ),
            column_shares=(2, 1),
        ),
        layout.TimePanel(timeline="time"),
        collapse_panels=True,
    )


class _Writer:
    """Logs what changed since the last image."""

    def __init__(self, rerun: Any, stream: Any, categories: Categories) -> None:
        self._rerun = rerun
        self._stream = stream
        self._categories = categories
        self._camera: PinholeCamera | None = None
        self._meshes: dict[int, SceneMesh] = {}
        self._present: set[str] = set()
        self._log(_SCENE, rerun.ViewCoordinates.RDF, static=True)

    def write(self, view: FrameView) -> None:
        """Write an image and its objects."""
        if view.frame is not None:
            self._write_images(view.frame)
        # The depth image itself is shown as points.
        scene = describe_scene(replace(view, frame=None, plane=None), self._categories)
        self._clear_others(scene)
        for x in scene.objects:
            self._write_object(x)
        for shown in view.objects:
            confidence = self._rerun.Scalars(float(shown.estimate.confidence))
            self._log(f"{_PLOTS}/confidence/{shown.id}", confidence)
        if view.latency_s is not None:
            self._log(f"{_PLOTS}/latency_ms", self._rerun.Scalars(1000.0 * view.latency_s))

    def _write_images(self, frame: RgbdFrame) -> None:
        rerun = self._rerun
        if frame.camera != self._camera:
            self._camera = frame.camera
            self._log(
                _CAMERA,
                rerun.Pinhole(
                    image_from_camera=frame.camera.matrix,
                    resolution=(frame.camera.width, frame.camera.height),
                    camera_xyz=rerun.ViewCoordinates.RDF,
                    image_plane_distance=_CAMERA_M,
                ),
            )
        image = rerun.Image(frame.colour).compress(jpeg_quality=_JPEG_QUALITY)
        self._log(f"{_CAMERA}/colour", image)
        _, png = cv2.imencode(".png", millimetres(frame.depth))
        depth = rerun.EncodedDepthImage(
            png.tobytes(), media_type="image/png", meter=_UNITS_PER_METRE
        )
        self._log(f"{_CAMERA}/depth", depth)

    def _write_object(self, x: SceneObject) -> None:
        rerun, name = self._rerun, f"{_OBJECTS}/{x.id}"
        self._log(
            name,
            rerun.Transform3D(translation=x.translation, mat3x3=x.rotation),
            rerun.TransformAxes3D(x.axes_length_m),
        )
        box = rerun.Boxes3D(half_sizes=[0.5 * x.dimensions_m], colors=[x.colour], labels=[x.label])
        self._log(f"{name}/box", box)
        if x.mesh is not None and not _same(x.mesh, self._meshes.get(x.id)):
            self._meshes[x.id] = x.mesh
            self._log(
                f"{name}/surface",
                rerun.Mesh3D(
                    vertex_positions=x.mesh.vertices,
                    triangle_indices=x.mesh.faces,
                    vertex_normals=x.mesh.normals,
                    vertex_colors=x.mesh.colours,
                ),
            )
        if x.ellipsoid is not None:
            self._log(
                f"{name}/uncertainty",
                rerun.Ellipsoids3D(
                    half_sizes=[np.maximum(x.ellipsoid.radii_m, _MIN_RADIUS_M)],
                    quaternions=[_xyzw(x.rotation.T @ x.ellipsoid.rotation)],
                    colors=[_ELLIPSOID_COLOUR],
                ),
            )
        if x.ghosts:
            self._log(
                f"{_ALTERNATIVES}/{x.id}",
                rerun.Boxes3D(
                    half_sizes=[0.5 * ghost.dimensions_m for ghost in x.ghosts],
                    centers=[ghost.translation for ghost in x.ghosts],
                    quaternions=[_xyzw(ghost.rotation) for ghost in x.ghosts],
                    colors=[ghost.colour for ghost in x.ghosts],
                    labels=[ghost.label for ghost in x.ghosts],
                ),
            )

    def _clear_others(self, scene: Scene) -> None:
        """Clear what the last image had and this one has not."""
        present = {f"{_OBJECTS}/{x.id}" for x in scene.objects}
        present |= {f"{_OBJECTS}/{x.id}/uncertainty" for x in scene.objects if x.ellipsoid}
        present |= {f"{_ALTERNATIVES}/{x.id}" for x in scene.objects if x.ghosts}
        for gone in self._present - present:
            self._log(gone, self._rerun.Clear(recursive=True))
        self._present = present
        ids = {x.id for x in scene.objects}
        self._meshes = {key: mesh for key, mesh in self._meshes.items() if key in ids}

    def _log(self, entity: str, *archetypes: Any, static: bool = False) -> None:
        # Without `strict`, Rerun only warns of what it cannot write.
        self._stream.log(entity, *archetypes, static=static, strict=True)


def _same(mesh: SceneMesh, other: SceneMesh | None) -> bool:
    """Whether a surface is the one that was written last; revision 0 means that none is counted."""
    if other is None or mesh.revision != other.revision:
        return False
    return mesh.revision > 0 or np.array_equal(mesh.vertices, other.vertices)


def _xyzw(rotation: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray(Rotation.from_matrix(rotation).as_quat())
