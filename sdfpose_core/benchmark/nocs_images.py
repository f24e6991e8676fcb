"""Estimation of the detections in the images of the NOCS benchmark, with resumable results.

Every detection of a detector is estimated on its own mask and enters with a score; those without
an object are false positives, and objects without a detection are missed. The result of an image
is a pickle in the format of the NOCS family of repositories, with the true objects as they are
judged. These pickles are also the state from which an interrupted evaluation resumes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.benchmark.nocs_parts import ScoreName
from sdfpose_core.categories import Categories
from sdfpose_core.datasets.nocs import NOCS_CATEGORIES, NocsSource, nocs_images, read_nocs_image
from sdfpose_core.datasets.nocs_detections import (
    Detected,
    detections_file,
    own_masks,
    read_detections,
    segment_detections,
)
from sdfpose_core.datasets.nocs_frames import MugFrame, pose_matrix
from sdfpose_core.datasets.nocs_results import (
    NocsResult,
    read_dictionary,
    result_column,
    write_nocs_result,
)
from sdfpose_core.datasets.nocs_truth import NocsImageTruth, NocsObject, NocsTruths
from sdfpose_core.errors import ConfigurationError, FrameError
from sdfpose_core.estimation.config import EstimatorConfig
from sdfpose_core.estimation.estimator import FrameResult
from sdfpose_core.observation.frame import Instance, ObjectEstimate, RgbdFrame
from sdfpose_core.shapes.body import BodyProfile
from sdfpose_core.storage.files import write_atomically

__all__ = [
    "ImageRecord",
    "NocsBenchmark",
    "NocsResults",
    "benchmark_pose",
    "run_images",
]

_SETTINGS = "settings.json"

_TRUTH, _STATE = "gt_source", "state"
_DONE, _INCOMPLETE, _LEFT_OUT = "done", "incomplete", "left out"


class Estimator(Protocol):
    """What an estimator has to offer here; see `PoseEstimator`."""

    @property
    def config(self) -> EstimatorConfig:
        """Settings of the estimator."""

    def estimate(self, instances: Sequence[Instance]) -> FrameResult:
        """The objects of instances that are already segmented."""


@dataclass(frozen=True)
class NocsBenchmark:
    """Estimates the detections in the images of a part.

    Attributes:
        root: the data folder.
        part: folder of the images below it.
        detections: folder of a detector's pickles; None for the masks of the data.
        truths: reader of the true objects.
        estimator: estimator of the detections.
        categories: table of categories.
        names: names of the categories to evaluate.
        scores: scores of the predictions.
    """

    root: Path
    part: str
    detections: Path | None
    truths: NocsTruths
    estimator: Estimator
    categories: Categories
    names: Sequence[str] = NOCS_CATEGORIES
    scores: ScoreName = "detector"

    def images(self) -> list[Path]:
        """List the images, as paths up to the number.

        Raises:
            ConfigurationError: there are no images, or no image has detections.
        """
        folder = self.root / self.part
        stems = list(nocs_images(folder)) if folder.is_dir() else []
        if not stems:
            raise ConfigurationError(f"{folder}: no images: expected SCENE/NUMBER_color.png etc.")
        if self.detections is not None:
            files = [detections_file(self.detections, x) for x in stems]
            if not any(x.is_file() for x in files):
                raise ConfigurationError(
                    f"--detections {self.detections}: has none of the {len(files)} pickles of "
                    f"{self.part}: expected {files[0].name} etc."
                )
        return stems

    def evaluate(self, stem: Path) -> ImageRecord:
        """Estimate all detections of an image.

        Without usable detections, the image counts as one in which nothing was detected. Without a
        usable image or truth, it does not count. Both can be tried again.
        """
        source: NocsSource = "CAMERA" if self.part.startswith("CAMERA") else "Real"
        name = "/".join(stem.parts[-4:])
        try:
            image = read_nocs_image(stem, source, root=self.root)
            truth = self.truths.of(image, stem)
        except FrameError as error:
            return ImageRecord(name, problems=[f"{error}; image skipped"], state=_INCOMPLETE)
        problems = [*image.problems, *truth.problems]
        if not truth.published:
            return ImageRecord(name, source=truth.source, problems=problems, state=_LEFT_OUT)
        state = _DONE
        try:
            seen = self._detected(image.frame, stem)
        except FrameError as error:
            problems.append(f"{error}; the image counts as one without detections")
            seen, state = [], _INCOMPLETE
        start = time.perf_counter()
        instances, skipped = segment_detections(
            image.frame, seen, self.categories, min_points=self.estimator.config.min_points
        )
        # All detections are segmented: those of other categories are no part of the support.
        seen = [x for x in seen if x.category in self.names]
        found = self.estimator.estimate([x for x in instances if x.category in self.names])
        stage_ms = found.stage_ms | {"total": 1e3 * (time.perf_counter() - start)}
        problems += [
            f"{name}: detection {x.mask_id} ({x.category}) has no estimate: {x.reason}; it counts "
            "as wrong"
            for x in [*skipped, *found.skipped]
            if x.category in self.names
        ]
        return self._record(name, truth, seen, found.estimates, problems, stage_ms, state)

    def _detected(self, frame: RgbdFrame, stem: Path) -> list[Detected]:
        if self.detections is None:
            return own_masks(frame)
        height, width = frame.mask.shape
        return read_detections(detections_file(self.detections, stem), (height, width))

    def _record(
        self,
        name: str,
        truth: NocsImageTruth,
        seen: Sequence[Detected],
        estimates: Sequence[ObjectEstimate],
        problems: list[str],
        stage_ms: Mapping[str, float],
        state: str,
    ) -> ImageRecord:
        true = []
        for x in truth.objects:
            if x.category not in self.names:
                continue
            if _is_box(x):
                true.append(x)
            else:
                problems.append(
                    f"{name}: {x.model} ({x.category}) has a non-finite pose or a size without "
                    "volume; it does not count"
                )
        by_id = {y.mask_id: y for y in estimates}
        transforms, sizes = np.tile(np.eye(4), (len(seen), 1, 1)), np.zeros((len(seen), 3))
        confidences = np.full(len(seen), np.nan)
        for i, detection in enumerate(seen):
            if (estimate := by_id.get(detection.mask_id)) is not None:
                transforms[i], sizes[i] = benchmark_pose(estimate)
                confidences[i] = estimate.confidence
        detector = np.array([y.score for y in seen], dtype=np.float64)
        own = np.nan_to_num(confidences, nan=0.0)
        by_name = {"detector": detector, "confidence": own, "product": detector * own}
        result = NocsResult(
            name,
            np.array([_class_id(x.category) for x in true], dtype=np.int64),
            np.array([x.transform for x in true], dtype=np.float64).reshape(-1, 4, 4),
            np.array([x.size for x in true], dtype=np.float64).reshape(-1, 3),
            np.array([x.handle_visible for x in true], dtype=bool),
            np.array([_class_id(y.category) for y in seen], dtype=np.int64),
            transforms,
            sizes,
            by_name[self.scores],
        )
        return ImageRecord(
            name,
            result,
            truth.source,
            [x.model for x in true],
            [y.mask_id for y in seen],
            confidences,
            dict(stage_ms),
            problems,
            state,
        )


def benchmark_pose(estimate: ObjectEstimate) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pose (4, 4) and size (3,) of an estimate in the frame of the benchmark.

    The axis of a mug's body is that of the decoded surface.
    """
    transform = pose_matrix(estimate.rotation, estimate.translation, estimate.scale)
    size = np.asarray(estimate.dimensions_m / estimate.scale, dtype=np.float64)
    if estimate.category != "mug":
        return transform, size
    axis_x = None
    if len(estimate.faces):
        axis_x = BodyProfile.of(estimate.vertices, estimate.faces).axis_x_m
    return MugFrame.of_box(estimate.dimensions_m, axis_x).to_benchmark(transform, size)


