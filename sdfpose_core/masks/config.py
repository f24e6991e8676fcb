"""What counts as an object on a table."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["TabletopConfig"]


@dataclass(frozen=True)
class TabletopConfig:
    """What counts as an object on a table.

    Attributes:
        width_px: wider images are worked on at a half, a third, ... of their resolution, pixels.
        max_distance_m: depth beyond it is not looked at, metres.
        least_plane_share: of the pixels with depth, that the plane must hold.
        min_height_m: what is lower above the plane belongs to it, metres...
        noise_sds: ...and so is what is within so many standard deviations of the depth's noise.
        max_height_m: what is higher above the plane is no object on it, metres.
        margin_m: objects may reach so far over the edge of what is seen of the plane, metres.
        voxel_m: grid on which points are clustered, metres.
        gap_m: objects that are farther apart are two, metres; more than `voxel_m`.
        dense_voxels: a voxel with fewer within `gap_m`, itself among them, is rather a flying
            pixel.
        min_top_m: an object's top is at least so high above the plane, metres.
        min_size_m, max_size_m: least and greatest length of an object, from end to end, metres.
        min_pixels: fewest pixels of an object, at the resolution that is worked on.
        close_px: width of the gaps in masks that are closed, pixels, likewise.
        reach_m: an object that moves farther from one image to the next gets a new id, metres.
        patience: images for which an id is kept while its object is not seen.
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
