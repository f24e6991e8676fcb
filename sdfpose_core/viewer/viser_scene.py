"""Draws a scene with Viser: only what changed is sent, surfaces once for each revision."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from sdfpose_core.viewer.points import PointCloud
from sdfpose_core.viewer.scene import (
    Ghost,
    PlanePatch,
    Scene,
    SceneMesh,
    SceneObject,
    box_edges,
)
from sdfpose_core.viewer.surfaces import surface_glb

__all__ = ["LAYERS", "ViserScene"]

LAYERS = {
    "surfaces": ("Surfaces", True),
    "boxes": ("Boxes", True),
    "axes": ("Axes", True),
    "labels": ("Labels", True),
    "points": ("Points", True),
    "object_points": ("Points of objects", False),
    "uncertainty": ("Uncertainty", True),
    "alternatives": ("Alternatives", True),
    "table": ("Table", True),
}
"""What can be shown and hidden, by name: the text beside the switch, and whether it is shown at
first. The points of objects would hide the surfaces."""

_SURFACE_PERIOD_S = 1.0
"""Shortest time between two surfaces of an object: while a shape is refined, it changes with every
image."""

_AXIS_RADIUS_SHARE = 0.025
_EDGE_PX = 2.0
_GHOST_OPACITY, _ELLIPSOID_OPACITY = 0.22, 0.35
_ELLIPSOID_COLOUR = (255, 196, 0)
_MIN_RADIUS_M = 5e-4
_POINT_SHARE = 1.25
"""Size of the points, in distances of neighbouring ones, so that they make a surface."""

_CELL_M, _SECTION_M = 0.05, 0.25
_GRID_COLOUR, _SECTION_COLOUR = (150, 158, 170), (110, 120, 135)
_LABEL_GAP = 0.65
"""Height of the label above the centre, in heights of the box."""

_LABEL_SCALE, _GHOST_LABEL_SCALE = 0.8, 0.65

_CAMERA_M = 0.08
"""Length of the drawn camera."""


@dataclass
class _Nodes:
    """The nodes of one object in the scene tree."""

    frame: Any
    box: Any
    label: Any
    ellipsoid: Any = None
    surface: Any = None
    revision: int = -1
    surface_s: float = -np.inf
    dimensions: NDArray[np.float64] = field(default_factory=lambda: np.zeros(3))
    ghosts: list[Any] = field(default_factory=list)
    ghost_names: tuple[tuple[str, bool, int], ...] = ()


class ViserScene:
    """Keeps the nodes of a Viser scene like a described scene.

    Args:
        server: the Viser server.
        on_click: called with the id of an object that is clicked.
    """

    def __init__(self, server: Any, on_click: Callable[[int], None]) -> None:
        self._scene = server.scene
        # Shadows take most of the time where there is no GPU.
        self._scene.configure_default_lights(cast_shadow=False)
        self._on_click = on_click
        self._objects: dict[int, _Nodes] = {}
        self._clouds: dict[str, Any] = {}
        self._grid: Any = None
        self._camera: Any = None
        self._visible = {name: shown for name, (_, shown) in LAYERS.items()}
        self._side_m = 0.0

    def set_visible(self, layer: str, visible: bool) -> None:
        """Show or hide a layer, one of `LAYERS`."""
        self._visible[layer] = visible
        for nodes in self._objects.values():
            self._apply(nodes)
        for name, node in (*self._clouds.items(), ("table", self._grid)):
            if node is not None:
                node.visible = self._visible[name]

    def show(self, scene: Scene, *, every_surface: bool = False) -> None:
        """Show a scene in place of the last one.

        Args:
            scene: the scene.
            every_surface: show new surfaces at once. Without it, each object gets a new one at most
                once a second.
        """
        present = {x.id for x in scene.objects}
        for gone in self._objects.keys() - present:
            nodes = self._objects.pop(gone)
            nodes.frame.remove()
            for ghost in nodes.ghosts:
                ghost.remove()
        for x in scene.objects:
            self._show_object(x, every_surface)
        self._show_cloud("points", scene.cloud)
        self._show_cloud("object_points", scene.object_cloud)
        self._show_plane(scene.plane)
        if self._camera is None and scene.camera is not None:
            camera = scene.camera
            self._camera = self._scene.add_camera_frustum(
                "/camera",
                fov=2.0 * float(np.arctan2(0.5 * camera.height, camera.fy)),
                aspect=camera.width / camera.height,
                scale=_CAMERA_M,
                thickness=1.0,
                thickness_units="screen",
                color=_SECTION_COLOUR,
            )

    def _show_object(self, x: SceneObject, every_surface: bool) -> None:
        nodes = self._objects.get(x.id)
        if nodes is None:
            nodes = self._objects[x.id] = self._add(x)
        wxyz = _wxyz(x.rotation)
        nodes.frame.wxyz, nodes.frame.position = wxyz, x.translation
        if not np.allclose(nodes.dimensions, x.dimensions_m, rtol=5e-3):
            nodes.dimensions = x.dimensions_m
            nodes.box.points = box_edges(x.dimensions_m)
            nodes.label.position = (0.0, _LABEL_GAP * float(x.dimensions_m[1]), 0.0)
            nodes.frame.axes_length = x.axes_length_m
        if nodes.label.text != x.label:
            nodes.label.text = x.label
        self._show_surface(nodes, x, every_surface)
        self._show_ellipsoid(nodes, x)
        self._show_ghosts(nodes, x)
        self._apply(nodes)

    def _add(self, x: SceneObject) -> _Nodes:
        name = _name(x.id)
        frame = self._scene.add_frame(
            name,
            axes_length=x.axes_length_m,
            axes_radius=_AXIS_RADIUS_SHARE * x.axes_length_m,
            origin_radius=1.5 * _AXIS_RADIUS_SHARE * x.axes_length_m,
        )
        box = self._scene.add_line_segments(
            f"{name}/box",
            box_edges(x.dimensions_m),
            np.array(x.colour, dtype=np.uint8),
            thickness=_EDGE_PX,
            thickness_units="screen",
        )
        label = self._scene.add_label(
            f"{name}/label", x.label, font_screen_scale=_LABEL_SCALE, anchor="bottom-center"
        )
        return _Nodes(frame, box, label)

    def _show_surface(self, nodes: _Nodes, x: SceneObject, every: bool) -> None:
        mesh, now = x.mesh, time.monotonic()
        if mesh is None or mesh.revision == nodes.revision:
            return
        if not every and now - nodes.surface_s < _SURFACE_PERIOD_S:
            return
        nodes.revision, nodes.surface_s = mesh.revision, now
        nodes.surface = self._scene.add_glb(
            f"{_name(x.id)}/surface", surface_glb(mesh), visible=self._visible["surfaces"]
        )
        nodes.surface.on_click(lambda _, key=x.id: self._on_click(key))

    def _show_ellipsoid(self, nodes: _Nodes, x: SceneObject) -> None:
        if x.ellipsoid is None:
            if nodes.ellipsoid is not None:
                nodes.ellipsoid.remove()
                nodes.ellipsoid = None
            return
        if nodes.ellipsoid is None:
            nodes.ellipsoid = self._scene.add_icosphere(
                f"{_name(x.id)}/ellipsoid",
                radius=1.0,
                color=_ELLIPSOID_COLOUR,
                opacity=_ELLIPSOID_OPACITY,
                cast_shadow=False,
                receive_shadow=False,
            )
        radii = np.maximum(x.ellipsoid.radii_m, _MIN_RADIUS_M)
        nodes.ellipsoid.scale = tuple(float(v) for v in radii)
        # The node hangs below the object's frame.
        nodes.ellipsoid.wxyz = _wxyz(x.rotation.T @ x.ellipsoid.rotation)

    def _show_ghosts(self, nodes: _Nodes, x: SceneObject) -> None:
        names = tuple(
            (ghost.label, ghost.mesh_scale is not None and x.mesh is not None, nodes.revision)
            for ghost in x.ghosts
        )
        if names != nodes.ghost_names:
            for node in nodes.ghosts:
                node.remove()
            nodes.ghosts = [
                self._add_ghost(f"/alternatives/{x.id}_{i}", ghost, x.mesh, i)
                for i, ghost in enumerate(x.ghosts)
            ]
            nodes.ghost_names = names
        for node, ghost in zip(nodes.ghosts, x.ghosts, strict=True):
            node.wxyz, node.position = _wxyz(ghost.rotation), ghost.translation

    def _add_ghost(self, name: str, ghost: Ghost, mesh: SceneMesh | None, place: int) -> Any:
        """Add a rival mode: the stretched surface, or the box if its surface is not known."""
        frame = self._scene.add_frame(name, show_axes=False)
        self._scene.add_line_segments(
            f"{name}/box",
            box_edges(ghost.dimensions_m),
            np.array(ghost.colour, dtype=np.uint8),
            thickness=1.0,
            thickness_units="screen",
        )
        self._scene.add_label(
            f"{name}/label",
            ghost.label,
            font_screen_scale=_GHOST_LABEL_SCALE,
            anchor="top-center",
            position=(0.0, -(_LABEL_GAP + 0.4 * place) * float(ghost.dimensions_m[1]), 0.0),
        )
        shared = {"color": ghost.colour, "opacity": _GHOST_OPACITY, "cast_shadow": False}
        if ghost.mesh_scale is not None and mesh is not None:
            stretched = mesh.vertices * ghost.mesh_scale.astype(np.float32)
            self._scene.add_mesh_simple(f"{name}/surface", stretched, mesh.faces, **shared)
        else:
            size = tuple(float(v) for v in ghost.dimensions_m)
            self._scene.add_box(f"{name}/surface", dimensions=size, **shared)
        return frame

    def _show_cloud(self, layer: str, cloud: PointCloud | None) -> None:
        if cloud is None:
            if layer in self._clouds:
                self._clouds.pop(layer).remove()
            return
        # A node of the same name replaces the last one, also for browsers that connect later.
        self._clouds[layer] = self._scene.add_point_cloud(
            f"/{layer}",
            cloud.points,
            cloud.colours,
            point_size=_POINT_SHARE * cloud.spacing_m,
            point_shape="square",
            point_shading="flat",
            position=cloud.centre,
            visible=self._visible[layer],
        )

    def _show_plane(self, plane: PlanePatch | None) -> None:
        if plane is None:
            if self._grid is not None:
                self._grid.remove()
                self._grid = None
            return
        # A grid of another size has to be made anew, so its side is rounded up to whole sections.
        side = _SECTION_M * float(np.ceil(plane.side_m / _SECTION_M))
        if self._grid is None or side != self._side_m:
            self._side_m = side
            self._grid = self._scene.add_grid(
                "/table",
                width=side,
                height=side,
                plane="xz",
                cell_size=_CELL_M,
                section_size=_SECTION_M,
                cell_color=_GRID_COLOUR,
                section_color=_SECTION_COLOUR,
                visible=self._visible["table"],
            )
        self._grid.wxyz, self._grid.position = _wxyz(plane.rotation), plane.centre

    def _apply(self, nodes: _Nodes) -> None:
        """Show and hide the parts of an object."""
        shown = self._visible
        if nodes.frame.show_axes != shown["axes"]:
            nodes.frame.show_axes = shown["axes"]
        parts = (
            (nodes.box, "boxes"),
            (nodes.label, "labels"),
            (nodes.surface, "surfaces"),
            (nodes.ellipsoid, "uncertainty"),
            *((ghost, "alternatives") for ghost in nodes.ghosts),
        )
        for node, layer in parts:
            if node is not None and node.visible != shown[layer]:
                node.visible = shown[layer]


def _name(object_id: int) -> str:
    return f"/objects/{object_id}"


def _wxyz(rotation: NDArray[np.floating]) -> NDArray[np.float64]:
    x, y, z, w = Rotation.from_matrix(rotation).as_quat(canonical=True)
    return np.array([w, x, y, z])
