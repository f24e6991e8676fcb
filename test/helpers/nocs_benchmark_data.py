"""A small data set in the layout of the NOCS data, with stubs for its truth and an estimator."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sdfpose_core.datasets.nocs import NOCS_CATEGORIES, NocsImage, nocs_camera, write_nocs_image
from sdfpose_core.datasets.nocs_truth import NocsImageTruth, NocsObject
from sdfpose_core.errors import FrameError
from sdfpose_core.estimation.config import EstimatorConfig
from sdfpose_core.estimation.estimator import FrameResult
from sdfpose_core.observation.frame import (
    Instance,
    InstanceLabel,
    ObjectEstimate,
    RgbdFrame,
    SkippedInstance,
)

SIDES = np.array([0.6, 0.6, np.sqrt(0.28)])
"""Sides of every object's box, normalised object units: a diagonal of 1."""

SCALE = 0.2
"""Metres per unit."""


def pose(x: float, degrees: float = 0.0) -> np.ndarray:
    """Upright pose at x, one metre away, turned about y."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    transform = np.eye(4)
    transform[:3, :3] = SCALE * np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])
    transform[:3, 3] = x, 0.0, 1.0
    return transform


def estimate(mask_id: int, category: str, transform: np.ndarray, confidence: float = 0.5):
    none = np.zeros((0, 3), np.float32)
    return ObjectEstimate(
        mask_id, category, transform[:3, :3] / SCALE, transform[:3, 3], SCALE, SCALE * SIDES,
        confidence, np.eye(6), False, np.zeros(4, np.float32), transform[:3, 3], SCALE, none,
        none.astype(np.int32), none,
    )  # fmt: skip


@dataclass
class StubEstimator:
    """Estimates detections by their numbers; those that are not listed have no estimate."""

    poses: Mapping[int, np.ndarray]
    config: EstimatorConfig = field(default_factory=EstimatorConfig)
    calls: list[list[Instance]] = field(default_factory=list)

    def load(self, category: str) -> None:
        pass

    def estimate(self, instances: Sequence[Instance]) -> FrameResult:
        self.calls.append(list(instances))
        known = [x for x in instances if x.mask_id in self.poses]
        others = [x for x in instances if x.mask_id not in self.poses]
        return FrameResult(
            [estimate(x.mask_id, x.category, self.poses[x.mask_id]) for x in known],
            [SkippedInstance(x.mask_id, x.category, "it has no surface") for x in others],
            {"refine": 3.0},
        )


@dataclass
class StubTruths:
    """A laptop and a bowl in every image."""

    source: str = "gts"
    published: bool = True
    broken: bool = False
    sources: tuple[str, ...] = ("gts",)

    def of(self, image: NocsImage, stem: Path) -> NocsImageTruth:
        if self.broken:
            raise FrameError(f"{stem}: no gts")
        objects = [
            NocsObject(5, "laptop", "laptop_a", pose(0.0), SIDES),
            NocsObject(9, "bowl", "bowl_b", pose(0.5), SIDES),
        ]
        return NocsImageTruth(self.source, objects, [], self.published)


def mask() -> np.ndarray:
    labels = np.zeros((48, 64), np.uint16)
    labels[10:30, 2:22], labels[10:30, 40:60] = 5, 9
    return labels


def write_images(root: Path) -> None:
    """Two images of two objects."""
    frame = RgbdFrame(
        colour=np.zeros((48, 64, 3), np.uint8),
        depth=np.where(mask() > 0, 1.0, 1.5).astype(np.float32),
        mask=mask(),
        camera=nocs_camera("Real").resize(64, 48),
        labels={5: InstanceLabel("laptop"), 9: InstanceLabel("bowl")},
    )
    for number in ("0000", "0001"):
        stem = root / "Real" / "test" / "scene_1" / number
        names = {5: "laptop_a", 9: "bowl_b"}
        write_nocs_image(stem, "Real", frame, np.zeros((48, 64, 3)), names)


def detect(
    folder: Path, number: str, found: Sequence[tuple[str, float, np.ndarray]], **more: object
) -> None:
    """Write the pickle of a detector: category, score and mask of each detection."""
    content = {
        "rois": np.zeros((len(found), 4), np.int32),
        "class_ids": np.array([1 + NOCS_CATEGORIES.index(x) for x, _, _ in found], np.int32),
        "scores": np.array([x for _, x, _ in found], np.float32),
        "masks": np.stack([x for _, _, x in found], -1) if found else np.zeros((48, 64, 0), bool),
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"results_test_scene_1_{number}.pkl"
    path.write_bytes(pickle.dumps(content | more, protocol=2))


def write_detections(folder: Path) -> None:
    """In the first image a false laptop over the true one, in the second nothing."""
    laptop, wide = mask() == 5, np.zeros((48, 64), bool)
    wide[10:30, 2:60] = True
    found = [("laptop", 0.75, laptop), ("laptop", 0.875, wide), ("bowl", 0.5, mask() == 9)]
    detect(folder, "0000", found)
    detect(folder, "0001", [])


EXACT = {1: pose(0.0), 2: pose(-2.0), 3: pose(0.5, 45.0)}
"""Poses of the detections by number: right, two metres off, and with a yaw of no meaning."""
