"""Rejection benchmark: which masks get a confident estimate, those of objects or of other things.

A mask belongs to an object of a category if their intersection over union (IoU) is at least a half.
It is *background* if less than a fifth of its pixels belong to objects of the categories, or to
things that need not be found: a distractor, a wall, a piece of the table. Any other mask, such as
half an object or an object with its neighbour, counts neither way.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.benchmark.mask_cases import MaskCase
from sdfpose_core.categories import Categories
from sdfpose_core.errors import FrameError
from sdfpose_core.estimation.estimator import PoseEstimator
from sdfpose_core.evaluation.comparison import compare
from sdfpose_core.evaluation.frame_metrics import is_correct
from sdfpose_core.evaluation.mask_metrics import match_masks
from sdfpose_core.masks.instance_mask import InstanceMask
from sdfpose_core.observation.frame import GroundTruth, InstanceLabel, ObjectEstimate
from sdfpose_core.observation.input_warnings import WarningCounts
from sdfpose_core.observation.segmentation import ANY_CATEGORY

__all__ = [
    "JudgedMask",
    "MaskMatch",
    "RejectionOutcome",
    "judge_masks",
    "match_found",
    "run_rejection",
    "true_masks",
]

_OBJECT_IOU = 0.5
_BACKGROUND_SHARE = 0.2
"""A mask with a smaller share of its pixels in objects is background."""


@dataclass(frozen=True)
class MaskMatch:
    """What the found masks of an image show.

    Attributes:
        objects: id of the true object of a category by the id of the mask that belongs to it.
        background: ids of the masks that are background.
    """

    objects: Mapping[int, int]
    background: frozenset[int]


@dataclass(frozen=True)
class JudgedMask:
    """A found mask, and what the estimator made of it.

    Attributes:
        mask_id: value in the found mask.
        shows: what the mask shows; None if the true masks are unknown.
        rejected: whether there is no estimate although there are enough points.
        called: category of the estimate, empty without one.
        confidence: of the estimate, 0 without one.
        true_category: category of the object, empty if the mask belongs to none.
        right: whether the estimate is of the right category and within 10 degrees and 5 cm; None
            if the mask belongs to no object, or to one whose pose is unknown.
        same_category: whether at least a fifth of the mask's pixels are of true objects of the
            category of the estimate; None without true masks.
    """

    mask_id: int
    shows: Literal["object", "background", "other"] | None
    rejected: bool = False
    called: str = ""
    confidence: float = 0.0
    true_category: str = ""
    right: bool | None = None
    same_category: bool | None = None

    def is_confident(self, threshold: float) -> bool:
        """Whether there is an estimate with at least this confidence."""
        return bool(self.called) and self.confidence >= threshold


@dataclass(frozen=True)
class RejectionOutcome:
    """The result of one image.

    Attributes:
        name: name of the image.
        ms: wall time of the estimation, without that of the masks, milliseconds.
        masks: the found masks, in the order of their ids.
        has_truth: whether the true masks are known.
    """

    name: str
    ms: float
    masks: tuple[JudgedMask, ...]
    has_truth: bool = True


def true_masks(case: MaskCase) -> InstanceMask:
    """Take the true masks of all things, of unknown category, as a perfect segmentation finds them.

    Raises:
        FrameError: the image has none.
    """
    if case.truth is None:
        raise FrameError("has no true masks: expected mask.png, or masks from another source")
    labels = {int(i): InstanceLabel(ANY_CATEGORY) for i in np.unique(case.truth) if i != 0}
    return InstanceMask(case.truth, labels)


def match_found(
    truth: NDArray[np.integer],
    ours: Iterable[int],
    found: NDArray[np.integer],
    ignore: NDArray[np.bool_] | None = None,
) -> MaskMatch:
    """Match found masks with the true objects of the categories.

    Args:
        truth: (H, W), id of the true thing per pixel, 0 = background.
        ours: ids of the objects of a category.
        found: (H, W), id of the found mask per pixel, 0 = background.
        ignore: (H, W), pixels of things that need not be found; None if there are none.

    Raises:
        ShapeError: the masks are not images of the same size.
    """
    objects = np.where(np.isin(truth, list(ours)), truth, 0)
    matched = match_masks(objects, found).objects
    known = objects > 0 if ignore is None else (objects > 0) | ignore
    pixels = np.bincount(found.ravel())
    in_known = np.bincount(found[known], minlength=len(pixels))
    background = np.flatnonzero((pixels > 0) & (in_known < _BACKGROUND_SHARE * pixels))
    return MaskMatch(
        {x.found_id: x.id for x in matched if x.iou >= _OBJECT_IOU},
        frozenset(int(i) for i in background if i != 0),
    )


def run_rejection(
    estimator: PoseEstimator,
    make_masks: Callable[[MaskCase], InstanceMask],
    cases: Iterable[MaskCase],
    problems: list[str],
    *,
    show: Callable[
        [MaskCase, InstanceMask, Sequence[ObjectEstimate], Sequence[JudgedMask]], None
    ] = lambda *_: None,
    progress: Callable[[], None] = lambda: None,
) -> list[RejectionOutcome]:
    """Estimate each image on its own, with masks of all that is in it.

    Args:
        estimator: estimator to measure.
        make_masks: source of the masks.
        cases: images.
        problems: receives one sentence for each image that cannot be used or segmented, and for
            each cue that is not used.
        show: called with each image, its found masks, the estimates and the judged masks.
        progress: called after each image.
    """
    outcomes = []
    unused = WarningCounts()
    for case in cases:
        try:
            found = make_masks(case)
            frame = replace(case.frame, mask=found.ids, labels=found.labels)
            start = time.perf_counter()
            instances, _ = estimator.segment(frame)
            estimates = estimator.estimate(instances).estimates
        except FrameError as error:
            problems.append(f"{case.name}: {error}; frame dropped")
            continue
        ms = 1e3 * (time.perf_counter() - start)
        if found.problem:
            problems.append(f"{case.name}: {found.problem}")
        unused.add(estimator.unused_cues(frame, instances))
        measured = {x.mask_id for x in instances}
        masks = judge_masks(case, found, estimates, measured, estimator.categories)
        show(case, found, estimates, masks)
        outcomes.append(RejectionOutcome(case.name, ms, masks, case.truth is not None))
        progress()
    problems += unused.sentences("unused")
    return outcomes


def judge_masks(
    case: MaskCase,
    found: InstanceMask,
    estimates: Iterable[ObjectEstimate],
    measured: Iterable[int],
    categories: Categories,
) -> tuple[JudgedMask, ...]:
    """Compare the estimates of an image with what their masks show.

    Args:
        case: the image.
        found: its masks.
        estimates: of these masks.
        measured: ids of the masks with enough points for an estimate.
        categories: known categories; true ones are matched by `Categories.by_label`.
    """
    estimate_of = {x.mask_id: x for x in estimates}
    measured = set(measured)
    names = {i: _name(x, categories) for i, x in case.categories.items() if x}
    poses = {x.mask_id: x for x in case.ground_truth if x.has_pose}
    match = None
    if case.truth is not None:
        match = match_found(case.truth, names, found.ids, case.ignore)
    judged = []
    for mask_id in sorted(found.labels):
        estimate = estimate_of.get(mask_id)
        true_id = 0 if match is None else match.objects.get(mask_id, 0)
        mask = JudgedMask(
            mask_id,
            None if match is None else _shows(mask_id, match),
            rejected=estimate is None and mask_id in measured,
            true_category=names.get(true_id, ""),
            right=_right(estimate, poses.get(true_id), categories),
        )
        if estimate is not None:
            same = None
            if case.truth is not None:
                own = case.truth[found.ids == mask_id]
                alike = [i for i, x in names.items() if x == estimate.category]
                same = bool(np.isin(own, alike).mean() >= _BACKGROUND_SHARE)
            mask = replace(
                mask,
                called=estimate.category,
                confidence=float(estimate.confidence),
                same_category=same,
            )
        judged.append(mask)
    return tuple(judged)


def _shows(mask_id: int, match: MaskMatch) -> Literal["object", "background", "other"]:
    if mask_id in match.objects:
        return "object"
    return "background" if mask_id in match.background else "other"


def _right(
    estimate: ObjectEstimate | None, truth: GroundTruth | None, categories: Categories
) -> bool | None:
    """Whether an estimate is right; None if the true pose is unknown."""
    if truth is None:
        return None
    if estimate is None or estimate.category != _name(truth.category, categories):
        return False
    return is_correct(compare(estimate, truth))


def _name(label: str, categories: Categories) -> str:
    """Name of the category of a label; a label that belongs to none stays."""
    category = categories.by_label(label)
    return label if category is None else category.name
