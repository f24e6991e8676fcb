"""Poses of the objects in NOCS images as the benchmark judges against them.

They are published in several forms. In order of preference:

- ``nocs_results``: ``results/nocs_results/{val,real_test}/results_{val,test}_SCENE_NUMBER.pkl``,
  the predictions of NOCS with the true poses.
- ``gts``: ``gts/{val,real_test}/results_{val,real_test}_SCENE_NUMBER.pkl``, the true poses alone.
- ``label``: ``NUMBER_label.pkl`` beside the image, as the preparation of Object-DeformNet (Tian et
  al., ECCV 2020) and of SSC-6D write it.
- ``coordinate_maps``: poses computed here from the maps of object coordinates and the depth. They
  differ from the published ones, and so do figures that are judged against them.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.categories import Categories
from sdfpose_core.datasets.nocs import NOCS_CATEGORIES, NocsImage
from sdfpose_core.datasets.nocs_frames import MugFrame, pose_matrix, split_pose
from sdfpose_core.datasets.nocs_matching import (
    MAX_BOX_DIFFERENCE,
    describe_box,
    describe_instance,
    instance_boxes,
    is_pose,
    match_boxes,
    match_in_order,
    name_missing,
)
from sdfpose_core.datasets.nocs_models import NocsModels
from sdfpose_core.datasets.nocs_poses import canonical_yaw, handle_in_map, nocs_poses
from sdfpose_core.datasets.nocs_results import read_dictionary, result_column
from sdfpose_core.errors import ConfigurationError, FrameError
from sdfpose_core.observation.frame import GroundTruth

__all__ = [
    "TRUTH_SOURCES",
    "NocsImageTruth",
    "NocsObject",
    "NocsTruths",
    "TruthChoice",
    "TruthSource",
]

TruthSource = Literal["nocs_results", "gts", "label", "coordinate_maps"]

TruthChoice = Literal["auto", "nocs_results", "gts", "label", "coordinate_maps"]

TRUTH_SOURCES: tuple[TruthSource, ...] = get_args(TruthSource)
"""Sources in order of preference."""

_SPLITS: dict[str, tuple[str, ...]] = {
    "CAMERA/train": ("train",),
    "CAMERA/val": ("val",),
    "Real/train": ("train", "real_train"),
    "Real/test": ("test", "real_test"),
}
"""Names of each part in paths of published files; the last is that of its folder."""

_EVALUATED = ("CAMERA/val", "Real/test")

_FOLDERS: dict[TruthSource, str] = {"nocs_results": "results/nocs_results", "gts": "gts"}

_MAX_BOX = (440, 600)
"""Height and width of the mask of an object, pixels. The benchmark leaves out images with a larger
one: they are faulty renderings."""


@dataclass(frozen=True)
class NocsObject:
    """One true object of an image, in the frame of the benchmark.

    Attributes:
        mask_id: its value in the image's mask.
        category: category name.
        model: name of its CAD model or scan; empty if unknown.
        transform: (4, 4), normalised object to camera frame, metres, scale included. A mug's
            origin is on the axis of its body; see `nocs_frames`.
        size: (3,) sides of the box, normalised object units of that frame.
        handle_visible: whether the handle of a mug is visible; has no meaning for others.
        mug_frame: the benchmark's frame of a mug relative to ours; by default, computed from
            `size`.
    """

    mask_id: int
    category: str
    model: str
    transform: NDArray[np.float64]
    size: NDArray[np.float64]
    handle_visible: bool = True
    mug_frame: MugFrame | None = None

    def ground_truth(self, mask_id: int, categories: Categories) -> GroundTruth:
        """Convert to our frame, with the centre of the box as origin.

        For objects of symmetric categories, yaw is set by `canonical_yaw`.

        Args:
            mask_id: id of the object in the frame that shows it.
            categories: table of categories with their symmetries.
        """
        transform, size = self.transform, self.size
        if self.category == "mug":
            frame = self.mug_frame or MugFrame.of_benchmark_box(size)
            transform, size = frame.to_ours(transform, size)
        rotation, translation, scale = split_pose(transform)
        symmetry = categories[self.category].symmetry
        return GroundTruth(
            mask_id=mask_id,
            category=self.category,
            instance=self.model,
            rotation=canonical_yaw(rotation) if symmetry == "y" else rotation,
            translation=translation,
            dimensions_m=scale * size,
            symmetric_about_y=symmetry == "y"
            or (symmetry == "y_without_handle" and not self.handle_visible),
        )


@dataclass(frozen=True)
class NocsImageTruth:
    """The true objects of an image.

    Attributes:
        source: where the poses come from.
        objects: true objects.
        problems: one sentence for each mismatch. What concerns all images, such as a missing
            ``mug_meta.pkl``, is in the problems of the first of them only.
        published: whether the published evaluation has this image: it leaves out images in which
            an object fills the view, and those without an object.
    """

    source: TruthSource
    objects: list[NocsObject]
    problems: list[str]
    published: bool = True


class NocsTruths:
    """Reads the true objects of the images of a part.

    Args:
        root: the data folder.
        part: ``CAMERA/train``, ``CAMERA/val``, ``Real/train`` or ``Real/test``.
        categories: table of known categories.
        choice: source of the poses. ``auto`` takes for each image the first of `TRUTH_SOURCES` that
            has them.

    Attributes:
        categories: table of known categories.
        sources: the sources to try for each image, in order.

    Raises:
        ConfigurationError: the chosen source is not among the data, or the part is unknown.
    """

    def __init__(
        self, root: Path | str, part: str, categories: Categories, choice: TruthChoice = "auto"
    ) -> None:
        self._root = Path(root)
        self._part = part
        self.categories = categories
        self._models = NocsModels(root, part)
        self._told: set[str] = set()
        self._readers: dict[TruthSource, _Reader] = {
            "nocs_results": self._of_results,
            "gts": self._of_results,
            "label": self._of_label,
            "coordinate_maps": self._of_maps,
        }
        self.sources = [x for x in TRUTH_SOURCES if self._has(x)]
        if choice != "auto":
            if choice not in self.sources:
                raise ConfigurationError(
                    f"{self._root / self._pattern(choice)}: no such files: expected the true poses "
                    f"of source '{choice}'; at hand are {', '.join(self.sources)}"
                )
            self.sources = [choice]

    def of(self, image: NocsImage, stem: Path) -> NocsImageTruth:
        """Read the true objects of one image.

        Args:
            image: the image.
            stem: path of its files up to the number.

        Raises:
            FrameError: the chosen source has no usable file for the image. With ``auto``, the next
                source is taken instead, and the problem reported.
        """
        problems: list[str] = []
        for source in self.sources:
            found: list[str] = []
            try:
                objects = self._readers[source](image, stem, source, found)
            except FrameError as error:
                if source == self.sources[-1]:
                    raise
                problems.append(f"{error}; the next source of true poses is taken")
                continue
            boxes = instance_boxes(image).values()
            whole = any(y2 - y1 > _MAX_BOX[0] or x2 - x1 > _MAX_BOX[1] for y1, x1, y2, x2 in boxes)
            return NocsImageTruth(source, objects, problems + found, bool(objects) and not whole)
        raise AssertionError("there is at least one source")

    def _has(self, source: TruthSource) -> bool:
        if source == "coordinate_maps":
            return True
        return any(True for _ in self._root.glob(self._pattern(source)))

    def _pattern(self, source: TruthSource) -> str:
        if source == "label":
            return f"{self._part}/*/*_label.pkl"
        return f"{_FOLDERS[source]}/{_SPLITS[self._part][-1]}/*.pkl"

    def _once(self, sentence: str, problems: list[str]) -> None:
        if sentence not in self._told:
            self._told.add(sentence)
            problems.append(sentence)

    def _of_results(
        self, image: NocsImage, stem: Path, source: TruthSource, problems: list[str]
    ) -> list[NocsObject]:
        """Read ``nocs_results`` or ``gts``."""
        path = self._results_file(source, stem)
        content = read_dictionary(path)
        _check_image(content, path, stem, _SPLITS[self._part])
        transforms = result_column(content, "gt_RTs", (4, 4), path)
        count = len(transforms)
        if "gt_class_ids" in content and "gt_bboxes" in content:
            rows = match_boxes(
                image,
                result_column(content, "gt_class_ids", (), path, count),
                result_column(content, "gt_bboxes", (4,), path, count),
                path,
                problems,
            )
        else:
            rows = match_in_order(
                image, self._map_poses(image, problems, []), content, transforms, path, problems
            )
        sizes = visible = None
        if "gt_scales" in content:
            sizes = result_column(content, "gt_scales", (3,), path, count)
        if "gt_handle_visibility" in content:
            visible = result_column(content, "gt_handle_visibility", (), path, count)
        objects = []
        for mask_id, row in rows.items():
            what = describe_instance(image, mask_id)
            if not is_pose(transforms[row]):
                problems.append(f"{path}: the pose of {what} is no finite similarity; left out")
                continue
            model = image.models[mask_id]
            size = self._models.size(model, problems)
            if size is None and sizes is not None and (sizes[row] > 0.0).all():
                size = sizes[row]
            if size is None:
                problems.append(
                    f"{path}: {what} has no size: expected gt_scales, or the model below "
                    f"{self._models.folder}; left out"
                )
                continue
            objects.append(
                self._object(
                    image,
                    mask_id,
                    transforms[row],
                    size,
                    None if visible is None else bool(visible[row]),
                    problems,
                )
            )
        if rows and not objects:
            raise FrameError(
                f"{path}: none of its {count} objects has a pose and a size ({problems[-1]})"
            )
        return objects

    def _object(
        self,
        image: NocsImage,
        mask_id: int,
        transform: NDArray[np.float64],
        size: NDArray[np.float64],
        handle_visible: bool | None,
        problems: list[str],
    ) -> NocsObject:
        """Convert a pose and a size in the frame of the maps to the benchmark's frame."""
        category, model = image.frame.labels[mask_id].category, image.models[mask_id]
        if category != "mug":
            return NocsObject(mask_id, category, model, transform, size)
        if handle_visible is None:
            handle_visible = self._handle_in_map(image, mask_id, size, transform)
        frame = self._models.mug_frame(model, size, problems)
        moved, sides = frame.to_benchmark(transform, size)
        return NocsObject(mask_id, category, model, moved, sides, handle_visible, frame)

    def _results_file(self, source: TruthSource, stem: Path) -> Path:
        """Path of the file of an image.

        Raises:
            FrameError: there is none.
        """
        splits = _SPLITS[self._part]
        folder = self._root / _FOLDERS[source] / splits[-1]
        scene, number = stem.parts[-2:]
        paths = [folder / f"results_{x}_{scene}_{number}.pkl" for x in splits]
        for path in paths:
            if path.is_file():
                return path
        other = next(folder.glob(f"results_*_{escape(scene)}_{number}.pkl"), None)
        hint = "" if other is None else f", not {other.name}, which is of another split"
        raise FrameError(
            f"{folder}: has no file of {self._part}/{scene}/{number}: expected "
            f"{' or '.join(x.name for x in paths)}{hint}"
        )

    def _of_label(
        self, image: NocsImage, stem: Path, source: TruthSource, problems: list[str]
    ) -> list[NocsObject]:
        """Read ``_label.pkl``, whose poses and sizes are in the benchmark's frame."""
        path = stem.with_name(f"{stem.name}_label.pkl")
        content = read_dictionary(path)
        class_ids = result_column(content, "class_ids", (), path)
        count = len(class_ids)
        mask_ids = result_column(content, "instance_ids", (), path, count)
        boxes = result_column(content, "bboxes", (4,), path, count)
        transforms = _label_poses(content, path, count)
        sizes = visible = None
        if "size" in content:
            sizes = result_column(content, "size", (3,), path, count)
        if "handle_visibility" in content:
            visible = result_column(content, "handle_visibility", (), path, count)
        objects: dict[int, NocsObject] = {}
        own_boxes = instance_boxes(image)
        for row, number in enumerate(mask_ids.tolist()):
            label = image.frame.labels.get(number)  # whole numbers equal their integers
            if label is None:
                known = ", ".join(map(str, image.frame.labels))
                problems.append(
                    f"{path}: instance {number:.10g} is not in the mask: expected one of {known}; "
                    "left out"
                )
                continue
            mask_id = int(number)
            what = describe_instance(image, mask_id)
            class_id = 1 + NOCS_CATEGORIES.index(label.category)
            difference = float(np.abs(boxes[row] - own_boxes[mask_id]).sum())
            if class_ids[row] != class_id or not difference <= MAX_BOX_DIFFERENCE:
                problems.append(
                    f"{path}: instance {mask_id} has class {class_ids[row]:.0f} and box "
                    f"{describe_box(boxes[row])}: expected class {class_id} and box "
                    f"{list(own_boxes[mask_id])}; left out"
                )
                continue
            if mask_id in objects or not is_pose(transforms[row]):
                problems.append(
                    f"{path}: {what} {'is repeated' if mask_id in objects else 'has no pose'}: "
                    "expected one finite similarity; left out"
                )
                continue
            model = image.models[mask_id]
            frame = None
            own = self._models.size(model, [] if sizes is not None else problems)
            size = None if sizes is None else sizes[row]
            if label.category == "mug" and own is not None:
                frame = self._models.mug_frame(model, own, problems)
                own = frame.to_benchmark(np.eye(4), own)[1]
            size = own if size is None else size
            if size is None or not (np.isfinite(size).all() and (size > 0.0).all()):
                problems.append(
                    f"{path}: {what} has no size: expected 'size', or the model below "
                    f"{self._models.folder}; left out"
                )
                continue
            shown = True if visible is None else bool(visible[row])
            if label.category == "mug" and visible is None:
                ours = (frame or MugFrame.of_benchmark_box(size)).to_ours(transforms[row], size)
                shown = self._handle_in_map(image, mask_id, ours[1], ours[0])
            objects[mask_id] = NocsObject(
                mask_id, label.category, model, transforms[row], size, shown, frame
            )
        if count and not objects:
            raise FrameError(
                f"{path}: none of its {count} instances is one of {image.name}: "
                f"expected the label of that image ({problems[-1]})"
            )
        name_missing(image, objects, path, problems)
        return [objects[i] for i in image.frame.labels if i in objects]

    def _of_maps(
        self, image: NocsImage, stem: Path, source: TruthSource, problems: list[str]
    ) -> list[NocsObject]:
        """Compute poses from the maps of object coordinates."""
        if self._part in _EVALUATED:
            self._once(
                f"{self._part}: true poses are computed from the maps of object coordinates: "
                "figures are not the benchmark's; expected "
                + ", ".join(self._pattern(x) for x in TRUTH_SOURCES[:3]),
                problems,
            )
        return [
            self._object(
                image,
                x.mask_id,
                pose_matrix(x.rotation, x.translation, x.scale),
                x.dimensions_m / x.scale,
                not x.symmetric_about_y,
                problems,
            )
            for x in self._map_poses(image, problems, problems)
        ]

    def _map_poses(
        self, image: NocsImage, problems: list[str], unposed: list[str]
    ) -> list[GroundTruth]:
        """Compute the poses; `unposed` receives a sentence for each instance without one."""
        names = dict.fromkeys(image.models.values())
        sizes = {x: self._models.size(x, problems) for x in names}
        rng = np.random.default_rng(zlib.crc32(image.name.encode()))
        truths, skipped = nocs_poses(
            image, self.categories, {k: v for k, v in sizes.items() if v is not None}, rng
        )
        unposed += skipped
        return truths

    def _handle_in_map(
        self,
        image: NocsImage,
        mask_id: int,
        size: NDArray[np.floating],
        transform: NDArray[np.float64],
    ) -> bool:
        """Check whether the handle is visible, for files that do not tell; see `handle_in_map`."""
        seen = (image.frame.mask == mask_id) & (image.frame.depth > 0.0)
        return handle_in_map(size, split_pose(transform)[2], image.coordinates[seen])


