"""The result of a frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sdfpose_core.estimation.detection import Detection
from sdfpose_core.estimation.pose_following import NetworkPrediction
from sdfpose_core.observation.frame import ObjectEstimate, SkippedInstance
from sdfpose_core.observation.input_warnings import InputWarning

__all__ = ["FrameResult"]


@dataclass(frozen=True)
class FrameResult:
    """The result of a frame.

    Attributes:
        estimates: one for each instance, in the order of their mask ids.
        skipped: the mask ids without an estimate, and why.
        stage_ms: wall time by stage: ``segment``, ``encode``, ``refine`` (search included),
            ``mesh``, ``total``.
        predictions: by mask id, the network's prediction for each tracked instance.
        modes: by mask id, the refined hypotheses of each detected instance, the chosen one first,
            the others by falling probability.
        warnings: cues of the frame that were not used, and why.
    """

    estimates: list[ObjectEstimate]
    skipped: list[SkippedInstance]
    stage_ms: dict[str, float]
    predictions: Mapping[int, NetworkPrediction] = field(default_factory=dict)
    modes: Mapping[int, Sequence[Detection]] = field(default_factory=dict)
    warnings: Sequence[InputWarning] = ()
