"""The panels around the scene: images, plots and log on the left, objects on the right."""

from __future__ import annotations

import html
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.categories import Categories
from sdfpose_core.viewer.numbers import History, object_numbers
from sdfpose_core.viewer.views import FrameView, ObjectView
from sdfpose_core.viewer.viser_scene import LAYERS

__all__ = ["ViserPanels"]

_LEFT_PX, _RIGHT_PX = 330, 330
_PLOT_PX, _AXIS_PX = 90, 56
_PERIOD_S = 0.5
"""Shortest time between two updates of texts and plots; images and poses are not limited."""

_LOG_LINES = 60
_JPEG_QUALITY = 80
_BRAND = (0, 172, 193)
_NONE = "-"
_HINT = "Click an object, or choose one above."

_PLOTS = {
    "rate": ("Results per second", ("rate",), ("#00acc1",)),
    "latency": ("Latency, ms", ("latency",), ("#fb8c00",)),
    "confidence": ("Confidence: mean, lowest", ("mean", "lowest"), ("#34a853", "#ea4335")),
}
"""Title, names and colours of the series of each plot."""

_CELL = "padding:2px 6px;vertical-align:top;text-align:{align}"
_TABLE = '<table style="width:100%;border-collapse:collapse;font-size:12px">{}</table>'


class ViserPanels:
    """The panels of the viewer.

    Args:
        server: the Viser server.
        viser: the module, for its icons.
        title: of the window.
        categories: provide the colours of the objects.
        on_layer: called with the name of a layer and whether to show it.
    """

    def __init__(
        self,
        server: Any,
        viser: Any,
        title: str,
        categories: Categories,
        on_layer: Callable[[str, bool], None],
    ) -> None:
        self._gui = server.gui
        self._icons = viser.Icon
        self._categories = categories
        self._selected: int | None = None
        self._view: FrameView | None = None
        self._lines: deque[str] = deque(maxlen=_LOG_LINES)
        self._updated_s = -np.inf
        self._gui.set_panel_label(title)
        self._theme(dark=True)
        self._left()
        self._right(on_layer)

    def show_images(self, colour: NDArray[np.uint8], depth: NDArray[np.uint8]) -> None:
        """Show the images (H, W, 3) uint8, RGB."""
        for name, image in (("colour", colour), ("depth", depth)):
            shown = self._images.get(name)
            if shown is not None and shown.image.shape == image.shape:
                shown.image = image
                continue
            if shown is not None:
                shown.remove()
            with self._image_tab:
                self._images[name] = self._gui.add_image(
                    image, label=name.capitalize(), format="jpeg", jpeg_quality=_JPEG_QUALITY
                )

    def show_numbers(self, view: FrameView, history: History, *, now: bool) -> None:
        """Show the objects, the plots and the log, at most twice a second.

        Args:
            view: the image and its objects.
            history: rate, latency and confidence.
            now: show them whenever they were shown last.
        """
        self._view = view
        if not now and time.monotonic() - self._updated_s < _PERIOD_S:
            return
        self._updated_s = time.monotonic()
        self._status.content = _status(view, history)
        self._objects.content = self._object_table(view.objects)
        names = (_NONE, *(_title(x) for x in view.objects))
        if self._choice.options != names:
            self._choice.options = names
        self._show_selected()
        self._show_plots(history)
        self._log.content = _log(self._lines)

    def select(self, object_id: int | None) -> None:
        """Show the numbers of an object; None for those of none."""
        self._selected = object_id
        self._show_selected()

    def log(self, line: str) -> None:
        """Add a line to the log; it is shown with the next numbers."""
        self._lines.append(line)

    def _theme(self, *, dark: bool) -> None:
        self._gui.configure_theme(
            dark_mode=dark, show_logo=False, show_share_button=False, brand_color=_BRAND
        )

    def _left(self) -> None:
        panel = self._gui.add_panel()
        panel.dock_left()
        panel.set_width(_LEFT_PX)
        self._image_tab = panel.add_tab("Images", self._icons.PHOTO)
        self._images: dict[str, Any] = {}
        below = self._gui.add_panel()
        below.dock_below(panel)
        self._plots: dict[str, Any] = {}
        self._plot_tab = below.add_tab("Plots", self._icons.CHART_LINE)
        with self._plot_tab:
            self._no_plots: Any = self._gui.add_html(_muted("No results yet."))
        with below.add_tab("Log", self._icons.LIST):
            self._log = self._gui.add_html("")

    def _right(self, on_layer: Callable[[str, bool], None]) -> None:
        gui = self._gui
        gui.main_panel.dock_right()
        gui.main_panel.set_width(_RIGHT_PX)
        self._status = gui.add_markdown("Waiting for the first image ...")
        self._controls = gui.add_folder("Recording", visible=False)
        with gui.add_folder("Objects"):
            self._objects = gui.add_html("")
        with gui.add_folder("Numbers"):
            self._choice = gui.add_dropdown("Object", (_NONE,), initial_value=_NONE)
            self._numbers = gui.add_html(_muted(_HINT))
        self._choice.on_update(lambda _: self._take_choice())
        with gui.add_folder("Show"):
            for layer, (text, shown) in LAYERS.items():
                switch = gui.add_checkbox(text, shown)
                switch.on_update(lambda event, name=layer: on_layer(name, event.target.value))
            dark = gui.add_checkbox("Dark", True)
            dark.on_update(lambda event: self._theme(dark=event.target.value))

    @property
    def controls(self) -> Any:
        """The folder of the controls of a recording, which is hidden at first."""
        return self._controls

    def _take_choice(self) -> None:
        objects = self._view.objects if self._view is not None else ()
        chosen = next((x.id for x in objects if _title(x) == self._choice.value), None)
        if chosen != self._selected:
            self.select(chosen)

    def _show_selected(self) -> None:
        objects = self._view.objects if self._view is not None else ()
        shown = next((x for x in objects if x.id == self._selected), None)
        title = _NONE if shown is None else _title(shown)
        if self._choice.value != title and title in self._choice.options:
            self._choice.value = title
        if shown is not None:
            self._numbers.content = _table(object_numbers(shown))
        elif self._selected is None:
            self._numbers.content = _muted(_HINT)

    def _object_table(self, objects: Sequence[ObjectView]) -> str:
        rows = []
        for x in sorted(objects, key=lambda x: (x.estimate.category, x.id)):
            category = x.estimate.category
            known = category in self._categories
            colour = self._categories[category].colour if known else (160, 160, 160)
            dot = f'<span style="color:rgb{colour}">&#9679;</span> {html.escape(category)} {x.id}'
            place = " ".join(f"{100.0 * v:.0f}" for v in x.estimate.translation)
            rows.append(
                _row(
                    dot,
                    f"{100.0 * x.estimate.confidence:.0f} %",
                    f"{place} cm",
                    html.escape(x.state),
                )
            )
        head = _row("object", "conf.", "x y z", "state", style="opacity:0.6")
        return _TABLE.format(head + "".join(rows)) if rows else "No objects."

    def _show_plots(self, history: History) -> None:
        table = history.table()
        values = {"rate": table[1:2], "latency": table[2:3], "confidence": table[3:5]}
        for name, rows in values.items():
            known = np.isfinite(rows).all(axis=0)
            if np.count_nonzero(known) < 2:  # a line has two ends
                continue
            data = (table[0, known], *rows[:, known])
            plot = self._plots.get(name)
            if self._no_plots is not None:
                self._no_plots.remove()
                self._no_plots = None
            if plot is None:
                self._plots[name] = self._add_plot(name, data)
            else:
                plot.data = data

    def _add_plot(self, name: str, data: tuple[NDArray[np.float64], ...]) -> Any:
        title, series, colours = _PLOTS[name]
        axis = {"stroke": "#8a919e", "grid": {"stroke": "rgba(128,136,150,0.25)"}}
        scales: dict[str, Any] = {"x": {"time": False}}
        if name == "confidence":
            scales["y"] = {"range": (0.0, 1.0)}
        with self._plot_tab:
            return self._gui.add_uplot(
                data,
                (
                    {"label": "seconds"},
                    *(
                        {"label": x, "stroke": colour, "width": 2, "points": {"show": False}}
                        for x, colour in zip(series, colours, strict=True)
                    ),
                ),
                title=title,
                scales=scales,
                axes=(axis, {**axis, "size": _AXIS_PX}),
                legend={"show": False},
                height=_PLOT_PX,
            )


