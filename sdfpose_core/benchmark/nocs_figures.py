"""Figures and pictures of an evaluation on the images of the NOCS benchmark."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.benchmark.nocs_images import ImageRecord
from sdfpose_core.categories import Categories
from sdfpose_core.datasets.nocs import NOCS_CATEGORIES, NocsSource, read_nocs_image
from sdfpose_core.datasets.nocs_frames import split_pose
from sdfpose_core.errors import FrameError
from sdfpose_core.evaluation.frame_evaluation import (
    FrameEvaluation,
    ReportedObject,
    evaluate_frame,
)
from sdfpose_core.evaluation.frame_metrics import frame_metrics
from sdfpose_core.evaluation.nocs_protocol import IouName, MissPolicy
from sdfpose_core.evaluation.nocs_results import figures, symmetric_about_y
from sdfpose_core.observation.frame import GroundTruth, ObjectEstimate
from sdfpose_core.visualisation.drawing import draw_error
from sdfpose_core.visualisation.pictures import ErrorImage, caption, worst_objects

__all__ = ["benchmark_figures", "image_evaluation", "truth_warning", "worst_images"]


def benchmark_figures(
    records: Sequence[ImageRecord], *, iou: IouName, misses: MissPolicy
) -> dict[str, Any]:
    """Compute the figures of an evaluation.

    ``per_category`` and ``mean`` are those of `evaluation.nocs_results.figures`, ``errors``,
    ``confidence`` and ``stage_ms`` those of `frame_metrics` for the estimates nearest to the
    objects. ``truth`` is the source of the true poses, ``mixed`` if there are several.

    Args:
        records: results of all images.
        iou: see `nocs_precision`.
        misses: see `nocs_precision`.
    """
    used = [x for x in records if x.counts]
    results = [x.result for x in used]
    sources = Counter(x.source for x in used)
    metrics = frame_metrics([image_evaluation(x) for x in used], results=results)
    return {
        "truth": next(iter(sources)) if len(sources) == 1 else "mixed",
        "truth_images": dict(sources),
        "detections": {
            "count": sum(len(x.detections) for x in used),
            "without_estimate": sum(int(np.isnan(x.confidences).sum()) for x in used),
            "images_without": sum(not x.detections for x in used),
        },
        "images": len(used),
        "left_out_images": sum(x.is_complete and not x.counts for x in records),
        "skipped_images": sum(not x.source for x in records),
        "iou": iou,
        "misses": misses,
        **figures(results, iou=iou, misses=misses),
        **{key: metrics[key] for key in ("errors", "confidence", "stage_ms")},
    }


def truth_warning(records: Sequence[ImageRecord]) -> list[str]:
    """One sentence if some poses are not the published ones, else none."""
    used = [x for x in records if x.counts]
    own = sum(x.source == "coordinate_maps" for x in used)
    if not own:
        return []
    return [
        f"{own} of {len(used)} images have no published poses: theirs are computed from the maps "
        "of object coordinates, so the figures are not those of the benchmark"
    ]


def image_evaluation(record: ImageRecord) -> FrameEvaluation:
    """Convert a result to an evaluated frame, in the frame of the benchmark.

    The confidences are our own; detections without an estimate are not part of it.
    """
    x = record.result
    truths = []
    for i, class_id in enumerate(x.class_ids):
        category = NOCS_CATEGORIES[class_id - 1]
        rotation, translation, scale = split_pose(x.transforms[i])
        symmetric = symmetric_about_y(category, x.handle_visible[i : i + 1])[0]
        truths.append(
            GroundTruth(
                i + 1,
                category,
                record.instances[i],
                rotation,
                translation,
                scale * x.sizes[i],
                bool(symmetric),
            )
        )
    reported = []
    for i in np.flatnonzero(np.isfinite(record.confidences)).tolist():
        rotation, translation, scale = split_pose(x.found_transforms[i])
        reported.append(
            ReportedObject(
                record.detections[i],
                NOCS_CATEGORIES[x.found_class_ids[i] - 1],
                rotation,
                translation,
                scale * x.found_sizes[i],
                float(record.confidences[i]),
            )
        )
    objects = evaluate_frame(reported, truths)
    return FrameEvaluation(record.image, 0, objects, tuple(truths), record.stage_ms)


def worst_images(
    root: Path, frames: Sequence[FrameEvaluation], categories: Categories
) -> list[ErrorImage]:
    """Draw the worst estimates, worst first; this reads their images again.

    Images that can no longer be read are left out.

    Args:
        root: the data folder.
        frames: evaluated images.
        categories: table of categories, with their colours.
    """
    pictures = []
    for x in worst_objects(frames):
        name, truth = frames[x.frame].name, x.evaluation.truth
        if truth is None:
            continue
        source: NocsSource = "CAMERA" if name.startswith("CAMERA") else "Real"
        try:
            frame = read_nocs_image(root / name, source, root=root).frame
        except FrameError:
            continue
        image = draw_error(
            frame,
            _box(x.evaluation.reported),
            truth,
            categories,
            object_id=x.evaluation.reported.id,
        )
        pictures.append(ErrorImage(caption(name, x.evaluation), image))
    return pictures


def _box(x: ReportedObject) -> ObjectEstimate:
    """A reported object as an estimate without a surface, for drawing."""
    none: NDArray[np.float32] = np.zeros((0, 3), dtype=np.float32)
    return ObjectEstimate(
        mask_id=x.id,
        category=x.category,
        rotation=x.rotation,
        translation=x.translation,
        scale=x.scale,
        dimensions_m=x.dimensions_m,
        confidence=x.confidence,
        covariance=np.zeros((6, 6)),
        symmetric_about_y=bool(x.symmetric_about_y),
        code=np.zeros(0, dtype=np.float32),
        decoder_translation=x.translation,
        decoder_scale=x.scale,
        vertices=none,
        faces=none.astype(np.int32),
        normals=none,
    )
