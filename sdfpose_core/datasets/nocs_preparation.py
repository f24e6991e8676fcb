"""Preparation of the NOCS data: images become files of instances with poses, scene by scene.

The poses come from the maps of object coordinates, the sizes from the CAD models. A file is
written for each scene and category, whole or not at all, and is not made anew: an interrupted
preparation goes on where it was, and several processes or machines share it.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.categories import Categories
from sdfpose_core.datasets.instances import StoredInstance, read_instances, write_instances
from sdfpose_core.datasets.nocs import NocsSource, read_nocs_image, scene_images
from sdfpose_core.datasets.nocs_detections import detected, detections_file, matched_truths
from sdfpose_core.datasets.nocs_poses import nocs_poses
from sdfpose_core.errors import FrameError, MeshError
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
    """What became of one scene.

    Attributes:
        images: that were read.
        instances: that were written, by category.
        problems: what was left out, a sentence each.
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
"""Folder of the CAD models or scans of each part, below ``obj_models``."""

NOCS_IMAGE_PARTS = tuple(_MODELS)


def model_sides(root: Path | str, part: str, problems: list[str]) -> dict[str, NDArray[np.float64]]:
    """Sides of the boxes of a part's models (3,), in units of their diagonals, by name.

    The models of CAMERA are ``SYNSET/NAME/model.obj``, those of Real ``NAME.obj``.

    Args:
        root: the data's folder.
        part: see `prepare_scene`.
        problems: is told of models that cannot be read.
    """
    folder = Path(root) / "obj_models" / _MODELS[part]
    sides = {}
    for path in mesh_files(folder) if folder.is_dir() else ():
        name = path.parent.name if path.stem == "model" else path.stem
        try:
            vertices, _ = read_mesh(path)
        except MeshError as error:
            problems.append(f"{error}; its instances get the size that their maps show")
            continue
        box = np.ptp(vertices, axis=0)
        sides[name] = box / np.linalg.norm(box)
    return sides


def scenes_of(root: Path | str, part: str) -> list[str]:
    """Names of the scenes of a part, such as ``Real/train``, in order."""
    return sorted(x.name for x in (Path(root) / part).iterdir() if x.is_dir())


def prepare_scene(
    root: Path,
    part: str,
    scene: str,
    out: Path,
    categories: Categories,
    sides: Mapping[str, NDArray[np.floating]],
    detections: Path | None = None,
) -> ScenePreparation:
    """Prepare one scene, or say what became of it where that is done.

    Args:
        root: the data's folder.
        part: ``CAMERA/train``, ``CAMERA/val``, ``Real/train`` or ``Real/test``.
        scene: name of the scene.
        out: folder of the prepared data.
        categories: the known ones.
        sides: of the boxes of the CAD models (3,), in units of their diagonals, by model.
        detections: folder with the masks of a detector, which take the place of the image's own;
            poses go to the detections that overlap the objects.

    Raises:
        OSError: a file cannot be written.
    """
    folder = out / part / scene
    report = folder / _REPORT
    if report.is_file():
        return ScenePreparation(**json.loads(report.read_text()))
    source: NocsSource = "CAMERA" if part.startswith("CAMERA") else "Real"
    found: dict[str, list[StoredInstance]] = {}
    problems: list[str] = []
    images = 0
    for stem in scene_images(root / part / scene):
        try:
            image = read_nocs_image(stem, source, root=root)
        except FrameError as error:
            problems.append(f"{error}; image left out")
            continue
        images += 1
        problems += image.problems
        rng = np.random.default_rng(zlib.crc32(image.name.encode()))
        truths, unposed = nocs_poses(image, categories, sides, rng)
        problems += unposed
        frame, known = image.frame, {x.mask_id: x for x in truths}
        if detections is not None:
            try:
                frame = detected(image.frame, detections_file(detections, stem))
            except FrameError as error:
                problems.append(f"{error}; image left out")
                continue
            known = matched_truths(image.frame, truths, frame)
            found_ids = {x.instance for x in known.values()}
            problems += [
                f"{image.name}: {x.instance} ({x.category}) was not detected"
                for x in truths
                if x.instance not in found_ids
            ]
        instances, skipped = segment(frame, categories)
        problems += [
            f"{image.name}: instance {x.mask_id} ({x.category}): {x.reason}; left out"
            for x in skipped
        ]
        for instance in instances:
            found.setdefault(instance.category, []).append(
                StoredInstance(image.name, instance, known.get(instance.mask_id))
            )
    for category, items in found.items():
        write_instances(folder / f"{category}.npz", items)
    counts = Counter({category: len(items) for category, items in found.items()})
    made = ScenePreparation(images, dict(sorted(counts.items())), problems)
    write_atomically(report, (json.dumps(vars(made), indent=1) + "\n").encode())
    return made


def prepared_files(out: Path | str, part: str, category: str) -> list[Path]:
    """The files of a category in a part, scene by scene.

    Raises:
        FrameError: there is none.
    """
    files = sorted((Path(out) / part).glob(f"*/{category}.npz"))
    if not files:
        raise FrameError(
            f"{Path(out) / part}: holds no prepared instance of '{category}': expected "
            f"SCENE/{category}.npz, as training/prepare_nocs.py writes them"
        )
    return files


def prepared_instances(
    out: Path | str, part: str, category: str, problems: list[str]
) -> list[StoredInstance]:
    """The instances of a category in a part; `problems` is told of files that cannot be read.

    Raises:
        FrameError: there is none.
    """
    items: list[StoredInstance] = []
    for path in prepared_files(out, part, category):
        try:
            items += read_instances(path)
        except FrameError as error:
            problems.append(f"{error}; left out")
    if not items:
        raise FrameError(f"{Path(out) / part}: no instance of '{category}' can be read")
    return items
