"""The configuration of the tracker where images come by themselves."""

import os

import pytest
import torch

from sdfpose_core.tracking.config import TrackerConfig


@pytest.mark.parametrize(("cores", "share"), [(1, 0.25), (2, 0.25), (3, 1.0), (None, 0.25)])
def test_few_cores_test_less(monkeypatch, cores, share):
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert TrackerConfig.live(torch.device("cpu")) == TrackerConfig(
        verify_in_process=True, wait_for_verification=False, verification_share=share
    )


def test_a_gpu_needs_no_process_of_its_own(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert TrackerConfig.live(torch.device("cuda", 0), wait=True) == TrackerConfig(
        verify_in_process=False, wait_for_verification=True, verification_share=1.0
    )
