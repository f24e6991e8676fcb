"""Data types of the estimator: `RgbdFrame` -> `Instance` -> `ObjectEstimate`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.errors import FrameError
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.observation.camera_pose import MeasuredCameraPose
from sdfpose_core.observation.colour_crop import ColourCrop
from sdfpose_core.observation.free_space import FreeSpace
from sdfpose_core.observation.support_plane import SupportPlane

__all__ = [
    "MAX_DEPTH_M",
    "MAX_INSTANCES",
    "Alternative",
    "GroundTruth",
    "Instance",
    "InstanceLabel",
    "ObjectEstimate",
    "RgbdFrame",
    "SkippedInstance",
    "clean_depth",
    "complete_ground_truth",
    "robust_centre",
]

MAX_DEPTH_M = 20.0
"""Larger depth values count as missing; consumer RGB-D cameras do not measure that far."""

MAX_INSTANCES = 64
"""Maximum number of instances per frame. Of more, the largest or most likely are used."""

_MAX_CENTRE_POINTS = 512

_UNIT_TOLERANCE = 1e-3
"""The length of a unit vector differs from 1 by at most this much."""


def clean_depth(depth: NDArray[np.floating]) -> NDArray[np.float32]:
    """Set NaN, Inf, negative and too large depth (H, W), metres, to 0 = missing."""
    depth = np.asarray(depth, dtype=np.float32)
    with np.errstate(invalid="ignore"):
        valid = (depth > 0.0) & (depth <= MAX_DEPTH_M)
    return np.where(valid, depth, np.float32(0.0))


def _unit_vector(up: NDArray[np.floating]) -> NDArray[np.float64]:
    """Check the direction (3,) against gravity, and normalise it exactly."""
    vector = np.array(up, dtype=np.float64)
    length = float(np.linalg.norm(vector))
    # The norm of a vector that is not finite is not near 1.
    if vector.shape != (3,) or not abs(length - 1.0) <= _UNIT_TOLERANCE:
        raise FrameError(
            f"up is {vector.tolist()}: expected a unit vector (3,) against gravity in the camera's "
            "optical frame (x right, y down, z forward), or None; divide it by its length"
        )
    return np.asarray(vector / length)


def robust_centre(points: NDArray[np.float32]) -> NDArray[np.float64]:
    """Coordinate-wise median (3,) of points (N, 3); large sets are subsampled evenly."""
    sampled = points[:: -(-len(points) // _MAX_CENTRE_POINTS)]
    middle = len(sampled) // 2
    return np.partition(sampled.T, middle, axis=1)[:, middle].astype(np.float64)


@dataclass(frozen=True)
class InstanceLabel:
    """Category of one mask id.

    Attributes:
        category: name of the category, or a label that maps to it.
        score: confidence of the detector, 0 to 1.
        detected: whether a detector reported the category, which may be wrong. Otherwise it is
            known: from the user, or from an annotation.
    """

    category: str
    score: float = 1.0
    detected: bool = False


@dataclass(frozen=True)
class RgbdFrame:
    """Registered and rectified RGB-D image with instance masks.

    Attributes:
        colour: (H, W, 3) uint8, RGB.
        depth: (H, W) float32, metres, registered to colour, 0 = missing. NaN, Inf, negative
            values and depth beyond `MAX_DEPTH_M` are set to 0.
        mask: (H, W) uint16, instance id per pixel, 0 = background.
        camera: intrinsics of the colour image.
        labels: category and score per mask id; `segment` skips ids without a label and gives the
            reason.
        stamp_ns: time of exposure, nanoseconds.
        frame_id: name of the optical frame.
        up: (3,) unit vector against gravity, camera frame; None if unknown.
        camera_pose: of the camera in the world at `stamp_ns`; None if unknown. With it, objects are
            tracked in the world, see `sdfpose_core.tracking.tracker.Tracker`.

    Raises:
        FrameError: an array has the wrong type, the sizes of arrays and camera differ, or `up` is
            not a unit vector.
    """

    colour: NDArray[np.uint8]
    depth: NDArray[np.float32]
    mask: NDArray[np.uint16]
    camera: PinholeCamera
    labels: Mapping[int, InstanceLabel] = field(default_factory=dict)
    stamp_ns: int = 0
    frame_id: str = ""
    up: NDArray[np.floating] | None = None
    camera_pose: MeasuredCameraPose | None = None

    def __post_init__(self) -> None:
        size = (self.camera.height, self.camera.width)
        if self.colour.dtype != np.uint8 or self.colour.shape != (*size, 3):
            raise FrameError(
                f"colour is {self.colour.dtype} {self.colour.shape}: expected uint8 "
                f"{(*size, 3)}, RGB with the camera's size of {size[1]}x{size[0]} pixels"
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
        if self.up is not None:
            object.__setattr__(self, "up", _unit_vector(self.up))
        object.__setattr__(self, "depth", clean_depth(self.depth))


@dataclass(frozen=True)
class Instance:
    """Measurements of one object in a frame.

    Attributes:
        mask_id: value in the frame's mask.
        category: category name.
        score: confidence of the detector, 0 to 1.
        label: category that a detector reported, empty if none did. `category` may be another one
            that is tried in its place.
        plausible_share: share of the measured points that may belong to one object of the
            category's size; the others are left out.
        unknown: whether nobody named a category, and several are tried.
        colour_log_odds: log odds, given the colour image, that it is of any category; 0 if that
            says nothing.
        shape_log_odds: the same, given shape and, if there is any, colour, of the object and around
            it.
        points: (N, 3) float32, metres, camera frame: depth inside the mask; subsampled for large
            objects.
        pixels: (N, 2) int32, (u, v) of `points`.
        free: free space around the object.
        mask_pixels: number of mask pixels, with or without depth.
        every: subsampling step; `points` contains every n-th row and column.
        support: plane that the object stands on or leans against, None if none was found.
        up: (3,) float32, unit vector against gravity, camera frame: from the frame if it is known
            there and no plane contradicts it, else the normal of a support plane that can be a
            table's top, else None.
        colour: (H, W, 3) uint8, RGB: the whole image, shared with the frame; or, of stored
            instances, the crop around the instance; None if there is none.
        camera_pose: of the camera in the world; None if unknown, or if the object may have moved.
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
    up: NDArray[np.float32] | None = None
    colour: NDArray[np.uint8] | ColourCrop | None = None
    label: str = ""
    plausible_share: float = 1.0
    unknown: bool = False
    colour_log_odds: float = 0.0
    shape_log_odds: float = 0.0
    camera_pose: MeasuredCameraPose | None = None

    @property
    def depth_pixels(self) -> int:
        """Number of pixels that the points represent."""
        return len(self.points) * self.every**2

    @cached_property
    def middle(self) -> NDArray[np.float64]:
        """Median point (3,), metres, camera frame; see `robust_centre`."""
        return robust_centre(self.points)