def _title(x: ObjectView) -> str:
    return f"{x.estimate.category} {x.id}"


def _status(view: FrameView, history: History) -> str:
    count = len(view.objects)
    parts = [f"**{view.name}**", f"{count} object{'' if count == 1 else 's'}"]
    if view.frame is None:
        parts.append("no image")
    if np.isfinite(history.rate_hz):
        parts.append(f"{history.rate_hz:.1f} results/s")
    if np.isfinite(history.latency_ms):
        parts.append(f"latency {history.latency_ms:.0f} ms")
    return " · ".join(parts)


def _table(rows: Sequence[tuple[str, str]]) -> str:
    return _TABLE.format("".join(_row(html.escape(a), html.escape(b)) for a, b in rows))


def _row(first: str, *others: str, style: str = "") -> str:
    cells = [f'<td style="{_CELL.format(align="left")};white-space:nowrap">{first}</td>']
    cells += [f'<td style="{_CELL.format(align="right")}">{x}</td>' for x in others]
    return f'<tr style="{style}">{"".join(cells)}</tr>'


def _muted(text: str) -> str:
    return f'<div style="font-size:12px;opacity:0.6;padding:6px">{text}</div>'


def _log(lines: Sequence[str]) -> str:
    if not lines:
        return _muted("No messages.")
    text = "<br>".join(html.escape(x) for x in reversed(lines))
    return (
        f'<div style="font:11px monospace;max-height:400px;overflow:auto;padding:6px">{text}</div>'
    )
