"""The nouns that flow through the estimator: `RgbdFrame` -> `Instance` -> `ObjectEstimate`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.errors import FrameError
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.observation.free_space import FreeSpace
from sdfpose_core.observation.support_plane import SupportPlane

__all__ = [
    "MAX_DEPTH_M",
    "MOST_INSTANCES",
    "GroundTruth",
    "Instance",
    "InstanceLabel",
    "ObjectEstimate",
    "RgbdFrame",
    "SkippedInstance",
    "clean_depth",
    "robust_centre",
]

MAX_DEPTH_M = 20.0
"""Depth beyond this is no measurement of a consumer RGB-D camera and counts as missing."""


MOST_INSTANCES = 64
"""Of a frame: of more the largest or likeliest are taken."""

_CENTRE_POINTS = 512


def clean_depth(depth: NDArray[np.floating]) -> NDArray[np.float32]:
    """Depth (H, W), metres, with NaN, Inf, negative and absurd values set to 0 = missing."""
    depth = np.asarray(depth, dtype=np.float32)
    with np.errstate(invalid="ignore"):
        good = (depth > 0.0) & (depth <= MAX_DEPTH_M)
    return np.where(good, depth, np.float32(0.0))


def robust_centre(points: NDArray[np.float32]) -> NDArray[np.float64]:
    """The median (3,) of points (N, 3); of many, that of evenly many of them."""
    chosen = points[:: -(-len(points) // _CENTRE_POINTS)]
    middle = len(chosen) // 2
    return np.partition(chosen.T, middle, axis=1)[:, middle].astype(np.float64)


@dataclass(frozen=True)
class InstanceLabel:
    """What a detector said of one mask id."""

    category: str
    score: float = 1.0


@dataclass(frozen=True)
class RgbdFrame:
    """One registered, rectified RGB-D image with instance masks.

    Attributes:
        colour: (H, W, 3) uint8, RGB.
        depth: (H, W) float32, metres, registered to colour, 0 = missing. NaN, Inf, negative
            values and depth beyond `MAX_DEPTH_M` become 0 here.
        mask: (H, W) uint16, instance id per pixel, 0 = background.
        camera: intrinsics of colour.
        labels: category and score of each mask id; an id without a label is skipped, with a
            reason, by `segment`.
        stamp_ns: time of exposure, nanoseconds.
        frame_id: name of the optical frame.

    Raises:
        FrameError: an array has a wrong type, or the sizes of the four do not agree.
    """

    colour: NDArray[np.uint8]
    depth: NDArray[np.float32]
    mask: NDArray[np.uint16]
    camera: PinholeCamera
    labels: Mapping[int, InstanceLabel] = field(default_factory=dict)
    stamp_ns: int = 0
    frame_id: str = ""

    def __post_init__(self) -> None:
        size = (self.camera.height, self.camera.width)
        if self.colour.dtype != np.uint8 or self.colour.shape != (*size, 3):
            raise FrameError(
                f"colour is {self.colour.dtype} {self.colour.shape}: expected uint8 "
                f"{(*size, 3)}, the camera's {size[1]}x{size[0]} pixels in RGB"
            )
        for name, array in (("depth", self.depth), ("mask", self.mask)):
            if array.shape != size:
                raise FrameError(
                    f"{name} has shape {array.shape}: expected {size}, the size of colour "
                    "(register depth and mask to colour)"
                )
        if not np.issubdtype(self.depth.dtype, np.floating):
            raise FrameError(f"depth is {self.depth.dtype}: expected float32 metres")
        if not np.issubdtype(self.mask.dtype, np.integer):
            raise FrameError(f"mask is {self.mask.dtype}: expected integer instance ids")
        object.__setattr__(self, "depth", clean_depth(self.depth))


@dataclass(frozen=True)
class Instance:
    """The measurements of one object of a frame.

    Attributes:
        mask_id: its value in the frame's mask.
        category: name of its category.
        score: the detector's confidence, 0 to 1.
        points: (N, 3) float32, metres, camera frame: depth inside the mask, of large objects on
            every so many rows and columns.
        pixels: (N, 2) int32, (u, v) of `points`.
        free: what the camera looked through around it.
        mask_pixels: number of the mask's pixels, with or without depth.
        every: of so many rows and columns one has points.
        support: the plane that the object stands on or leans against, None where none was found.
        colour: (H, W, 3) uint8, RGB: the whole image, not a copy of the frame's; None where there
            is none.
    """

    mask_id: int
    category: str
    score: float
    points: NDArray[np.float32]
    pixels: NDArray[np.int32]
    free: FreeSpace
    mask_pixels: int
    every: int = 1
    support: SupportPlane | None = None
    colour: NDArray[np.uint8] | None = None

    @property
    def depth_pixels(self) -> int:
        """Number of the pixels that its points stand for."""
        return len(self.points) * self.every**2

    @cached_property
    def middle(self) -> NDArray[np.float64]:
        """(3,), metres, camera frame: see `robust_centre`."""
        return robust_centre(self.points)


@dataclass(frozen=True)
class SkippedInstance:
    """A mask id for which there is no estimate, and why."""

    mask_id: int
    category: str
    reason: str


@dataclass(frozen=True)
class ObjectEstimate:
    """Pose, size and shape of one object.

    The reported box is that of the decoded surface: `translation` is its centre,
    `dimensions_m` its sides, `scale` its diagonal. The decoder's own frame is slightly off that
    box; its transform, from which a refinement starts, is ``decoder_*``.

    Attributes:
        mask_id: its value in the frame's mask.
        category: name of its category.
        rotation: R (3, 3), object to camera frame.
        translation: t (3,), metres, camera frame: centre of the bounding box.
        scale: diagonal of the bounding box, metres.
        dimensions_m: (3,) sides of the bounding box along the object's x, y, z.
        confidence: 0 to 1.
        covariance: (6, 6) of (x, y, z, rx, ry, rz), metres and radians, about the camera frame's
            axes.
        symmetric_about_y: whether yaw about the object's y axis has no meaning in this view.
        code: (D,) latent code of the shape.
        decoder_translation: (3,), metres: origin of the decoder's frame in the camera frame.
        decoder_scale: metres per unit of the decoder's frame.
        vertices: (V, 3) float32, metres, object frame; empty where no mesh was asked for.
        faces: (F, 3) int32.
        normals: (V, 3) float32, outward unit vectors, object frame.
        diagnostics: what the refinement found, e.g. ``inlier_ratio``, ``free_space_violation``.
    """

    mask_id: int
    category: str
    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]
    scale: float
    dimensions_m: NDArray[np.float64]
    confidence: float
    covariance: NDArray[np.float64]
    symmetric_about_y: bool
    code: NDArray[np.float32]
    decoder_translation: NDArray[np.float64]
    decoder_scale: float
    vertices: NDArray[np.float32]
    faces: NDArray[np.int32]
    normals: NDArray[np.float32]
    diagnostics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class GroundTruth:
    """The true pose of one object of a frame; serves evaluation alone.

    Attributes:
        mask_id: its value in the frame's mask.
        category: name of its category.
        instance: name of the individual object.
        rotation: R (3, 3), object to camera frame.
        translation: t (3,), metres, camera frame: centre of the bounding box.
        dimensions_m: (3,) sides of the bounding box along the object's x, y, z; NaN where they are
            not known.
        symmetric_about_y: whether yaw about y has no meaning for it in this view.
    """

    mask_id: int
    category: str
    instance: str
    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]
    dimensions_m: NDArray[np.float64]
    symmetric_about_y: bool

    @property
    def scale(self) -> float:
        """Diagonal of the bounding box, metres."""
        return float(np.linalg.norm(self.dimensions_m))
