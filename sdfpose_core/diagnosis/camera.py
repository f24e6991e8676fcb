"""All checks of a camera."""

from __future__ import annotations

from sdfpose_core.categories import Categories, default_categories
from sdfpose_core.diagnosis.alignment import check_alignment
from sdfpose_core.diagnosis.depth import check_depth_unit, check_missing_depth, check_table
from sdfpose_core.diagnosis.findings import Finding
from sdfpose_core.diagnosis.geometry import check_intrinsics
from sdfpose_core.diagnosis.masks import check_masks
from sdfpose_core.diagnosis.pictures import check_exposure, check_sharpness
from sdfpose_core.diagnosis.sample import CameraSample
from sdfpose_core.diagnosis.timing import (
    check_clock,
    check_rate,
    check_stamps,
    check_synchronisation,
)

__all__ = ["diagnose_camera"]


def diagnose_camera(
    sample: CameraSample, categories: Categories | None = None, *, live: bool = False
) -> list[Finding]:
    """Check what was observed of a camera.

    Args:
        sample: headers and images.
        categories: known categories; None for the default ones.
        live: whether the messages arrived just now.

    Returns:
        The findings of the reading, and then those of all checks that apply.
    """
    known = default_categories() if categories is None else categories
    streams, views = sample.streams(), sample.views
    checks = [
        check_rate(streams),
        check_stamps(streams),
        check_clock(streams, live=live),
        check_synchronisation(sample),
        check_intrinsics(views),
        check_alignment(views),
        check_depth_unit(views, known),
        check_missing_depth(views),
        check_table(views),
        check_exposure(views),
        check_sharpness(views),
        check_masks(views, known),
    ]
    doubtful = {x.name for x in sample.findings if x.level != "ok"}
    return [
        *sample.findings,
        *(x for x in checks if x is not None and (x.level != "ok" or x.name not in doubtful)),
    ]
