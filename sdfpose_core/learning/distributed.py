"""Training in several processes, on one machine or on several (``torchrun``)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from sdfpose_core.device import resolve_device
from sdfpose_core.errors import ConfigurationError

__all__ = [
    "average_gradients",
    "first_ahead",
    "is_first",
    "only_process",
    "own_share",
    "process_group",
    "shared_between_processes",
]

_PATIENCE = timedelta(hours=12)
"""How long processes wait for the first one, which simulates and samples."""


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
    torch.distributed.init_process_group(
        "nccl" if device.type == "cuda" else "gloo", timeout=_PATIENCE
    )
    try:
        yield device
    finally:
        torch.distributed.destroy_process_group()


@contextmanager
def first_ahead() -> Iterator[None]:
    """What is inside is done by the first process, and then by the others, who find its files."""
    if not is_first():
        torch.distributed.barrier()
    yield
    if is_first() and _world() > 1:
        torch.distributed.barrier()


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
    own_share(batch)
    return network if _world() == 1 else DistributedDataParallel(network)


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Give every process the means of all processes' gradients, as if it had seen all items.

    For losses that differentiate twice, which `shared_between_processes` cannot do.

    Args:
        parameters: of which every process has gradients.
    """
    if _world() == 1:
        return
    for parameter in parameters:
        assert parameter.grad is not None
        torch.distributed.all_reduce(parameter.grad)
        parameter.grad /= _world()


def own_share(count: int) -> slice:
    """Which of a step's items this process computes.

    Raises:
        ConfigurationError: the processes cannot share them evenly.
    """
    if count % _world():
        raise ConfigurationError(
            f"{count} items per step cannot be shared by {_world()} processes: expected a multiple"
        )
    share = count // _world()
    return slice(_rank() * share, (_rank() + 1) * share)


def _rank() -> int:
    return torch.distributed.get_rank() if torch.distributed.is_initialized() else 0


def _world() -> int:
    return torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
