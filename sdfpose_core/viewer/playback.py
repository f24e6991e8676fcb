"""Playback of a recording in the viewer: a slider, and a button to play and to pause."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left

from sdfpose_core.errors import SdfposeError
from sdfpose_core.viewer.recording import Recording
from sdfpose_core.viewer.viewer import Viewer
from sdfpose_core.viewer.views import FrameView

__all__ = ["Playback"]

_SPEEDS = ("0.25", "0.5", "1", "2", "4")
_MIN_PERIOD_S = 0.1
"""Images are shown at most ten times a second; those between them are skipped."""

_JOIN_S = 5.0


class Playback:
    """Plays a recording: one thread reads the images that the controls ask for.

    Args:
        viewer: shows the images.
        recording: is read by the thread of the playback alone, until `close`.
        playing: play at once, and from the start again after the end.
    """

    def __init__(self, viewer: Viewer, recording: Recording, *, playing: bool = False) -> None:
        self._viewer = viewer
        self._recording = recording
        self._times_s = list(recording.times_s)
        self._changed = threading.Condition()
        self._wanted: int | None = 0
        self._playing = playing and len(self._times_s) > 1
        self._closed = False
        self._moving = False
        self._add_controls()
        self._thread = threading.Thread(target=self._run, name="playback", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop, and close the recording."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(_JOIN_S)
        self._recording.close()

    def _add_controls(self) -> None:
        gui, last = self._viewer.gui, len(self._times_s) - 1
        if last < 1:
            return
        controls = self._viewer.panels.controls
        controls.visible = True
        with controls:
            self._slider = gui.add_slider("Image", min=0, max=last, step=1, initial_value=0)
            self._button = gui.add_button("Pause" if self._playing else "Play")
            self._speed = gui.add_dropdown("Speed", _SPEEDS, initial_value="1")
        self._slider.on_update(lambda _: self._seek())
        self._button.on_click(lambda _: self._toggle())

    def _seek(self) -> None:
        if self._moving:  # by the playback itself
            return
        with self._changed:
            self._wanted = int(self._slider.value)
            self._changed.notify()

    def _toggle(self) -> None:
        with self._changed:
            self._playing = not self._playing
            self._button.label = "Pause" if self._playing else "Play"
            self._changed.notify()

    def _run(self) -> None:
        number = 0
        while True:
            with self._changed:
                while self._wanted is None and not self._playing and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                sought, self._wanted = self._wanted, None
                playing = self._playing
            if sought is not None:
                number = sought
                self._viewer.forget_history()
                self._show(number, still=not playing)
            else:
                number = self._play_on(number)

    def _play_on(self, number: int) -> int:
        """Show the next image when it is due, and return its number."""
        speed = float(self._speed.value)
        last = len(self._times_s) - 1
        if number >= last:
            following, pause_s = 0, 1.0
        else:
            due_s = self._times_s[number] + _MIN_PERIOD_S * speed
            following = min(max(number + 1, bisect_left(self._times_s, due_s)), last)
            pause_s = (self._times_s[following] - self._times_s[number]) / speed
        began = time.monotonic()
        view = self._read(following)
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or self._wanted is not None or not self._playing,
                timeout=max(0.0, pause_s - (time.monotonic() - began)),
            )
            if self._closed or self._wanted is not None or not self._playing:
                return number
        if view is not None:
            if following > number:
                now_s, count = self._times_s[following], following - number
                self._viewer.add_result(now_s, view.latency_s, view.confidences, count)
            else:
                self._viewer.forget_history()
            self._viewer.show(view, still=following == last)
        self._moving = True
        self._slider.value = following
        self._moving = False
        return following

    def _show(self, number: int, *, still: bool) -> None:
        view = self._read(number)
        if view is not None:
            self._viewer.show(view, still=still)

    def _read(self, number: int) -> FrameView | None:
        """Read an image; an error goes to the log."""
        try:
            return self._recording.view(number)
        except SdfposeError as error:
            self._viewer.log(str(error))
            self._viewer.settle()
            return None
