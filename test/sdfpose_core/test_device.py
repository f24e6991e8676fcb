import os
import threading

import cv2
import pytest
import torch
from threadpoolctl import threadpool_info

from sdfpose_core import device as device_module
from sdfpose_core.device import (
    adopt_threads,
    all_threads,
    has_fast_bfloat16,
    resolve_device,
    set_threads,
)
from sdfpose_core.errors import DeviceError


def test_auto_takes_a_gpu_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device() == torch.device("cuda")


def test_a_device_object_passes_through():
    assert resolve_device(torch.device("cpu")) == torch.device("cpu")
    assert resolve_device("cpu") == torch.device("cpu")


def test_a_gpu_that_is_there_is_found(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(DeviceError, match=r"'cuda:2' was requested, but torch .* sees 2 CUDA"):
        resolve_device("cuda:2")


def test_a_gpu_that_is_not_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(
        DeviceError, match=r"'cuda' .* sees 0 CUDA device\(s\): use 'cpu' or 'auto'"
    ):
        resolve_device("cuda")


@pytest.mark.parametrize("name", ["gpu", "", "cuda:x", "cpu,cuda"])
def test_an_unknown_device(name):
    with pytest.raises(DeviceError, match=f"device '{name}' is unknown: expected 'auto', 'cpu'"):
        resolve_device(name)


def test_a_device_that_nothing_here_was_tried_on():
    with pytest.raises(DeviceError, match="device 'meta' is not supported: expected 'auto'"):
        resolve_device("meta")


@pytest.fixture
def threads():
    """The threads are afterwards what they were."""
    before = torch.get_num_threads()
    yield
    set_threads(before)


def test_all_cores_but_one_and_all_of_them_in_a_burst(threads, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    set_threads()
    assert torch.get_num_threads() == cv2.getNumThreads() == 2
    with all_threads():
        assert torch.get_num_threads() == 3
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize(("load", "inside"), [(4.4, 3), (4.6, 2)])
def test_a_considerate_process_takes_no_more_cores_of_a_busy_machine(
    threads, monkeypatch, load, inside
):
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0))
    set_threads(considerate=True)
    with all_threads():
        assert torch.get_num_threads() == inside
    set_threads()
    with all_threads():
        assert torch.get_num_threads() == 3


def openmp_threads():
    """What the calling thread may use in torch's copy of OpenMP."""
    return {x["num_threads"] for x in threadpool_info() if "/torch" in x["filepath"]
            and x["user_api"] == "openmp"}  # fmt: skip


def test_the_number_of_threads_holds_in_other_threads_that_adopt_it(threads):
    """Also in one that is started in a burst."""
    if not openmp_threads():
        pytest.skip("this torch does not bring an OpenMP of its own")
    found = []

    def adopt():
        adopt_threads()
        found.append(openmp_threads())

    set_threads(3)
    torch.set_num_threads(5)  # as in a burst of this thread
    other = threading.Thread(target=adopt)
    other.start()
    other.join()
    assert found == [{3}]
    assert openmp_threads() == {5}


def test_a_number_of_threads_holds_in_a_burst_as_well(threads):
    set_threads(1)
    with all_threads():
        assert torch.get_num_threads() == 1


def test_a_burst_ends_with_the_work_in_it_however_that_ends(threads, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    set_threads()

    @all_threads()
    def fails():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize(
    ("features", "fast"),
    [({"avx2", "avx512f"}, False), ({"avx512f", "avx512_bf16"}, True), ({"asimd", "bf16"}, True),
     (set(), False)],
)  # fmt: skip
def test_bfloat16_is_fast_on_processors_that_say_so(monkeypatch, features, fast):
    monkeypatch.setattr(device_module, "_processor_features", lambda: frozenset(features))
    assert has_fast_bfloat16(torch.device("cpu")) is fast


@pytest.mark.parametrize(("capability", "fast"), [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_bfloat16_is_fast_on_recent_gpus(monkeypatch, capability, fast):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert has_fast_bfloat16(torch.device("cuda", 0)) is fast


def test_features_of_this_processor_can_be_read():
    assert isinstance(has_fast_bfloat16(torch.device("cpu")), bool)
