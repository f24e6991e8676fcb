"""The viewer: a web page with the scene, the images and the numbers, served by Viser.

Viser (https://viser.studio) is imported when a viewer is made, and not before.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.categories import Categories
from sdfpose_core.viewer.address import Address
from sdfpose_core.viewer.images import colour_picture, depth_picture
from sdfpose_core.viewer.numbers import History
from sdfpose_core.viewer.packages import require_viser
from sdfpose_core.viewer.scene import Scene, describe_scene
from sdfpose_core.viewer.views import FrameView
from sdfpose_core.viewer.viser_panels import ViserPanels
from sdfpose_core.viewer.viser_scene import ViserScene

__all__ = ["Viewer"]

_FORWARD, _RISE = 0.4, 0.35
"""Place of the eye, in distances to the objects: towards them from the camera, and above it."""

_UP = np.array([0.0, -1.0, 0.0])
"""Up in the image, where no table tells what is up."""

_POLL_S = 0.2


class Viewer:
    """A web page that shows images and their objects.

    While no browser is connected, nothing is drawn or sent. A browser that connects sees the
    present state. All methods may be called from any thread.

    Args:
        address: where to listen; see `free_address`.
        categories: provide the colours.
        title: of the page.

    Raises:
        ViewerError: Viser is not installed.
    """

    def __init__(self, address: Address, categories: Categories, title: str = "sdfpose") -> None:
        require_viser()
        viser = importlib.import_module("viser")
        self.address = address
        self._categories = categories
        self._lock = threading.RLock()
        self._history = History()
        self._view: FrameView | None = None
        self._drawn: FrameView | None = None
        self._placed = False
        with _silence():
            self._server = viser.ViserServer(address.host, address.port, label=title, verbose=False)
        self._scene = ViserScene(self._server, self._select)
        self.panels = ViserPanels(self._server, viser, title, categories, self._set_visible)
        self._server.on_client_connect(lambda _: self._draw(still=True))

    def show(self, view: FrameView, *, still: bool = False) -> None:
        """Show an image in place of the last one.

        Args:
            view: the image and its objects.
            still: the image stays for a while, so that all of it is shown at once. Otherwise new
                surfaces and numbers may wait for one of the next images.
        """
        with self._lock:
            self._view = view
            if self.is_watched:
                self._draw(still=still)

    def add_result(
        self, now_s: float, latency_s: float | None, confidences: Sequence[float], count: int = 1
    ) -> None:
        """Add a result to the plots, whether it is shown or not; see `History.add`."""
        with self._lock:
            self._history.add(now_s, latency_s, confidences, count)

    def settle(self) -> None:
        """Show all of the present image, because there is no new one for a while."""
        if self.is_watched:
            self._draw(still=True)

    def log(self, line: str) -> None:
        """Add a line to the log."""
        with self._lock:
            self.panels.log(line)

    def forget_history(self) -> None:
        """Start the plots anew."""
        with self._lock:
            self._history.clear()

    @property
    def is_watched(self) -> bool:
        """Whether a browser is connected."""
        return bool(self._server.get_clients())

    @property
    def gui(self) -> Any:
        """Viser's interface for controls."""
        return self._server.gui

    def wait(self) -> None:
        """Keep the page until an exception, such as the user's interrupt, ends the thread."""
        while True:
            time.sleep(_POLL_S)

    def close(self) -> None:
        """End the server."""
        with _silence():
            self._server.stop()

    def _draw(self, *, still: bool) -> None:
        with self._lock:
            view = self._view
            if view is None:
                return
            scene = describe_scene(view, self._categories)
            # The page applies all changes at once, so that boxes and points belong together.
            with self._server.atomic():
                if not self._placed:
                    self._place_camera(view, scene)
                self._scene.show(scene, every_surface=still)
                if view.frame is not None and self._drawn is not view:
                    self.panels.show_images(
                        colour_picture(view.frame, view.objects, self._categories),
                        depth_picture(view.frame.depth),
                    )
                self.panels.show_numbers(view, self._history, now=still)
            self._drawn = view

    def _place_camera(self, view: FrameView, scene: Scene) -> None:
        """Look at the objects from before and above the camera."""
        self._placed = True
        normal = None if view.plane is None else np.asarray(view.plane.normal, dtype=np.float64)
        known = None if view.frame is None else view.frame.up
        up = next((np.asarray(x) for x in (known, normal) if x is not None), _UP)
        distance = float(np.linalg.norm(scene.centre))
        eye = _FORWARD * scene.centre + _RISE * distance * up
        self._server.scene.set_up_direction(up)
        initial = self._server.initial_camera
        initial.position, initial.look_at, initial.up = eye, scene.centre, up
        for client in self._server.get_clients().values():
            _look(client.camera, eye, scene.centre, up)

    def _select(self, object_id: int) -> None:
        with self._lock:
            self.panels.select(object_id)

    def _set_visible(self, layer: str, visible: bool) -> None:
        with self._lock:
            self._scene.set_visible(layer, visible)

    def __enter__(self) -> Viewer:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _silence() -> AbstractContextManager[Any]:
    """Drop what Viser prints on standard output, which may belong to a document."""
    return contextlib.redirect_stdout(io.StringIO())


def _look(
    camera: Any, eye: NDArray[np.float64], at: NDArray[np.float64], up: NDArray[np.floating]
) -> None:
    camera.up_direction = up
    camera.position = eye
    camera.look_at = at