def _nothing() -> NocsResult:
    none = np.zeros(0)
    boxes = np.zeros((0, 4, 4)), np.zeros((0, 3))
    ids = np.zeros(0, dtype=np.int64)
    return NocsResult("", ids, *boxes, np.zeros(0, dtype=bool), ids, *boxes, none)


@dataclass(frozen=True)
class ImageRecord:
    """Result of one image.

    Attributes:
        image: path of the image below the data folder.
        result: true objects, and a prediction for each detection. Predictions without an estimate
            have the identity for a pose and no size.
        source: source of the true poses; empty if the image cannot be used.
        instances: names of the true objects.
        detections: number of each prediction in the pickle of the detector, from 1.
        confidences: (P,) our confidences, NaN without an estimate.
        stage_ms: wall time by stage, milliseconds.
        problems: one sentence for each problem.
        state: ``done``; ``incomplete`` if its files are to be tried again; ``left out`` if the
            published evaluation leaves it out.
    """

    image: str
    result: NocsResult = field(default_factory=_nothing)
    source: str = ""
    instances: list[str] = field(default_factory=list)
    detections: list[int] = field(default_factory=list)
    confidences: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    stage_ms: dict[str, float] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    state: str = _DONE

    @property
    def counts(self) -> bool:
        """Whether the image is part of the figures."""
        return bool(self.source) and self.state != _LEFT_OUT

    @property
    def is_complete(self) -> bool:
        """Whether nothing of the image has to be tried again."""
        return self.state != _INCOMPLETE


