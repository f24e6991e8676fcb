"""Training in several processes, on one machine or on several (``torchrun``)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from sdfpose_core.device import resolve_device
from sdfpose_core.errors import ConfigurationError

__all__ = ["is_first", "only_process", "own_share", "process_group", "shared_between_processes"]


@contextmanager
def process_group(device_name: str) -> Iterator[torch.device]:
    """Join the other processes, where ``torchrun`` has started several; yields the own device.

    NCCL connects GPUs, gloo CPUs.

    Args:
        device_name: ``auto | cpu | cuda[:N]``; of several GPUs each process takes its own.

    Raises:
        DeviceError: there is no such device.
    """
    if "WORLD_SIZE" not in os.environ or int(os.environ["WORLD_SIZE"]) == 1:
        yield resolve_device(device_name)
        return
    device = resolve_device(device_name)
    if device.type == "cuda":
        device = resolve_device(f"cuda:{os.environ['LOCAL_RANK']}")
        torch.cuda.set_device(device)
    torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield device
    finally:
        torch.distributed.destroy_process_group()


def only_process(what: str) -> None:
    """Refuse several processes.

    Raises:
        ConfigurationError: there are some.
    """
    if _world() > 1:
        raise ConfigurationError(f"{what} runs in one process: start it without torchrun")


def is_first() -> bool:
    """Whether this process is the one that writes files and tells of the progress."""
    return _rank() == 0


def shared_between_processes(network: nn.Module, batch: int) -> Any:
    """The network, whose gradients are the means over all processes.

    Args:
        network: starts with the same weights everywhere.
        batch: items per step of all processes together.

    Raises:
        ConfigurationError: they cannot be shared evenly.
    """
    if _world() == 1:
        return network
    if batch % _world():
        raise ConfigurationError(
            f"{batch} views per step cannot be shared by {_world()} processes: expected a multiple"
        )
    return DistributedDataParallel(network)


def own_share(count: int) -> slice:
    """Which of a step's items this process computes."""
    share = count // _world()
    return slice(_rank() * share, (_rank() + 1) * share)


def _rank() -> int:
    return torch.distributed.get_rank() if torch.distributed.is_initialized() else 0


def _world() -> int:
    return torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
