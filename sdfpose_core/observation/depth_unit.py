"""The unit of depth images: parse it, and find out whether it is wrong.

Cameras and data sets store 16-bit depth in millimetres (REP-118), but also in 0.1 mm (YCB-Video),
0.125 mm (SR300), 0.25 mm (L515) or 1/5000 m (TUM RGB-D). A wrong unit makes every object too large
or too small by the same factor, which the sizes of known categories reveal.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.categories import Categories
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.observation.frame import MAX_DEPTH_M, InstanceLabel
from sdfpose_core.observation.segmentation import label_candidates

__all__ = ["MILLIMETRE", "depth_unit_problem", "parse_depth_unit"]

MILLIMETRE = 0.001
"""Default unit of 16-bit depth, metres."""

_NAMED_UNITS = {"m": 1.0, "cm": 0.01, "mm": MILLIMETRE, "um": 1e-6, "µm": 1e-6}

_UNIT = re.compile(r"\s*([0-9.]+(?:e[+-]?[0-9]+)?)?\s*(m|cm|mm|um|µm)?\s*(?:\(.*\))?\s*", re.I)
"""An optional number, an optional name of a unit, and a comment in parentheses."""

_COMMON_UNITS_M = (1.0, 0.01, 0.001, 0.00025, 0.0002, 0.000125, 0.0001, 1e-6)
"""Units that cameras and data sets use, metres."""

_UNIT_TOLERANCE = 1.45
"""Common units that differ from the measured one by at most this factor are suggested..."""

_UNIT_TOLERANCE_ANY = 2.2
"""...and this is the factor where the categories are unknown."""

_VISIBLE_SHARE = 0.75
"""Share of an object's diagonal that its mask spans in a typical view."""

_MAX_RATIO = 2.5
"""Objects that are larger than expected by more than this factor are implausible..."""

_MIN_RATIO = 0.3
"""...and those that are smaller than this share, in a frame with several objects..."""

_MIN_RATIO_FEW = 0.2
"""...or this share in a frame with only one or two, which may be hidden in part."""

_SEVERAL = 3

_MIN_PIXELS = 50
"""Masks with fewer pixels with depth are not checked."""

_MAX_PIXELS = 80_000
"""Of larger images, about as many pixels are checked."""

_MAX_IMAGE_SHARE = 0.5
"""Masks that cover a larger share of the image say nothing about the size of an object."""

_OUTER_PERCENTILES = (5.0, 95.0)
"""Extent of a mask, so that a few stray pixels do not count."""

_MAX_IMPLAUSIBLE_SHARE = 0.5
"""The unit is wrong if a larger share of the pixels or instances is implausible."""

_MIN_DEPTH_M = 0.05
"""Depth cameras do not measure closer than this."""


def parse_depth_unit(value: Any, where: str) -> float:
    """Parse a depth unit: metres per unit, or a name such as ``mm`` or ``0.1 mm``.

    Args:
        value: the number or the text; a comment in parentheses is ignored.
        where: name of the option or key, for the error.

    Raises:
        ConfigurationError: the value is no length above 0 and of at most 1 m.
    """
    unit = math.nan
    if isinstance(value, int | float) and not isinstance(value, bool):
        unit = float(value)
    elif isinstance(value, str) and (match := _UNIT.fullmatch(value)) and (match[1] or match[2]):
        try:
            unit = float(match[1] or 1.0) * _NAMED_UNITS[(match[2] or "m").lower()]
        except ValueError:  # e.g. 0.0.1
            unit = math.nan
    if not 0.0 < unit <= 1.0:
        raise ConfigurationError(
            f"{where} is {value!r}: expected metres per unit of depth, above 0 and at most 1, for "
            "example 0.001 for millimetres and 0.0002 for 5000 units per metre; or mm, 0.1mm, m"
        )
    return unit


def depth_unit_problem(
    depth: NDArray[np.floating],
    mask: NDArray[np.integer],
    camera: PinholeCamera,
    labels: Mapping[int, InstanceLabel],
    categories: Categories,
    unit_m: float,
) -> str | None:
    """Describe why the unit of a depth image seems wrong; None if it does not.

    Args:
        depth: (H, W), metres as decoded with `unit_m`, not limited to `MAX_DEPTH_M`.
        mask: (H, W), instance id per pixel.
        camera: intrinsics.
        labels: categories of the mask ids; ids without a known category are not checked.
        categories: known categories with their sizes.
        unit_m: metres per unit that `depth` was decoded with.
    """
    implausible = _implausible_sizes(depth, mask, camera, labels, categories)
    sizes = "" if implausible is None else implausible.describe(unit_m)
    with np.errstate(invalid="ignore"):
        measured = depth[(depth > 0) & (depth < np.inf)]
    if measured.size and np.mean(measured > MAX_DEPTH_M) > _MAX_IMPLAUSIBLE_SHARE:
        problem = (
            f"depth with a median of {float(np.median(measured)):.0f} m: expected at most "
            f"{MAX_DEPTH_M:.0f} m"
        )
    elif measured.size and np.mean(measured < _MIN_DEPTH_M) > _MAX_IMPLAUSIBLE_SHARE:
        problem = (
            f"depth with a median of {1e3 * float(np.median(measured)):.3g} mm: expected at least "
            f"{1e3 * _MIN_DEPTH_M:.0f} mm"
        )
    else:
        return sizes or None
    remedy = sizes or "set depth_unit to the metres per unit of depth"
    return f"{problem} (32FC1 is in metres, 16UC1 in millimetres); {remedy}"


