"""What there is to see of an image: the frame, its objects and the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.messages.objects import estimate_from_message
from sdfpose_core.observation.frame import GroundTruth, ObjectEstimate, RgbdFrame
from sdfpose_core.observation.support_plane import SupportPlane, dominant_planes
from sdfpose_core.tracking.track import Track, TrackState

__all__ = ["FrameView", "ObjectView", "message_view", "support_plane", "track_view", "truth_view"]

_PLANE_GRID_PX = 8
"""One pixel in this many rows and columns of a 640x480 image is used to look for the table."""

_REFERENCE_WIDTH_PX = 640

_STATES = {int(x): x.name.lower() for x in TrackState}


@dataclass(frozen=True)
class ObjectView:
    """An object as it is shown.

    Attributes:
        id: of the track, or of the mask without tracking.
        estimate: pose, size and, if there is a mesh, shape.
        state: e.g. ``tracked``; empty for the estimate of a single image.
        revision: of the mesh; 0 if it has none.
        colours: (V, 3) uint8, RGB of the mesh's vertices; None for the colour of the category.
    """

    id: int
    estimate: ObjectEstimate
    state: str = ""
    revision: int = 0
    colours: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class FrameView:
    """An image with its objects.

    Attributes:
        name: of the image.
        objects: the objects in the camera frame of the image.
        frame: the images; None if only results are known.
        plane: the table; None if it is not known.
        latency_s: age of the image when its result was there, seconds; None if not known.
    """

    name: str
    objects: Sequence[ObjectView]
    frame: RgbdFrame | None = None
    plane: SupportPlane | None = None
    latency_s: float | None = None

    @property
    def confidences(self) -> list[float]:
        """The confidences of the objects."""
        return [x.estimate.confidence for x in self.objects]


def support_plane(frame: RgbdFrame) -> SupportPlane | None:
    """Find the largest plane that can be a table's top; None if there is none."""
    step = max(1, round(_PLANE_GRID_PX * frame.camera.width / _REFERENCE_WIDTH_PX))
    depth = frame.depth[::step, ::step]
    v, u = np.nonzero(depth > 0.0)
    points = frame.camera.back_project(np.stack([u, v], axis=-1) * step, depth[v, u])
    planes = dominant_planes(points, frame.up)
    return next((x for x in planes if x.points_up(frame.up) or x.up is not None), None)


def message_view(message: Any) -> ObjectView | None:
    """Show an object of a ``sdfpose/SdfObject`` message; None if its pose is invalid."""
    estimate = estimate_from_message(message)
    if estimate is None:
        return None
    colours = np.array(message.mesh_colours, dtype=np.uint8).reshape(-1, 3)
    return ObjectView(
        int(message.id),
        estimate,
        _STATES.get(int(message.state), ""),
        int(message.mesh_revision),
        colours if len(colours) else None,
    )


def track_view(track: Track, colours: NDArray[np.uint8] | None = None) -> ObjectView:
    """Show a tracked object, with the colours (V, 3) of its mesh, if there are any."""
    state = _STATES.get(int(track.state), "")
    return ObjectView(track.id, track.estimate, state, track.mesh_revision, colours)


def truth_view(truth: GroundTruth) -> ObjectView:
    """Show a true pose: a box without a surface, of which nothing is uncertain."""
    none = np.zeros((0, 3), dtype=np.float32)
    estimate = ObjectEstimate(
        mask_id=truth.mask_id,
        category=truth.category,
        rotation=truth.rotation,
        translation=truth.translation,
        scale=truth.scale,
        dimensions_m=truth.dimensions_m,
        confidence=1.0,
        covariance=np.zeros((6, 6)),
        symmetric_about_y=truth.symmetric_about_y,
        code=np.zeros(0, dtype=np.float32),
        decoder_translation=truth.translation,
        decoder_scale=truth.scale,
        vertices=none,
        faces=none.astype(np.int32),
        normals=none,
    )
    return ObjectView(truth.mask_id, estimate, state="ground truth")
