"""Cluttered scenes for instance segmentation and for the rejection of things of no category.

Objects of the known categories and distractors stand, lie, lean, touch and are stacked on tables,
desks with boards, steps, crumpled cloth, shelves and floors, in rooms with walls and furniture.
Each of them is an instance; what makes up the room is background: tables, boards, shelves, walls,
floors, cabinets, chairs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import overload

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.observation.frame import GroundTruth, RgbdFrame
from sdfpose_core.shapes.families import FAMILIES, sample_model
from sdfpose_core.shapes.model import CadModel
from sdfpose_core.simulation.appearance import (
    AppearanceName,
    random_camera,
    random_illumination,
    repainted,
)
from sdfpose_core.simulation.arrangement import Arrangement, ArrangementStyle, Thing
from sdfpose_core.simulation.clutter_rooms import RoomKind, clutter_room
from sdfpose_core.simulation.clutter_views import clutter_camera, clutter_pose
from sdfpose_core.simulation.distractors import DISTRACTORS, ODD_KINDS, random_distractor
from sdfpose_core.simulation.ground_truth import ground_truth
from sdfpose_core.simulation.materials import random_material
from sdfpose_core.simulation.rendering import Rendering, render
from sdfpose_core.simulation.scene import Scene
from sdfpose_core.simulation.sensor import SensorNoise

__all__ = ["CLUTTER", "EMPTY", "ClutterFrame", "ClutterStyle", "clutter_scene", "simulated_clutter"]

_STREAM = 0xC1077E5
"""Sets the random numbers apart from those of other simulations with the same seed."""

_REACH_M = (0.2, 0.75)
"""Half of the side of the region for things..."""

_AREA_M2 = (0.012, 0.06)
"""...and the part of it for each thing."""

_DRAWS_PER_THING = 4
"""More things than this are not drawn for each one that finds a place."""

_REFERENCE_WIDTH = 640


@dataclass(frozen=True)
class ClutterStyle(ArrangementStyle):
    """Parameters of cluttered scenes and their views; see also `ArrangementStyle`.

    Attributes:
        objects: minimum and maximum number of things; small numbers are more frequent.
        ours: share of the things that belong to a category.
        kinds: kinds of the others, see `DISTRACTORS`.
        rooms: what they are placed on, and how often, relatively.
        materials: probability that a thing has parts that return little depth.
        scale_log_sd: standard deviation of the logarithm of a random scale factor of things of a
            category.
        distance_m: smallest and largest distance from the camera to what it looks at.
        tilted: probability of a view with any roll about the optical axis.
        min_pixels: things with fewer visible pixels, counted in an image 640 pixels wide, are
            ignored.
        max_depth_m: things whose nearest visible point is farther away are ignored.
    """

    objects: tuple[int, int] = (3, 20)
    ours: float = 0.45
    kinds: tuple[str, ...] = tuple(DISTRACTORS)
    rooms: Mapping[RoomKind, float] = field(
        default_factory=lambda: {
            "table": 0.3, "desk": 0.25, "steps": 0.1, "uneven": 0.1, "shelf": 0.15, "floor": 0.1,
        }
    )  # fmt: skip
    materials: float = 0.3
    scale_log_sd: float = 0.06
    distance_m: tuple[float, float] = (0.4, 2.0)
    tilted: float = 0.06
    min_pixels: int = 60
    max_depth_m: float = 2.5


CLUTTER = ClutterStyle()
"""Objects of the categories among distractors."""

EMPTY = ClutterStyle(
    objects=(0, 10), ours=0.0, kinds=tuple(x for x in DISTRACTORS if x not in ODD_KINDS)
)
"""Rooms without any object of a category: empty, or with monitors, cartons, tools and the like."""


@dataclass(frozen=True)
class ClutterFrame:
    """A simulated image of clutter.

    Attributes:
        frame: colour and depth as a camera delivers them, without masks and labels.
        ids: (H, W) uint16, true ids of the visible pixels of all things, of a category or not;
            0 is the background. A thing has the same id in all views of its scene.
        categories: category of each id in `ids`, empty for distractors.
        ignore: (H, W) bool, pixels of things that are too small in the image or too far away to be
            asked for. Their id is 0; whether something is found there does not matter.
        truths: true poses of the things of a category in `ids`.
    """

    frame: RgbdFrame
    ids: NDArray[np.uint16]
    categories: Mapping[int, str]
    ignore: NDArray[np.bool_]
    truths: tuple[GroundTruth, ...]


def clutter_scene(
    rng: np.random.Generator,
    models: Mapping[str, Sequence[CadModel]],
    style: ClutterStyle = CLUTTER,
) -> Scene:
    """Create a random cluttered scene.

    Things come down on the heights of what is below, so they do not penetrate each other by more
    than about a cell of that grid, 5 mm.

    Args:
        rng: source of all random draws.
        models: models of each category.
        style: parameters of the scene.

    Returns:
        Scene with mask ids from 1 on; the category of distractors is empty.
    """
    low, high = style.objects
    # Uniform in the logarithm: scenes with few things are as frequent as those with many.
    count = int(np.exp(rng.uniform(np.log(low + 1), np.log(high + 2)))) - 1
    area = max(count, 1) * rng.uniform(*_AREA_M2)
    reach = float(np.clip(0.5 * np.sqrt(area), *_REACH_M))
    names = tuple(style.rooms)
    shares = np.array([style.rooms[x] for x in names])
    room = clutter_room(rng, names[int(rng.choice(len(names), p=shares / shares.sum()))], reach)
    arrangement = Arrangement(rng, room.supports, room.main, style)
    objects = arrangement.objects
    thing: Thing | None = None
    held = count > 1 and rng.random() < style.held
    for _ in range(_DRAWS_PER_THING * count):
        if len(objects) >= count:
            break
        if held and len(objects) >= count - 2:
            held = not arrangement.hold(_thing(rng, models, style))
            continue
        if thing is None or rng.random() >= style.repeated:
            thing = _thing(rng, models, style)
        arrangement.add(thing)
    return Scene([*objects, *room.furniture], room.table)


def _thing(
    rng: np.random.Generator, models: Mapping[str, Sequence[CadModel]], style: ClutterStyle
) -> Thing:
    """Draw a thing of a category or a distractor."""
    category, scale = "", 1.0
    if rng.random() < style.ours:
        category = tuple(models)[int(rng.integers(len(models)))]
        some = models[category]
        model = some[int(rng.integers(len(some)))]
        scale = float(np.exp(style.scale_log_sd * rng.normal()))
    else:
        model = random_distractor(rng, style.kinds)
    material = random_material(rng, model) if rng.random() < style.materials else None
    return Thing(category, model, scale, material)


class _ProceduralModels(Sequence[CadModel]):
    """Procedural models of a category, each made when it is first needed."""

    def __init__(self, category: str, seeds: Sequence[int]) -> None:
        self._category = category
        self._seeds = seeds

    def __len__(self) -> int:
        return len(self._seeds)

    @overload
    def __getitem__(self, index: int) -> CadModel: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[CadModel]: ...

    def __getitem__(self, index: int | slice) -> CadModel | Sequence[CadModel]:
        if isinstance(index, slice):
            return _ProceduralModels(self._category, self._seeds[index])
        return _sampled(self._category, int(self._seeds[index]))


@lru_cache(maxsize=256)
def _sampled(category: str, seed: int) -> CadModel:
    return sample_model(category, seed)


def simulated_clutter(
    seed: int,
    count: int | None = None,
    style: ClutterStyle = CLUTTER,
    *,
    width: int = 640,
    appearance: AppearanceName = "printed",
    models: Mapping[str, Sequence[CadModel]] | None = None,
    model_seeds: Sequence[int] = range(512),
    noise: SensorNoise | None = None,
    views_per_scene: int = 4,
) -> Iterator[ClutterFrame]:
    """Generate images of clutter with random scenes, views, light and noise.

    The stream depends only on the arguments. Use different seeds in parallel processes.

    Args:
        seed: seed of the stream.
        count: number of images; None for an endless stream.
        style: parameters of scenes and views: `CLUTTER`, `EMPTY` or another one.
        width: width of the images, pixels; the height is 3/4 of it.
        appearance: domain of the colour images.
        models: models of the categories; procedural ones of all families by default.
        model_seeds: seeds of these procedural models.
        noise: depth noise; `SensorNoise.random` per view by default.
        views_per_scene: number of views of each scene.
    """
    if models is None:
        models = {category: _ProceduralModels(category, model_seeds) for category in FAMILIES}
    done, scene_number = 0, 0
    while count is None or done < count:
        rng = np.random.default_rng([_STREAM, seed, scene_number])
        scene_number += 1
        scene = repainted(clutter_scene(rng, models, style), rng, appearance)
        for _ in range(views_per_scene):
            yield _view(rng, scene, style, width, appearance, noise)
            done += 1
            if done == count:
                return


def _view(
    rng: np.random.Generator,
    scene: Scene,
    style: ClutterStyle,
    width: int,
    appearance: AppearanceName,
    noise: SensorNoise | None,
) -> ClutterFrame:
    """Simulate one view."""
    camera = clutter_camera(rng, width)
    pose = clutter_pose(rng, scene, camera, distance_m=style.distance_m, tilted=style.tilted)
    light = random_illumination(rng, appearance)
    rendering = render(scene, camera, pose, illumination=light)
    ids, ignore = _asked_for(rendering, style)
    present = np.flatnonzero(np.bincount(ids.ravel(), minlength=1)[1:]) + 1
    categories = {x.mask_id: x.category for x in scene.instances}
    frame = RgbdFrame(
        colour=random_camera(rng, appearance).apply(rendering.colour, rng),
        depth=(noise or SensorNoise.random(rng)).apply(rendering, camera, rng),
        mask=np.zeros_like(ids),
        camera=camera,
    )
    truths = ground_truth(scene, replace(rendering, mask=ids), camera, pose)
    return ClutterFrame(
        frame, ids, {int(x): categories[int(x)] for x in present}, ignore, tuple(truths)
    )


def _asked_for(
    rendering: Rendering, style: ClutterStyle
) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
    """Ids (H, W) of the things that are large and near enough, and the pixels (H, W) of others."""
    mask = rendering.mask
    counts = np.bincount(mask.ravel())
    nearest = np.full(len(counts), np.inf)
    np.minimum.at(nearest, mask.ravel(), rendering.depth.ravel())
    least = style.min_pixels * (mask.shape[1] / _REFERENCE_WIDTH) ** 2
    dropped = (counts < least) | (nearest > style.max_depth_m)
    ignore = dropped[mask] & (mask > 0)
    return np.where(ignore, np.uint16(0), mask), ignore