@dataclass(frozen=True)
class _Sizes:
    """Sizes of the masks of a frame at their depth.

    Attributes:
        ratio: median size, in typical sizes of the category.
        exact: whether the categories are known.
    """

    ratio: float
    exact: bool

    def describe(self, unit_m: float) -> str:
        """Describe the likely unit of depth that was decoded with `unit_m`."""
        unit = unit_m / self.ratio
        tolerance = _UNIT_TOLERANCE if self.exact else _UNIT_TOLERANCE_ANY
        common = [x for x in _COMMON_UNITS_M if _factor(x, unit) < tolerance]
        times = f"{self.ratio:.1f}" if self.ratio >= 1.0 else f"{self.ratio:.2g}"
        problem = f"objects are {times} times as large as their categories"
        if not common:
            return (
                f"depth is in another unit than {_name(unit_m)}, or the intrinsics are wrong: "
                f"{problem}; set depth_unit to the metres per unit of depth (about {unit:.2g})"
            )
        best, *others = sorted(common, key=lambda x: _factor(x, unit))
        return (
            f"depth looks like units of {_or(_name(best), map(_name, others))}: {problem}; set "
            f"depth_unit to {_or(f'{best:g}', (f'{x:g}' for x in others))}"
        )


def _implausible_sizes(
    depth: NDArray[np.floating],
    mask: NDArray[np.integer],
    camera: PinholeCamera,
    labels: Mapping[int, InstanceLabel],
    categories: Categories,
) -> _Sizes | None:
    """Sizes of the masks; None if half of them are plausible, or none can be judged."""
    ratios, bounds, exact = [], [], True
    for mask_id, extent in _extents_m(depth, mask, camera).items():
        if mask_id not in labels:
            continue
        candidates = label_candidates(labels[mask_id].category, categories)
        typical = [_VISIBLE_SHARE * x.diagonal_m for x in candidates]
        if typical:
            exact &= len(typical) == 1
            ratios.append(extent / float(np.exp(np.mean(np.log(typical)))))
            bounds.append((extent / max(typical), extent / min(typical)))
    if not ratios:
        return None
    lower, upper = np.array(bounds).T
    smallest = _MIN_RATIO if len(ratios) >= _SEVERAL else _MIN_RATIO_FEW
    share = max(np.mean(lower > _MAX_RATIO), np.mean(upper < smallest))
    return _Sizes(float(np.median(ratios)), exact) if share > _MAX_IMPLAUSIBLE_SHARE else None


def _extents_m(
    depth: NDArray[np.floating], mask: NDArray[np.integer], camera: PinholeCamera
) -> dict[int, float]:
    """Diagonal of each mask at its median depth, metres; of those that can be measured."""
    step = max(1, round(math.sqrt(mask.size / _MAX_PIXELS)))
    small = mask[::step, ::step]
    v, u = np.nonzero(small)
    ids, z = small[v, u], depth[v * step, u * step]
    if not len(ids):
        return {}
    order = np.argsort(ids, kind="stable")
    present, first = np.unique(ids[order], return_index=True)
    extents = {}
    for mask_id, rows in zip(present, np.split(order, first[1:]), strict=True):
        with np.errstate(invalid="ignore"):
            measured = z[rows][(z[rows] > 0) & (z[rows] < np.inf)]
        enough = len(measured) * step**2 >= _MIN_PIXELS
        if enough and len(rows) <= _MAX_IMAGE_SHARE * small.size:
            angles = np.stack([u[rows] / camera.fx, v[rows] / camera.fy]) * step
            low, high = np.percentile(angles, _OUTER_PERCENTILES, axis=1)
            extents[int(mask_id)] = float(np.linalg.norm(high - low) * np.median(measured))
    return extents


def _factor(one: float, other: float) -> float:
    return max(one / other, other / one)


def _or(first: str, others: Iterable[str]) -> str:
    also = ", ".join(others)
    return f"{first} (or {also})" if also else first


def _name(unit_m: float) -> str:
    """Format a unit in metres or millimetres."""
    return f"{unit_m:g} m" if unit_m >= 0.01 else f"{1e3 * unit_m:g} mm"
