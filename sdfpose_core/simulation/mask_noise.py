"""Errors of a detector's masks: shifted and wobbling outlines, leaks and holes.

Pixels refer to a camera with `REFERENCE_FOCAL_PX`, so the errors have the same metric size at half
the resolution.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.shapes.body import REFERENCE_FOCAL_PX
from sdfpose_core.simulation.smooth_noise import smooth_noise

__all__ = ["MaskNoise"]


@dataclass(frozen=True)
class MaskNoise:
    """Error parameters of a detector's masks; ``apply`` simulates them.

    Attributes:
        shrink_px, grow_px: maximum shift of a mask's outline inward or outward, pixels.
        wobble: standard deviation of the outline's smooth error as a share of the mask's size
            (the square root of its area).
        shift_px: standard deviation of a mask's shift along u and v, pixels.
        leak: maximum area added on one side, as a share of the mask's area.
        leak_probability: probability that a mask leaks.
        hole_probability: probability that a mask has holes.
    """

    shrink_px: float = 0.0
    grow_px: float = 0.0
    wobble: float = 0.0
    shift_px: float = 0.0
    leak: float = 0.0
    leak_probability: float = 0.0
    hole_probability: float = 0.0

    @classmethod
    def none(cls) -> MaskNoise:
        """Exact masks."""
        return cls()

    @classmethod
    def mild(cls) -> MaskNoise:
        """Careful annotation."""
        return cls(
            shrink_px=1.0, grow_px=1.0, wobble=0.008, shift_px=0.4, leak=0.05, leak_probability=0.2
        )

    @classmethod
    def realistic(cls) -> MaskNoise:
        """Detector such as Mask R-CNN: some masks contain 10 to 20 % background."""
        return cls(
            shrink_px=2.5, grow_px=2.5, wobble=0.02, shift_px=1.0, leak=0.18, leak_probability=0.4,
            hole_probability=0.1,
        )  # fmt: skip

    def apply(
        self, mask: NDArray[np.uint16], camera: PinholeCamera, rng: np.random.Generator
    ) -> NDArray[np.uint16]:
        """Simulate the mask (H, W) of a detector.

        Args:
            mask: exact mask ids.
            camera: camera of the mask.
            rng: source of all random draws.
        """
        if self == MaskNoise():
            return mask.copy()
        scale = camera.fx / REFERENCE_FOCAL_PX
        noisy = np.zeros_like(mask)
        boxes = ndimage.find_objects(mask)
        for index in rng.permutation(len(boxes)):
            box = boxes[index]
            if box is None:
                continue
            rows, columns, inside = self._redrawn(mask, int(index) + 1, box, scale, rng)
            target = noisy[rows, columns]
            target[inside & (target == 0)] = index + 1
        return noisy

    def _redrawn(
        self,
        mask: NDArray[np.uint16],
        mask_id: int,
        box: tuple[slice, slice],
        scale: float,
        rng: np.random.Generator,
    ) -> tuple[slice, slice, NDArray[np.bool_]]:
        """Redraw one mask from a perturbed signed distance; return its window and pixels."""
        area = int(np.count_nonzero(mask[box] == mask_id))
        size = float(np.sqrt(area))
        leak = rng.uniform(0.0, self.leak) if rng.random() < self.leak_probability else 0.0
        # A leak covers half of the outline and fades toward its ends.
        half_outline = 0.5 * float(cv2.countNonZero(_outline(mask[box] == mask_id)))
        leak_px = leak * area / max(0.6 * half_outline, 1.0)
        reach = int(np.ceil((self.grow_px + 3.0 * self.shift_px) * scale + leak_px)) + 2
        reach += int(np.ceil(3.0 * self.wobble * size))
        rows = slice(max(box[0].start - reach, 0), min(box[0].stop + reach, mask.shape[0]))
        columns = slice(max(box[1].start - reach, 0), min(box[1].stop + reach, mask.shape[1]))
        inside = (mask[rows, columns] == mask_id).astype(np.uint8)
        shift = rng.normal(0.0, self.shift_px * scale, size=2)
        motion = np.array([[1.0, 0.0, round(shift[0])], [0.0, 1.0, round(shift[1])]])
        inside = cv2.warpAffine(inside, motion, inside.shape[::-1], flags=cv2.INTER_NEAREST)

        distance = cv2.distanceTransform(inside, cv2.DIST_L2, 3) - cv2.distanceTransform(
            1 - inside, cv2.DIST_L2, 3
        )
        distance += 0.5 - inside  # zero on the outline, between two pixels
        distance += rng.uniform(-self.shrink_px, self.grow_px) * scale
        if self.wobble > 0.0:
            wavelength = max(0.2 * size, 2.0)
            distance += self.wobble * size * smooth_noise(inside.shape, wavelength, rng)
        if leak_px > 0.0:
            distance += leak_px * _one_side(inside.shape, rng)
        if rng.random() < self.hole_probability:
            holes = smooth_noise(inside.shape, max(0.15 * size, 2.0), rng)
            distance[holes > 2.0] = -1.0
        return rows, columns, distance > 0.0


def _outline(inside: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The outermost pixels of a mask."""
    padded = np.pad(inside, 1).astype(np.uint8)
    return np.asarray(padded - cv2.erode(padded, np.ones((3, 3), dtype=np.uint8)))


def _one_side(shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float32]:
    """Weights (H, W): 1 toward a random side of the image, 0 on the other half."""
    angle = rng.uniform(0.0, 2.0 * np.pi)
    u = np.linspace(-1.0, 1.0, shape[1], dtype=np.float32)[None, :]
    v = np.linspace(-1.0, 1.0, shape[0], dtype=np.float32)[:, None]
    along = np.float32(np.cos(angle)) * u + np.float32(np.sin(angle)) * v
    return np.clip(along / 0.6, 0.0, 1.0)
