"""Preparation of the NOCS data: convert images to files of instances with poses.

The poses come from the object coordinate maps, the sizes from the CAD models. One file per scene
and category is written atomically, and finished scenes are not prepared again. An interrupted
preparation resumes where it stopped, and several processes or machines can share the work.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.categories import Categories
from sdfpose_core.datasets.instances import StoredInstance, read_instances, write_instances
from sdfpose_core.datasets.nocs import NocsImage, NocsSource, read_nocs_image, scene_images
from sdfpose_core.datasets.nocs_detections import detected, detections_file, match_ground_truth
from sdfpose_core.datasets.nocs_poses import nocs_poses
from sdfpose_core.errors import FrameError, MeshError
from sdfpose_core.observation.colour_crop import ColourCrop, CropFormat
from sdfpose_core.observation.depth_unit import MILLIMETRE, depth_unit_problem
from sdfpose_core.observation.input_warnings import InputWarning, WarningCounts
from sdfpose_core.observation.segmentation import segment
from sdfpose_core.shapes.mesh_files import mesh_files, read_mesh
from sdfpose_core.storage.files import write_atomically

__all__ = [
    "NOCS_IMAGE_PARTS",
    "ScenePreparation",
    "model_sides",
    "prepare_scene",
    "prepared_files",
    "prepared_instances",
    "scenes_of",
]

_REPORT = "report.json"


@dataclass(frozen=True)
class ScenePreparation:
    """Summary of the preparation of one scene.

    Attributes:
        images: number of images read.
        instances: number of instances written, by category.
        problems: one sentence for each skipped image or instance.
    """

    images: int
    instances: dict[str, int]
    problems: list[str]


_MODELS = {
    "CAMERA/train": "train",
    "CAMERA/val": "val",
    "Real/train": "real_train",
    "Real/test": "real_test",
}
"""Folder below ``obj_models`` of the CAD models or scans of each part."""

NOCS_IMAGE_PARTS = tuple(_MODELS)


def model_sides(root: Path | str, part: str, problems: list[str]) -> dict[str, NDArray[np.float64]]:
    """Measure the box sides (3,) of the models of a part, in units of their diagonals, by name.

    The models of CAMERA are ``SYNSET/NAME/model.obj``, those of Real ``NAME.obj``.

    Args:
        root: the data folder.
        part: see `prepare_scene`.
        problems: receives one sentence for each unreadable model.
    """
    folder = Path(root) / "obj_models" / _MODELS[part]
    sides = {}
    for path in mesh_files(folder) if folder.is_dir() else ():
        name = path.parent.name if path.stem == "model" else path.stem
        try:
            vertices, _ = read_mesh(path)
        except MeshError as error:
            problems.append(f"{error}; the size of its instances is taken from their maps")
            continue
        box = np.ptp(vertices, axis=0)
        sides[name] = box / np.linalg.norm(box)
    return sides


def scenes_of(root: Path | str, part: str) -> list[str]:
    """List the names of the scenes of a part, such as ``Real/train``, in order."""
    return sorted(x.name for x in (Path(root) / part).iterdir() if x.is_dir())


def prepare_scene(
    root: Path,
    part: str,
    scene: str,
    out: Path,
    categories: Categories,
    sides: Mapping[str, NDArray[np.floating]],
    detections: Path | None = None,
    colour: CropFormat | None = "png",
) -> ScenePreparation:
    """Prepare one scene; if that is already done, return its summary.

    Args:
        root: the data folder.
        part: ``CAMERA/train``, ``CAMERA/val``, ``Real/train`` or ``Real/test``.
        scene: name of the scene.
        out: folder of the prepared data.
        categories: table of known categories.
        sides: box sides (3,) of the CAD models, in units of their diagonals, by model.
        detections: folder with the masks of a detector, which replace those of the images; poses
            are assigned to the detections that overlap the objects.
        colour: format of the stored colour crops, None to store none.

    Raises:
        OSError: a file cannot be written.
    """
    folder = out / part / scene
    report = folder / _REPORT
    if report.is_file():
        return ScenePreparation(**json.loads(report.read_text(encoding="utf-8")))
    source: NocsSource = "CAMERA" if part.startswith("CAMERA") else "Real"
    found: dict[str, list[StoredInstance]] = {}
    problems: list[str] = []
    warnings = WarningCounts()
    images = 0
    for stem in scene_images(root / part / scene):
        try:
            image = read_nocs_image(stem, source, root=root)
        except FrameError as error:
            problems.append(f"{error}; image skipped")
            continue
        images += 1
        problems += image.problems
        warnings.add(_image_warnings(image, categories))
        rng = np.random.default_rng(zlib.crc32(image.name.encode()))
        truths, unposed = nocs_poses(image, categories, sides, rng)
        problems += unposed
        frame, known = image.frame, {x.mask_id: x for x in truths}
        if detections is not None:
            try:
                frame = detected(image.frame, detections_file(detections, stem))
            except FrameError as error:
                problems.append(f"{error}; image skipped")
                continue
            known = match_ground_truth(image.frame, truths, frame)
            found_ids = {x.instance for x in known.values()}
            problems += [
                f"{image.name}: {x.instance} ({x.category}) was not detected"
                for x in truths
                if x.instance not in found_ids
            ]
        instances, skipped = segment(frame, categories)
        problems += [
            f"{image.name}: instance {x.mask_id} ({x.category}): {x.reason}; skipped"
            for x in skipped
            if x.mask_id in frame.labels  # the others are none of the six, or reported above
        ]
        for instance in instances:
            crop = None
            if colour is not None:
                crop = ColourCrop.around(frame.colour, instance.pixels, colour)
            found.setdefault(instance.category, []).append(
                StoredInstance(
                    image.name, replace(instance, colour=crop), known.get(instance.mask_id)
                )
            )
    for category, items in found.items():
        write_instances(folder / f"{category}.npz", items)
    problems += warnings.sentences(f"{part}/{scene}")
    counts = Counter({category: len(items) for category, items in found.items()})
    made = ScenePreparation(images, dict(sorted(counts.items())), problems)
    write_atomically(report, (json.dumps(vars(made), indent=1) + "\n").encode())
    return made


def _image_warnings(image: NocsImage, categories: Categories) -> Iterator[InputWarning]:
    frame = image.frame
    problem = depth_unit_problem(
        frame.depth, frame.mask, frame.camera, frame.labels, categories, MILLIMETRE
    )
    if problem is not None:
        yield InputWarning("depth unit", f"{image.name}: {problem}")
    if image.unlisted:
        ids = ", ".join(map(str, sorted(image.unlisted)))
        yield InputWarning(
            "unlisted",
            f"{image.name}: mask ids {ids} have no line in _meta.txt: expected one per instance; "
            "skipped",
        )


def prepared_files(out: Path | str, part: str, category: str) -> list[Path]:
    """List the files of a category in a part, ordered by scene.

    Raises:
        FrameError: there is none.
    """
    files = sorted((Path(out) / part).glob(f"*/{category}.npz"))
    if not files:
        raise FrameError(
            f"{Path(out) / part}: has no prepared instance of '{category}': expected "
            f"SCENE/{category}.npz; prepare the data with training/prepare_nocs.py"
        )
    return files


def prepared_instances(
    out: Path | str, part: str, category: str, problems: list[str], *, colour: bool = True
) -> list[StoredInstance]:
    """Read the instances of a category in a part.

    Args:
        out: folder of the prepared data.
        part: see `prepare_scene`.
        category: category of the instances.
        problems: receives one sentence for each unreadable file.
        colour: whether to read the colour crops.

    Raises:
        FrameError: there is none.
    """
    items: list[StoredInstance] = []
    for path in prepared_files(out, part, category):
        try:
            items += read_instances(path, colour=colour)
        except FrameError as error:
            problems.append(f"{error}; skipped")
    if not items:
        raise FrameError(f"{Path(out) / part}: no instance of '{category}' can be read")
    return items
