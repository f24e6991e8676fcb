"""When the tracker believes what."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from sdfpose_core.errors import ConfigurationError

if TYPE_CHECKING:
    import torch

__all__ = ["TrackerConfig"]

_FEW_CORES, _TRIAL_SHARE = 2, 0.25
"""On so few cores tests of poses that are believed take no more of the time: what they compute is
missing elsewhere."""


@dataclass(frozen=True)
class TrackerConfig:
    """When the tracker believes what.

    Attributes:
        accept_confidence: an image with less does not count toward `confirm_frames`.
        confirm_frames: confident images until a track is relied on.
        redetect_frames: images from one detection from nothing to the next, at most. The first
            are in quick succession.
        settled_frames: the same once views from all sides agree with the shape.
        verification_delay_s: seconds between an image and the use of its verification, which runs
            in the background. 0 verifies synchronously. The delay is shorter while other objects
            wait for their verification.
        verify_in_process: verify in a separate process with a copy of the networks, not in a thread
            that competes with tracking for the interpreter. Meant for CPUs.
        wait_for_verification: wait for a verification that is due in this image, and verify a pose
            that the image contradicts at once. The results then do not depend on the machine's
            speed. Without it, a verification is used as soon as it is there: for live images.
        verification_share: with `wait_for_verification` off, the share of the time that the
            verification of believed poses may take. Uncertain poses are not limited.
        network_interval_s: maximum age of the network prediction of a tracked object without a
            front, seconds.
        drop_confidence: an image with less brings the next one nearer.
        inlier_collapse: so does, at once, an inlier ratio below this share of its usual value.
        gate_share: share of its diagonal by which an object may be off its predicted place,
            which is the less certain, the longer it has not been seen.
        speed_sd_m_s: standard deviation of velocities in the camera frame.
        turn_sd_rad_s: the same of angular velocities.
        coast_s: how long a prediction is good. Motion fades with this time constant, and a track
            unseen for longer is detected from nothing when it is back, or given up if it never
            was confirmed.
        remove_after_s: a confirmed track unseen for longer is given up...
        remove_after_frames: ...and any that is missing in more images than this.

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
    network_interval_s: float = 0.3
    drop_confidence: float = 0.3
    inlier_collapse: float = 0.5
    gate_share: float = 0.5
    speed_sd_m_s: float = 0.5
    turn_sd_rad_s: float = 1.0
    coast_s: float = 1.0
    remove_after_s: float = 3.0
    remove_after_frames: int = 90

    @classmethod
    def live(cls, device: torch.device, *, wait: bool = False) -> TrackerConfig:
        """For images that come by themselves, as fast as this machine can follow them.

        Args:
            device: where the networks run.
            wait: see `wait_for_verification`.
        """
        return cls(
            verify_in_process=device.type == "cpu",
            wait_for_verification=wait,
            verification_share=_TRIAL_SHARE if (os.cpu_count() or 1) <= _FEW_CORES else 1.0,
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
            ("redetect_frames", "settled_frames"),
        ):
            if getattr(self, low) > getattr(self, high):
                raise ConfigurationError(
                    f"tracker: {low} is {getattr(self, low)}: expected at most {high}, "
                    f"{getattr(self, high)}"
                )
