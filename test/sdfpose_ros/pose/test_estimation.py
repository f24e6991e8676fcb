"""The tracker that the pose node makes."""

from __future__ import annotations

from pathlib import Path

import pytest

import sdfpose_core
from sdfpose_core.categories import default_categories
from sdfpose_core.errors import DeviceError, WeightsError
from sdfpose_ros.pose.estimation import make_tracker
from sdfpose_ros.pose.parameters import PoseNodeParameters

WEIGHTS = Path(sdfpose_core.__file__).parent / "weights"


def test_weights_that_cannot_be_read_are_named_and_the_others_are_used(tmp_path):
    for path in WEIGHTS.glob("bowl.*"):
        (tmp_path / path.name).symlink_to(path)
    damaged = tmp_path / "mug.decoder.safetensors"
    damaged.write_bytes(b"rubbish")
    told: list[str] = []
    parameters = PoseNodeParameters(weights_dir=str(tmp_path), device="cpu")
    assert make_tracker(parameters, default_categories(), told.append)
    assert len(told) == 5
    assert any("category 'mug'" in x and f"{damaged}: damaged" in x for x in told)


def test_weights_of_which_none_can_be_read_end_the_start(tmp_path):
    parameters = PoseNodeParameters(weights_dir=str(tmp_path), device="cpu")
    with pytest.raises(WeightsError, match="no category has usable weights"):
        make_tracker(parameters, default_categories(), print)


def test_a_device_that_is_not_there_ends_the_start():
    with pytest.raises(DeviceError, match="warp"):
        make_tracker(PoseNodeParameters(device="warp"), default_categories(), print)
