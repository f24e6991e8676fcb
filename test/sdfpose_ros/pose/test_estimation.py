"""The tracker that the pose node makes."""

from __future__ import annotations

import pytest
from own_pack import copied_pack, own_pack

from sdfpose_core.errors import DeviceError, WeightsError
from sdfpose_core.packs.collection import Packs
from sdfpose_ros.pose.estimation import make_tracker
from sdfpose_ros.pose.parameters import PoseNodeParameters


def loaded(packs, told=print, **parameters):
    """Names of the categories whose weights the tracker has."""
    tracker = make_tracker(PoseNodeParameters(device="cpu", **parameters), packs, told)
    return tracker._estimator.models.loaded


def test_weights_that_cannot_be_read_are_named_and_the_others_are_used(tmp_path):
    damaged = copied_pack(tmp_path, "mug") / "decoder.safetensors"
    damaged.write_bytes(b"rubbish")
    told: list[str] = []
    packs = Packs.beside_shipped([tmp_path])
    assert loaded(packs, told.append) == ("bottle", "bowl", "camera", "can", "laptop")
    (message,) = told
    assert message.startswith(f"category 'mug' is disabled: {damaged}: damaged")


def test_only_what_labels_can_name_is_loaded(tmp_path):
    packs = Packs.beside_shipped([own_pack(tmp_path), own_pack(tmp_path, "drill")])
    assert loaded(packs, category="kettle") == ("kettle",)
    named = {"category": "drill", "mask_categories": ("1:can", "2:drill")}
    assert loaded(packs, **named) == ("can", "drill")
    assert len(loaded(packs, mask_categories=("1:any", "2:can"))) == 8
    assert len(loaded(packs)) == 8


def test_weights_of_which_none_can_be_read_end_the_start(tmp_path):
    (copied_pack(tmp_path, "mug") / "decoder.safetensors").write_bytes(b"rubbish")
    with pytest.raises(WeightsError, match=r"no category has usable weights: .*mug/decoder"):
        loaded(Packs.beside_shipped([tmp_path]), category="mug")


def test_a_device_that_is_not_there_ends_the_start():
    with pytest.raises(DeviceError, match="warp"):
        make_tracker(PoseNodeParameters(device="warp"), Packs.beside_shipped(), print)
