"""An estimator that calls masks what a test says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from simple_estimates import make_estimate

from sdfpose_core.categories import default_categories
from sdfpose_core.estimation.frame_result import FrameResult
from sdfpose_core.observation.segmentation import segment


class CallingEstimator:
    """Reports an upright object in the middle of each mask's points.

    Args:
        calls: category and confidence by mask id; masks that are not listed are rejected.
        unused: returned by `unused_cues`.
    """

    def __init__(self, calls, unused=()):
        self.categories = default_categories()
        self.calls = calls
        self.unused = list(unused)

    def segment(self, frame):
        return segment(frame, self.categories)

    def estimate(self, instances):
        middles = {x.mask_id: x.middle for x in instances}
        return FrameResult(
            [
                replace(
                    make_estimate(category, at=middles[i], rotation=np.eye(3), mask_id=i),
                    confidence=confidence,
                )
                for i, (category, confidence) in self.calls.items()
                if i in middles
            ],
            [],
            {},
        )

    def unused_cues(self, frame, instances):
        return self.unused