@dataclass(frozen=True)
class NocsResults:
    """Folder of the results of an evaluation: one pickle per image and a file of settings.

    Attributes:
        folder: the folder.
    """

    folder: Path

    def begin(self, settings: Mapping[str, Any]) -> None:
        """Write the settings of a new evaluation, or check that one with the same resumes.

        Args:
            settings: what the results depend on, JSON-serialisable.

        Raises:
            ConfigurationError: the results were made with other settings, or by something else.
            OSError: the settings cannot be written.
        """
        path = self.folder / _SETTINGS
        has_pickles = any(self.folder.glob("*.pkl"))  # first: another shard may begin just now
        if not path.is_file():
            if has_pickles:
                raise ConfigurationError(
                    f"--results {self.folder}: has pickles but no {_SETTINGS}: expected a new or "
                    "empty folder, or the results of an earlier run"
                )
            write_atomically(path, (json.dumps(settings, indent=1) + "\n").encode())
            return
        try:
            earlier = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ConfigurationError(
                f"{path}: is not JSON ({error}): delete the folder, or choose another one"
            ) from error
        now = json.loads(json.dumps(settings))
        if not isinstance(earlier, dict):
            raise ConfigurationError(
                f"{path}: is a {type(earlier).__name__}: expected the settings of an earlier run; "
                "delete the folder, or choose another one"
            )
        if changes := "; ".join(_changes(earlier, now)):
            raise ConfigurationError(
                f"--results {self.folder}: was begun with other settings ({changes}): resume with "
                "the same settings, or choose another folder"
            )

    def path(self, stem: Path) -> Path:
        """Path of an image's result, named as in the NOCS family: like its detections."""
        return detections_file(self.folder, stem)

    def write(self, stem: Path, record: ImageRecord) -> None:
        """Write the result of an image.

        Raises:
            OSError: the file cannot be written.
        """
        more = {
            "image_path": record.image,
            _TRUTH: record.source,
            _STATE: record.state,
            "gt_models": list(record.instances),
            "pred_detections": list(record.detections),
            "pred_confidences": record.confidences,
            "stage_ms": {k: float(v) for k, v in record.stage_ms.items()},
            "problems": list(record.problems),
        }
        write_nocs_result(self.path(stem), record.result, more)

    def read(self, stem: Path) -> ImageRecord | None:
        """Read the result of an image; None if there is none, or it is damaged."""
        path = self.path(stem)
        try:
            record = _record_of(read_dictionary(path), path)
        except (FrameError, KeyError, TypeError, ValueError):
            return None
        return record if record.image == "/".join(stem.parts[-4:]) else None


def run_images(
    benchmark: NocsBenchmark,
    results: NocsResults,
    stems: Sequence[Path],
    progress: Callable[[], None] = lambda: None,
) -> None:
    """Estimate the images that have no complete result yet, and write their results.

    Args:
        benchmark: what to estimate.
        results: folder of the results.
        stems: images of this process.
        progress: called after each image.

    Raises:
        OSError: a result cannot be written.
    """
    for stem in stems:
        done = results.read(stem)
        if done is None or not done.is_complete:
            results.write(stem, benchmark.evaluate(stem))
        progress()


def _class_id(category: str) -> int:
    return 1 + NOCS_CATEGORIES.index(category)


def _is_box(x: NocsObject) -> bool:
    finite = np.isfinite(x.transform).all() and np.isfinite(x.size).all()
    return bool(finite and np.linalg.det(x.transform[:3, :3]) > 0.0 and (x.size > 0.0).all())


def _changes(earlier: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Describe each setting that has changed; of nested settings, only those that have."""
    for key in {**now, **earlier}:
        old, new = earlier.get(key), now.get(key)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            yield f"{key}: {', '.join(_changes(old, new))}"
        else:
            yield f"{key} {_brief(old)}, now {_brief(new)}"


def _brief(value: Any) -> str:
    return "(none)" if value is None else json.dumps(value)


def _record_of(content: Mapping[str, Any], path: Path) -> ImageRecord:
    """Convert a dictionary of `NocsResults.write` to the result of an image.

    Raises:
        FrameError: it is another dictionary, or its entries do not belong together.
        KeyError: it lacks an entry.
    """
    name, source, state = content["image_path"], content[_TRUTH], content[_STATE]
    instances, problems = content["gt_models"], content["problems"]
    stage_ms = content["stage_ms"]
    class_ids = result_column(content, "gt_class_ids", (), path)
    found_ids = result_column(content, "pred_class_ids", (), path)
    known = np.arange(1, len(NOCS_CATEGORIES) + 1)
    objects, predictions = len(class_ids), len(found_ids)
    if not (
        all(isinstance(x, str) for x in (name, source, state))
        and all(isinstance(x, list) for x in (instances, problems))
        and isinstance(stage_ms, dict)
        and len(instances) == objects
        and np.isin([*class_ids, *found_ids], known).all()
    ):
        raise FrameError(f"{path}: is not a result of this benchmark: delete it")
    detections = result_column(content, "pred_detections", (), path, predictions)
    return ImageRecord(
        name,
        NocsResult(
            name,
            class_ids.astype(np.int64),
            result_column(content, "gt_RTs", (4, 4), path, objects),
            result_column(content, "gt_scales", (3,), path, objects),
            result_column(content, "gt_handle_visibility", (), path, objects) != 0.0,
            found_ids.astype(np.int64),
            result_column(content, "pred_RTs", (4, 4), path, predictions),
            result_column(content, "pred_scales", (3,), path, predictions),
            result_column(content, "pred_scores", (), path, predictions),
        ),
        source,
        [str(x) for x in instances],
        [int(x) for x in detections],
        result_column(content, "pred_confidences", (), path, predictions),
        {str(k): float(v) for k, v in stage_ms.items()},
        [str(x) for x in problems],
        state,
    )
