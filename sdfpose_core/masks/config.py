"""Configuration of the tabletop segmentation."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["TabletopConfig"]


@dataclass(frozen=True)
class TabletopConfig:
    """Parameters that define an object on a table.

    Attributes:
        width_px: wider images are processed at 1/2, 1/3, ... of their resolution, pixels.
        max_distance_m: depth beyond this is ignored, metres.
        least_plane_share: minimum share of the pixels with depth that lie on the plane.
        min_height_m: points closer to the plane belong to the plane, metres...
        noise_sds: ...as do points within this many standard deviations of the depth noise.
        max_height_m: points higher above the plane belong to no object, metres.
        margin_m: distance by which objects may extend beyond the visible plane, metres.
        voxel_m: voxel size for clustering, metres.
        gap_m: clusters farther apart than this are separate objects, metres; more than `voxel_m`.
        dense_voxels: a voxel with fewer voxels within `gap_m`, including itself, is treated as
            flying pixels.
        min_top_m: minimum height of the top of an object above the plane, metres.
        min_size_m, max_size_m: minimum and maximum length of an object, end to end, metres.
        min_pixels: minimum number of pixels of an object, at the processed resolution.
        close_px: width up to which gaps in masks are closed, pixels of the processed resolution.
        reach_m: an object that moves farther than this between images gets a new id, metres.
        patience: number of images for which the id of an unseen object is kept.
    """

    width_px: int = 640
    max_distance_m: float = 2.0
    least_plane_share: float = 0.15
    min_height_m: float = 0.006
    noise_sds: float = 2.0
    max_height_m: float = 0.5
    margin_m: float = 0.04
    voxel_m: float = 0.01
    gap_m: float = 0.022
    dense_voxels: int = 6
    min_top_m: float = 0.015
    min_size_m: float = 0.03
    max_size_m: float = 0.7
    min_pixels: int = 150
    close_px: int = 15
    reach_m: float = 0.08
    patience: int = 15
