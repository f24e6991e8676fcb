"""Unlabelled colour views of real instances: network inputs, and what the losses compare with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sdfpose_core.encoder.ssc6d import Ssc6dConfig, colour_view
from sdfpose_core.encoder.ssc6d_training import Ssc6dTrainingConfig, jittered
from sdfpose_core.errors import FrameError
from sdfpose_core.observation.colour_crop import ColourCrop, crop_window
from sdfpose_core.observation.frame import Instance
from sdfpose_core.selfsup.outliers import inlier_points

__all__ = ["RealBatch", "RealViews", "crop_rays"]

_OBSERVED = 1024
"""Largest number of observed points per instance."""

_MIN_OBSERVED = 20
"""Instances with fewer points after the removal of outliers keep them all."""

_MAX_JITTER_SDS = 5.0

_FLIP = np.array([-1.0, 1.0, 1.0], dtype=np.float32)
"""Swaps left and right in the camera frame."""


@dataclass(frozen=True)
class RealBatch:
    """Views of B instances.

    Attributes:
        colour: (B, S, S, 3), RGB, 0 to 255: augmented crops.
        points: (B, N, 3), metres, camera frame: augmented points.
        index: (B, N) int64, row-major pixel index of each point in the crop.
        observed: (B, P, 3), metres, camera frame: points without outliers and augmentation.
        valid: (B, P) bool; instances have different numbers of observed points.
        rays: (B, M, 3), camera frame, z = 1: rays of the pixels of a coarser crop.
        mirrored: (B,) bool, whether left and right are swapped.
    """

    colour: Tensor
    points: Tensor
    index: Tensor
    observed: Tensor
    valid: Tensor
    rays: Tensor
    mirrored: Tensor

    def to(self, device: torch.device) -> RealBatch:
        """Copy to a device."""
        return RealBatch(**{name: value.to(device) for name, value in vars(self).items()})


class RealViews:
    """Views of real instances with the augmentation of the published implementation.

    That is: random points, noise of colours and points, and the mirror image. SSC-6D stores the
    mirror images of all real images and uses them for all categories, also for those whose shapes
    are only nearly mirror symmetric (cameras, laptops, mugs); so does this class. It mirrors about
    the image's centre column with the mirrored intrinsics. The published code also replaces cy by
    480 - cy, which would fit an image that is flipped upside down as well; this does not.

    Args:
        instances: instances with colour.
        network: configuration of the network.
        augmentation: limits of the noise.
        render_size: side of the crop whose rays are rendered.
        remove_outliers: whether outliers are removed from the observed points.
    """

    def __init__(
        self,
        instances: Sequence[Instance],
        network: Ssc6dConfig,
        augmentation: Ssc6dTrainingConfig,
        render_size: int,
        *,
        remove_outliers: bool = True,
    ) -> None:
        self._instances = instances
        self._network, self._augmentation = network, augmentation
        self._render_size, self._remove_outliers = render_size, remove_outliers
        self._observed: dict[int, NDArray[np.float32]] = {}

    def __len__(self) -> int:
        return len(self._instances)

    def __call__(
        self, numbers: Sequence[int], rngs: Sequence[np.random.Generator], mirror: float
    ) -> RealBatch:
        """Create views of some instances.

        Args:
            numbers: numbers of the instances.
            rngs: source of the augmentation, one per view.
            mirror: probability that left and right are swapped.

        Raises:
            FrameError: an instance has no colour.
        """
        limits = self._augmentation
        size, count = self._network.image_size, self._network.points
        change_limits = np.array([limits.colour_jitter] * 3 + [limits.hue_jitter])
        colours, points, indices, changes, observed, rays, mirrored = [], [], [], [], [], [], []
        for number, rng in zip(numbers, rngs, strict=True):
            instance = self._instances[number]
            view = colour_view(instance, size, count, rng)
            noise = rng.standard_normal(view.points.shape).clip(-_MAX_JITTER_SDS, _MAX_JITTER_SDS)
            changes.append(change_limits * rng.uniform(-1.0, 1.0, 4))
            flipped = bool(rng.random() < mirror)
            sign = _FLIP if flipped else np.ones(3, dtype=np.float32)
            row, column = np.divmod(view.index, size)
            colours.append(view.colour[:, ::-1] if flipped else view.colour)
            indices.append(row * size + (size - 1 - column if flipped else column))
            points.append(sign * (view.points + limits.jitter_m * noise).astype(np.float32))
            observed.append(sign * self._inliers(number))
            rays.append(sign * crop_rays(instance, self._render_size))
            mirrored.append(flipped)
        most = max(len(x) for x in observed)
        return RealBatch(
            jittered(
                torch.from_numpy(np.stack(colours)),
                torch.from_numpy(np.array(changes, dtype=np.float32)),
            ),
            torch.from_numpy(np.stack(points)),
            torch.from_numpy(np.stack(indices)),
            torch.from_numpy(np.stack([np.resize(x, (most, 3)) for x in observed])),
            torch.from_numpy(np.array([np.arange(most) < len(x) for x in observed])),
            torch.from_numpy(np.stack(rays)),
            torch.tensor(mirrored),
        )

    def _inliers(self, number: int) -> NDArray[np.float32]:
        """Observed points (P, 3) of an instance; the same whenever they are needed."""
        if number not in self._observed:
            instance = self._instances[number]
            points = inlier_points(instance) if self._remove_outliers else instance.points
            if len(points) < _MIN_OBSERVED:
                points = instance.points
            order = np.random.default_rng(number).permutation(len(points))[:_OBSERVED]
            self._observed[number] = points[order]
        return self._observed[number]


def crop_rays(instance: Instance, size: int) -> NDArray[np.float32]:
    """Rays (size^2, 3), camera frame, z = 1, of the pixels of an instance's resized colour crop.

    The intrinsics are those that project the instance's points to its pixels.

    Raises:
        FrameError: all points belong to one pixel.
    """
    assert instance.colour is not None
    if isinstance(instance.colour, ColourCrop):
        left, top, side = instance.colour.left, instance.colour.top, instance.colour.side
    else:
        left, top, side = crop_window(instance.pixels, instance.colour.shape)
    # Centres of the resized crop's pixels, in pixels of the image.
    step = (np.arange(size) + 0.5) * side / size - 0.5
    slopes = instance.points[:, :2].astype(np.float64) / instance.points[:, 2:]
    extent = np.ptp(instance.pixels, axis=0)
    wide = int(extent.argmax())
    if extent[wide] == 0:
        raise FrameError(
            f"mask id {instance.mask_id} ({instance.category}) has points of one pixel alone: "
            "expected an instance with points of several pixels"
        )
    centre, middle = instance.pixels.mean(axis=0), slopes.mean(axis=0)
    offset = instance.pixels - centre
    square = (offset**2).sum(axis=0)
    per_pixel = (offset * slopes).sum(axis=0) / np.where(extent > 0, square, 1.0)
    per_pixel = np.where(extent > 0, per_pixel, per_pixel[wide])
    rays = np.ones((size, size, 3), dtype=np.float32)
    rays[..., 0] = middle[0] + per_pixel[0] * (step + left - centre[0])
    rays[..., 1] = (middle[1] + per_pixel[1] * (step + top - centre[1]))[:, None]
    return rays.reshape(-1, 3)
