"""Endless simulated instances with their true poses: what encoders are trained and judged on."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sdfpose_core.categories import Categories, default_categories
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.observation.frame import GroundTruth, Instance, InstanceLabel, RgbdFrame
from sdfpose_core.observation.segmentation import segment
from sdfpose_core.shapes.body import HANDLE_PIXELS
from sdfpose_core.shapes.families import sample_model
from sdfpose_core.shapes.model import CadModel
from sdfpose_core.simulation.ground_truth import ground_truth
from sdfpose_core.simulation.rendering import render
from sdfpose_core.simulation.scene import CameraPose, Scene, SceneObject
from sdfpose_core.simulation.scenes import SceneStyle, random_scene, random_view
from sdfpose_core.simulation.sensor import REFERENCE_FOCAL_PX, MaskNoise, SensorNoise

__all__ = ["ModelPool", "SimulatedInstance", "pixels_alone", "simulated_instances"]

_SURROUNDINGS = 1.3
"""An object's surroundings reach to so many of its radii..."""

_BORDER_PX = 16
"""...and so many pixels."""

_RAY_STRIDE = 2
"""Every second pixel along u and v tells how much of an object is visible."""


@dataclass(frozen=True)
class SimulatedInstance:
    """One simulated measurement of one object.

    Attributes:
        instance: what the estimator is given; its points are in no order. Without
            colour unless it was asked for.
        truth: its true pose and size.
        model: its shape; the object's diagonal is that of `truth`, not the model's.
        model_seed: of `sample_model`, or the model's place in the pool.
        visibility: visible share of the pixels that the object would have without occluders and
            image borders.
    """

    instance: Instance
    truth: GroundTruth
    model: CadModel
    model_seed: int
    visibility: float


class ModelPool:
    """Models to draw from, again and again.

    Args:
        models: by category.
        seeds: of `sample_model`, by category; each model's place by default.
    """

    def __init__(
        self,
        models: Mapping[str, Sequence[CadModel]],
        seeds: Mapping[str, Sequence[int]] | None = None,
    ) -> None:
        self.models = {category: list(some) for category, some in models.items()}
        self._found = {
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
        """Procedural models, by their seeds."""
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
        """A pool with these seeds of one category, and some models of every other one."""
        others = [x for x in default_categories() if x != category]
        first = int(min(seeds))
        return cls.procedural(
            {category: seeds, **dict.fromkeys(others, range(first, first + distractors))}
        )

    def find(self, category: str, name: str) -> tuple[CadModel, int]:
        """The model of that name, and its seed."""
        return self._found[category][name]


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
) -> Iterator[SimulatedInstance]:
    """Instances of one category in random scenes, views and noise.

    The stream depends on the arguments alone. Processes that work in parallel take different
    seeds.

    Args:
        category: of the instances; scenes also hold objects of the others.
        seed: of the stream.
        count: how many to yield; None never ends.
        pool: models to draw from; by default one with `model_seeds`.
        model_seeds: of the category's models, where no pool is given.
        style: of the scenes.
        camera: of all views; a random one for each by default.
        noise: of depth; `SensorNoise.random` for each view by default.
        mask_noise: of masks; one of the three presets for each view by default.
        views_per_scene: views of a scene before the next one is built.
        pixels: most pixels of an image. Images are cropped to the category's objects, then, where
            that is not enough, reduced in resolution.
        max_points: a random subset of the points is kept.
        min_points: views with fewer points of an object are left out.
        min_visibility: views in which less of an object is visible are left out.
        colour: whether the images are rendered in colour; poses and depth stay the same.
    """
    pool = pool or ModelPool.for_category(category, model_seeds)
    categories = default_categories()
    stream = zlib.crc32(category.encode())
    made = 0
    scene_number = 0
    while count is None or made < count:
        rng = np.random.default_rng([stream, seed, scene_number])
        scene_number += 1
        scene = random_scene(rng, pool.models, style, focus=category)
        for _ in range(views_per_scene):
            for instance, truth, visibility in _view(
                rng,
                scene,
                category,
                categories,
                camera,
                noise,
                mask_noise,
                pixels,
                min_points,
                colour,
            ):
                if visibility < min_visibility:
                    continue
                model, model_seed = pool.find(category, truth.instance)
                yield SimulatedInstance(
                    _thinned(rng, instance, max_points), truth, model, model_seed, visibility
                )
                made += 1
                if made == count:
                    return


def _view(
    rng: np.random.Generator,
    scene: Scene,
    category: str,
    categories: Categories,
    camera: PinholeCamera | None,
    noise: SensorNoise | None,
    mask_noise: MaskNoise | None,
    pixels: int,
    min_points: int,
    colour: bool,
) -> Iterator[tuple[Instance, GroundTruth, float]]:
    """The category's instances in one random view, with ground truth and visibility."""
    wanted = [x for x in scene.instances if x.category == category]
    target = wanted[int(rng.integers(len(wanted)))]
    whole, pose = random_view(rng, scene, target=target, camera=camera)
    camera = _close_up(whole, pose, wanted, pixels)
    rendering = render(scene, camera, pose, colour=colour)
    # At a lower resolution fewer pixels say as much about the handle.
    share = min((camera.fx / REFERENCE_FOCAL_PX) ** 2, 1.0)
    truths = {
        x.mask_id: x
        for x in ground_truth(
            scene,
            rendering,
            camera,
            pose,
            categories=categories,
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
    instances, _ = segment(frame, categories, min_points=min_points)
    for instance in instances:
        visible = int(np.count_nonzero(rendering.mask == instance.mask_id))
        alone = pixels_alone(scene, instance.mask_id, camera, pose)
        if not colour:
            instance = replace(instance, colour=None)
        yield instance, truths[instance.mask_id], min(visible / max(alone, 1), 1.0)


def _close_up(
    camera: PinholeCamera, pose: CameraPose, items: Sequence[SceneObject], pixels: int
) -> PinholeCamera:
    """The part of an image that shows the objects and their surroundings."""
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


def pixels_alone(scene: Scene, mask_id: int, camera: PinholeCamera, pose: CameraPose) -> int:
    """Pixels that an object would have on an endless image without any other object.

    Args:
        scene: what is there.
        mask_id: of the object.
        camera: intrinsics.
        pose: of the camera, x_w = R x_c + t.
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
    """The instance with at most `count` points, in random order."""
    chosen = rng.permutation(len(instance.points))[:count]
    return replace(
        instance,
        points=instance.points[chosen],
        pixels=instance.pixels[chosen],
    )
