"""Check whether depth is registered to colour, by the edges that both show.

Where depth jumps from a near surface to a far one, colour mostly has an edge. The mean strength of
the colour edges below the depth edges is therefore largest where the two images fit. It is computed
for all shifts at once by Fourier transforms, as in template matching, and for some scales: raw
depth mostly has another field of view.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sdfpose_core.diagnosis.findings import Finding
from sdfpose_core.diagnosis.sample import CameraView

__all__ = ["Fit", "best_fit", "check_alignment"]

_WIDTH_PX = 320
"""Images are reduced to this width..."""

_REACH_PX = 24
"""...and shifted by up to this many of its pixels."""

_TOLERANCE_PX = 3
"""Depth of consumer cameras is up to so many pixels off at edges (the reach of a stereo matcher).
"""

_SLIGHT_PX, _WRONG_PX = 4.0, 6.0
"""From these shifts on alignment is doubtful, and wrong."""

_SCALES = tuple(float(np.exp(0.04 * x)) for x in range(-11, 12) if x)
"""Ratios of the fields of view that are tried besides 1: 0.64 to 1.55."""

_EVIDENCE = 3.5
"""A peak this many standard deviations above the mean of all shifts is an alignment..."""

_STRONG_EVIDENCE = 5.0
"""...and one far from zero has to be this high, because it is one of many."""

_LEAST_OVERLAP = 0.6
"""Share of the depth edges that a shift must leave in the image."""

_LEAST_EDGES = 150
"""Fewer depth edges in a view say nothing."""

_JUMP_SHARE, _JUMP_M = 0.03, 0.015
"""An edge is a jump of depth by more than this share of the depth and this length."""

_HOLE_PX = 9
"""Depth that is missing beside an edge takes the farthest depth within this many pixels: shadows of
the second camera lie on what is behind."""

_SURROUNDINGS_PX = 8.0
_NOISE_GREY = 8.0
"""Colour edges are compared with the mean in these surroundings, and with noise."""


@dataclass(frozen=True)
class Fit:
    """How well depth edges fit colour edges at one scale and shift.

    Attributes:
        scale: factor by which depth has to be enlarged about the centre of the image.
        shift: by which it has to be moved right and down, share of the width of the image.
        evidence: height of the mean strength of the colour edges below the depth edges, above its
            mean over all shifts, in standard deviations.
    """

    scale: float
    shift: tuple[float, float]
    evidence: float


@dataclass(frozen=True)
class _Edges:
    """Edges of a reduced view.

    Attributes:
        depth: (h, w) bool.
        colour: (P, Q) complex, spectrum of the strength of the colour edges, 0 to 1.
        inside: (P, Q) complex, spectrum of an image of ones.
    """

    depth: NDArray[np.bool_]
    colour: NDArray[np.complexfloating]
    inside: NDArray[np.complexfloating]


def check_alignment(views: Sequence[CameraView]) -> Finding | None:
    """Check whether depth is registered to colour; None without both images.

    Args:
        views: moments to look at, together.
    """
    name = "alignment"
    remedy = (
        "use the depth that is registered to colour: the registration of the driver "
        "(align_depth of a RealSense) or depth_image_proc, with calibrated extrinsics"
    )
    both = [(x.colour, x.depth) for x in views if x.colour is not None and x.depth is not None]
    if not both:
        return None
    for colour, depth in both:
        if depth.shape != colour.shape[:2]:
            (height, width), (rows, columns) = depth.shape, colour.shape[:2]
            return Finding(
                "fault",
                name,
                f"depth has {width}x{height} pixels and colour {columns}x{rows}: it is not "
                "registered to colour",
                remedy,
            )
    columns = both[0][0].shape[1]
    found = best_fit(both)
    if found is None:
        return Finding("ok", name, "not judged: depth and colour share too few edges")
    right, down = (x * columns for x in found.shift)
    if found.scale != 1.0:
        return Finding(
            "fault",
            name,
            f"depth fits colour when it is enlarged by {found.scale:.2f}: it has another field of "
            "view, and is not registered to colour",
            remedy,
        )
    offset = float(np.hypot(*found.shift)) * _WIDTH_PX
    if offset >= _SLIGHT_PX:
        return Finding(
            "fault" if offset >= _WRONG_PX else "warning",
            name,
            f"depth is {np.hypot(right, down):.0f} pixels beside colour ({-right:+.0f} to the "
            f"right, {-down:+.0f} down)",
            remedy,
        )
    return Finding("ok", name, f"edges of depth and colour agree within {_pixels(columns)} pixels")


def best_fit(
    images: Sequence[tuple[NDArray[np.uint8], NDArray[np.float32]]],
) -> Fit | None:
    """Find the shift, or else the scale and shift, at which depth fits colour best.

    The identity counts if its evidence suffices, whatever else fits: chance fits are many.

    Args:
        images: colour (H, W, 3), RGB, and depth (H, W), metres, 0 = missing, of some moments.

    Returns:
        The fit; None if there are too few edges, or none of the fits is beyond chance.
    """
    edges = [x for x in (_edges(*y) for y in images) if np.count_nonzero(x.depth) >= _LEAST_EDGES]
    edges = [x for x in edges if x.depth.shape == edges[0].depth.shape]
    if not edges:
        return None
    same_scale = _fit(edges, 1.0)
    if same_scale is None:
        return None
    here = _fit(edges, 1.0, near_zero=True)
    if here is not None and here.evidence >= _EVIDENCE:
        return here
    others = [same_scale, *(_fit(edges, x) for x in _SCALES)]
    best = max((x for x in others if x is not None), key=lambda x: x.evidence)
    return best if best.evidence >= _STRONG_EVIDENCE else None


def _fit(edges: Sequence[_Edges], scale: float, *, near_zero: bool = False) -> Fit | None:
    """Find the best shift at a scale, or the best within the tolerance."""
    size = _spectrum_size(edges[0].depth)
    strength, count = np.zeros_like(edges[0].colour), np.zeros_like(edges[0].inside)
    for x in edges:
        moved = np.conj(np.fft.rfft2(_scaled(x.depth, scale), size))
        strength += moved * x.colour
        count += moved * x.inside
    # The correlations of all views add up, so one inverse transform gives their sum.
    shifts = np.arange(-_REACH_PX, _REACH_PX + 1)
    total, counts = (np.fft.irfft2(x, size)[np.ix_(shifts, shifts)] for x in (strength, count))
    points = sum(int(np.count_nonzero(x.depth)) for x in edges)
    usable = counts >= _LEAST_OVERLAP * points
    if np.count_nonzero(usable) < usable.size // 4:
        return None
    scores = np.where(usable, total / np.maximum(counts, 1.0), -np.inf)
    mean, spread = float(scores[usable].mean()), float(scores[usable].std())
    if near_zero:
        ring = np.ones_like(usable)
        middle = slice(_REACH_PX - _TOLERANCE_PX, _REACH_PX + _TOLERANCE_PX + 1)
        ring[middle, middle] = False
        scores[ring] = -np.inf
    row, column = np.unravel_index(int(scores.argmax()), scores.shape)
    score = float(scores[row, column])
    width = edges[0].depth.shape[1]
    return Fit(
        scale,
        ((int(column) - _REACH_PX) / width, (int(row) - _REACH_PX) / width),
        (score - mean) / max(spread, 1e-6),
    )


def _edges(colour: NDArray[np.uint8], depth: NDArray[np.float32]) -> _Edges:
    height, width = depth.shape
    size = (_WIDTH_PX, max(round(height * _WIDTH_PX / width), 1))
    small = np.asarray(cv2.resize(colour, size, interpolation=cv2.INTER_AREA), np.float32)
    nearest = np.asarray(cv2.resize(depth, size, interpolation=cv2.INTER_NEAREST), np.float32)
    strength = _colour_edges(small)
    padded = _spectrum_size(strength)
    return _Edges(
        _depth_edges(nearest),
        np.fft.rfft2(strength, padded),
        np.fft.rfft2(np.ones_like(strength), padded),
    )


def _colour_edges(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Strength (h, w) of the edges of an image (h, w, 3), relative to their surroundings."""
    smooth = cv2.GaussianBlur(image, (0, 0), 1.0)
    right, down = (cv2.Sobel(smooth, cv2.CV_32F, x, y) for x, y in ((1, 0), (0, 1)))
    strength = np.hypot(right, down).max(axis=-1)
    around = cv2.GaussianBlur(strength, (0, 0), _SURROUNDINGS_PX)
    return np.asarray(strength / (strength + around + np.float32(_NOISE_GREY)), np.float32)