_Reader = Callable[[NocsImage, Path, TruthSource, list[str]], list[NocsObject]]


def _check_image(content: Mapping[str, Any], path: Path, stem: Path, splits: Sequence[str]) -> None:
    """Check that a file is of the image, if it tells: by ``.../SPLIT/SCENE/NUMBER_color.png``.

    Raises:
        FrameError: it is of another image or another split.
    """
    told = content.get("image_path")
    parts = str(told).removesuffix("_color.png").split("/")[-3:]
    if not isinstance(told, str) or len(parts) < 3:
        return
    others = {x for names in _SPLITS.values() for x in names}.difference(splits)
    if parts[0] in others or parts[1:] != list(stem.parts[-2:]):
        raise FrameError(
            f"{path}: is of the image {'/'.join(parts)}: expected "
            f"{'/'.join([splits[-1], *stem.parts[-2:]])}; it belongs to another split or image"
        )


def _label_poses(content: Mapping[str, Any], path: Path, count: int) -> NDArray[np.float64]:
    """Poses (N, 4, 4) of a label: ``poses``, or scales, rotations and translations."""
    if "poses" in content:
        return result_column(content, "poses", (4, 4), path, count)
    scales = result_column(content, "scales", (), path, count)
    rotations = result_column(content, "rotations", (3, 3), path, count)
    translations = result_column(content, "translations", (3,), path, count)
    poses = [pose_matrix(*x) for x in zip(rotations, translations, scales.tolist(), strict=True)]
    return np.array(poses).reshape(-1, 4, 4)
