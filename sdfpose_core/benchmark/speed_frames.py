"""Frames of the speed benchmark: unseen objects on a table, seen by a slowly moving camera."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import cycle, islice

import numpy as np

from sdfpose_core.benchmark.poses import model_seeds
from sdfpose_core.errors import SdfposeError
from sdfpose_core.observation.frame import RgbdFrame
from sdfpose_core.shapes.families import FAMILIES, sample_model
from sdfpose_core.simulation.frames import simulated_frame
from sdfpose_core.simulation.rendering import render
from sdfpose_core.simulation.scene import CameraPose, Scene
from sdfpose_core.simulation.scenes import SceneStyle, cluttered_table
from sdfpose_core.simulation.tabletop import TABLE_CAMERA, orbit

__all__ = ["back_and_forth", "table_categories", "table_frames"]

_RATE_HZ = 30.0
_PERIOD_S = 40.0
_ELEVATION_DEG = 40.0
_MIN_DISTANCE_M, _DISTANCE_PER_REACH = 0.9, 2.2
"""Camera distance: minimum, and in radii of the circle that contains the objects."""

_MIN_PIXELS = 200
"""Minimum number of visible pixels per object."""

_MARGIN_PX = 2
"""Margin at the image border that must be free of objects."""

_ATTEMPTS = 100


def table_categories(count: int) -> list[str]:
    """Return the category names of `count` objects, cycling through the categories."""
    return list(islice(cycle(FAMILIES), count))


def table_frames(objects: int, count: int, seed: int, *, colour: bool = False) -> list[RgbdFrame]:
    """Simulate frames of a camera that circles a table slowly, with realistic sensor noise.

    The objects stand upright and are completely inside the image; only other objects occlude them.
    Their models are not used for training.

    Args:
        objects: number of objects; mask ids count from 1.
        count: number of frames.
        seed: random seed of models, scenes and noise.
        colour: whether to render colour images.

    Raises:
        SdfposeError: No suitable scene was found.
    """
    names = table_categories(objects)
    models = [sample_model(x, y) for x, y in zip(names, model_seeds(seed), strict=False)]
    style = replace(SceneStyle.upright(), occluders=0)
    for attempt in range(_ATTEMPTS):
        rng = np.random.default_rng([seed, objects, attempt])
        scene = cluttered_table(rng, names, models, style)
        places = np.stack([x.translation for x in scene.instances])
        reach_m = float(np.hypot(places[:, 0], places[:, 2]).max())
        poses = [
            orbit(
                k / _RATE_HZ,
                period_s=_PERIOD_S,
                distance_m=max(_MIN_DISTANCE_M, _DISTANCE_PER_REACH * reach_m),
                elevation_deg=_ELEVATION_DEG,
            )
            for k in range(count)
        ]
        if all(_all_in_view(scene, pose) for pose in (poses[0], poses[-1])):
            return [
                simulated_frame(
                    scene, TABLE_CAMERA, pose, rng, colour=colour, stamp_ns=_stamp_ns(k)
                )[0]
                for k, pose in enumerate(poses)
            ]
    raise SdfposeError(
        f"no scene found in which all {objects} objects are visible: use another seed than {seed}"
    )


def back_and_forth(frames: Sequence[RgbdFrame]) -> Iterator[RgbdFrame]:
    """Play the frames forward and backward endlessly, with increasing stamps."""
    order = [*range(len(frames)), *range(len(frames) - 2, 0, -1)]
    for k, i in enumerate(cycle(order)):
        yield replace(frames[i], stamp_ns=_stamp_ns(k))


def _stamp_ns(k: int) -> int:
    """Return the stamp of frame k (from 0), nanoseconds."""
    return 1_000_000_000 + round(1e9 * k / _RATE_HZ)


def _all_in_view(scene: Scene, pose: CameraPose) -> bool:
    """Check that every object is visible and none is near the image border."""
    mask = render(scene, TABLE_CAMERA, pose, colour=False).mask
    inner = mask[_MARGIN_PX:-_MARGIN_PX, _MARGIN_PX:-_MARGIN_PX]
    if np.count_nonzero(inner) < np.count_nonzero(mask):
        return False
    pixels = np.bincount(mask.ravel(), minlength=len(scene.instances) + 1)
    return bool(pixels[1:].min() >= _MIN_PIXELS)
