"""Images of the NOCS data (Wang et al., "Normalized Object Coordinate Space", CVPR 2019).

An image consists of five files in ``CAMERA/{train,val}/SCENE/`` or ``Real/{train,test}/SCENE/``.
Their names start with the number of the image and end with:

- ``_color.png``
- ``_depth.png``: 16-bit millimetres; in CAMERA packed into two bytes of a colour image.
- ``_mask.png``: instance ids, 255 for the background.
- ``_coord.png``: object coordinates as colours.
- ``_meta.txt``: one line per instance with its id, class (0: none of the six) and model.

The depth images of CAMERA show only the rendered objects. Depth with the background is in
``camera_full_depths/``, as ``_composed.png``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from sdfpose_core.datasets.images import image_size, read_image, read_text
from sdfpose_core.errors import FrameError
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.observation.frame import InstanceLabel, RgbdFrame
from sdfpose_core.storage.files import write_atomically

__all__ = [
    "NOCS_CATEGORIES",
    "NocsImage",
    "NocsSource",
    "nocs_camera",
    "nocs_images",
    "read_nocs_image",
    "scene_images",
    "write_nocs_image",
]

NocsSource = Literal["CAMERA", "Real"]

NOCS_CATEGORIES = ("bottle", "bowl", "camera", "can", "laptop", "mug")
"""Categories in the order of their class ids, which start at 1."""

_CAMERAS: dict[NocsSource, tuple[float, float, float, float]] = {
    "CAMERA": (577.5, 577.5, 319.5, 239.5),
    "Real": (591.0125, 590.16775, 322.525, 244.11084),
}
"""Focal lengths and principal points (fx, fy, cx, cy) of the 640x480 images."""

_BACKGROUND = 255

_MISSING_DEPTH = 32001
"""Value of missing depth in packed depth images."""

_PARTS = ("_color.png", "_depth.png", "_mask.png", "_coord.png", "_meta.txt")

_DEPTH_UNITS_PER_METRE = 1000.0


@dataclass(frozen=True)
class NocsImage:
    """One image of the NOCS data.

    Attributes:
        name: path below the data folder, ending with the number of the image.
        frame: colour, depth and mask, with a label for each instance of a known class. Mask ids are
            those of the file; 0 is the background.
        coordinates: (H, W, 3) float32, normalised object units relative to the centre of the box;
            0 outside the instances.
        models: name of the CAD model or scan by mask id.
        problems: one sentence for each skipped entry, naming the file.
        unlisted: mask ids without a line in the ``_meta.txt``.
    """

    name: str
    frame: RgbdFrame
    coordinates: NDArray[np.float32]
    models: dict[int, str]
    problems: list[str] = field(default_factory=list)
    unlisted: frozenset[int] = frozenset()


def nocs_camera(source: NocsSource) -> PinholeCamera:
    """Return the camera of the rendered or of the real images."""
    return PinholeCamera(640, 480, *_CAMERAS[source])


def nocs_images(folder: Path | str) -> Iterator[Path]:
    """List the images of a folder of scenes in order, as paths that end with the image number.

    An image is listed if any of its files exists; `read_nocs_image` reports missing files.
    """
    for scene in sorted(x for x in Path(folder).iterdir() if x.is_dir()):
        yield from scene_images(scene)


def scene_images(scene: Path | str) -> list[Path]:
    """List the images of one scene; see `nocs_images`."""
    scene = Path(scene)
    numbers = {
        path.name.removesuffix(part)
        for path in scene.iterdir()
        for part in _PARTS
        if path.name.endswith(part)
    }
    return [scene / number for number in sorted(numbers)]


def read_nocs_image(stem: Path | str, source: NocsSource, *, root: Path | None = None) -> NocsImage:
    """Read one image.

    Args:
        stem: path of its files up to the number, e.g. ``.../scene_1/0000``.
        source: rendered or real; determines the camera.
        root: the data folder, which may contain ``camera_full_depths``. By default, the folder
            three levels above the scene's files.

    Raises:
        FrameError: a file is missing, unreadable or does not match the others.
    """
    stem = Path(stem)
    files = {part: stem.with_name(stem.name + part) for part in _PARTS}
    missing = [path.name for path in files.values() if not path.is_file()]
    if missing:
        expected = ", ".join(stem.name + part for part in _PARTS)
        raise FrameError(f"{stem}: lacks {', '.join(missing)}: expected {expected}")
    root = stem.parents[3] if root is None and len(stem.parents) > 3 else root
    colour = read_image(files["_color.png"], "8-bit RGB", (np.uint8,), channels=(3, 4))[..., :3]
    depth = _read_depth(files["_depth.png"])
    if source == "CAMERA" and root is not None:
        whole = _composed(root, stem)
        depth = _read_depth(whole) if whole.is_file() else depth
    mask = read_image(files["_mask.png"], "8-bit", (np.uint8,), channels=(1, 3, 4))
    # The published masks store the same value in three channels.
    mask = mask if mask.ndim == 2 else mask[..., 2]
    coordinates = read_image(files["_coord.png"], "8-bit RGB", (np.uint8,), channels=(3, 4))
    for part, image in (("_depth.png", depth), ("_mask.png", mask), ("_coord.png", coordinates)):
        if image.shape[:2] != colour.shape[:2]:
            raise FrameError(
                f"{files[part]}: is {image_size(image)}: expected {image_size(colour)}, "
                f"the size of {files['_color.png'].name}"
            )
    problems: list[str] = []
    labels, models, unlisted = _read_meta(files["_meta.txt"], mask, problems)
    known = mask != _BACKGROUND
    height, width = mask.shape
    camera = nocs_camera(source)
    if (width, height) != (camera.width, camera.height):
        camera = camera.resize(width, height)
    return NocsImage(
        name="/".join(stem.parts[-4:]),
        frame=RgbdFrame(
            colour=np.ascontiguousarray(colour[..., ::-1]),
            depth=depth.astype(np.float32) / np.float32(_DEPTH_UNITS_PER_METRE),
            mask=np.where(known, mask, 0).astype(np.uint16),
            camera=camera,
            labels=labels,
        ),
        coordinates=_object_coordinates(coordinates, known),
        models=models,
        problems=problems,
        unlisted=unlisted,
    )


def write_nocs_image(
    stem: Path | str,
    source: NocsSource,
    frame: RgbdFrame,
    coordinates: NDArray[np.floating],
    models: Mapping[int, str],
    *,
    root: Path | None = None,
) -> None:
    """Write one image in the format of `read_nocs_image`; existing files are replaced.

    Args:
        stem: path of its files up to the number.
        source: for CAMERA, only the depth of the instances is written, packed into colours.
        frame: frame with mask ids below 255.
        coordinates: (H, W, 3), normalised object units.
        models: name of the CAD model of each instance, by mask id.
        root: data folder. If given, the complete depth of CAMERA is written there too.

    Raises:
        FrameError: a mask id is too large, or an instance has no model or none of the six classes.
    """
    stem = Path(stem)
    largest = int(frame.mask.max())
    if largest >= _BACKGROUND:
        raise FrameError(f"{stem}: has mask id {largest}: expected ids below {_BACKGROUND}")
    lines = []
    for mask_id, label in sorted(frame.labels.items()):
        if label.category not in NOCS_CATEGORIES or mask_id not in models:
            raise FrameError(
                f"{stem}: instance {mask_id} ({label.category}) cannot be written: expected a "
                f"model name and one of the categories {', '.join(NOCS_CATEGORIES)}"
            )
        class_id = 1 + NOCS_CATEGORIES.index(label.category)
        synset = "" if source == "Real" else f"{class_id:08d} "
        lines.append(f"{mask_id} {class_id} {synset}{models[mask_id]}\n")
    visible = frame.mask > 0
    mask = np.where(visible, frame.mask, _BACKGROUND).astype(np.uint8)
    colours = np.clip(np.asarray(coordinates, np.float32) + 0.5, 0.0, 1.0)
    colours[..., 2] = 1.0 - colours[..., 2]
    colours = np.where(visible[..., None], np.rint(255.0 * colours), 255.0)[..., ::-1]
    depth = np.rint(frame.depth * _DEPTH_UNITS_PER_METRE).astype(np.uint16)
    images: dict[Path, NDArray[Any]] = {
        stem.with_name(stem.name + "_color.png"): frame.colour[..., ::-1],
        stem.with_name(stem.name + "_mask.png"): np.repeat(mask[..., None], 3, axis=2),
        stem.with_name(stem.name + "_coord.png"): colours.astype(np.uint8),
    }
    if source == "CAMERA":
        if root is not None:
            images[_composed(root, stem)] = depth
        depth = np.where(visible & (depth > 0), depth, _MISSING_DEPTH).astype(np.uint16)
        blue = np.zeros_like(mask)
        images[stem.with_name(stem.name + "_depth.png")] = np.stack(
            [blue, (depth >> 8).astype(np.uint8), (depth & 255).astype(np.uint8)], axis=-1
        )
    else:
        images[stem.with_name(stem.name + "_depth.png")] = depth
    for path, image in images.items():
        write_atomically(path, cv2.imencode(".png", image)[1].tobytes())
    write_atomically(stem.with_name(stem.name + "_meta.txt"), "".join(lines).encode())


def _composed(root: Path, stem: Path) -> Path:
    """Path of the depth image of a CAMERA image with its background."""
    return root / "camera_full_depths" / Path(*stem.parts[-3:-1]) / (stem.name + "_composed.png")


def _read_depth(path: Path) -> NDArray[np.uint16]:
    """Read depth (H, W), millimetres, from a 16-bit channel or packed in green and red."""
    image = read_image(
        path,
        "16-bit with one channel, or 8-bit with three",
        (np.uint8, np.uint16),
        channels=(1, 3, 4),
    )
    if image.ndim == 2 and image.dtype == np.uint16:
        return image
    if image.ndim == 3 and image.dtype == np.uint8:
        packed = image[..., 1].astype(np.uint16) * 256 + image[..., 2]
        return np.where(packed == _MISSING_DEPTH, 0, packed).astype(np.uint16)
    raise FrameError(
        f"{path}: is {image.dtype.itemsize * 8}-bit with "
        f"{1 if image.ndim == 2 else image.shape[2]} channel(s): expected depth in millimetres, "
        "16-bit with one channel, or 8-bit with three"
    )


def _object_coordinates(image: NDArray[np.uint8], known: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Convert colours (H, W, 3), BGR, to coordinates (H, W, 3) in normalised object units."""
    coordinates = image[..., 2::-1].astype(np.float32) / np.float32(255.0)
    coordinates[..., 2] = 1.0 - coordinates[..., 2]  # stored left-handed
    return np.where(known[..., None], coordinates - np.float32(0.5), np.float32(0.0))


