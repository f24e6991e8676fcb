"""Configuration of the tracker."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from sdfpose_core.errors import ConfigurationError

if TYPE_CHECKING:
    import torch

__all__ = ["TrackerConfig"]

_FEW_CORES, _VERIFICATION_SHARE = 2, 0.25
"""On so few cores, the verification of trusted poses gets no more of the time, as it slows down
everything else."""

_DETECTION_BUDGET_S = 1.0
"""Results of live images are to be at most this late, if a single detection permits it."""

_LIVE_SIGHTINGS = 3
"""Pieces and shadows that a segmentation shows in one or two live images are not tried."""


@dataclass(frozen=True)
class TrackerConfig:
    """Configuration of the tracker.

    Attributes:
        accept_confidence: minimum confidence of an image that counts toward `confirm_frames`.
        confirm_frames: confident images until a track is confirmed.
        redetect_frames: maximum number of images between two verifications of an object. The first
            verifications follow one another quickly.
        settled_frames: the same maximum once keyframes from all sides agree on the shape.
        verification_delay_s: seconds between an image and the use of its verification, which runs
            in the background. 0 verifies synchronously. The delay is shorter while other objects
            wait for their verification.
        verify_in_process: verify in a separate process with a copy of the networks, not in a thread
            that competes with tracking for the interpreter. Meant for CPUs. A script that uses it
            must start its work under ``if __name__ == "__main__":``, as the process is spawned.
        wait_for_verification: wait for a verification that is due in this image, and verify a pose
            that the image contradicts at once. The results then do not depend on the machine's
            speed. Without it, a verification is used as soon as it is available: for live images.
            Unnamed things are then tried in the background as well, see
            `sdfpose_core.tracking.trials`, unless `verification_delay_s` is 0.
        verification_share: with `wait_for_verification` off, the share of the time that the
            verification of trusted poses may take. Uncertain poses are not limited.
        detection_budget_s: time after which no further object of an image is detected from scratch,
            seconds. The first detection always takes place; the rest waits for the next images.
            Infinite detects all at once, so that results do not depend on the machine's speed. An
            estimator that does not refine on the SDF detects all objects in every image.
        sightings: while objects are tracked, an instance of unknown category that is none of them
            is detected once this many images have shown it at its place, see
            `sdfpose_core.tracking.sightings.Sightings`; so is one that may be an object which was
            out of view for longer than `coast_s`. 1 detects it at once.
        network_interval_s: maximum age of the network prediction of a tracked object without a
            front, seconds.
        drop_confidence: an image with less confidence brings the next verification nearer.
        inlier_collapse: an inlier ratio below this share of its usual value makes it due at once.
        gate_share: size of the association gate, as a share of the object's diagonal. The gate
            widens with the uncertainty of the prediction.
        speed_sd_m_s: standard deviation of velocities in the camera frame.
        turn_sd_rad_s: standard deviation of angular velocities.
        coast_s: how long the prediction of an object out of view is valid. Velocities fade with
            this time constant. An object that returns later is detected from scratch; an
            unconfirmed one is removed.
        remove_after_s: a confirmed track is removed when it has been unseen for longer.
        remove_after_frames: any track is removed when it is missing in this many images.
        retry_after_s: an instance without an estimate is tried again after this time, or when its
            mask has changed, but not sooner. The time doubles with every trial that fails...
        retry_at_most_s: ...up to this one.

    Raises:
        ConfigurationError: a value is out of its range.
    """

    accept_confidence: float = 0.5
    confirm_frames: int = 3
    redetect_frames: int = 32
    settled_frames: int = 128
    verification_delay_s: float = 0.5
    verify_in_process: bool = False
    wait_for_verification: bool = True
    verification_share: float = 1.0
    detection_budget_s: float = math.inf
    sightings: int = 1
    network_interval_s: float = 0.3
    drop_confidence: float = 0.3
    inlier_collapse: float = 0.5
    gate_share: float = 0.5
    speed_sd_m_s: float = 0.5
    turn_sd_rad_s: float = 1.0
    coast_s: float = 1.0
    remove_after_s: float = 3.0
    remove_after_frames: int = 90
    retry_after_s: float = 0.5
    retry_at_most_s: float = 8.0

    @classmethod
    def live(cls, device: torch.device, *, wait: bool = False) -> TrackerConfig:
        """Configuration for live images, which this machine follows as fast as it can.

        Args:
            device: where the networks run.
            wait: value of `wait_for_verification`.
        """
        return cls(
            verify_in_process=device.type == "cpu",
            wait_for_verification=wait,
            verification_share=_VERIFICATION_SHARE if (os.cpu_count() or 1) <= _FEW_CORES else 1.0,
            detection_budget_s=math.inf if wait else _DETECTION_BUDGET_S,
            sightings=1 if wait else _LIVE_SIGHTINGS,
        )

    def __post_init__(self) -> None:
        shares = ("accept_confidence", "drop_confidence", "inlier_collapse", "verification_share")
        may_be_zero = (
            "accept_confidence",
            "drop_confidence",
            "inlier_collapse",
            "verification_delay_s",
        )
        for name in (field.name for field in fields(self)):
            value = getattr(self, name)
            if name in ("verify_in_process", "wait_for_verification"):
                continue
            if name in shares and not 0.0 <= value <= 1.0:
                raise ConfigurationError(f"tracker: {name} is {value}: expected 0 to 1")
            if name in may_be_zero and not value >= 0.0:
                raise ConfigurationError(f"tracker: {name} is {value}: expected 0 or more")
            if name not in may_be_zero and not value > 0.0:
                raise ConfigurationError(f"tracker: {name} is {value}: expected more than 0")
        for low, high in (
            ("drop_confidence", "accept_confidence"),
            ("coast_s", "remove_after_s"),
            ("retry_after_s", "retry_at_most_s"),
            ("redetect_frames", "settled_frames"),
        ):
            if getattr(self, low) > getattr(self, high):
                raise ConfigurationError(
                    f"tracker: {low} is {getattr(self, low)}: expected at most {high}, "
                    f"{getattr(self, high)}"
                )
