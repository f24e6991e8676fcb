"""Checks of the colour images: exposure and sharpness."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from sdfpose_core.diagnosis.findings import Finding, Level
from sdfpose_core.diagnosis.sample import CameraView

__all__ = ["check_exposure", "check_sharpness", "edge_blur"]

_WIDTH_PX = 640
"""Larger images are reduced to this width: thresholds in pixels refer to it."""

_LEAST_CONTRAST = 3.0
"""Standard deviation of the grey levels of an image that shows something, as `is_blank` has it."""

_DARK, _DIM = 16.0, 60.0
"""An image whose brightest parts (95th percentile) have at most these grey levels is dark."""

_SATURATED = 250
"""Grey level from which a pixel is saturated..."""

_MOST_SATURATED, _MANY_SATURATED = 0.5, 0.3
"""...and shares of saturated pixels in an overexposed image."""

_FINE_PX, _COARSE_PX = 1.0, 2.5
"""Standard deviations of the two Gaussians whose gradients are compared at edges."""

_EDGE_STRENGTH = 2.0
"""Smallest gradient of an edge in the coarser image, grey levels per pixel: noise has less."""

_LEAST_EDGES = 40
"""With fewer edges in a direction, nothing is said about its blur."""

_DIRECTIONS = 4

_BORDER_PX = 8

_SOFT_PX, _BLURRED_PX = 2.3, 3.0
"""Median blur of the edges of one direction: a lens and a sensor have about 1 pixel."""

_SHARP_PX = 1.6
"""Median blur of the sharpest direction, up to which the blur of another is that of a motion."""


def check_exposure(views: Sequence[CameraView]) -> Finding | None:
    """Check that the colour images are neither dark, nor saturated, nor of one grey; None without.

    Args:
        views: moments to look at; the typical (median) one counts.
    """
    images = [_grey(x.colour) for x in views if x.colour is not None]
    if not images:
        return None
    contrast = float(np.median([x.std() for x in images]))
    brightest = float(np.median([np.percentile(x, 95.0) for x in images]))
    mean = float(np.median([x.mean() for x in images]))
    saturated = float(np.median([np.mean(x >= _SATURATED) for x in images]))
    text = f"mean grey level {mean:.0f} of 255, {saturated:.0%} of the pixels saturated"
    lens = "uncover the lens, and check exposure and encoding of the colour image"
    if contrast < _LEAST_CONTRAST:
        return Finding("fault", "exposure", f"the image shows nothing: {text}", lens)
    if brightest < _DIM:
        return Finding(
            "fault" if brightest < _DARK else "warning",
            "exposure",
            f"the image is dark: {text}",
            "add light, or raise exposure or gain; let automatic exposure settle",
        )
    if saturated > _MANY_SATURATED:
        return Finding(
            "fault" if saturated > _MOST_SATURATED else "warning",
            "exposure",
            f"the image is overexposed: {text}",
            "lower exposure or gain; let automatic exposure settle",
        )
    return Finding("ok", "exposure", text)


def check_sharpness(views: Sequence[CameraView]) -> Finding | None:
    """Check that the edges of the colour images are sharp in all directions; None without images.

    An image that moves during the exposure has blurred edges across the motion and sharp ones
    along it; one out of focus is blurred in all directions.

    Args:
        views: moments to look at, together.
    """
    images = [x.colour for x in views if x.colour is not None]
    if not images:
        return None
    parts = [edge_blur(x) for x in images]
    by_direction = [np.concatenate([x[i] for x in parts]) for i in range(_DIRECTIONS)]
    medians = [float(np.median(x)) for x in by_direction if len(x) >= _LEAST_EDGES]
    if not medians:
        return Finding("ok", "sharpness", "not judged: the images have too few edges")
    worst, best = max(medians), min(medians)
    if worst <= _SOFT_PX:
        return Finding("ok", "sharpness", f"edges are blurred by {worst:.1f} pixels")
    level: Level = "fault" if worst > _BLURRED_PX else "warning"
    if best < _SHARP_PX or best < 0.5 * worst:
        return Finding(
            level,
            "sharpness",
            f"motion blur: edges are blurred by {worst:.1f} pixels in one direction and "
            f"{best:.1f} in another",
            "shorten the exposure and add light, or move camera and objects more slowly",
        )
    return Finding(
        level,
        "sharpness",
        f"the image is blurred by {worst:.1f} pixels (motion, or out of focus)",
        "shorten the exposure and add light; clean the lens and focus it; switch off noise filters",
    )


def edge_blur(image: NDArray[np.uint8]) -> list[NDArray[np.float64]]:
    """Measure the blur of the edges of an image: standard deviation of a Gaussian, pixels.

    A step that is blurred by b has the gradient of a Gaussian of that width; blurring it once more
    by two known widths and comparing the gradients gives b (Zhuo and Sim, "Defocus map estimation
    from a single image", Pattern Recognition 2011).

    Args:
        image: (H, W, 3) uint8, RGB; a wider one than 640 pixels is reduced first.

    Returns:
        The blur of each edge pixel, by direction of the gradient: right, right and down, down,
        left and down.
    """
    if image.shape[1] > _WIDTH_PX:
        size = (_WIDTH_PX, max(round(image.shape[0] * _WIDTH_PX / image.shape[1]), 1))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    grey = _grey(image)
    fine, down, right = _gradient(grey, _FINE_PX)
    coarse, _, _ = _gradient(grey, _COARSE_PX)
    ridge = fine >= np.asarray(cv2.dilate(fine, np.ones((5, 5), np.uint8)))
    edge = ridge & (coarse > _EDGE_STRENGTH)
    edge[:_BORDER_PX] = edge[-_BORDER_PX:] = False
    edge[:, :_BORDER_PX] = edge[:, -_BORDER_PX:] = False
    ratio = np.maximum(fine[edge].astype(np.float64) / coarse[edge], 1.001) ** 2
    variance = (_COARSE_PX**2 - ratio * _FINE_PX**2) / (ratio - 1.0)
    blur = np.sqrt(np.maximum(variance, 0.0))
    angle = np.arctan2(down[edge], right[edge])
    direction = np.rint(angle * _DIRECTIONS / np.pi).astype(int) % _DIRECTIONS
    return [blur[direction == i] for i in range(_DIRECTIONS)]


def _gradient(
    grey: NDArray[np.float32], blur_px: float
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return magnitude, vertical and horizontal part (H, W) of the gradient of a blurred image."""
    smooth = cv2.GaussianBlur(grey, (0, 0), blur_px)
    right, down = (
        np.asarray(cv2.Sobel(smooth, cv2.CV_32F, x, y, scale=0.125), dtype=np.float32)
        for x, y in ((1, 0), (0, 1))
    )
    return np.asarray(np.hypot(right, down)), down, right


def _grey(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), dtype=np.float32)