@dataclass(frozen=True)
class SkippedInstance:
    """Mask id without an estimate.

    Attributes:
        mask_id: value in the frame's mask.
        category: category or label of the mask, empty if it has none.
        reason: why there is no estimate.
        rejected: whether it shows nothing of the categories, which is no fault.
    """

    mask_id: int
    category: str
    reason: str
    rejected: bool = False


@dataclass(frozen=True)
class Alternative:
    """A rival mode of an object: another pose or category that may be the right one.

    Attributes:
        category: category name.
        rotation: R (3, 3), object to camera frame.
        translation: t (3,), metres, camera frame: centre of the bounding box.
        scale: diagonal of the bounding box, metres.
        dimensions_m: (3,) sides of the bounding box along the object's x, y, z.
        probability: that this mode is the right one.
        symmetric_about_y: whether yaw about the object's y axis is undefined, as far as the
            category tells.
    """

    category: str
    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]
    scale: float
    dimensions_m: NDArray[np.float64]
    probability: float
    symmetric_about_y: bool = False


@dataclass(frozen=True)
class ObjectEstimate:
    """Pose, size and shape of one object.

    The reported box is the bounding box of the decoded surface: `translation` is its centre,
    `dimensions_m` its sides, `scale` its diagonal. The decoder's frame differs slightly from that
    box. Refinement starts from its transform, which is given by ``decoder_*``.

    Attributes:
        mask_id: value in the frame's mask.
        category: category name.
        rotation: R (3, 3), object to camera frame.
        translation: t (3,), metres, camera frame: centre of the bounding box.
        scale: diagonal of the bounding box, metres.
        dimensions_m: (3,) sides of the bounding box along the object's x, y, z.
        confidence: 0 to 1.
        covariance: (6, 6) of (x, y, z, rx, ry, rz), metres and radians, about the camera frame's
            axes.
        symmetric_about_y: whether yaw about the object's y axis is undefined in this view.
        code: (D,) latent code of the shape.
        decoder_translation: (3,), metres: origin of the decoder's frame in the camera frame.
        decoder_scale: metres per unit of the decoder's frame.
        vertices: (V, 3) float32, metres, object frame; empty if no mesh was requested.
        faces: (F, 3) int32.
        normals: (V, 3) float32, outward unit vectors, object frame.
        diagnostics: refinement statistics, e.g. ``inlier_ratio``, ``free_space_violation``.
        probability: that this mode is the right one, among itself and the `alternatives`.
        alternatives: the rival modes, by falling probability; with `probability`, theirs sum to 1.
        symmetries: (S, 3, 3) rotations of the object frame that leave the shape as it is, without
            the identity and beside the continuous symmetry about y: R S is as right as R.
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
    probability: float = 1.0
    alternatives: tuple[Alternative, ...] = ()
    symmetries: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 3, 3)))


@dataclass(frozen=True)
class GroundTruth:
    """Ground-truth pose of one object in a frame, used for evaluation only.

    An object that is known to be there, but not where, has a translation of NaN.

    Attributes:
        mask_id: value in the frame's mask.
        category: category name.
        instance: name of the individual object.
        rotation: R (3, 3), object to camera frame.
        translation: t (3,), metres, camera frame: centre of the bounding box.
        dimensions_m: (3,) sides of the bounding box along the object's x, y, z; NaN if unknown.
        symmetric_about_y: whether yaw about y is undefined in this view.
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

    @property
    def has_pose(self) -> bool:
        """Whether the pose is known."""
        return bool(np.all(np.isfinite(self.rotation)) and np.all(np.isfinite(self.translation)))

    @classmethod
    def without_pose(cls, mask_id: int, category: str, instance: str = "") -> GroundTruth:
        """Create the ground truth of an object whose pose is unknown."""
        name = instance or f"{category}_{mask_id}"
        unknown = np.full(3, np.nan)
        return cls(mask_id, category, name, np.eye(3), unknown, unknown, False)


def complete_ground_truth(frame: RgbdFrame, truths: Sequence[GroundTruth]) -> list[GroundTruth]:
    """Add the labelled objects of a frame that have no ground truth, without a pose.

    The list is empty if no object has ground truth: then nothing is known about the frame, which
    is not the same as a frame without objects.
    """
    if not truths:
        return []
    known = {x.mask_id for x in truths}
    others = [(i, x.category) for i, x in sorted(frame.labels.items()) if i not in known]
    return [*truths, *(GroundTruth.without_pose(*x) for x in others)]