def _read_meta(
    path: Path, mask: NDArray[np.uint8], problems: list[str]
) -> tuple[dict[int, InstanceLabel], dict[int, str], frozenset[int]]:
    """Read labels and models of the instances in the mask; return them and the unlisted ids."""
    visible = set(np.unique(mask).tolist()) - {_BACKGROUND}
    labels: dict[int, InstanceLabel] = {}
    models: dict[int, str] = {}
    listed: set[int] = set()
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        try:
            mask_id = int(words[0])
            listed.add(mask_id)
            class_id = int(words[1])
            model = words[-1] if len(words) > 2 else ""
        except (ValueError, IndexError):
            problems.append(
                f"{path}: line {number} is {line!r}: expected an instance id, a class id and a "
                "model; skipped"
            )
            continue
        if class_id == 0 or mask_id not in visible:
            continue
        if not 1 <= class_id <= len(NOCS_CATEGORIES):
            problems.append(
                f"{path}: line {number} has class id {class_id}: expected 0 to "
                f"{len(NOCS_CATEGORIES)}; skipped"
            )
        elif mask_id in labels:
            problems.append(
                f"{path}: line {number} repeats the instance id {mask_id} of an earlier line: "
                "expected one line per instance; skipped"
            )
        else:
            labels[mask_id] = InstanceLabel(NOCS_CATEGORIES[class_id - 1])
            models[mask_id] = model
    return labels, models, frozenset(visible - listed)
