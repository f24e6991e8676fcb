"""Report as one self-contained HTML file for current browsers."""

from __future__ import annotations

import base64
import dataclasses
import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import cv2
import jinja2
import numpy as np
import yaml
from numpy.typing import NDArray

from sdfpose_core.categories import Categories
from sdfpose_core.datasets.nocs_results import NocsResult
from sdfpose_core.evaluation.frame_evaluation import FrameEvaluation
from sdfpose_core.evaluation.frame_metrics import (
    MIN_OBJECTS,
    evaluated_objects,
    frame_metrics,
    frame_result,
    is_correct,
)
from sdfpose_core.evaluation.nocs_protocol import IouName, MissPolicy
from sdfpose_core.evaluation.nocs_results import precisions
from sdfpose_core.visualisation.pictures import ErrorImage
from sdfpose_core.visualisation.plots import (
    ErrorAxes,
    error_histograms,
    precision_curves,
    reliability_plot,
    stage_times,
)

__all__ = ["report_page"]

_TEMPLATE = "report.html.jinja"
_PACKAGES = ("sdfpose", "torch", "numpy", "open3d", "scipy", "opencv-python-headless")
_JPEG_QUALITY = 88

_TITLES = {
    "n": "objects",
    "iou25": "IoU 25",
    "iou50": "IoU 50",
    "iou75": "IoU 75",
    "deg5_cm2": "5° 2 cm",
    "deg5_cm5": "5° 5 cm",
    "deg10_cm2": "10° 2 cm",
    "deg10_cm5": "10° 5 cm",
    "rot_err_deg_median": "rotation (°)",
    "trans_err_cm_median": "translation (cm)",
    "iou3d_oriented_median": "3D IoU",
}


def report_page(
    title: str,
    frames: Sequence[FrameEvaluation],
    categories: Categories,
    *,
    facts: Mapping[str, str],
    problems: Sequence[str] = (),
    pictures: Sequence[ErrorImage] = (),
    configuration: Any = None,
    iou: IouName = "oriented",
    misses: MissPolicy = "count",
    results: Sequence[NocsResult] | None = None,
) -> str:
    """Create the HTML page of a report.

    Args:
        title: heading of the page.
        frames: evaluated frames; frames without ground truth are used for the times only.
        categories: table of categories, with their colours.
        facts: further information, in the given order.
        problems: what was dropped or skipped, and why.
        pictures: images of the worst estimates.
        configuration: a dataclass, or None.
        iou: see `nocs_precision`.
        misses: see `nocs_precision`.
        results: see `frame_metrics`.
    """
    found = frame_metrics(frames, iou=iou, misses=misses, results=results)
    plots = _plots(frames, categories, iou, misses, results)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("sdfpose_core.visualisation", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(_TEMPLATE).render(
        title=title,
        facts=facts,
        figures=found,
        titles=_TITLES,
        cell=_cell,
        few=MIN_OBJECTS,
        plots=plots,
        pictures=[(x.caption, _data_url(x.image)) for x in pictures],
        problems=problems,
        configuration="" if configuration is None else _as_yaml(configuration),
        versions=_versions(),
    )


def _plots(
    frames: Sequence[FrameEvaluation],
    categories: Categories,
    iou: IouName,
    misses: MissPolicy,
    results: Sequence[NocsResult] | None,
) -> dict[str, str]:
    plots = dict.fromkeys(("curves", "histograms", "reliability", "times"), "")
    known = [x for x in frames if x.truths is not None]
    evaluated = evaluated_objects(known)
    errors = [x.errors for x in evaluated if x.errors is not None]
    if errors:
        degrees = np.array([x.rot_err_deg for x in errors])
        centimetres = np.array([x.trans_err_cm for x in errors])
        ious = np.array([x.iou3d_oriented for x in errors])
        limits = ErrorAxes.of(degrees, centimetres, ious)
        found = precisions(
            [frame_result(x) for x in known] if results is None else results,
            ious=limits.iou_thresholds,
            degrees=limits.degree_thresholds,
            centimetres=limits.centimetre_thresholds,
            iou=iou,
            misses=misses,
        )
        plots["curves"] = precision_curves(found, categories, limits)
        plots["histograms"] = error_histograms(degrees, centimetres, ious, limits)
        plots["reliability"] = reliability_plot(
            np.array([x.reported.confidence for x in evaluated]),
            np.array([is_correct(x) for x in errors]),
        )
    stages = dict.fromkeys(stage for x in frames for stage in x.stage_ms)
    if stages:
        plots["times"] = stage_times(
            {k: [x.stage_ms[k] for x in frames if k in x.stage_ms] for k in stages}
        )
    return plots


def _cell(key: str, value: float | None) -> str:
    """Format a value for a table."""
    if value is None or not np.isfinite(value):
        return "-"
    if key == "n":
        return f"{value:.0f}"
    return f"{value:.2f}" if key.endswith("_median") else f"{value:.1f}"


def _data_url(image: NDArray[np.uint8]) -> str:
    quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    encoded = cv2.imencode(".jpg", image[..., ::-1], quality)[1].tobytes()
    return f"data:image/jpeg;base64,{base64.b64encode(encoded).decode()}"


def _as_yaml(configuration: Any) -> str:
    return yaml.safe_dump(_plain(dataclasses.asdict(configuration)), sort_keys=False)


def _plain(value: Any) -> Any:
    """Convert a value to types that YAML supports."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(x) for x in value]
    return str(value) if isinstance(value, Path) else value


def _versions() -> dict[str, str]:
    versions = {"Python": platform.python_version(), "machine": platform.machine()}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions
