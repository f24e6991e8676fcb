"""Instance masks from the mask network: whatever looks like an object, on any table or none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from sdfpose_core.device import adopt_threads, has_fast_bfloat16, resolve_device
from sdfpose_core.errors import WeightsError
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.masks.grouping import GroupingConfig, Groups, PixelMaps, group
from sdfpose_core.masks.identities import IdentityTracker
from sdfpose_core.masks.instance_mask import InstanceMask
from sdfpose_core.masks.network import MaskMaps, MaskNetwork
from sdfpose_core.masks.resolution import enlarged, reduced, working_camera
from sdfpose_core.observation.frame import InstanceLabel, RgbdFrame
from sdfpose_core.observation.segmentation import ANY_CATEGORY
from sdfpose_core.weights import MASKS_FILE, SHIPPED

__all__ = ["NetworkMasks", "grouped"]

_REACH_M = 0.08
"""An object that moves farther than this between images gets a new id, metres."""

_PATIENCE = 15
"""Number of images for which the id of an unseen object is kept."""

_UNKNOWN_DEPTH_M = 1.0
"""Depth of the objects if it is missing in all of them, metres."""


class NetworkMasks:
    """Segments objects of any kind with a network, with ids that persist from image to image.

    Args:
        weights: file of the network; None for the shipped one.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        min_pixels: smaller instances are dropped, in an image of 640x480 pixels; proportionally
            more or fewer pixels in a larger or smaller image.
        min_score: instances with a lower score are dropped, 0 to 1.

    Raises:
        WeightsError: the weights are missing, damaged or of another architecture.
        DeviceError: the device is not available.
    """

    def __init__(
        self,
        weights: Path | str | None = None,
        device: str | torch.device = "auto",
        *,
        min_pixels: int = 150,
        min_score: float = 0.5,
    ) -> None:
        place = resolve_device(device)
        self._network = MaskNetwork.load(_weights_file(weights), place)
        self._network.mixed_precision = has_fast_bfloat16(place)
        self._min_share = min_pixels / (640 * 480)
        self._min_score = min_score
        self._identities = IdentityTracker(_REACH_M, _PATIENCE)

    def segment(self, frame: RgbdFrame) -> InstanceMask:
        """Segment the next image; each instance is labelled `ANY_CATEGORY`.

        Args:
            frame: colour (black if there is none), depth and camera; its mask is not read.
        """
        if not frame.depth.any() and not frame.colour.any():
            return InstanceMask(
                np.zeros(frame.depth.shape, dtype=np.uint16),
                problem="the image has neither depth nor colour: expected one of them (cover off "
                "the lens? depth_unit?)",
            )
        adopt_threads()  # the pose node finds masks in a thread of its own
        camera = working_camera(frame.camera)
        colour, depth = reduced(frame.colour, frame.depth, camera.width, camera.height)
        config = GroupingConfig(min_pixels=round(self._min_share * depth.size))
        groups = grouped(self._network, colour, depth, 0.5 * (camera.fx + camera.fy), config)
        sure = np.append(False, groups.scores >= self._min_score)
        labels = enlarged(
            np.where(sure[groups.labels], groups.labels, 0), frame.depth, frame.colour
        )
        return self._identified(labels, groups.scores, frame)

    def reset(self) -> None:
        """Forget the objects of previous images."""
        self._identities.reset()

    def _identified(
        self, labels: NDArray[np.int32], scores: NDArray[np.float32], frame: RgbdFrame
    ) -> InstanceMask:
        """Give each label (H, W) the id of the object in previous images."""
        centres = _centres(labels, len(scores), frame.depth, frame.camera)
        present = np.flatnonzero(np.isfinite(centres[:, 0]))
        assigned = self._identities.assign(centres[present])
        id_of = np.zeros(len(scores) + 1, dtype=np.uint16)
        id_of[present + 1] = assigned
        return InstanceMask(
            id_of[labels],
            {
                mask_id: InstanceLabel(ANY_CATEGORY, float(scores[i]), detected=True)
                for i, mask_id in zip(present, assigned, strict=True)
            },
        )


def _weights_file(weights: Path | str | None) -> Path:
    """Path of the weights; None for the shipped ones, which must be there."""
    if weights is not None:
        return Path(weights)
    path = SHIPPED / MASKS_FILE
    if not path.is_file():
        raise WeightsError(
            f"{path}: the package has no weights of the mask network: train it with "
            "training/train_masks.py, or name a weights file"
        )
    return path


@torch.inference_mode()
def grouped(
    network: MaskNetwork,
    colour: NDArray[np.uint8],
    depth: NDArray[np.float32],
    focal: float,
    config: GroupingConfig | None = None,
) -> Groups:
    """Find the objects in an image at the resolution of the network.

    Args:
        network: a trained network.
        colour: (H, W, 3), RGB; H and W are even.
        depth: (H, W), metres, 0 = missing.
        focal: focal length, pixels.
        config: parameters of the grouping.
    """
    device = network.device
    maps: MaskMaps = network(
        torch.from_numpy(colour).to(device).permute(2, 0, 1)[None],
        torch.from_numpy(depth).to(device)[None, None],
        torch.tensor([focal], device=device),
    )
    foreground, seed, votes, log_precision = (x[0].cpu().numpy() for x in maps)
    pixels = PixelMaps(foreground[0], seed[0], votes, log_precision)
    return group(pixels, depth, focal, config)


def _centres(
    labels: NDArray[np.int32], count: int, depth: NDArray[np.float32], camera: PinholeCamera
) -> NDArray[np.float64]:
    """Places (K, 3), metres, camera frame, of labels 1 to K; NaN where there is no pixel."""
    v, u = np.nonzero(labels)
    own = labels[v, u] - 1
    sizes = np.bincount(own, minlength=count).astype(np.float64)
    z = depth[v, u]
    measured = np.bincount(own[z > 0.0], minlength=count)
    total = np.bincount(own, z, minlength=count)
    usual = total.sum() / measured.sum() if measured.any() else _UNKNOWN_DEPTH_M
    mean_z = np.where(measured > 0, total / np.maximum(measured, 1), usual)
    with np.errstate(invalid="ignore", divide="ignore"):
        middle = np.stack([np.bincount(own, x, minlength=count) / sizes for x in (u, v)], axis=1)
    return camera.rays(middle).astype(np.float64) * mean_z[:, None]
