"""The configuration of the tracker."""

import os

import pytest
import torch

from sdfpose_core.errors import ConfigurationError
from sdfpose_core.tracking.config import TrackerConfig


@pytest.mark.parametrize(("cores", "share"), [(1, 0.25), (2, 0.25), (3, 1.0), (None, 0.25)])
def test_few_cores_verify_less(monkeypatch, cores, share):
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert TrackerConfig.live(torch.device("cpu")) == TrackerConfig(
        verify_in_process=True,
        wait_for_verification=False,
        verification_share=share,
        detection_budget_s=1.0,
        sightings=3,
    )


def test_a_gpu_needs_no_process_of_its_own(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert TrackerConfig.live(torch.device("cuda", 0), wait=True) == TrackerConfig(
        verify_in_process=False, wait_for_verification=True, verification_share=1.0
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"accept_confidence": 1.5}, "accept_confidence is 1.5: expected 0 to 1"),
        ({"verification_delay_s": -0.1}, "verification_delay_s is -0.1: expected 0 or more"),
        (
            {"settled_frames": 16},
            "redetect_frames is 32: expected at most settled_frames, 16",
        ),
        ({"confirm_frames": 0}, "confirm_frames is 0: expected more than 0"),
        ({"sightings": 0}, "sightings is 0: expected more than 0"),
        ({"coast_s": float("nan")}, "coast_s is nan: expected more than 0"),
        (
            {"drop_confidence": 0.6},
            "drop_confidence is 0.6: expected at most accept_confidence, 0.5",
        ),
        ({"coast_s": 4.0}, "coast_s is 4.0: expected at most remove_after_s, 3.0"),
        ({"retry_after_s": 9.0}, "retry_after_s is 9.0: expected at most retry_at_most_s, 8.0"),
    ],
)
def test_values_out_of_range_are_named(changes, message):
    with pytest.raises(ConfigurationError, match=message):
        TrackerConfig(**changes)