def _depth_edges(depth: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Select the measured pixels (h, w) at the border of what is nearer than its neighbour."""
    farthest = cv2.dilate(depth, np.ones((2 * _HOLE_PX + 1, 2 * _HOLE_PX + 1), np.uint8))
    filled = np.where(depth > 0.0, depth, np.asarray(farthest))
    jump = np.asarray(cv2.dilate(filled, np.ones((3, 3), np.uint8))) - filled
    edge = (depth > 0.0) & (jump > np.maximum(_JUMP_SHARE * depth, _JUMP_M))
    edge[:2] = edge[-2:] = False
    edge[:, :2] = edge[:, -2:] = False
    return np.asarray(edge)


def _scaled(edges: NDArray[np.bool_], scale: float) -> NDArray[np.bool_]:
    """Enlarge edges (h, w) about the centre of the image; their number stays."""
    if scale == 1.0:
        return edges
    size = np.array(edges.shape)
    places = np.argwhere(edges)
    moved = np.rint((places - 0.5 * size) * scale + 0.5 * size).astype(int)
    inside = np.all((moved >= 0) & (moved < size), axis=1)
    out = np.zeros_like(edges)
    out[tuple(moved[inside].T)] = True
    return out


def _spectrum_size(image: NDArray[np.generic]) -> tuple[int, int]:
    """Return a size for transforms of an image (h, w) that is shifted without wrapping around."""
    height, width = image.shape
    return cv2.getOptimalDFTSize(height + _REACH_PX), cv2.getOptimalDFTSize(width + _REACH_PX)


def _pixels(width: int) -> int:
    """Return the tolerance in pixels of an image of this width."""
    return round(_TOLERANCE_PX * width / _WIDTH_PX)
