"""Training in several processes, seen from one of them."""

import pytest
import torch

from sdfpose_core.errors import ConfigurationError
from sdfpose_core.learning import distributed


@pytest.fixture
def second_of_three(monkeypatch):
    monkeypatch.setattr(distributed, "_rank", lambda: 1)
    monkeypatch.setattr(distributed, "_world", lambda: 3)


def test_alone_everything_is_one_s_own():
    assert range(10)[distributed.process_slice(10)] == range(10)
    assert distributed.is_main_process()
    network = torch.nn.Linear(2, 2)
    assert distributed.data_parallel(network, 7) is network
    assert distributed.process_count() == 1


@pytest.mark.usefixtures("second_of_three")
def test_the_second_of_three_has_the_middle_third():
    assert range(12)[distributed.process_slice(12)] == range(4, 8)
    assert not distributed.is_main_process()
    assert distributed.process_count() == 3


@pytest.mark.usefixtures("second_of_three")
def test_what_cannot_be_shared_is_refused():
    with pytest.raises(ConfigurationError, match=r"7 items per step .* 3 processes"):
        distributed.data_parallel(torch.nn.Linear(2, 2), 7)


def test_without_torchrun_there_is_no_group(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with distributed.process_group("cpu") as device:
        assert device.type == "cpu"
        assert not torch.distributed.is_initialized()
