"""The choice of one category for each mask id of an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sdfpose_core.observation.frame import Instance
from sdfpose_core.tracking.config import TrackerConfig
from sdfpose_core.tracking.detector import Detector
from sdfpose_core.tracking.predicted_track import PredictedTrack

__all__ = ["detected_category", "with_one_category"]


def with_one_category(
    options: Mapping[int, Sequence[Instance]],
    owners: dict[int, PredictedTrack],
    detector: Detector,
    config: TrackerConfig,
) -> list[Instance]:
    """The instances, with one category for each mask id.

    A labelled instance takes the category of its owner, which may have been found in spite of
    the label, if the prediction is recent. An instance of unknown category takes that of its
    owner, or else the category that explains it best. Without a recent prediction, the category
    of the owner has to explain the instance with confidence. Instances that no category explains
    are left out, and so are those for which there is no time; they wait.

    Args:
        options: by mask id, the instances that it may be, which differ in category.
        owners: the tracked objects that are expected at a mask id. One of another category than the
            chosen one is removed.
        detector: of this image.
        config: of the tracker.
    """
    chosen = []
    for mask_id, same in options.items():
        owner = owners.get(mask_id)
        if len(same) == 1:
            known = owner.object if owner is not None and owner.recent else None
            category = same[0].category if known is None else known.category
            chosen.append(replace(same[0], category=category))
        elif (found := _with_category(same, owner, detector, config)) is not None:
            chosen.append(found)
            if owner is not None and owner.object.category != found.category:
                del owners[mask_id]
    return chosen


def detected_category(same: Sequence[Instance], detector: Detector) -> Instance | None:
    """The instance of a mask id whose category explains it best, None if none does.

    Args:
        same: the instances that the mask id may be, which differ in category.
        detector: of this image.
    """
    if not detector.has_time(same[0].mask_id):
        return None
    found = detector.detect(same)
    return next((x for x in same if found and x.category == found[0].category), None)


def _with_category(
    same: Sequence[Instance],
    owner: PredictedTrack | None,
    detector: Detector,
    config: TrackerConfig,
) -> Instance | None:
    """One of the instances of a mask id, which differ in category, or None; see above."""
    tracked = next((x for x in same if owner and x.category == owner.object.category), None)
    if (
        owner is not None
        and tracked is not None
        and (owner.recent or owner.unseen_s <= config.remove_after_s)
    ):
        if owner.recent:
            return tracked
        if not detector.has_time(tracked.mask_id):
            return None
        found = detector.detect([tracked])
        if found and found[0].confidence >= config.accept_confidence:
            return tracked
    return detected_category(same, detector)
