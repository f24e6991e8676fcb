"""Shows the results of a replay in the viewer while they are made."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.categories import Categories
from sdfpose_core.datasets.bags import RecordedFrame
from sdfpose_core.observation.support_plane import SupportPlane
from sdfpose_core.tracking.tracker import Track, TrackerResult
from sdfpose_core.viewer.viewer import Viewer
from sdfpose_core.viewer.views import FrameView, support_plane, track_view
from sdfpose_core.visualisation.mesh_colours import sample_colours

__all__ = ["ResultView"]

_PERIOD_S = 0.1
"""Shortest time between two frames that are shown."""

_PLANE_PERIOD_S = 1.0
"""Time between two searches for the table."""


class ResultView:
    """Shows at most ten frames a second.

    Args:
        viewer: the viewer.
        categories: provide the colours of surfaces that are not seen.
    """

    def __init__(self, viewer: Viewer, categories: Categories) -> None:
        self._viewer = viewer
        self._categories = categories
        self._shown_s = self._searched_s = -np.inf
        self._plane: SupportPlane | None = None
        # By object id: revision of its mesh, and the colours of its vertices.
        self._colours: dict[int, tuple[int, NDArray[np.uint8]]] = {}
        self._count = 0

    def add(self, recorded: RecordedFrame, result: TrackerResult) -> None:
        """Show the result of the next frame, unless one was shown just now."""
        self._count += 1
        frame, now = recorded.frame, time.monotonic()
        for track in result.tracks:
            self._sample(recorded, track)
        latency_s = 1e-3 * result.stage_ms.get("total", 0.0)
        confidences = [x.estimate.confidence for x in result.tracks]
        self._viewer.add_result(now, latency_s, confidences)
        if now - self._shown_s < _PERIOD_S:
            return
        self._shown_s = now
        if now - self._searched_s >= _PLANE_PERIOD_S:
            self._searched_s, self._plane = now, support_plane(frame)
        objects = [track_view(x, self._colours.get(x.id, (0, None))[1]) for x in result.tracks]
        self._viewer.show(
            FrameView(f"image {self._count - 1}", objects, frame, self._plane, latency_s)
        )

    def _sample(self, recorded: RecordedFrame, track: Track) -> None:
        """Sample the colours of a new mesh: later frames see it from elsewhere."""
        revision, _ = self._colours.get(track.id, (0, None))
        if track.mesh_revision != revision and len(track.estimate.vertices):
            fallback = self._categories[track.estimate.category].colour
            colours = sample_colours(track.estimate, recorded.frame, fallback)
            self._colours[track.id] = track.mesh_revision, colours
