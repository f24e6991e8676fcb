"""Preparation of the NOCS data: convert images to files of instances with poses.

The poses are the published ones where they are at hand (see `nocs_truth`), in our frame. One file
per scene and category is written atomically, and finished scenes are not prepared again. An
interrupted preparation resumes where it stopped, and several processes or machines can share the
work.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from glob import escape
from pathlib import Path
from typing import Any

from sdfpose_core.categories import Categories
from sdfpose_core.datasets.instances import StoredInstance, read_instances, write_instances
from sdfpose_core.datasets.nocs import (
    NOCS_CATEGORIES,
    NocsImage,
    NocsSource,
    read_nocs_image,
    scene_images,
)
from sdfpose_core.datasets.nocs_detections import (
    detections_file,
    match_ground_truth,
    read_detections,
    segment_detections,
)
from sdfpose_core.datasets.nocs_models import NOCS_MODEL_FOLDERS
from sdfpose_core.datasets.nocs_truth import NocsTruths
from sdfpose_core.errors import ConfigurationError, FrameError
from sdfpose_core.observation.colour_crop import ColourCrop, CropFormat
from sdfpose_core.observation.depth_unit import MILLIMETRE, depth_unit_problem
from sdfpose_core.observation.input_warnings import InputWarning, WarningCounts
from sdfpose_core.observation.segmentation import segment
from sdfpose_core.storage.files import write_atomically

__all__ = [
    "NOCS_IMAGE_PARTS",
    "ScenePreparation",
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
        truth: number of images by source of their true poses.
    """

    images: int
    instances: dict[str, int]
    problems: list[str]
    truth: dict[str, int]


NOCS_IMAGE_PARTS = tuple(NOCS_MODEL_FOLDERS)
"""Folders of images."""


def scenes_of(root: Path | str, part: str) -> list[str]:
    """List the names of the scenes of a part, such as ``Real/train``, in order."""
    return sorted(x.name for x in (Path(root) / part).iterdir() if x.is_dir())


def prepare_scene(
    root: Path,
    part: str,
    scene: str,
    out: Path,
    truths: NocsTruths,
    detections: Path | None = None,
    colour: CropFormat | None = "png",
) -> ScenePreparation:
    """Prepare one scene; if that is already done, return its summary.

    A scene is prepared again if its report or one of its files is missing or damaged, or if other
    sources of true poses have come to be at hand.

    Args:
        root: the data folder.
        part: ``CAMERA/train``, ``CAMERA/val``, ``Real/train`` or ``Real/test``.
        scene: name of the scene.
        out: folder of the prepared data.
        truths: true objects of the images of the part.
        detections: folder with the masks of a detector, which replace those of the images; poses
            are assigned to the detections that overlap the objects.
        colour: format of the stored colour crops, None to store none.

    Raises:
        ConfigurationError: the scene was prepared with other detections or another colour format.
        OSError: a file cannot be written.
    """
    folder = out / part / scene
    report = folder / _REPORT
    settings = {
        "detections": None if detections is None else str(detections.resolve()),
        "colour": colour,
        "truth_sources": list(truths.sources),
    }
    finished = _finished(folder, settings)
    if finished is not None:
        return finished
    report.unlink(missing_ok=True)  # before the files that it describes change
    source: NocsSource = "CAMERA" if part.startswith("CAMERA") else "Real"
    found: dict[str, list[StoredInstance]] = {}
    problems: list[str] = []
    warnings = WarningCounts()
    images, sources = 0, Counter[str]()
    categories = truths.categories
    for stem in scene_images(root / part / scene):
        try:
            image = read_nocs_image(stem, source, root=root)
        except FrameError as error:
            problems.append(f"{error}; image skipped")
            continue
        images += 1
        problems += image.problems
        warnings.add(_image_warnings(image, categories))
        known = {}
        try:
            truth = truths.of(image, stem)
        except FrameError as error:
            problems.append(f"{error}; its instances have no pose")
        else:
            sources[truth.source] += 1
            problems += truth.problems
            known = {x.mask_id: x.ground_truth(x.mask_id, categories) for x in truth.objects}
        posed = list(known.values())
        if detections is None:
            instances, skipped = segment(image.frame, categories)
            # The others are none of the six, or reported above.
            skipped = [x for x in skipped if x.mask_id in image.frame.labels]
        else:
            try:
                size = image.frame.mask.shape
                seen = read_detections(detections_file(detections, stem), (size[0], size[1]))
            except FrameError as error:
                problems.append(f"{error}; image skipped")
                continue
            instances, skipped = segment_detections(image.frame, seen, categories)
            known = match_ground_truth(image.frame.mask, posed, seen)
            found_ids = {x.instance for x in known.values()}
            problems += [
                f"{image.name}: {x.instance} ({x.category}) was not detected"
                for x in posed
                if x.instance not in found_ids
            ]
        problems += [
            f"{image.name}: instance {x.mask_id} ({x.category}): {x.reason}; skipped"
            for x in skipped
        ]
        for instance in instances:
            crop = None
            if colour is not None:
                crop = ColourCrop.around(image.frame.colour, instance.pixels, colour)
            found.setdefault(instance.category, []).append(
                StoredInstance(
                    image.name, replace(instance, colour=crop), known.get(instance.mask_id)
                )
            )
    for category in NOCS_CATEGORIES:
        if category in found:
            write_instances(folder / f"{category}.npz", found[category])
        else:
            (folder / f"{category}.npz").unlink(missing_ok=True)  # of an earlier preparation
    problems += warnings.sentences(f"{part}/{scene}")
    counts = {category: len(items) for category, items in sorted(found.items())}
    made = ScenePreparation(images, counts, problems, dict(sorted(sources.items())))
    document = {**vars(made), "settings": settings}
    write_atomically(report, (json.dumps(document, indent=1) + "\n").encode())
    return made


def _finished(folder: Path, settings: Mapping[str, Any]) -> ScenePreparation | None:
    """Read the summary of a finished scene; None if the scene has to be prepared.

    Raises:
        ConfigurationError: it was prepared with other options.
    """
    report = folder / _REPORT
    try:
        content = json.loads(report.read_text(encoding="utf-8"))
        earlier = content.get("settings", settings)
        made = ScenePreparation(
            int(content["images"]),
            {str(k): int(v) for k, v in content["instances"].items()},
            [str(x) for x in content["problems"]],
            {str(k): int(v) for k, v in content["truth"].items()},
        )
        different = [x for x in ("detections", "colour") if earlier[x] != settings[x]]
        sources = earlier["truth_sources"]
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if different:
        changes = "; ".join(
            f"--{x} {earlier[x] or 'none'}, now {settings[x] or 'none'}" for x in different
        )
        raise ConfigurationError(
            f"{report}: the scene was prepared with other options ({changes}): choose another "
            "--out, use the same options, or delete the folder of the scene"
        )
    whole = all((folder / f"{x}.npz").is_file() for x in made.instances)
    return made if whole and sources == settings["truth_sources"] else None


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
    files = sorted((Path(out) / part).glob(f"*/{escape(category)}.npz"))
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
