"""Plots of the report, as SVG."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from sdfpose_core.categories import Categories
from sdfpose_core.evaluation.calibration import reliability
from sdfpose_core.evaluation.nocs_protocol import NocsPrecision

__all__ = [
    "ErrorAxes",
    "error_histograms",
    "precision_curves",
    "reliability_plot",
    "stage_times",
]

_SHOWN = 0.95
"""The axes hold at least this share of the errors, unless they exceed the largest limit."""

_DEGREES = (2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 180.0)
_CENTIMETRES = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0)
_IOUS = (0.9, 0.8, 0.6, 0.4, 0.0)
"""Possible limits of the axes, the narrowest first."""

_THRESHOLDS = 61
"""Points of a curve."""

_ERROR_BINS = 30

_ROUNDING = 1e-9
"""Values that exceed a limit by less than this are on it."""

_STYLE: Any = {
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "svg.fonttype": "none",
    "svg.hashsalt": "sdfpose",
    "legend.frameon": False,
}
_PANEL = (3.5, 2.7)
"""Width and height of a panel, inches."""

_INK, _FILL, _MEAN = "#30506e", "#7ea6c9", "#222222"
_BINS = 10
_TICKS, _STEPS = 5, [1, 2, 5, 10]

_TIME_AXIS = 4.0
"""Largest end of the time axis relative to the longest median: outliers do not squeeze it."""


@dataclass(frozen=True)
class ErrorAxes:
    """Limits of the error axes, shared by the curves and histograms of a report.

    Attributes:
        degrees: largest rotation error, degrees; the axis starts at 0.
        centimetres: largest translation error, centimetres; the axis starts at 0.
        iou: smallest 3D IoU; the axis ends at 1.
    """

    degrees: float
    centimetres: float
    iou: float

    @classmethod
    def of(
        cls,
        degrees: NDArray[np.floating],
        centimetres: NDArray[np.floating],
        iou: NDArray[np.floating],
    ) -> ErrorAxes:
        """Choose round limits that hold most of the errors.

        Args:
            degrees: (N,) rotation errors.
            centimetres: (N,) translation errors.
            iou: (N,) 3D IoU; NaN where the true size is unknown.
        """
        return cls(
            _limit(degrees, _DEGREES),
            _limit(centimetres, _CENTIMETRES),
            1.0 - _limit(1.0 - iou, [1.0 - x for x in _IOUS]),
        )

    @property
    def degree_thresholds(self) -> list[float]:
        """Thresholds of the curve over degrees; the last one, infinity, disables the limit."""
        return [*np.linspace(0.0, self.degrees, _THRESHOLDS).tolist(), np.inf]

    @property
    def centimetre_thresholds(self) -> list[float]:
        """Thresholds of the curve over centimetres; the last one, infinity, disables the limit."""
        return [*np.linspace(0.0, self.centimetres, _THRESHOLDS).tolist(), np.inf]

    @property
    def iou_thresholds(self) -> list[float]:
        """Thresholds of the curve over 3D IoU."""
        thresholds: list[float] = np.linspace(self.iou, 1.0, _THRESHOLDS).tolist()
        return thresholds


def _limit(values: NDArray[np.floating], limits: Sequence[float]) -> float:
    """Choose the narrowest limit that holds most of the finite values; the widest if none does."""
    values = values[np.isfinite(values)]
    if not len(values):
        return limits[-1]
    most = float(np.quantile(values, _SHOWN, method="higher"))
    return next((x for x in limits if most <= x + _ROUNDING), limits[-1])


def precision_curves(
    found: Mapping[str, NocsPrecision], categories: Categories, limits: ErrorAxes
) -> str:
    """Plot average precision over thresholds of IoU, degrees and centimetres.

    Args:
        found: average precision by category, at the thresholds of `limits`.
        categories: table of categories, with their colours.
        limits: limits of the axes.
    """
    known = {name: x for name, x in found.items() if x.truths}
    with _figure(3) as (figure, axes):
        panels = [
            ("3D IoU", limits.iou_thresholds, {k: x.iou for k, x in known.items()}),
            (
                "rotation error (°)",
                limits.degree_thresholds[:-1],
                {k: x.pose[:-1, -1] for k, x in known.items()},
            ),
            (
                "translation error (cm)",
                limits.centimetre_thresholds[:-1],
                {k: x.pose[-1, :-1] for k, x in known.items()},
            ),
        ]
        for axis, (label, thresholds, curves) in zip(axes, panels, strict=True):
            for name, curve in curves.items():
                colour = np.array(categories[name].colour) / 255.0
                axis.plot(thresholds, 100.0 * curve, color=colour, linewidth=1.4, label=name)
            if len(curves) > 1:
                mean = np.mean([100.0 * x for x in curves.values()], axis=0)
                axis.plot(thresholds, mean, color=_MEAN, linewidth=1.8, ls="--", label="mean")
            axis.set(xlabel=label, ylim=(0.0, 102.0), xlim=(thresholds[0], thresholds[-1]))
            axis.xaxis.set_major_locator(MaxNLocator(_TICKS, steps=_STEPS))
        axes[0].set_ylabel("average precision (%)")
        axes[0].legend(loc="lower left", fontsize="small")
        return _svg(figure, "Average precision over thresholds")


def error_histograms(
    degrees: NDArray[np.floating],
    centimetres: NDArray[np.floating],
    iou: NDArray[np.floating],
    limits: ErrorAxes,
) -> str:
    """Plot histograms of the errors; errors beyond a limit are counted in the outermost bin.

    Args:
        degrees: (N,) rotation errors.
        centimetres: (N,) translation errors.
        iou: (N,) 3D IoU; NaN where the true size is unknown.
        limits: limits of the axes.
    """
    with _figure(3) as (figure, axes):
        panels = [
            ("rotation error (°)", degrees, 0.0, limits.degrees),
            ("translation error (cm)", centimetres, 0.0, limits.centimetres),
            ("3D IoU", iou[np.isfinite(iou)], limits.iou, 1.0),
        ]
        for axis, (label, values, low, high) in zip(axes, panels, strict=True):
            edges = np.linspace(low, high, _ERROR_BINS + 1)
            inside = np.clip(values, low, high)
            axis.hist(inside, bins=edges.tolist(), color=_FILL, edgecolor="white", linewidth=0.3)
            for count, text, x in (
                (int((values < low - _ROUNDING).sum()), f"below {low:g}", 0.0),
                (int((values > high + _ROUNDING).sum()), f"above {high:g}", 1.0),
            ):
                if count:
                    axis.annotate(
                        f"{count} {text}",
                        (x, 1.0),
                        xycoords="axes fraction",
                        ha="right" if x else "left",
                        va="bottom",
                    )
            if len(values):
                median = float(np.clip(np.median(values), low, high))
                axis.axvline(median, color=_INK, linewidth=1.2)
            axis.set(xlabel=label, xlim=(low, high))
            axis.xaxis.set_major_locator(MaxNLocator(_TICKS, steps=_STEPS))
            axis.yaxis.set_major_locator(_counts())
        axes[0].set_ylabel("objects")
        return _svg(figure, "Distribution of errors; lines: medians")


def reliability_plot(confidence: NDArray[np.floating], right: NDArray[np.bool_]) -> str:
    """Plot the accuracy and the number of estimates over confidence."""
    with _figure(2) as (figure, axes):
        mean, share, count = reliability(confidence, right, _BINS)
        some = count > 0
        axes[0].plot([0, 1], [0, 1], color="#999999", linewidth=1.0, ls=":")
        axes[0].plot(mean[some], share[some], color=_INK, marker="o", markersize=4)
        axes[0].set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1.02))
        width = 1.0 / _BINS
        axes[1].bar((np.arange(_BINS) + 0.5) * width, count, 0.9 * width, color=_FILL)
        axes[1].set(xlabel="confidence", ylabel="objects", xlim=(0, 1))
        axes[1].yaxis.set_major_locator(_counts())
        return _svg(figure, "Reliability of the confidence")


def stage_times(stage_ms: Mapping[str, Sequence[float]]) -> str:
    """Plot wall time by stage: median, and 5th to 95th percentile.

    A percentile beyond the axis is written beside its line.
    """
    names = list(stage_ms)[::-1]
    low, middle, high = np.array([np.percentile(stage_ms[x], [5, 50, 95]) for x in names]).T
    limit = min(float(high.max()), _TIME_AXIS * float(middle.max()))
    with _figure(1, (7.0, 0.6 + 0.32 * len(names))) as (figure, axes):
        axes[0].barh(names, middle, height=0.6, color=_FILL)
        axes[0].hlines(names, low, np.minimum(high, limit), color=_INK, linewidth=1.2)
        for name, value, end in zip(names, middle, high, strict=True):
            text = f"{value:.1f}" if end <= limit else f"{value:.1f} (to {end:.0f})"
            axes[0].annotate(
                text, (min(end, limit), name), (4, 0), textcoords="offset points", va="center"
            )
        axes[0].grid(visible=False, axis="y")
        axes[0].set(xlabel="ms per frame")
        axes[0].set_xlim(left=0.0)
        return _svg(figure, "Wall time by stage")


def _counts() -> MaxNLocator:
    """Round whole numbers as ticks."""
    return MaxNLocator(_TICKS, integer=True, steps=_STEPS)


@contextmanager
def _figure(
    panels: int, size: tuple[float, float] | None = None
) -> Iterator[tuple[Figure, list[Axes]]]:
    width, height = size or (panels * _PANEL[0], _PANEL[1])
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure, list(figure.subplots(1, panels, squeeze=False)[0])


def _svg(figure: Figure, title: str) -> str:
    """Convert a figure to an SVG element that scales with the page."""
    target = io.StringIO()
    figure.savefig(target, format="svg", metadata={"Date": None, "Creator": None, "Title": title})
    text = target.getvalue()
    text = text[text.index("<svg") :]
    # Element ids must be unique on the page, so each figure gets its own prefix.
    prefix = re.sub(r"\W+", "-", title.lower())
    text = re.sub(r'\bid="', f'id="{prefix}-', text)
    text = re.sub(r'(url\(#|href="#)', rf"\1{prefix}-", text)
    return re.sub(r'<svg ([^>]*?)width="[^"]*" height="[^"]*"', r"<svg \1", text, count=1)
