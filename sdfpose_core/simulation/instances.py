"""Streams of simulated instances with true poses, for training and evaluating encoders."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sdfpose_core.categories import Categories, default_categories
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.observation.frame import GroundTruth, Instance, InstanceLabel, RgbdFrame
from sdfpose_core.observation.segmentation import segment
from sdfpose_core.shapes.body import HANDLE_PIXELS, REFERENCE_FOCAL_PX
from sdfpose_core.shapes.families import FAMILIES, sample_model
from sdfpose_core.shapes.model import CadModel
from sdfpose_core.simulation.appearance import (
    AppearanceName,
    random_camera,
    random_illumination,
    repainted,
)
from sdfpose_core.simulation.ground_truth import ground_truth
from sdfpose_core.simulation.mask_noise import MaskNoise
from sdfpose_core.simulation.rendering import render
from sdfpose_core.simulation.scene import CameraPose, Scene, SceneObject
from sdfpose_core.simulation.scenes import SceneStyle, random_scene
from sdfpose_core.simulation.sensor import SensorNoise
from sdfpose_core.simulation.views import hard_view, random_view

__all__ = ["ModelPool", "SimulatedInstance", "simulated_instances", "unoccluded_pixels"]

_SURROUNDINGS = 1.3
"""Margin around an object in a crop: this factor on its radius..."""

_BORDER_PX = 16
"""...plus this many pixels."""

_RAY_STRIDE = 2
"""Visibility is computed from every second pixel along u and v."""


@dataclass(frozen=True)
class SimulatedInstance:
    """One simulated measurement of one object.

    Attributes:
        instance: input of the estimator, with points in random order; without colour unless
            requested.
        truth: true pose and size.
        model: shape of the object; its diagonal is that of `truth`, not of the model.
        model_seed: seed of `sample_model`, or the model's index in the pool.
        visibility: visible share of the pixels that the object would have without occluders and
            image borders.
        hard_view: whether the view is one of `hard_view`.
    """

    instance: Instance
    truth: GroundTruth
    model: CadModel
    model_seed: int
    visibility: float
    hard_view: bool


class ModelPool:
    """Pool of models to draw from.

    Args:
        models: models by category.
        seeds: seeds of `sample_model` by category; each model's index by default.
    """

    def __init__(
        self,
        models: Mapping[str, Sequence[CadModel]],
        seeds: Mapping[str, Sequence[int]] | None = None,
    ) -> None:
        self.models = {category: list(some) for category, some in models.items()}
        self._by_name = {
            category: {
                model.name: (model, int(seed))
                for model, seed in zip(
                    some, range(len(some)) if seeds is None else seeds[category], strict=True
                )
            }
            for category, some in self.models.items()
        }

    @classmethod
    def procedural(cls, seeds: Mapping[str, Sequence[int]]) -> ModelPool:
        """Create a pool of procedural models from their seeds."""
        return cls(
            {
                category: [sample_model(category, int(x)) for x in some]
                for category, some in seeds.items()
            },
            seeds,
        )

    @classmethod
    def for_category(
        cls, category: str, seeds: Sequence[int], *, distractors: int = 24
    ) -> ModelPool:
        """Create a pool with given seeds of one category and some models of every other family."""
        others = _other_families(category)
        first = int(min(seeds))
        return cls.procedural(
            {category: seeds, **dict.fromkeys(others, range(first, first + distractors))}
        )

    @classmethod
    def with_models(
        cls, category: str, models: Sequence[CadModel], first_seed: int, *, distractors: int
    ) -> ModelPool:
        """Create a pool with given models of one category, which needs no procedural family.

        Args:
            category: category of the models.
            models: its models.
            first_seed: first seed of the procedural models of every other family.
            distractors: number of these models per family.
        """
        seeds = range(first_seed, first_seed + distractors)
        others = cls.procedural(dict.fromkeys(_other_families(category), seeds))
        return cls({category: models, **others.models})

    def find(self, category: str, name: str) -> tuple[CadModel, int]:
        """Look up a model and its seed by name."""
        return self._by_name[category][name]


def _other_families(category: str) -> list[str]:
    """List the known categories with a procedural family, except the given one."""
    known = default_categories()
    return [x for x in FAMILIES if x in known and x != category]


def simulated_instances(
    category: str,
    seed: int,
    count: int | None = None,
    *,
    pool: ModelPool | None = None,
    model_seeds: Sequence[int] = range(256),
    style: SceneStyle | None = None,
    camera: PinholeCamera | None = None,
    noise: SensorNoise | None = None,
    mask_noise: MaskNoise | None = None,
    views_per_scene: int = 8,
    pixels: int = 70_000,
    max_points: int = 1024,
    min_points: int = 64,
    min_visibility: float = 0.15,
    colour: bool = False,
    appearance: AppearanceName = "studio",
    categories: Categories | None = None,
) -> Iterator[SimulatedInstance]:
    """Generate instances of one category with random scenes, views and noise.

    The stream depends only on the arguments. Use different seeds in parallel processes.

    Args:
        category: category of the instances; scenes also contain objects of the others.
        seed: seed of the stream.
        count: number of instances; None for an endless stream.
        pool: models to draw from; by default a pool with `model_seeds`.
        model_seeds: seeds of the category's models if no pool is given.
        style: style of the scenes and views.
        camera: camera of all views; a random one per view by default.
        noise: depth noise; `SensorNoise.random` per view by default.
        mask_noise: mask noise; one of the three presets per view by default.
        views_per_scene: number of views per scene.
        pixels: maximum number of pixels per image. Images are cropped to the category's objects
            and then, if necessary, reduced in resolution.
        max_points: maximum number of points per instance, selected at random.
        min_points: instances with fewer points are skipped.
        min_visibility: instances with a smaller visible share are skipped.
        colour: whether to render colour images; poses and depth stay the same.
        appearance: domain of the colour images; poses and depth stay the same.
        categories: the known ones; by default the six shipped ones.
    """
    pool = pool or ModelPool.for_category(category, model_seeds)
    style = style or SceneStyle()
    known = default_categories() if categories is None else categories
    stream = zlib.crc32(category.encode())
    yielded = 0
    scene_number = 0
    while count is None or yielded < count:
        rng = np.random.default_rng([stream, seed, scene_number])
        paint_rng = np.random.default_rng([stream, seed, scene_number, 1])
        scene_number += 1
        scene = random_scene(rng, pool.models, style, focus=category, categories=known)
        if colour:
            scene = repainted(scene, paint_rng, appearance)
        for _ in range(views_per_scene):
            for instance, truth, visibility, hard in _view(
                rng,
                scene,
                style,
                category,
                known,
                camera,
                noise,
                mask_noise,
                pixels,
                min_points,
                (paint_rng, appearance) if colour else None,
            ):
                if visibility < min_visibility:
                    continue
                model, model_seed = pool.find(category, truth.instance)
                yield SimulatedInstance(
                    _thinned(rng, instance, max_points), truth, model, model_seed, visibility, hard
                )
                yielded += 1
                if yielded == count:
                    return


def _view(
    rng: np.random.Generator,
    scene: Scene,
    style: SceneStyle,
    category: str,
    known: Categories,
    camera: PinholeCamera | None,
    noise: SensorNoise | None,
    mask_noise: MaskNoise | None,
    pixels: int,
    min_points: int,
    colour: tuple[np.random.Generator, AppearanceName] | None,
) -> Iterator[tuple[Instance, GroundTruth, float, bool]]:
    """Simulate one random view: the category's instances, their truths and visible shares.

    The last element says whether it is one of `hard_view`.

    `colour` gives the source of random draws and the domain of the colour image, None for none.
    """
    items = [x for x in scene.instances if x.category == category]
    target = items[int(rng.integers(len(items)))]
    hard = style.hard > 0.0 and rng.random() < style.hard
    if hard:
        shown, full_camera, pose = hard_view(rng, scene, target, camera=camera, categories=known)
    else:
        full_camera, pose = random_view(rng, scene, target=target, camera=camera)
        shown = scene
    camera = _close_up(full_camera, pose, items, pixels)
    if colour is None:
        rendering = render(shown, camera, pose, colour=False)
    else:
        light = random_illumination(*colour)
        rendering = render(shown, camera, pose, illumination=light)
        image = random_camera(*colour).apply(rendering.colour, colour[0])
        rendering = replace(rendering, colour=image)
    # A lower resolution needs fewer pixels to show the handle.
    share = min((camera.fx / REFERENCE_FOCAL_PX) ** 2, 1.0)
    truths = {
        x.mask_id: x
        for x in ground_truth(
            scene,
            rendering,
            camera,
            pose,
            categories=known,
            min_pixels=min_points,
            handle_pixels=round(share * HANDLE_PIXELS),
        )
        if x.category == category
    }
    presets = (MaskNoise.none(), MaskNoise.mild(), MaskNoise.realistic(), MaskNoise.realistic())
    detector = mask_noise or presets[int(rng.integers(len(presets)))]
    sensor = noise or SensorNoise.random(rng)
    frame = RgbdFrame(
        colour=rendering.colour,
        depth=sensor.apply(rendering, camera, rng),
        mask=detector.apply(rendering.mask, camera, rng),
        camera=camera,
        labels={x: InstanceLabel(category) for x in truths},
    )
    instances, _ = segment(frame, known, min_points=min_points)
    for instance in instances:
        visible = int(np.count_nonzero(rendering.mask == instance.mask_id))
        alone = unoccluded_pixels(scene, instance.mask_id, camera, pose)
        if colour is None:
            instance = replace(instance, colour=None)
        yield instance, truths[instance.mask_id], min(visible / max(alone, 1), 1.0), hard


def _close_up(
    camera: PinholeCamera, pose: CameraPose, items: Sequence[SceneObject], pixels: int
) -> PinholeCamera:
    """Camera of the image part that shows the objects and their surroundings."""
    size = np.array([camera.width, camera.height])
    low, high = size.astype(np.float64), np.zeros(2)
    for item in items:
        centre = pose.to_camera(item.translation)
        radius = 0.5 * float(np.linalg.norm(item.dimensions_m))
        if centre[2] < 2.0 * radius:
            continue
        middle = camera.project(centre)
        reach = _SURROUNDINGS * camera.fx * radius / centre[2] + _BORDER_PX
        if np.all(middle > -reach) and np.all(middle < size + reach):
            low, high = np.minimum(low, middle - reach), np.maximum(high, middle + reach)
    left, top = np.clip(low, 0, size - 1).astype(int)
    right, bottom = np.clip(high, 1, size).astype(int)
    if right - left < _BORDER_PX or bottom - top < _BORDER_PX:
        left, top, right, bottom = 0, 0, camera.width, camera.height
    part = camera.crop(int(left), int(top), int(right - left), int(bottom - top))
    reduction = min(float(np.sqrt(pixels / (part.width * part.height))), 1.0)
    if reduction == 1.0:
        return part
    return part.resize(round(part.width * reduction), round(part.height * reduction))


def unoccluded_pixels(scene: Scene, mask_id: int, camera: PinholeCamera, pose: CameraPose) -> int:
    """Count the pixels that an object would have in an unbounded image without other objects.

    Args:
        scene: scene with the object.
        mask_id: mask id of the object.
        camera: intrinsics.
        pose: pose of the camera, x_w = R x_c + t.
    """
    item = next(x for x in scene.instances if x.mask_id == mask_id)
    corners = pose.to_camera(item.vertices)
    if corners[:, 2].min() <= 0.01:
        return camera.width * camera.height
    pixels = camera.project(corners)
    low, high = np.floor(pixels.min(axis=0)), np.ceil(pixels.max(axis=0))
    u, v = np.meshgrid(
        np.arange(low[0], high[0] + 1, _RAY_STRIDE), np.arange(low[1], high[1] + 1, _RAY_STRIDE)
    )
    rays = camera.rays(np.stack([u, v], axis=-1)) @ pose.rotation.T
    return int(np.count_nonzero(scene.hits_alone(mask_id, pose.translation, rays))) * (
        _RAY_STRIDE**2
    )


def _thinned(rng: np.random.Generator, instance: Instance, count: int) -> Instance:
    """Keep at most `count` points of an instance, in random order."""
    chosen = rng.permutation(len(instance.points))[:count]
    return replace(
        instance,
        points=instance.points[chosen],
        pixels=instance.pixels[chosen],
    )
