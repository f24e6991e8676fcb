"""What is known of the size and shape of an object."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.frame import ObjectEstimate
from sdfpose_core.tracking.config import TrackerConfig

__all__ = ["ShapeMemory"]


_STEADY_SIZE, _STEADY_CODE = 0.03, 0.25
"""Standard deviations of a steady log size, and of a steady code over its mean's length. In one
image the noise of a good estimate is about half of that."""


@dataclass(frozen=True)
class ShapeMemory:
    """Size and code of an object as more images show it.

    A single image leaves some noise in both. Where they are steady, their mean over a number of
    images is better than any of them, and what they no longer take up is left to the pose.

    Attributes:
        log_scales: logarithm of the decoder's scale in the last confident images in a row.
        codes: in the same images, (D,) each.
        frozen: whether their means are final.
    """

    log_scales: tuple[float, ...] = ()
    codes: tuple[NDArray[np.float32], ...] = ()
    frozen: bool = False

    def after(self, estimate: ObjectEstimate, config: TrackerConfig) -> ShapeMemory:
        """After an image that shows the object."""
        if self.frozen:
            return self
        if estimate.confidence < config.accept_confidence:
            return ShapeMemory()
        log_scales = (*self.log_scales, math.log(estimate.decoder_scale))[-config.converge_frames :]
        codes = (*self.codes, estimate.code)[-config.converge_frames :]
        return ShapeMemory(
            log_scales,
            codes,
            frozen=len(codes) == config.converge_frames
            and float(np.std(log_scales)) <= _STEADY_SIZE
            and float(np.linalg.norm(np.std(codes, axis=0)))
            <= _STEADY_CODE * float(np.linalg.norm(np.mean(codes, axis=0))),
        )

    def apply(self, estimate: ObjectEstimate) -> ObjectEstimate:
        """The estimate with the final size and code; its box's centre stays."""
        if not self.frozen:
            return estimate
        code = np.mean(self.codes, axis=0)
        if np.array_equal(code, estimate.code):
            return estimate
        factor = math.exp(float(np.mean(self.log_scales))) / estimate.decoder_scale
        offset = estimate.decoder_translation - estimate.translation
        return replace(
            estimate,
            code=code,
            scale=factor * estimate.scale,
            dimensions_m=factor * estimate.dimensions_m,
            vertices=np.float32(factor) * estimate.vertices,
            decoder_scale=factor * estimate.decoder_scale,
            decoder_translation=estimate.translation + factor * offset,
        )
