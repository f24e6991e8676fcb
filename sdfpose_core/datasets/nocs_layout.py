"""The parts of the NOCS data: which are present, and where to get the missing ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sdfpose_core.datasets.nocs import nocs_images

__all__ = ["NOCS_PARTS", "NocsPart", "missing_parts", "part_sizes"]

_AUTHORS = "the authors of NOCS (github.com/hughw19/NOCS_CVPR2019)"
_DEFORMNET = "Object-DeformNet (github.com/mentian/object-deformnet)"


@dataclass(frozen=True)
class NocsPart:
    """A folder of the published data.

    Attributes:
        folder: path below the data folder.
        content: kind of content: ``images``, ``models`` or ``results``.
        purpose: what the part is used for.
        source: file name and publisher.
        optional: whether only its own purpose needs it.
    """

    folder: str
    content: str
    purpose: str
    source: str
    optional: bool = False


NOCS_PARTS = (
    NocsPart("CAMERA/train", "images", "training", f"camera_train.zip of {_AUTHORS}"),
    NocsPart("CAMERA/val", "images", "evaluation", f"camera_val25K.zip of {_AUTHORS}"),
    NocsPart("Real/train", "images", "training", f"real_train.zip of {_AUTHORS}"),
    NocsPart("Real/test", "images", "evaluation", f"real_test.zip of {_AUTHORS}"),
    NocsPart("obj_models/train", "models", "shapes of CAMERA", f"obj_models.zip of {_AUTHORS}"),
    NocsPart("obj_models/val", "models", "shapes of CAMERA", f"obj_models.zip of {_AUTHORS}"),
    NocsPart("obj_models/real_train", "models", "sizes of Real", f"obj_models.zip of {_AUTHORS}"),
    NocsPart("obj_models/real_test", "models", "sizes of Real", f"obj_models.zip of {_AUTHORS}"),
    NocsPart(
        "camera_full_depths",
        "results",
        "depth of CAMERA with its background",
        f"camera_composed_depth.zip of {_AUTHORS}",
        optional=True,
    ),
    NocsPart(
        "results/mrcnn_results",
        "results",
        "evaluation with detected masks",
        f"the segmentation results of {_DEFORMNET}",
        optional=True,
    ),
    NocsPart(
        "results/nocs_results/val",
        "results",
        "published poses of CAMERA/val, with the visibility of handles",
        f"the predictions of {_DEFORMNET}",
        optional=True,
    ),
    NocsPart(
        "results/nocs_results/real_test",
        "results",
        "published poses of Real/test, with the visibility of handles",
        f"the predictions of {_DEFORMNET}",
        optional=True,
    ),
    NocsPart(
        "gts/val",
        "results",
        "published poses of CAMERA/val, without results/nocs_results",
        f"gts.zip of {_AUTHORS}",
        optional=True,
    ),
    NocsPart(
        "gts/real_test",
        "results",
        "published poses of Real/test, without results/nocs_results",
        f"gts.zip of {_AUTHORS}",
        optional=True,
    ),
)


def missing_parts(root: Path | str) -> list[NocsPart]:
    """List the parts whose folders are missing or empty."""
    root = Path(root)
    return [x for x in NOCS_PARTS if not _has_content(root / x.folder)]


def part_sizes(root: Path | str) -> dict[str, int]:
    """Count the images, or the files, of each part that is present, by folder."""
    root = Path(root)
    sizes = {}
    for part in NOCS_PARTS:
        folder = root / part.folder
        if not _has_content(folder):
            continue
        if part.content == "images":
            sizes[part.folder] = sum(1 for _ in nocs_images(folder))
        else:
            sizes[part.folder] = sum(1 for x in folder.rglob("*") if x.is_file())
    return sizes


def _has_content(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())
